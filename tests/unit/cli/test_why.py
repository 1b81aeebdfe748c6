"""`kubectl sew why` on files: which part of a query lets nothing pass, and why one event is not a webhook's."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.conftest import Ran

EVENTS = [
    *({"id": f"w{n}", "type": "waf", "severity": 50 + n, "host": f"web-{n % 3}", "time": 1000 + n} for n in range(10)),
    {"id": "a0", "type": "alert", "severity": 99, "host": "db-1", "time": 2000},
    {"id": "t0", "type": "waf", "severity": 99, "host": "evil\u202e\x1b[31m"},
]
EXCEPTION = {
    "apiVersion": "projectcalico.org/v3",
    "kind": "AlertException",
    "metadata": {"name": "known"},
    "spec": {"description": "d", "selector": "severity >= 55", "startTime": "2026-01-01T00:00:00Z"},
}
Why = Callable[..., Ran]


@pytest.fixture
def why(sew: Callable[..., Ran], tmp_path: Path) -> Why:
    """`why("type = waf", "w1", "-o", "json")` asks about a webhook with that query."""

    def ask(
        query: str,
        *arguments: str,
        exceptions: tuple[dict[str, Any], ...] = (),
        state: str = "Enabled",
        given: Sequence[dict[str, Any]] = EVENTS,
    ) -> Ran:
        config = [{"name": "url", "value": "https://h/SECRET"}]
        spec = {"consumer": "Generic", "state": state, "query": query, "config": config}
        head = {"apiVersion": "projectcalico.org/v3", "kind": "SecurityEventWebhook", "metadata": {"name": "w"}}
        manifest, events = tmp_path / "w.yaml", tmp_path / "events.ndjson"
        manifest.write_text("\n---\n".join(map(json.dumps, [{**head, "spec": spec}, *exceptions])))
        events.write_text("".join(json.dumps(event) + "\n" for event in given))
        ran = sew("why", "w", *arguments, "-f", str(manifest), "--events", str(events))
        assert "SECRET" not in ran.out + ran.err
        return ran

    return ask


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (
            'type = waf AND host = "WEB-1"',
            ['`host = "WEB-1"` selects none', "web-1 (3)", 'Did you mean host = "web-1"?'],
        ),
        ("host = web_2 AND severity > 1", ["`host = web_2` selects none", 'Did you mean host = "web-2"?']),
        ("type = waf AND severity > 99", ["`severity > 99` selects none", "in `severity`: 99 (2), 50 (1)", "6 more"]),
        ("type = waf AND host IN {nowhere}", ["`host IN {nowhere}` selects none", "web-0 (4), web-1 (3)"]),
        ('source_ip = "10.0.0.1"', ['`source_ip = "10.0.0.1"` selects none']),
        ("type = waf AND host EMPTY", ["`host EMPTY` selects none"]),
        ("host = a OR host = b", ["None of the parts of `host = a OR host = b` selects any"]),
        ("type = waf AND NOT severity > 1", ["`NOT severity > 1` leaves all of them out"]),
        (
            "severity = 50 AND type = waf AND type = alert",
            ["selects some, but no event has all", "`type = alert` holds for none of the 1 that all parts before"],
        ),
    ],
)
def test_what_lets_nothing_pass_is_said_first_in_words(query: str, said: list[str], why: Why) -> None:
    ran = why(query)
    assert ran.code == 0
    first, *rest = ran.out.splitlines()
    assert first.startswith("w gets nothing: its query selects none of 12 events in ")
    words = "\n".join(rest).split("\n\n")[0]
    assert [part for part in said if part not in words] == []


def test_the_tree_has_the_count_of_each_part_and_of_an_and_how_many_are_left(why: Why) -> None:
    ran = why("type = waf AND (severity >= 55 OR NOT host IN {web-0}) AND host = zzz".replace("web-0", '"web-0"'))
    tree = ran.out.split("\n\n")[1].splitlines()
    assert [line.split() for line in tree] == [
        ["EVENTS", "SO", "FAR", "PART"],
        ["0", "all", "of", "these:"],
        ["11", "11", "type", "=", "waf"],
        ["10", "9", "any", "of", "these:"],
        ["7", "severity", ">=", "55"],
        ["8", "not", "this:"],
        ["4", "host", "IN", '{"web-0"}'],
        ["0", "0", "host", "=", "zzz"],
    ]


def test_what_passes_is_counted_with_what_exceptions_suppress(why: Why) -> None:
    ran = why("type = waf", exceptions=(EXCEPTION,))
    assert "w: its query selects 11 of 12 events in " in ran.out
    assert "  5 are to be delivered" in ran.out
    assert "  1 of those have no time" in ran.out
    assert ran.out.splitlines()[-1] == "         6 suppressed by AlertException known"
    assert "all are suppressed" in why("severity > 60", exceptions=(EXCEPTION,)).out


def test_an_object_for_programs_has_the_same(why: Why) -> None:
    shown = json.loads(why('type = waf AND host = "WEB-1"', "-o", "json").out)
    assert (shown["events"], shown["selected"], shown["blocking"]) == (12, 0, 'host = "WEB-1"')
    assert shown["values"]["web-0"] == 4
    assert [part["count"] for part in shown["parts"]] == [0, 11, 0]


def test_an_event_of_another_tool_is_dated_by_the_map_of_its_kind(why: Why) -> None:
    old = {"id": "old", "@timestamp": "2026-03-02T09:41:12Z", "event": {"kind": "alert"}, "type": "waf"}
    ecs = [old, {**old, "id": "new", "@timestamp": "2999-01-01T00:00:00Z"}]
    said = why("type = waf", "--since", "1h", given=ecs).out
    assert "its query selects 1 of 1 event since 2" in said
    assert "1 more is from before its start" in said
    assert "it is from before the webhook's start" in why("type = waf", "old", "--since", "1h", given=ecs).out


def test_events_from_before_the_start_are_not_its_own(why: Why) -> None:
    ran = why("type = waf", "--since", "1h")
    assert "its query selects 1 of 1 event since 2" in ran.out
    assert "  10 more are from before its start, and not sent" in ran.out


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ("w9", ["event w9: type waf, severity 59, 1970-01-01T00:16:49Z", "w does not get it", "severity is 59"]),
        ("a0", ["w does not get it", "type = waf: type is alert"]),
        ("t0", ["its query selects it", "without a time", "w is to get it", "kubectl sew status w"]),
    ],
)
def test_one_event_is_explained_with_its_values(event: str, said: list[str], why: Why) -> None:
    ran = why("type = waf AND severity >= 60", event)
    assert ran.code == 0
    assert [part for part in said if part not in ran.out] == []


def test_one_event_names_the_exception_that_suppresses_it_and_a_start_after_it(why: Why) -> None:
    assert "AlertException known suppresses it: severity >= 55" in why("type = waf", "w9", exceptions=(EXCEPTION,)).out
    assert "it is from before the webhook's start" in why("type = waf", "w9", "--since", "1h").out
    shown = json.loads(why("type = alert", "w9", "-o", "json", exceptions=(EXCEPTION,)).out)
    assert (shown["delivered"], shown["suppressedBy"]) == (False, ["known"])
    assert shown["refusedBy"] == [{"query": "type = alert", "values": {"type": ["waf"]}}]


def test_hostile_values_are_shown_clean(why: Why) -> None:
    for arguments in ([], ["t0"], ["-o", "json"], ["t0", "-o", "json"]):
        ran = why("host = x", *arguments)
        assert ran.code == 0
        assert "\u202e" not in ran.out
        assert "\x1b" not in ran.out


def test_a_webhook_that_is_off_is_said_to_be(why: Why) -> None:
    said = "w is in state Disabled, so its events are not sent: kubectl sew enable w"
    assert said in why("type = waf", state="Disabled").err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["why", "w", "-f", "{m}"], "give one of --elasticsearch URL and --events FILE"),
        (["why", "w", "-f", "{m}", "--events", "{e}", "--elasticsearch", "http://x"], "give one of"),
        (["why", "w", "-f", "{m}", "--events", "{e}", "--index", "x"], "--index is for --elasticsearch"),
        (["why", "w", "-f", "-", "--events", "-"], "cannot both come from standard input"),
        (["why", "v", "-f", "{m}", "--events", "{e}"], "there is no webhook v in {m}: it holds w"),
        (["why", "w", "nothing", "-f", "{m}", "--events", "{e}"], "there is no event nothing in {e}"),
        (["why", "w", "-f", "{m}", "--events", "{e}.gone"], "events cannot be read from {e}.gone"),
        (["why", "w", "-f", "{m}.gone", "--events", "{e}"], "cannot be read"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_what_to_do(
    arguments: list[str], said: str, why: Why, sew: Callable[..., Ran], tmp_path: Path
) -> None:
    why("type = waf")
    places = {"m": str(tmp_path / "w.yaml"), "e": str(tmp_path / "events.ndjson")}
    ran = sew(*(argument.format(**places) for argument in arguments))
    assert ran.code != 0
    assert said.format(**places) in ran.err
    assert "Traceback" not in ran.err


def test_a_query_that_cannot_be_asked_is_the_answer(why: Why) -> None:
    ran = why("sevrity > 5")
    assert ran.code != 0
    assert "there is no field `sevrity`" in ran.err


def test_no_event_at_all_is_said(sew: Callable[..., Ran], why: Why, tmp_path: Path) -> None:
    why("type = waf")
    ran = sew("why", "w", "-f", str(tmp_path / "w.yaml"), "--events", "-", stdin="")
    assert "w gets nothing: there is no event in standard input" in ran.out
