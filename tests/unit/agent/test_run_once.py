"""`--once`: when it ends, and with which exit code."""

import pytest

from sew_agent.delivery.retry import DOWN_AFTER
from sew_agent.run_once import nothing_checked, nothing_done, to_probe, unfinished, verdict
from sew_agent.store.records import Counters, ReceiverState


def counters(pending: int = 0, dead: int = 0) -> list[Counters]:
    return [Counters("w", 5, pending, dead, {}, None, None, "401 Unauthorized", 0)]


@pytest.mark.parametrize(
    ("pending", "receiver", "sending", "finished"),
    [
        (0, None, {"w"}, True),
        (1, None, {"w"}, False),
        (1, ReceiverState("w", failures=3, held_until=200.0), {"w"}, False),
        (1, ReceiverState("w", waiting=True, held_until=90_000.0), {"w"}, False),
        (1, ReceiverState("w", parked=True, failures=DOWN_AFTER + 1), {"w"}, True),
        (1, ReceiverState("w", parked=True, failures=1, held_until=200.0), {"w"}, False),
        (1, None, set(), True),
    ],
    ids=[
        "nothing waits",
        "something waits",
        "backoff",
        "retry-after",
        "parked",
        "parked, to be probed with others",
        "disabled",
    ],
)
def test_a_run_ends_when_every_delivery_has(
    pending: int, receiver: ReceiverState | None, sending: set[str], finished: bool
) -> None:
    assert (unfinished(counters(pending), {"w": receiver} if receiver else {}, sending) == []) is finished


@pytest.mark.parametrize(
    ("after", "before", "sending", "refused", "code", "named"),
    [
        (counters(), {}, {"w"}, {}, 0, []),
        (counters(dead=2), {"w": 2}, {"w"}, {}, 0, []),
        (counters(dead=3), {"w": 2}, {"w"}, {}, 1, [("w", "1 dead letter in this run")]),
        (counters(pending=4), {}, {"w"}, {}, 1, [("w", "parked, 4 waiting: 401 Unauthorized")]),
        (counters(pending=4), {}, set(), {}, 0, []),
        (counters(), {}, {"w"}, {"x": "no query"}, 1, [("x", "refused: no query")]),
    ],
)
def test_the_exit_code_says_whether_all_is_well(
    after: list[Counters],
    before: dict[str, int],
    sending: set[str],
    refused: dict[str, str],
    code: int,
    named: list[tuple[str, str]],
) -> None:
    ended = verdict(after, before, sending, refused, ())
    assert (ended.code, list(ended.problems)) == (code, named)


def test_a_manifest_that_cannot_be_read_is_trouble_of_no_webhook() -> None:
    ended = verdict(counters(), {}, {"w"}, {}, ["a.yaml: not YAML"])
    assert (ended.code, list(ended.problems)) == (1, [("", "a.yaml: not YAML")])


def test_only_parked_webhooks_are_probed_at_the_start() -> None:
    parked = ReceiverState("a", parked=True, failures=9, different=9, held_until=3600.0, retry_until=3600.0)
    receivers = {"a": parked, "b": ReceiverState("b", waiting=True, held_until=3600.0)}
    assert to_probe(receivers) == [ReceiverState("a", parked=True)]


def test_a_parked_webhook_is_probed_no_sooner_than_its_receiver_asked_for() -> None:
    receiver = ReceiverState("w", parked=True, waiting=True, failures=9, held_until=3600.0, retry_until=3600.0)
    (probed,) = to_probe({"w": receiver})
    assert (probed.held_until, probed.retry_until) == (3600.0, 3600.0)
    assert unfinished(counters(pending=1), {"w": probed}, {"w"}), "it is waited for"


@pytest.mark.parametrize(
    ("without", "bad_lines", "events", "said"),
    [
        ("", 0, 0, []),
        ("", 1, 7, []),
        ("", 1, 0, ["no event was read from events.ndjson: 1 line without a JSON object, see `bad_line` in this log"]),
        ("in", 0, 9, ["there is no webhook in in: nothing could be sent"]),
    ],
    ids=["nothing new", "one bad line among others", "bad lines alone", "no webhooks"],
)
def test_a_run_that_could_do_nothing_says_why(without: str, bad_lines: int, events: int, said: list[str]) -> None:
    assert nothing_done(without, "events.ndjson", bad_lines=bad_lines, events=events) == said


@pytest.mark.parametrize(
    ("webhooks", "events", "reason"),
    [(0, 0, "there is no webhook"), (1, 0, "no new event was read from events.ndjson"), (1, 1, "")],
)
def test_a_run_that_had_nothing_to_do_says_that_it_checked_nothing(webhooks: int, events: int, reason: str) -> None:
    said = nothing_checked(webhooks, "events.ndjson", events=events)
    assert said.startswith(reason)
    assert bool(said) is bool(reason)
