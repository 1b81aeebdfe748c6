"""Manual actions: asked for first, and reported afterwards."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from kubectl_sew.event import Event
from sew_agent.base.log import Log
from sew_agent.base.metrics import Metrics
from sew_agent.cli.backlog import backlog
from sew_agent.cli.dead_letters import dead_letters
from sew_agent.housekeeping import Housekeeping
from sew_agent.status.collector import collect
from sew_agent.store.records import Counters, DeliveryResult, DeliveryState, EnqueueBatch, NewDelivery
from sew_agent.store.sqlite.store import open_store

NOW = 1_800_000_000.0


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Five deliveries wait, and two are dead."""
    store = open_store(tmp_path)
    events = [NewDelivery(Event("", str(number), {}), ("hook",)) for number in range(7)]
    store.enqueue(EnqueueBatch(events, {}, NOW))
    dead = [DeliveryResult(delivery, DeliveryState.DEAD, NOW, 1) for delivery in store.due("hook", now=NOW, limit=2)]
    store.record_results(dead, ())
    store.close()
    return tmp_path


class CaughtUpPoller:
    """A poller whose readers have read all."""

    def low_watermark(self) -> float:
        return float("inf")


def run(command: Any, *arguments: str, typed: str = "") -> Any:
    return CliRunner().invoke(command, arguments, input=typed)


def counts(state: Path) -> tuple[int, int]:
    store = open_store(state, exclusive=False)
    (counters,) = store.counters()
    store.close()
    return counters.pending, counters.dead


def manual_actions(state: Path) -> list[tuple[str, str, int]]:
    store = open_store(state, exclusive=False)
    actions = [(action.who, action.what, action.count) for action in store.manual_actions()]
    store.close()
    return actions


def test_a_backlog_is_dropped_elsewhere_than_on_a_terminal_only_with_yes(state: Path) -> None:
    command = ("drop", "--state", str(state), "--webhook", "hook")
    refused = run(backlog, *command)
    assert refused.exit_code == 2
    assert "this cannot be undone: add --yes" in refused.output
    assert counts(state) == (5, 2)
    done = run(backlog, *command, "--yes", "--by", "ann@desk")
    assert done.output == "5 of the deliveries waiting for hook were dropped\n"
    assert manual_actions(state) == [("ann@desk", "backlog_dropped", 5)]


@pytest.mark.parametrize(("typed", "left"), [("n\n", (5, 2)), ("y\n", (0, 2))])
def test_on_a_terminal_a_person_is_asked(
    state: Path, monkeypatch: pytest.MonkeyPatch, typed: str, left: tuple[int, int]
) -> None:
    monkeypatch.setattr("kubectl_sew.confirmation.on_terminal", lambda: True)
    asked = run(backlog, "drop", "--state", str(state), "--webhook", "hook", typed=typed)
    assert "5 wait for hook: give them up? They are never sent [y/N]" in asked.output
    assert counts(state) == left


def test_dead_letters_are_purged_elsewhere_than_on_a_terminal_only_with_yes(state: Path) -> None:
    command = ("purge", "--state", str(state))
    assert run(dead_letters, *command).exit_code == 2
    for which in (("1",), ("--webhook", "hook"), ("--all",)):
        refused = run(dead_letters, *command, *which)
        assert refused.exit_code == 2
        assert "this cannot be undone: add --yes" in refused.output
    assert counts(state) == (5, 2)
    assert run(dead_letters, *command, "1", "--yes", "--by", "ann").output == "1 dead letter purged\n"
    assert run(dead_letters, *command, "--all", "--yes", "--by", "bob").exit_code == 0
    assert counts(state) == (5, 0)
    assert manual_actions(state) == [("ann", "purged", 1), ("bob", "purged", 1)]


@pytest.mark.parametrize(
    ("which", "question"),
    [
        (("1", "1"), "give up 1 dead letter? What is given up is never sent [y/N]"),
        (("--all",), "give up 2 dead letters? What is given up is never sent [y/N]"),
        (("--webhook", "hook"), "give up 2 dead letters of hook? What is given up is never sent [y/N]"),
    ],
)
def test_on_a_terminal_a_person_is_asked_before_a_purge(
    state: Path, monkeypatch: pytest.MonkeyPatch, which: tuple[str, ...], question: str
) -> None:
    monkeypatch.setattr("kubectl_sew.confirmation.on_terminal", lambda: True)
    asked = run(dead_letters, "purge", "--state", str(state), *which, typed="n\n")
    assert question in asked.output
    assert counts(state) == (5, 2)


def test_a_number_that_is_not_there_is_named_once(state: Path) -> None:
    error = run(dead_letters, "replay", "--state", str(state), "126", "126", "1").exception
    assert str(error).startswith("there is no dead letter 126 in ")


def test_the_backlog_counts_dead_letters_beside_the_bytes_that_they_fill(state: Path) -> None:
    run(backlog, "drop", "--state", str(state), "--webhook", "hook", "--yes")
    heading, row = run(backlog, "list", "--state", str(state)).output.splitlines()
    assert heading.split() == ["WEBHOOK", "WAITING", "OLDEST", "DEAD", "BYTES"]
    assert row.split()[:4] == ["hook", "0", "-", "2"]
    assert int(row.split()[4]) > 0


@pytest.mark.parametrize("action", ["purge", "replay"])
def test_some_numbers_and_all_of_them_contradict_each_other(action: str, state: Path) -> None:
    refused = run(dead_letters, action, "1", "--all", "--state", str(state))
    assert (refused.exit_code, counts(state)) == (2, (5, 2))
    assert "cannot be given together" in refused.output


def test_a_dead_letter_is_shown_without_what_could_steer_a_terminal(tmp_path: Path) -> None:
    said = {"description": "\u202ea\u009b2J\x7f\x1b[31m"}
    store = open_store(tmp_path)
    store.enqueue(EnqueueBatch([NewDelivery(Event("", "7", said), ("hook",))], {}, NOW))
    store.record_results(
        [DeliveryResult(delivery, DeliveryState.DEAD, NOW, 1) for delivery in store.due("hook", now=NOW, limit=1)], ()
    )
    store.close()
    shown = run(dead_letters, "show", "1", "--state", str(tmp_path), "-o", "json").output
    assert all(row.isprintable() or row == "\n" for row in shown)
    assert json.loads(shown)["document"]["description"] == said["description"]


def test_the_running_agent_logs_what_was_done_beside_it_and_what_expired(state: Path) -> None:
    store, out = open_store(state), io.StringIO()
    poller, log = CaughtUpPoller(), Log(out, lambda: NOW)
    keeping = Housekeeping(store, poller, log, dead_letters_for=10.0, attempts_for=10.0)  # type: ignore[arg-type]
    keeping.step(NOW, 0.0)
    assert out.getvalue() == ""
    run(backlog, "drop", "--state", str(state), "--webhook", "hook", "--yes", "--by", "ann")
    keeping.step(NOW + 11, 2.0)
    expired, by_hand = map(json.loads, out.getvalue().splitlines())
    assert (expired["event"], expired["count"]) == ("dead_letters_expired", 2)
    action: Mapping[str, Any] = by_hand
    assert (action["who"], action["what"], action["webhook"], action["count"]) == ("ann", "backlog_dropped", "hook", 5)
    store.close()


def test_metrics_let_go_of_webhooks_that_are_gone() -> None:
    metrics = Metrics()
    for name in ("there", "gone"):
        metrics.attempted(name, "Generic", "delivered", "", 0.1)
    counters = [Counters("there", 1, 0, 0, {}, None, None, "", 0)]
    text = collect(counters, {}, {}, {}, metrics, NOW)
    assert 'sew_attempts_total{webhook="there"' in text
    assert "gone" not in text
