"""Events that an exception selects: judged when they are read, counted, never pending, and never judged again."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kubectl_sew.exceptions import AcceptedException, ValidatedExceptions
from kubectl_sew.query import CALICO, BoundQuery, compile_matcher, parse
from kubectl_sew.resource.exceptions import AlertException
from sew_agent.ingest.ndjson import page
from sew_agent.ingest.ndjson.file import NdjsonFile
from sew_agent.ingest.source import Suppression
from tests import cases
from tests.unit.agent.ingest.harness import EVERYTHING, NOW, QUERY, FilePollerHarness, PollerHarness, Subscription


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[PollerHarness]:
    made = PollerHarness(tmp_path)
    yield made
    made.store.close()


@pytest.fixture
def over_file(tmp_path: Path) -> Iterator[FilePollerHarness]:
    path = tmp_path / "events"
    path.touch()
    made = FilePollerHarness(path)
    yield made
    made.source.close()


def exceptions(*accepted: AcceptedException, **broken: str) -> ValidatedExceptions:
    return ValidatedExceptions(accepted, broken)


def exception(name: str, selector: str = "type = waf", start: float = 0.0, end: float | None = None) -> Any:
    return AcceptedException(AlertException(name, selector, start, end), parse(selector))


def serve(harness: FilePollerHarness, validated: ValidatedExceptions, *names: str) -> None:
    harness.poller.serve({name: Subscription(name, EVERYTHING) for name in names or ("w",)}, (), validated)


def test_an_event_that_an_exception_selects_goes_to_no_webhook_and_reading_goes_on(
    over_file: FilePollerHarness,
) -> None:
    over_file.write(1, 2, 3)
    serve(over_file, exceptions(exception("quiet", "id = 2")), "a", "b")
    over_file.drain()
    assert (over_file.store.of("a"), over_file.store.of("b")) == (["1", "3"], ["1", "3"])
    assert over_file.store.suppressed == [("a", "2"), ("b", "2")]
    serve(over_file, exceptions(), "a", "b")
    over_file.write(4)
    over_file.drain()
    assert over_file.store.of("a") == ["1", "3", "4"]


def test_an_exception_suppresses_while_it_is_in_force_and_no_longer(over_file: FilePollerHarness) -> None:
    serve(over_file, exceptions(exception("night", start=100.0, end=200.0)))
    for number, now in enumerate((99.0, 100.0, 199.0, 200.0)):
        over_file.now = now
        over_file.write(number)
        over_file.drain()
    assert over_file.store.of("w") == ["0", "3"]
    assert [event for _, event in over_file.store.suppressed] == ["1", "2"]


def test_time_in_a_selector_is_the_moment_of_judging(over_file: FilePollerHarness) -> None:
    serve(over_file, exceptions(exception("late", 'time < "now-1h"')))
    over_file.now = 10_000.0
    with over_file.path.open("a") as file:
        file.write('{"id": "old", "time": "1970-01-01T01:46:39Z"}\n{"id": "new", "time": "1970-01-01T01:46:41Z"}\n')
    over_file.drain()
    assert over_file.store.of("w") == ["new"]


OF_CALICO = (None, "calico")
GOLDEN = [case for case in cases.load("queries.toml") if "mapping" not in case and case.get("fields") in OF_CALICO]


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: str(case["query"]).strip()[:40] or "(empty)")
def test_a_selector_selects_what_a_query_of_the_same_text_selects(case: dict[str, Any], tmp_path: Path) -> None:
    events = {kind: [line for line in case[kind].splitlines() if line.strip()] for kind in ("select", "skip")}
    path = tmp_path / "events"
    path.write_text("".join(f"{line}\n" for kind in events for line in events[kind]))
    source = NdjsonFile(path, CALICO, whole=True)
    everything = [Subscription("w", EVERYTHING)]
    asked = [Suppression("x", parse(case["query"]))]
    arrivals = source.read(everything, None, now=1_767_225_600.0, limit=10_000, suppressions=asked).arrivals
    source.close()
    suppressed = [bool(arrival.suppressed_by) for arrival in arrivals]
    assert suppressed == [True] * len(events["select"]) + [False] * len(events["skip"])


def test_every_exception_that_selects_an_event_is_named_with_it(over_file: FilePollerHarness) -> None:
    over_file.write(1)
    source, subscriptions = over_file.source, [Subscription("w", EVERYTHING)]
    asked = [Suppression(name, parse(text)) for name, text in (("a", "id = 1"), ("b", "id = 2"), ("c", "type = waf"))]
    (arrival,) = source.read(subscriptions, None, now=0.0, limit=9, suppressions=asked).arrivals
    assert arrival.suppressed_by == ("a", "c")


def test_what_was_compiled_for_a_name_that_is_gone_is_let_go(
    over_file: FilePollerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[object] = []

    def counting(query: BoundQuery) -> Any:
        compiled.append(query)
        return compile_matcher(query)

    monkeypatch.setattr(page, "compile_matcher", counting)
    hooks = {name: Subscription(name, EVERYTHING) for name in ("a", "b")}
    quiet = exceptions(exception("quiet"))
    for names, in_force, times in (("ab", quiet, 3), ("ab", quiet, 3), ("a", quiet, 3), ("ab", exceptions(), 4)):
        over_file.poller.serve({name: hooks[name] for name in names}, (), in_force)
        over_file.drain()
        assert len(compiled) == times
    over_file.poller.serve(hooks, (), quiet)
    over_file.drain()
    assert len(compiled) == 5


def test_an_event_that_is_read_again_after_the_exception_ended_stays_suppressed(harness: PollerHarness) -> None:
    subscriptions = {"w": Subscription("w", QUERY, NOW - 2000)}
    harness.source.events = 1
    harness.poller.serve(subscriptions, (), exceptions(exception("quiet", end=NOW + 1)))
    harness.poller.poll(NOW)
    harness.store.drop_readers(["common"])
    harness.source.events = 2
    harness.poller.poll(NOW + 2)
    assert harness.pending() == {"w": 1}
    (counters,) = harness.store.counters()
    assert (counters.seen, dict(counters.dropped)) == (2, {"suppressed": 1})


def test_a_source_keeps_what_it_made_of_those_webhooks_and_exceptions_that_there_are(harness: PollerHarness) -> None:
    subscriptions = {name: Subscription(name, QUERY) for name in "ab"}
    harness.poller.serve(subscriptions, (), exceptions(exception("quiet"), torn="the selector is empty"))
    assert harness.source.kept == ({"a", "b"}, {"quiet"})


def test_what_was_pending_before_an_exception_came_is_delivered(harness: PollerHarness) -> None:
    subscriptions = {"w": Subscription("w", QUERY, NOW - 2000)}
    harness.source.events = 1
    harness.poller.serve(subscriptions, ())
    harness.poller.poll(NOW)
    harness.poller.serve(subscriptions, (), exceptions(exception("quiet")))
    harness.source.events = 3
    harness.poller.poll(NOW + 1)
    assert harness.pending() == {"w": 1}


def test_a_broken_exception_suppresses_nothing_and_every_webhooks_condition_says_so(harness: PollerHarness) -> None:
    harness.source.events = 1
    harness.source.unanswered = {"asks": "no such field"}
    broken = exceptions(exception("asks"), torn="the selector is empty")
    harness.poller.serve({"w": Subscription("w", QUERY, NOW - 2000)}, (), broken)
    harness.poller.poll(NOW)
    assert harness.pending() == {"w": 1}
    assert harness.poller.broken_exceptions == {"asks": "no such field", "torn": "the selector is empty"}
    message = harness.poller.progress(NOW)["w"].message
    assert "AlertException asks suppresses nothing: no such field" in message
    assert "AlertException torn suppresses nothing: the selector is empty" in message
    harness.source.unanswered = {}
    harness.poller.serve({"w": Subscription("w", QUERY, NOW - 2000)}, (), exceptions(exception("asks")))
    harness.poller.poll(NOW + 1)
    assert "suppresses nothing" not in harness.poller.progress(NOW + 1)["w"].message


def test_debug_counts_what_is_suppressed_as_suppressed(harness: PollerHarness) -> None:
    harness.source.events = 1
    harness.poller.serve({"w": Subscription("w", QUERY, NOW)}, ("w",), exceptions(exception("quiet")))
    harness.poller.poll(NOW)
    (counters,) = harness.store.counters()
    assert dict(counters.dropped) == {"suppressed": 1}
