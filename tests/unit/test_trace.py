"""What became of one event is said for each webhook: by the store, else by its query and the exceptions."""

from typing import Any

import pytest

from kubectl_sew.resource import State, Webhook
from kubectl_sew.resource.exceptions import AlertException
from kubectl_sew.trace import UNSEEN, fates, table

NOW = 1_800_000_000.0
EVENT = {"id": "e-1", "type": "waf", "severity": 70, "host": "node-1"}


def webhook(query: str, state: State = State.ENABLED) -> Webhook:
    spec = {"consumer": "Slack", "state": state.value, "query": query, "config": []}
    return Webhook.from_object({"metadata": {"name": "hook"}, "spec": spec})


def fate(
    query: str,
    *exceptions: AlertException,
    known: str = UNSEEN,
    document: dict[str, Any] | None = EVENT,
    state: State = State.ENABLED,
) -> tuple[str, str]:
    rows = [{"webhook": "hook", "fate": known, "detail": "as the store says"}]
    (row,) = fates(rows, document, [webhook(query, state)], exceptions, NOW)
    return row["fate"], row["detail"]


@pytest.mark.parametrize(
    ("query", "expected", "words"),
    [
        ("severity >= 90", "not selected", "severity >= 90: severity is 70"),
        (
            "type = waf AND host = b AND severity > 90",
            "not selected",
            "host = b: host is node-1; severity > 90: sev",
        ),
        ("type = waf", "not read", "its query selects it: it was not read yet, or is older"),
        ("my_own = a", "not selected", "my_own = a: my_own is missing"),
        ("type = ", UNSEEN, "its query cannot be read"),
    ],
)
def test_the_query_says_why_the_store_does_not_know_an_event(query: str, expected: str, words: str) -> None:
    said, detail = fate(query)
    assert (said, words in detail) == (expected, True), detail


def test_a_disabled_webhook_reads_nothing() -> None:
    assert fate("type = waf", state=State.DISABLED) == ("not read", "its query selects it, and it is Disabled")


@pytest.mark.parametrize(
    ("exception", "expected"),
    [
        (AlertException("known-scanner", 'host = "node-1"'), "suppressed"),
        (AlertException("other", 'host = "node-2"'), "not read"),
        (AlertException("over", 'host = "node-1"', end=NOW), "not read"),
        (AlertException("broken", "host = "), "not read"),
    ],
)
def test_an_exception_in_force_that_selects_it_is_named(exception: AlertException, expected: str) -> None:
    said, detail = fate("type = waf", exception)
    assert said == expected
    assert ("AlertException known-scanner selects it" in detail) is (expected == "suppressed")


def test_what_the_store_knows_comes_first_and_webhooks_that_are_gone_stay() -> None:
    assert fate("severity >= 90", known="delivered") == ("delivered", "as the store says")
    rows = [{"webhook": "gone", "fate": "dead", "detail": "x"}, {"webhook": "old", "fate": UNSEEN, "detail": "y"}]
    found = fates(rows, EVENT, [webhook("type = waf")], (), NOW)
    assert [(row["webhook"], row["fate"]) for row in found] == [("gone", "dead"), ("hook", "not read"), ("old", UNSEEN)]


def test_without_the_event_no_query_can_be_asked() -> None:
    said, detail = fate("type = waf", document=None)
    assert said == UNSEEN
    assert "--event-file" in detail


def test_the_table_cannot_steer_a_terminal_and_is_cut() -> None:
    hostile = {"webhook": "hook", "fate": "dead", "detail": "\x1b[2J" + "x" * 1000}
    assert len(table([hostile])) < 600
    assert "\x1b" not in table([hostile])
