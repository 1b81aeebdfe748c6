"""The main loop's pauses, and its end."""

import json
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from sew_agent.app import run, stop_on_signals
from sew_agent.base.settings import from_environment
from sew_agent.delivery.dispatcher import DispatcherError
from sew_agent.main_loop import pause_after
from sew_agent.status.telemetry import DeliveryTelemetry

_NOWHERE = """
apiVersion: v1
kind: Config
current-context: c
clusters: [{name: c, cluster: {server: "http://127.0.0.1:1"}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
users: [{name: u, user: {token: t}}]
"""


@pytest.mark.parametrize(("failures", "seconds"), [(0, 1.0), (1, 2.0), (3, 8.0), (4, 16.0), (5, 16.0), (100_000, 16.0)])
def test_a_source_that_fails_is_tried_again_after_pauses_that_double_up_to_16_s(failures: int, seconds: float) -> None:
    assert pause_after(failures) == seconds


def test_once_ends_when_its_time_is_over_also_while_the_api_server_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("kubernetes")
    monkeypatch.setattr("sew_agent.kubernetes.standby.SOON", 0.05)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    (tmp_path / "config").write_text(_NOWHERE)
    (tmp_path / "events").write_text("")
    flags = {"once": "true", "timeout": "1s", "state": str(tmp_path / "state"), "events": str(tmp_path / "events")}
    settings, _ = from_environment({}, flags | {"kubeconfig": str(tmp_path / "config")})
    assert run(settings, ()) == 124
    (logged,) = [line for line in capsys.readouterr().err.splitlines() if "once_timeout" in line]
    assert "nothing was read or sent" in logged
    assert "cannot be reached" in logged


WEBHOOK = """
apiVersion: projectcalico.org/v3
kind: SecurityEventWebhook
metadata: {name: w}
spec: {consumer: Generic, state: Enabled, query: severity > 0, config: [{name: url, value: "http://127.0.0.1:1"}]}
"""


@pytest.mark.parametrize(
    ("manifest", "events", "said"),
    [
        ("", "", "there is no webhook in "),
        (WEBHOOK, "no JSON\n[1]\n", "no event was read from "),
        (WEBHOOK, "", None),
        (WEBHOOK, 'no JSON\n{"severity": 0}\n', None),
    ],
    ids=["no webhook", "bad lines alone", "no line", "a bad line and an event"],
)
def test_once_fails_where_nothing_could_be_done(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    manifest: str,
    events: str,
    said: str | None,
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    (tmp_path / "in").mkdir()
    if manifest:
        (tmp_path / "in" / "w.yaml").write_text(manifest)
    (tmp_path / "events").write_text(events)
    flags = {name: str(tmp_path / name) for name in ("state", "events")} | {"webhooks": str(tmp_path / "in")}
    settings, _ = from_environment({}, {"once": "true", **flags})
    assert run(settings, ()) == (1 if said else 0)
    logged = [line for line in capsys.readouterr().err.splitlines() if "once_trouble" in line]
    assert [said in line for line in logged] == [True] if said else logged == []


def test_once_says_so_where_it_ends_well_because_there_was_nothing_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    (tmp_path / "webhooks.yaml").write_text(WEBHOOK)
    (tmp_path / "events").write_text("")
    flags = {"once": "true", "state": str(tmp_path / "state"), "events": str(tmp_path / "events")}
    settings, _ = from_environment({}, flags | {"webhooks": str(tmp_path / "webhooks.yaml")})
    assert run(settings, ()) == 0
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    (warning,) = [line for line in lines if line["event"] == "once_nothing_checked"]
    assert (warning["level"], "no new event was read" in warning["message"]) == ("warning", True)
    (ended,) = [line for line in lines if line["event"] == "once_ended"]
    assert (ended["code"], ended["webhooks"], ended["events"]) == (0, 1, 0)


def test_once_fails_where_a_manifest_cannot_be_read_since_nobody_knows_which_webhooks_it_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    (tmp_path / "webhooks.yaml").write_text("metadata:\n  name: {{ .Values.name }}\n")
    (tmp_path / "events").write_text("")
    flags = {"once": "true", "state": str(tmp_path / "state"), "events": str(tmp_path / "events")}
    settings, _ = from_environment({}, flags | {"webhooks": str(tmp_path / "webhooks.yaml")})
    assert run(settings, ()) == 1
    (logged,) = [line for line in capsys.readouterr().err.splitlines() if "once_trouble" in line]
    assert "Helm template" in logged


def test_a_mistake_in_the_thread_that_delivers_ends_the_agent_with_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(DeliveryTelemetry, "attempted", lambda *_: {}["https://secret"])
    (tmp_path / "webhooks").mkdir()
    (tmp_path / "webhooks" / "w.yaml").write_text(WEBHOOK)
    (tmp_path / "events").write_text('{"severity": 1}\n')
    flags = {"once": "true", "timeout": "20s", "state": str(tmp_path / "state"), "events": str(tmp_path / "events")}
    settings, _ = from_environment({}, flags | {"webhooks": str(tmp_path / "webhooks")})
    with pytest.raises(DispatcherError) as ended:
        run(settings, ())
    assert "KeyError at test_app.py" in str(ended.value)
    assert "secret" not in str(ended.value)


def test_a_signal_counts_that_comes_while_the_main_thread_begins_to_wait_for_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its handler runs within that thread, which holds the event's lock then."""
    stop, handlers = threading.Event(), dict[int, Any]()
    monkeypatch.setattr(signal, "signal", handlers.setdefault)
    stop_on_signals(stop)
    with stop._cond:  # type: ignore[attr-defined]
        handling = threading.Thread(target=handlers[signal.SIGTERM], args=(signal.SIGTERM, None), daemon=True)
        handling.start()
        handling.join(5.0)
        assert not handling.is_alive()
    assert stop.wait(5.0)
