"""Beside Calico's processor and instead of it: what is served, taken over, and handed back."""

import json
from collections.abc import Mapping

import pytest

from kubectl_sew.resource import State, Webhook
from kubectl_sew.resource.effective import STATE_ANNOTATION
from kubectl_sew.validation.webhook import InvalidWebhook
from sew_agent.ingest.source import Subscription
from sew_agent.store.records import WebhookRecord
from sew_agent.webhooks.base import Snapshot
from sew_agent.webhooks.plan import FORGOTTEN, LATE
from sew_agent.webhooks.reconciler import own
from tests.unit.agent.webhooks.harness import ReconcilerHarness


def test_beside_calico_only_what_was_taken_over_is_served(harness: ReconcilerHarness) -> None:
    harness.beside_calico = True
    harness.restart()
    harness.webhook("calicos")
    harness.webhook("nobodys", "Disabled")
    harness.webhook("ours", "Disabled", state="Enabled")
    harness.webhook("debugged", "Disabled", state="Debug")
    harness.webhook("contested", state="Enabled")
    harness.webhook("broken", query="severity >=")
    harness.webhook("mistaken", "Disabled", state="on")
    harness.step()
    harness.write(1)
    harness.step()
    assert set(harness.reconciler.validated.accepted) == {"ours", "debugged"}
    assert set(harness.reconciler.validated.invalid) == {"mistaken"}
    assert harness.reconciler.sending == {"ours"}
    assert {name: harness.pending(name) for name in ("ours", "debugged", "calicos")} == {
        "ours": 1,
        "debugged": 0,
        "calicos": 0,
    }
    (contested,) = harness.logged("webhook_contested")
    assert contested["webhook"] == "contested"
    assert "`kubectl sew takeover contested`" in contested["message"]


def test_without_calico_the_state_of_the_specification_counts_and_the_annotation_of_one_that_is_disabled(
    harness: ReconcilerHarness,
) -> None:
    harness.webhook("plain")
    harness.webhook("off", "Disabled")
    harness.webhook("ours", "Disabled", state="Enabled")
    harness.webhook("both", state="Debug")
    harness.step()
    assert harness.reconciler.sending == {"plain", "ours", "both"}


def test_one_that_is_handed_back_delivers_what_is_dated_before_its_end_and_no_more(harness: ReconcilerHarness) -> None:
    harness.beside_calico = True
    harness.restart()
    harness.webhook("w", "Disabled", state="Enabled")
    harness.step()
    harness.webhook("w", end="2286-11-20T17:50:00Z")
    harness.step(5.0)
    (said,) = harness.logged("webhook_handed_back")
    assert (said["webhook"], said["end"]) == ("w", "2286-11-20T17:50:00Z")
    assert str(said["message"]).startswith("Calico's processor delivers it: this agent delivers what is dated before")
    end = 10_000_000_200
    with (harness.path / "events").open("a") as file:
        for number, time in enumerate((end - 1, end, end + 1)):
            file.write(json.dumps({"id": f"t{number}", "severity": 1, "time": time}) + "\n")
    harness.write(7)
    harness.step()
    assert harness.pending("w") == 2
    assert harness.reconciler.sending == {"w"}
    harness.restart()
    harness.step()
    assert harness.logged("webhook_handed_back") == []
    harness.step(200.0 + 3600.0)
    harness.write(8)
    harness.step()
    assert harness.pending("w") == 2
    assert harness.reconciler.sending == {"w"}


def test_what_is_left_of_the_old_events_of_one_that_is_handed_back_ends_where_it_does(
    harness: ReconcilerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows: list[Mapping[str, tuple[float | None, float]]] = []
    harness.beside_calico = True
    harness.restart()
    harness.webhook("w", "Disabled", state="Enabled", begin="2286-11-20T17:46:00Z")
    harness.step()
    monkeypatch.setattr(harness.poller, "end_backfills", windows.append)
    harness.webhook("w", end="2286-11-20T17:50:00Z")
    harness.step(5.0)
    assert windows[0] == {"w": (10_000_000_000.0 - 40.0, 10_000_000_000.0 + 200.0)}


def test_once_it_is_handed_back_nothing_is_planned_before_its_events_have_ended_and_it_is_said_once(
    harness: ReconcilerHarness,
) -> None:
    harness.beside_calico = True
    harness.restart()
    harness.webhook("w", "Disabled", state="Enabled")
    harness.step()
    harness.webhook("w", end="2286-11-20T17:50:00Z")
    harness.step(5.0)
    harness.routes.names = ["untouched"]
    harness.step()
    assert harness.routes.names == ["untouched"]
    harness.step(10_000_000_200 + LATE - harness.now)
    assert harness.routes.names == ["w"]
    harness.routes.names = ["untouched"]
    harness.step(0)
    assert harness.routes.names == ["untouched"]
    harness.delete("w")
    harness.step()
    assert len(harness.logged("webhook_handed_back")) == 1


def test_one_that_is_taken_over_is_read_for_from_the_moment_that_its_annotation_names(
    harness: ReconcilerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: dict[str, float | None] = {}

    def serve(read: Mapping[str, Subscription], *_: object) -> None:
        served.update({name: subscription.start for name, subscription in read.items()})

    monkeypatch.setattr(harness.poller, "serve", serve)
    harness.webhook("w", "Disabled", state="Enabled", begin="2286-11-20T17:46:00Z")
    harness.step()
    assert served == {"w": 10_000_000_000.0 - 40.0}


def test_of_webhooks_that_cannot_work_those_that_calicos_processor_delivers_are_not_reported() -> None:
    def refused(name: str, state: State = State.ENABLED, **annotations: str) -> InvalidWebhook:
        return InvalidWebhook("wrong", webhook=Webhook(name, "Generic", state, "", annotations=annotations))

    webhooks = {
        "calicos": refused("calicos"),
        "ours": refused("ours", State.DISABLED, **{STATE_ANNOTATION: "Enabled"}),
        "served": refused("served"),
        "unreadable": InvalidWebhook("wrong"),
    }
    known = {"served": WebhookRecord("served", "Enabled", 1.0), "calicos": WebhookRecord("calicos", FORGOTTEN, 1.0)}
    assert own(Snapshot({}, {}, {}, refused=webhooks), known).refused.keys() == {"ours", "served", "unreadable"}


def test_what_waits_is_not_sent_while_calicos_processor_has_it_in_debug(harness: ReconcilerHarness) -> None:
    harness.beside_calico = True
    harness.restart()
    harness.webhook("w", "Disabled", state="Enabled")
    harness.step()
    harness.webhook("w", "Debug")
    harness.step()
    assert (harness.routes.names, harness.reconciler.sending) == ([], set())


def test_without_calico_nothing_is_contested(harness: ReconcilerHarness) -> None:
    harness.webhook("both", state="Enabled")
    harness.step()
    assert harness.logged("webhook_contested") == []
