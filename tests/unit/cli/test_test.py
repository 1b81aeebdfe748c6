"""`kubectl sew test` reads what the agent has written by now."""

import pytest

from kubectl_sew.cli.commands.test import read_result
from kubectl_sew.resource import TEST_RESULT_ANNOTATION, Condition, State, Webhook

ACCEPTED = Condition("Delivering", "True", "Delivering", observed_generation=2)
REFUSED = Condition("Delivering", "False", "WebhookNotAccepted", observed_generation=2)
BEFORE = Webhook("w", "Generic", State.ENABLED, "type = waf", generation=1)


def webhook(*conditions: Condition, state: State = State.TEST, result: str = "") -> Webhook:
    annotations = {TEST_RESULT_ANNOTATION: result} if result else {}
    return Webhook("w", "Generic", state, "type = waf", annotations=annotations, generation=2, conditions=conditions)


def unhealthy(reason: str, generation: int = 2) -> Condition:
    return Condition("Healthy", "False", reason, "said so", generation)


@pytest.mark.parametrize("reason", ["SecurityEventsProcessing", "QueryValidation", "TestFireProcedure", "WebhookState"])
def test_while_the_agent_runs_the_webhook_nothing_that_is_wrong_with_it_ends_the_waiting(reason: str) -> None:
    assert read_result(webhook(unhealthy(reason), ACCEPTED), BEFORE, 2) is None


def test_a_receiver_that_failed_before_is_tested_all_the_same() -> None:
    now = webhook(unhealthy("SecurityEventsProcessing"), ACCEPTED, state=State.ENABLED, result="T delivered: 204")
    result = read_result(now, BEFORE, 2)
    assert result
    assert (result.delivered, result.said, result.waits) == (True, "T delivered: 204", False)


@pytest.mark.parametrize("delivering", [(REFUSED,), ()])
def test_a_webhook_that_the_agent_refuses_is_not_tested_and_says_why(delivering: tuple[Condition, ...]) -> None:
    result = read_result(webhook(unhealthy("QueryParsing"), *delivering), BEFORE, 2)
    assert result
    assert (result.waits, result.said) == (True, "not sent: QueryParsing: said so")


def test_what_was_written_before_the_request_says_nothing() -> None:
    assert read_result(webhook(unhealthy("QueryParsing", 1), REFUSED), BEFORE, 2) is None


@pytest.mark.parametrize(
    ("result", "delivered"),
    [
        ('{"httpResponseCode":200,"httpResponseDescription":"OK","timestamp":"2026-01-01T00:00:00Z"}', True),
        ('{"httpResponseCode":403,"httpResponseDescription":"Forbidden"}', False),
        ('{"httpResponseCode":"200"}', False),
        ('{"httpResponseCode":200,"httpResponseDescription":"T not delivered (x): 200 OK","timestamp":"T"}', False),
        ('{"httpResponseCode":0,"httpResponseDescription":"T delivered","timestamp":"T"}', True),
        ('{"httpResponseCode":404}', False),
        ("{half", False),
    ],
)
def test_what_calico_s_own_processor_writes_is_understood_and_both_forms_of_the_agents(
    result: str, delivered: bool
) -> None:
    test_result = read_result(webhook(state=State.ENABLED, result=result), BEFORE, 2)
    assert test_result
    assert test_result.delivered is delivered
