"""How `sew-agent` ends: what it says, and with which exit code."""

import sys
from pathlib import Path

import click
import pytest

from kubectl_sew.event import Event
from sew_agent.__main__ import main
from sew_agent.store.records import EnqueueBatch, NewDelivery
from sew_agent.store.sqlite.store import open_store


def ended(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    monkeypatch.setattr(sys, "argv", ["sew-agent", *arguments])
    with pytest.raises(SystemExit) as raised:
        main()
    return raised.value.code


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["bogus"], "error: no such command 'bogus'\nSee 'sew-agent --help' for usage.\n"),
        (
            ["backlog", "drop", "--state", "."],
            "error: missing option '--webhook'\nSee 'sew-agent backlog drop --help' for usage.\n",
        ),
    ],
)
def test_wrong_usage_is_an_error_in_kubectls_words(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(monkeypatch, *arguments) == 2
    assert capsys.readouterr().err == said


def test_without_a_command_it_shows_which_there_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ended(monkeypatch)
    shown = capsys.readouterr()
    assert (shown.out + shown.err).startswith("Usage: sew-agent [OPTIONS] COMMAND")
    assert ended(monkeypatch, "--help") == 0


def test_an_error_steers_no_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(monkeypatch, "status", "--state", str(tmp_path / "a\x1b[2Jb")) == 1
    printed = capsys.readouterr().err
    assert printed.startswith("error: ")
    assert "\x1b" not in printed


def test_whoever_does_not_mean_it_ends_it_with_130(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = open_store(tmp_path)
    store.enqueue(EnqueueBatch([NewDelivery(Event("", "1", {}), ("hook",))], {}, 0.0))
    store.close()

    def interrupted(*_: object, **__: object) -> None:
        raise click.Abort

    monkeypatch.setattr("kubectl_sew.confirmation.on_terminal", lambda: True)
    monkeypatch.setattr(click, "confirm", interrupted)
    assert ended(monkeypatch, "backlog", "drop", "--webhook", "hook", "--state", str(tmp_path)) == 130
    assert "Aborted" not in capsys.readouterr().err
