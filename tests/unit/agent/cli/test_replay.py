"""`sew-agent replay` where two persons ask at the same time."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sew_agent.cli.replay import replay
from sew_agent.ingest.replay import Phase, ReplayProgress, ReplayRequest, progress_row, replays_in, request_row
from sew_agent.store.records import EnqueueBatch, WebhookRecord
from sew_agent.store.sqlite.store import SqliteStore, open_store

OTHERS = ReplayRequest("other", 1.0, 2.0, "", again=False, confirmed=True, who="bob", asked_at=3.0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with closing(open_store(tmp_path)) as opened:
        opened.save_webhook(WebhookRecord("hook", "Enabled", None))
        yield opened


def ask(store: SqliteStore) -> None:
    store.enqueue(EnqueueBatch((), {request_row("hook"): OTHERS.dump()}, 0.0))


def run(folder: Path, action: str, *words: str) -> Result:
    return CliRunner().invoke(replay, [action, "--webhook", "hook", "--state", str(folder), *words])


def test_what_another_person_confirmed_is_not_withdrawn_with_what_was_only_counted(
    store: SqliteStore, tmp_path: Path
) -> None:
    assert run(tmp_path, "stop", "--asked").exit_code == 0
    ask(store)
    assert run(tmp_path, "stop", "--asked").exit_code == 0
    assert replays_in(store.positions())["hook"].request == OTHERS
    assert run(tmp_path, "stop").exit_code == 0
    assert not replays_in(store.positions())


def test_the_last_replay_is_shown_again_after_another_window_was_only_counted(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = ReplayProgress("other", "", "", Phase.DONE, matching=5, enqueued=5)
    rows = {request_row("hook"): OTHERS.dump(), progress_row("hook"): ended.dump()}
    store.enqueue(EnqueueBatch((), rows, 0.0))
    last = run(tmp_path, "status").output
    assert "done, 5 events read, 5 to be sent" in last
    monkeypatch.setattr("sew_agent.cli.replay._check_agent", lambda *_: None)

    def count(_: float) -> None:
        asked = replays_in(store.positions())["hook"].request
        assert asked.id != "other"
        counted = ReplayProgress(asked.id, "", "", Phase.COUNTED, matching=3)
        store.enqueue(EnqueueBatch((), {progress_row("hook"): counted.dump()}, 0.0))

    monkeypatch.setattr("time.sleep", count)
    for _ in range(2):
        assert " 3 to send" in run(tmp_path, "start", "--since", "1h", "--dry-run").output
        assert run(tmp_path, "status").output == last
    assert run(tmp_path, "start", "--since", "1h", "--ask").exit_code == 0
    assert "the agent has not begun it yet" in run(tmp_path, "status").output
    assert run(tmp_path, "stop", "--asked").exit_code == 0
    assert run(tmp_path, "status").output == last
    assert str(run(tmp_path, "stop").exception) == "hook has no replay to stop"
    assert run(tmp_path, "start", "--since", "1h", "--yes").exit_code == 0
    assert run(tmp_path, "stop").exit_code == 0
    assert run(tmp_path, "status").output == "no replay\n"
    assert not store.positions()


def test_the_count_of_another_persons_window_is_not_taken_for_ones_own(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sew_agent.cli.replay._check_agent", lambda *_: None)
    monkeypatch.setattr("time.sleep", lambda _: ask(store))
    ran = run(tmp_path, "start", "--since", "1h", "--dry-run")
    assert "somebody else asked for a replay of hook meanwhile" in str(ran.exception)
    assert replays_in(store.positions())["hook"].request == OTHERS
