"""Output of `sew-agent status`, from the store and the agent's report."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kubectl_sew.columns import table_of
from kubectl_sew.consumers.registry import CONSUMERS
from kubectl_sew.elasticsearch.access import IndexProblem
from kubectl_sew.exceptions import AcceptedException, ValidatedExceptions
from kubectl_sew.query import CALICO, parse
from kubectl_sew.resource import ConfigVar, Webhook
from kubectl_sew.resource import State as ResourceState
from kubectl_sew.resource.exceptions import AlertException
from sew_agent.ingest.source import SourceProblem
from sew_agent.status.conditions import PARKED_UNTIL
from sew_agent.status.report import Observations as Known_
from sew_agent.status.report import Report, ReportFile, WebhookReport, build, read_report, report_exceptions
from sew_agent.status.status import for_people, status
from sew_agent.store.records import Counters, ManualAction, Member, ReceiverState, WebhookRecord
from sew_agent.webhooks.base import Snapshot
from sew_agent.webhooks.validator import ValidationResult, WebhookValidator

URL = "https://hooks.slack.com/services/T/B/x"

NOW = 1_767_225_600.0
COUNTERS = Counters("w", 5, 2, 1, {"debug": 3}, NOW - 90, NOW - 10, "503 Service Unavailable", 100)
REPORT = Report("1.2.3", os.getpid(), NOW, {"w": WebhookReport("Slack", "Enabled", True, "WebhookValidation")})


class FakeStore:
    """The part of a store that the status reads."""

    def __init__(
        self, counters: Counters = COUNTERS, receiver: ReceiverState | None = None, known: WebhookRecord | None = None
    ) -> None:
        self._counters, self._receiver = counters, receiver
        self._known = known or WebhookRecord("w", "Enabled", None)

    def counters(self) -> list[Counters]:
        return [self._counters]

    def webhook_records(self) -> dict[str, WebhookRecord]:
        return {"w": self._known}

    def receivers(self) -> dict[str, ReceiverState]:
        return {"w": self._receiver} if self._receiver else {}

    def manual_actions(self) -> list[ManualAction]:
        return [ManualAction(1, NOW - 60, "ann@desk", "backlog_dropped", "w", 19_914)]

    def positions(self) -> dict[str, str]:
        return {"common": "here"}

    def members(self) -> tuple[Member, ...]:
        return self.sharing

    sharing: tuple[Member, ...] = ()


def test_columns_stand_one_below_the_other_whatever_width_characters_have() -> None:
    rows = [{"name": "警報", "reason": "x"}, {"name": "cafe\u0301", "reason": "x"}]
    assert table_of(rows, {"NAME": "name", "WHY": "reason"}).splitlines() == [
        "NAME   WHY",
        "警報   x",
        "cafe\u0301   x",
    ]


def webhook_shown(store: FakeStore, report: Report | None = REPORT) -> Mapping[str, Any]:
    shown = status(store, report, NOW)  # type: ignore[arg-type]
    assert len(shown["webhooks"]) == 1
    webhook: Mapping[str, Any] = shown["webhooks"][0]
    return webhook


def test_counts_ages_and_dates_are_reported() -> None:
    shown = webhook_shown(FakeStore())
    assert (shown["backlog"], shown["oldestWaitingSeconds"], shown["deadLetters"], shown["seen"]) == (2, 90, 1, 11)
    assert shown["lastDelivery"] == "2025-12-31T23:59:50Z"
    assert shown["lastError"] == "503 Service Unavailable"
    assert (shown["consumer"], shown["healthy"], shown["position"]) == ("Slack", True, "here")


def test_a_parked_webhook_says_why_and_when_it_is_tried_again() -> None:
    receiver = ReceiverState("w", 1, True, NOW + 60, reason="credential_refused", detail="401 Unauthorized")
    shown = webhook_shown(FakeStore(receiver=receiver))
    assert (shown["parked"], shown["delivering"], shown["nextRetry"]) == (True, False, "2026-01-01T00:01:00Z")
    assert shown["delivery"] == "credential_refused: 401 Unauthorized"


def test_without_an_agent_health_is_unknown_and_the_rest_is_reported() -> None:
    shown = webhook_shown(FakeStore(), None)
    assert (shown["healthy"], shown["consumer"], shown["backlog"]) == (None, None, 2)


@pytest.mark.parametrize(
    ("known", "state"),
    [
        (WebhookRecord("w", "Debug", None), "Debug"),
        (WebhookRecord("w", "Enabled", None, deleted_at=NOW - 5), "Deleted"),
        (WebhookRecord("w", "", None, deleted_at=NOW - 5), "Deleted"),
    ],
)
def test_the_state_last_seen_is_reported(known: WebhookRecord, state: str) -> None:
    assert webhook_shown(FakeStore(known=known), None)["state"] == state


def test_a_person_reads_what_is_wrong_and_the_command_that_helps() -> None:
    report = replace(
        REPORT, webhooks={"w": WebhookReport("Slack", "Enabled", False, "QueryParsing", "the query ends too soon")}
    )
    text = for_people(status(FakeStore(), report, NOW))  # type: ignore[arg-type]
    assert "w: the query ends too soon" in text
    assert "w: 1 dead letter: `sew-agent dead-letters list --webhook w`" in text


def test_exceptions_that_matter_are_reported_with_how_many_they_suppressed(tmp_path: Path) -> None:
    accepted = tuple(
        AcceptedException(AlertException(name, "type = waf", start, end), parse("type = waf"))
        for name, start, end in (
            ("always", 0.0, None),
            ("later", NOW + 1, None),
            ("over", 0.0, NOW),
            ("odd", 0.0, None),
        )
    )
    validated = ValidatedExceptions(accepted, {"torn": "no selector"})
    broken = {"torn": "no selector", "odd": "no such field"}
    known = report_exceptions(validated, broken, {"always": 3, "over": 1, "torn": 2}, NOW)
    ReportFile(tmp_path).write(replace(REPORT, exceptions=known))
    report = read_report(tmp_path, NOW)
    assert report
    assert report.exceptions == known
    made = status(FakeStore(), report, NOW)  # type: ignore[arg-type]
    assert [(row["name"], row["inForce"], row["suppressed"], row["broken"]) for row in made["exceptions"]] == [
        ("always", True, 3, None),
        ("later", False, 0, None),
        ("odd", False, 0, "no such field"),
        ("over", False, 1, None),
        ("torn", False, 2, "no selector"),
    ]
    text = for_people(made)
    assert "AlertException always is in force without an end: it has suppressed 3 events" in text
    assert "AlertException over is not in force: it has suppressed 1 event since" in text
    assert "AlertException torn suppresses nothing: no selector" in text
    assert "later" not in text


@pytest.mark.parametrize(
    ("holder", "said"),
    [("ns/other", "stands by for ns/other, which holds the Lease, version 1.2.3"), ("", "stands by, version 1.2.3")],
)
def test_an_agent_that_stands_by_says_so_and_for_whom(holder: str, said: str) -> None:
    report = replace(REPORT, webhooks={}, standing_by=True, holder=holder)
    shown = status(None, report, NOW)
    assert (shown["agent"]["standingBy"], shown["agent"]["leaseHolder"]) == (True, holder or None)
    assert for_people(shown).startswith(f"agent: {said}, pid {os.getpid()}\n")
    assert webhook_shown(FakeStore(), report)["backlog"] == 2


def test_a_report_comes_back_as_it_was_written(tmp_path: Path) -> None:
    report = replace(REPORT, problems=("one",), source_troubles=(SourceProblem("cannot read", IndexProblem.REFUSED),))
    report = replace(report, source_caveats=("some may be missing",))
    ReportFile(tmp_path).write(report)
    assert read_report(tmp_path, NOW) == report


def test_what_may_be_missing_of_what_is_read_is_said() -> None:
    shown = status(FakeStore(), replace(REPORT, source_caveats=("some may be missing",)), NOW)  # type: ignore[arg-type]
    assert shown["agent"]["sourceCaveats"] == ["some may be missing"]
    assert "! some may be missing" in for_people(shown).splitlines()


@pytest.mark.parametrize("gone", [{"written": NOW - 31}, {"pid": 2**22 + 1}])
def test_a_report_of_an_agent_that_is_gone_is_none(tmp_path: Path, gone: dict[str, Any]) -> None:
    ReportFile(tmp_path).write(replace(REPORT, **gone))
    assert read_report(tmp_path, NOW) is None


def test_an_unchanged_report_is_written_again_only_after_a_while(tmp_path: Path) -> None:
    file = ReportFile(tmp_path)
    for moment in (0.0, 9.0, 10.0):
        file.write(replace(REPORT, written=NOW + moment))
        shown = read_report(tmp_path, NOW + moment)
        assert shown
        assert shown.written == NOW + (10.0 if moment == 10.0 else 0.0)


def test_a_disk_that_refuses_the_report_keeps_it_from_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = tmp_path / "memory"
    memory.mkdir()
    monkeypatch.setattr("sew_agent.status.report._MEMORY", memory)
    file = ReportFile(tmp_path / "nowhere")
    file.write(REPORT)
    assert read_report(tmp_path / "nowhere", NOW) == REPORT
    assert [path.stat().st_mode & 0o077 for path in memory.iterdir()] == [0]
    assert read_report(tmp_path / "elsewhere", NOW) is None
    file.remove()
    assert list(memory.iterdir()) == []


def test_without_memory_either_nothing_is_reported_and_nothing_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sew_agent.status.report._MEMORY", tmp_path / "none")
    ReportFile(tmp_path / "nowhere").write(REPORT)
    assert read_report(tmp_path / "nowhere", NOW) is None


def test_of_two_reports_the_newer_one_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sew_agent.status.report._MEMORY", tmp_path)
    state = tmp_path / "state"
    ReportFile(state).write(replace(REPORT, version="old"))
    state.mkdir()
    ReportFile(state).write(replace(REPORT, written=NOW + 1))
    shown = read_report(state, NOW)
    assert shown
    assert shown.version == "1.2.3"


def accepted(*more: ConfigVar) -> ValidationResult:
    webhook = Webhook("w", "Slack", ResourceState.ENABLED, "type = waf", (ConfigVar("url", URL), *more))
    return WebhookValidator(lambda: CALICO, CONSUMERS).validate(Snapshot({"w": webhook}, {}, {}))


@pytest.mark.parametrize(
    ("receiver", "healthy"),
    [
        (ReceiverState("w", proven=True), True),
        (ReceiverState("w", failures=1, parked=True, reason="credential_refused"), False),
        (ReceiverState("w", failures=6, reason="server_error"), False),
    ],
)
def test_healthy_means_in_the_report_what_the_condition_means(receiver: ReceiverState, healthy: bool) -> None:
    webhook_shown = build(accepted(), Known_({}, {}, {"w": receiver}, {"w": COUNTERS}, {"Slack": 1.0}, {}), NOW)["w"]
    assert (webhook_shown.healthy, webhook_shown.reason) == (healthy, "SecurityEventsProcessing")
    assert webhook_shown.message == ("" if healthy else f"not delivered: {receiver.reason}")


def test_what_falls_behind_says_its_rate_and_when_the_last_will_be_sent() -> None:
    many = replace(COUNTERS, pending=19_938)
    report = replace(REPORT, webhooks={"w": replace(REPORT.webhooks["w"], rate=1.0)})
    shown = webhook_shown(FakeStore(many), report)
    assert (shown["ratePerSecond"], shown["healthy"]) == (1.0, True)
    said = "about 19,000 events wait, the oldest for 1 min; 1 dead letter; at most 1 a second are sent, so the last is"
    assert shown["behind"] == f"{said} sent in 5 h at the earliest"
    assert f"w: falls behind: {said}" in for_people(status(FakeStore(many), report, NOW))  # type: ignore[arg-type]


def test_what_waits_for_its_digest_does_not_fall_behind() -> None:
    report = replace(REPORT, webhooks={"w": replace(REPORT.webhooks["w"], rate=1.0, gathered=3600.0)})
    many = replace(COUNTERS, pending=900, oldest_pending=NOW - 3_800)
    assert webhook_shown(FakeStore(many), report)["behind"] is None
    known = Known_({}, {}, {}, {"w": many}, {"Slack": 1.0}, {})
    assert build(accepted(ConfigVar("digest", "1h")), known, NOW)["w"].gathered == 3600.0


def test_what_waits_has_the_heading_that_other_commands_give_it() -> None:
    heading = for_people(status(FakeStore(), REPORT, NOW)).splitlines()[2].split()  # type: ignore[arg-type]
    assert heading[5:9] == ["WAITING", "OLDEST", "DELIVERED", "DEAD"]


def test_people_read_ages_and_programs_dates() -> None:
    receiver = ReceiverState("w", 3, held_until=NOW + 3_540.5, reason="server_error", since=NOW - 600)
    text = for_people(status(FakeStore(receiver=receiver), REPORT, NOW))  # type: ignore[arg-type]
    row = text.splitlines()[3]
    assert row.split()[-4:] == ["in", "59m", "10s", "ago"]
    assert "90s" in row
    assert "w: failing: server_error, since 2025-12-31T23:50:00Z" in text
    assert webhook_shown(FakeStore(receiver=receiver))["nextRetry"] == "2026-01-01T00:59:00Z"


def failed(**differences: Any) -> WebhookReport:
    return replace(REPORT.webhooks["w"], healthy=False, reason="SecurityEventsProcessing", **differences)


def lines(store: FakeStore, report: WebhookReport) -> list[str]:
    text = for_people(status(store, replace(REPORT, webhooks={"w": report}), NOW))  # type: ignore[arg-type]
    return [line for line in text.splitlines() if line.startswith("w: ")]


def test_a_cause_is_said_once_with_since_when_and_what_ends_it() -> None:
    receiver = ReceiverState("w", 6, True, NOW + 60, reason="credential_refused", detail="401", since=NOW - 600)
    parked = lines(FakeStore(receiver=receiver), failed(message="not delivered: credential_refused: 401"))
    assert parked[:-1] == [f"w: parked: credential_refused: 401, since 2025-12-31T23:50:00Z; {PARKED_UNTIL}"]
    quiet = replace(COUNTERS, last_error="", dead=0)
    unread = lines(FakeStore(quiet), failed(message="the disk is full", fetched="the disk is full", reads=False))
    assert unread == ["w: events cannot be read: the disk is full"]
    changed = lines(FakeStore(quiet, receiver), failed(message="not delivered: network: refused"))
    assert changed[0] == "w: not delivered: network: refused"


@pytest.mark.parametrize(("ago", "named"), [(60, True), (90, True), (91, False)])
def test_what_failed_while_the_oldest_waits_is_named_of_a_webhook_that_delivers(ago: int, named: bool) -> None:
    """Such as the 429 of a receiver that takes some, or the one event of many that it does not take."""
    counters = replace(COUNTERS, oldest_pending=NOW - 90, last_error="429 Too Many Requests", last_error_at=NOW - ago)
    text = for_people(status(FakeStore(counters), REPORT, NOW))  # type: ignore[arg-type]
    assert ("w: last error, at 2025-12-31T23:5" in text) == named
    assert "429 Too Many Requests" not in text or named
    long_ago = replace(counters, oldest_pending=NOW - 5000, last_error_at=NOW - 901)
    assert "last error" not in for_people(status(FakeStore(long_ago), REPORT, NOW))  # type: ignore[arg-type]
    waits_for_nothing = replace(counters, oldest_pending=None)
    assert "last error" not in for_people(status(FakeStore(waits_for_nothing), REPORT, NOW))  # type: ignore[arg-type]


def test_a_retry_within_the_second_is_due_now() -> None:
    receiver = ReceiverState("w", failures=3, held_until=NOW + 0.5)
    text = for_people(status(FakeStore(receiver=receiver), REPORT, NOW))  # type: ignore[arg-type]
    assert text.splitlines()[3].split()[-3:] == ["now", "10s", "ago"]


def test_what_was_given_up_by_hand_is_reported_with_who_when_and_how_many() -> None:
    shown = status(FakeStore(), REPORT, NOW)  # type: ignore[arg-type]
    assert shown["byHand"][0]["who"] == "ann@desk"
    assert "2025-12-31T23:59:00Z: ann@desk gave up 19,914 of w (backlog_dropped)" in for_people(shown)
    assert status(FakeStore(), REPORT, NOW + 8 * 86_400)["byHand"] == []  # type: ignore[arg-type]


def test_a_peer_that_fails_while_another_delivers_is_named() -> None:
    one = WebhookReport(
        "AlertManager", "Enabled", True, "WebhookValidation", failing_peers="http://am-1:9093: 401 Unauthorized"
    )
    report = replace(REPORT, webhooks={"w": one})
    assert webhook_shown(FakeStore(), report)["failingPeers"] == "http://am-1:9093: 401 Unauthorized"
    assert "w: not taken by every peer: http://am-1:9093: 401" in for_people(status(FakeStore(), report, NOW))  # type: ignore[arg-type]


def test_how_many_events_were_read_and_that_none_of_them_matched_is_reported() -> None:
    progress = (
        "read to 2026-01-01T00:00:00Z; 1 event left out, by their own time from before its start, the last one e1"
    )
    read = replace(REPORT.webhooks["w"], fetched=progress)
    report = replace(REPORT, webhooks={"w": read}, events_read=6026, started=NOW - 60)
    counters = Counters("w", 0, 0, 0, {}, None, None, "", 0)
    shown = status(FakeStore(counters, known=WebhookRecord("w", "Enabled", NOW - 50)), report, NOW)  # type: ignore[arg-type]
    assert (shown["agent"]["eventsRead"], shown["agent"]["startedAt"]) == (6026, "2025-12-31T23:59:00Z")
    text = for_people(shown)
    assert "events read since 2025-12-31T23:59:00Z: 6,026" in text
    assert f"w: nothing that was read matches since 2025-12-31T23:59:10Z, by the events' own time ({progress})" in text
    assert "nothing that was read" not in for_people(status(FakeStore(), report, NOW))  # type: ignore[arg-type]


def test_agents_that_share_a_store_are_listed_with_the_owner_of_each_webhook() -> None:
    store = FakeStore()
    store.sharing = (Member("one", False, ("w",)), Member("two", True, ()))
    shown = status(store, REPORT, NOW)  # type: ignore[arg-type]
    assert shown["agents"] == [
        {"name": "one", "reads": False, "webhooks": 1},
        {"name": "two", "reads": True, "webhooks": 0},
    ]
    assert shown["webhooks"][0]["owner"] == "one"
    text = for_people(shown)
    assert "alive: one delivers for 1 webhook\nalive: two reads events, and delivers for 0 webhooks\n" in text
    assert next(line for line in text.splitlines() if line.startswith("WEBHOOK")).endswith("OWNER")
