"""Where a webhook begins that is taken over, and the patches of a change of hands."""

import pytest

from kubectl_sew.resource import Condition, State, Webhook, checkpoint
from kubectl_sew.resource.effective import MARGIN
from kubectl_sew.resource.handover import beginning, handback_patch, state_patch, takeover_patch

NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z
AT = "2025-12-31T23:59:00Z"


def webhook(spec_state="Enabled", /, *conditions, **annotations):
    ours = {f"kubectl-sew/{name}": text for name, text in annotations.items()}
    return Webhook("w", "Generic", State(spec_state), "a = 1", annotations=ours, conditions=conditions)


def healthy(reason="SecurityEventsProcessing", at=AT, status="True", generation=0):
    return Condition("Healthy", status, reason, "m", generation, at)


@pytest.mark.parametrize("reason", ["SecurityEventsProcessing", "WebhookValidation", "TestFireProcedure"])
@pytest.mark.parametrize("status", ["True", "False"])
def test_it_begins_a_margin_before_where_calicos_processor_has_read_to(reason, status):
    found = beginning(webhook("Enabled", healthy(reason, status=status)), NOW)
    assert (found.cursor, found.begin, found.why) == (NOW - 60.0, NOW - 60.0 - MARGIN, "")


@pytest.mark.parametrize(
    ("conditions", "why"),
    [
        ((), "Calico's processor has written no condition yet"),
        ((healthy("WebhookState"),), "Calico's processor does not deliver it (WebhookState)"),
        ((healthy("QueryParsing"),), "Calico's processor does not deliver it (QueryParsing)"),
        ((healthy(at="soon"),), "the time of Calico's condition cannot be read"),
        ((healthy(generation=3),), "its condition is an agent's, and not of Calico's processor"),
    ],
)
def test_where_nobody_says_how_far_it_was_read_it_begins_now_less_the_margin(conditions, why):
    found = beginning(webhook("Enabled", *conditions), NOW)
    assert (found.cursor, found.begin, found.why) == (None, NOW - MARGIN, why)


NOBODY = "Calico's processor has written nothing since it was handed back, so that nobody delivered it"


@pytest.mark.parametrize(
    "conditions",
    [
        (),
        (healthy("WebhookState"),),
        (healthy("WebhookState", at="2025-12-31T23:59:25Z"),),
        (healthy("QueryParsing", at="2025-06-01T00:00:00Z"),),
        (healthy(at="2025-06-01T00:00:00Z"),),
    ],
)
def test_it_begins_before_the_end_of_a_handback_that_calicos_processor_never_answered(conditions):
    found = beginning(webhook("Enabled", *conditions, end="2025-12-31T23:59:30Z"), NOW)
    assert (found.cursor, found.begin, found.why) == (None, NOW - 30.0 - MARGIN, NOBODY)
    assert beginning(webhook("Enabled", *conditions, end="2026-01-01T00:00:20Z"), NOW).begin == NOW - MARGIN


def test_what_calicos_processor_wrote_after_a_handback_counts_alone():
    refused = webhook("Enabled", healthy("QueryParsing", at="2025-12-31T23:00:00Z"), end="2025-06-01T00:00:30Z")
    assert beginning(refused, NOW).begin == NOW - MARGIN
    reading = webhook("Enabled", healthy(), end="2025-06-01T00:00:30Z")
    assert beginning(reading, NOW).begin == NOW - 60.0 - MARGIN


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "0", "-1", "nan", "1e300"])
def test_a_time_that_was_never_set_is_none(at):
    assert beginning(webhook("Enabled", healthy(at=at)), NOW).begin == NOW - MARGIN


def test_after_another_agent_it_begins_where_that_was():
    read = Condition("EventsFetched", "True", "EventsRead", f"read to {AT}", 1)
    found = beginning(webhook("Enabled", healthy(), read), NOW)
    assert (found.cursor, found.begin) == (None, NOW - 60.0)


def test_a_condition_of_the_future_is_not_believed():
    assert beginning(webhook("Enabled", healthy(at="2027-01-01T00:00:00Z")), NOW).begin == NOW - MARGIN


@pytest.mark.parametrize("state", ["Enabled", "Debug", "Test", "Disabled"])
def test_one_patch_takes_over_and_keeps_the_state(state):
    assert takeover_patch(webhook(state), NOW) == {
        "metadata": {
            "annotations": {
                "kubectl-sew/state": state,
                "kubectl-sew/begin": None if state == "Disabled" else "2026-01-01T00:00:00Z",
                "kubectl-sew/end": None,
                "kubectl-sew/conditions": None,
            }
        },
        "spec": {"state": "Disabled"},
    }


def test_what_is_taken_over_is_not_taken_over_again_but_what_was_set_since_is():
    assert takeover_patch(webhook("Disabled", state="Debug"), NOW) == {}
    annotations = takeover_patch(webhook("Debug", state="Enabled"), NOW)["metadata"]["annotations"]
    assert annotations["kubectl-sew/state"] == "Debug"


GONE = {"kubectl-sew/state": None, "kubectl-sew/begin": None, "kubectl-sew/conditions": None}
ENDS = {**GONE, "kubectl-sew/end": "2026-01-01T00:00:30Z"}


@pytest.mark.parametrize(
    ("state", "restored"),
    [("Enabled", "Enabled"), ("Debug", "Debug"), ("Test", "Test"), ("Disabled", "Disabled"), ("on", "Disabled")],
)
def test_one_patch_hands_back_and_keeps_the_state(state, restored):
    patch = handback_patch(webhook("Disabled", state=state), NOW, with_status=False)
    assert patch == {"metadata": {"annotations": ENDS}, "spec": {"state": restored}}


def test_of_what_was_set_since_the_annotations_alone_are_removed():
    patch = handback_patch(webhook("Enabled", state="Debug"), NOW, with_status=True)
    assert patch == {"metadata": {"annotations": ENDS}}


def test_what_was_never_taken_over_is_left_alone():
    assert handback_patch(webhook(), NOW, with_status=True) == handback_patch(
        webhook("Disabled"), NOW, with_status=True
    )
    assert handback_patch(webhook(), NOW, with_status=True) == {}


def test_where_the_status_is_part_of_the_resource_the_cursor_is_where_the_agent_is():
    (condition,) = handback_patch(webhook("Disabled", state="Enabled"), NOW, with_status=True)["status"]
    assert condition["lastTransitionTime"] == "2026-01-01T00:00:00Z"
    assert (condition["type"], condition["status"], condition["reason"]) == (
        "Healthy",
        "True",
        "SecurityEventsProcessing",
    )
    assert "status" not in handback_patch(webhook("Disabled", state="Disabled"), NOW, with_status=True)


def test_a_state_is_set_where_it_stands():
    assert state_patch(webhook("Enabled"), State.DEBUG) == {"spec": {"state": "Debug"}}
    assert state_patch(webhook("Disabled", state="Enabled"), State.DEBUG) == {
        "metadata": {"annotations": {"kubectl-sew/state": "Debug"}}
    }
    assert state_patch(webhook("Disabled", state="Debug"), State.DEBUG) == {}
    assert state_patch(webhook("Enabled", state="Debug"), State.DISABLED) == {"spec": {"state": "Disabled"}}


def test_conditions_of_calicos_processor_are_no_checkpoint():
    assert checkpoint(webhook("Enabled", healthy()).conditions) is None
