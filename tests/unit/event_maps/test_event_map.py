"""Maps of one's own: what their files say, and what is refused, with the line and what to do."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubectl_sew.event import Event
from kubectl_sew.event_maps.event_map import EventMapError, built_in, other, read_maps
from kubectl_sew.event_maps.files import load_maps
from kubectl_sew.event_maps.readable import EventMaps, ReadableEvent
from kubectl_sew.samples import OTHER_SAMPLES, SAMPLE_TYPES, sample

MAP = """\
name: Gateway
recognised_by: [gw.rule, gw.msg]
title: gw.rule
text: [gw.detail, gw.msg]
severity:
  fields: gw.sev
  levels: {P1: 95, p2: 60, 3: 20.5}
time: gw.at
source: gw.client
destination:
  name: gw.upstream
  port: gw.port
link: gw.link
"""
EVENT = {
    "type": "access",
    "name": "a name that would do",
    "gw": {
        "rule": "Too many logins",
        "msg": "42 in a minute",
        "sev": "p1",
        "at": "2026-03-02T10:00:00Z",
        "client": "10.0.0.1",
        "upstream": "sso",
        "port": 443,
        "link": "https://gw.example/42",
    },
}


def read(text: str, document: dict[str, object]) -> ReadableEvent:
    return EventMaps(read_maps(text, "map.yaml")).read(Event("", "1", document))


def test_a_map_of_ones_own_says_where_everything_is_before_calicos_names() -> None:
    readable = read(MAP, EVENT)
    assert readable.filled == {
        "type": "Too many logins",
        "description": "42 in a minute",
        "severity": 95,
        "time": "2026-03-02T10:00:00Z",
        "origin": "Gateway",
        "source_name": "10.0.0.1",
        "dest_name": "sso",
        "dest_port": 443,
        "link": "https://gw.example/42",
    }
    assert readable.shown.document["severity"] == "p1"
    assert readable.shown.document["record"] == EVENT


def test_an_event_without_the_marks_is_read_as_ever() -> None:
    assert read(MAP, {"type": "waf", "severity": 1}).filled == {}
    assert read(MAP, {"message": "m"}).filled == {"description": "m"}


def test_a_map_without_marks_is_for_all_but_calicos_and_before_the_known_kinds() -> None:
    assert read("title: output", {"rule": "r", "priority": "Error", "output": "o"}).filled == {"type": "o"}
    assert read("title: output", {"type": "waf", "severity": 1, "output": "o"}).filled == {}


def test_several_documents_are_several_maps_tried_in_their_order() -> None:
    text = "recognised_by: a\ntitle: a\n---\nrecognised_by: [[b], [c]]\ntitle: [b, c]\n"
    assert [read(text, event).filled for event in ({"a": "1", "b": "2"}, {"b": "2"}, {"c": "3"})] == [
        {"type": "1"},
        {"type": "2"},
        {"type": "3"},
    ]


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("title: a\ntitel: b\n", 2, "there is no key `titel`: did you mean `title`?"),
        ("title: a\nxyz: b\n", 2, "there is no key `xyz`: a map's keys are name, recognised_by,"),
        ("title: a\ntitle: b\n", 2, "`title` stands twice"),
        ("- title\n", 1, "write `KEY: VALUE` lines here"),
        ("name: x\n", 1, "neither `title` nor `text`"),
        ("title:\n  a: b\n", 2, "a field is wanted here"),
        ("title:\n", 1, "a word is wanted here"),
        ("title: []\n", 1, "there are 0 fields"),
        ("title: a\nsource: {adress: b}\n", 2, "there is no key `adress`: the parts are namespace, name, ip, port"),
        ("title: a\nseverity:\n  levels: {a: 1}\n", 3, "`severity` has no `fields`"),
        ("title: a\nseverity:\n  fields: s\n  levels:\n    high: worst\n", 5, "a level is a number from 0 to 100"),
        ("title: a\nseverity: {fields: s, levels: {x: 101}}\n", 2, "not `101`"),
        ("title: a\nseverity: {fields: s, levels: {x: .nan}}\n", 2, "a level is a number"),
        ("title: a\nseverity: {fields: s, levels: [1]}\n", 2, "write `WORD: NUMBER` lines"),
        ("title: a\ntext: [b\n", 3, "this is not YAML"),
        ("title: a\n---\ntext: *x\n", 3, "this is not YAML"),
        (f"title: {'x' * 201}\n", 1, "at most 200"),
    ],
)
def test_a_wrong_map_is_refused_with_its_line_and_what_to_do(text: str, line: int, what: str) -> None:
    with pytest.raises(EventMapError) as refused:
        read_maps(text, "map.yaml")
    assert f"the event map map.yaml, line {line}: " in str(refused.value)
    assert what in str(refused.value)


@pytest.mark.parametrize("text", ["", "# nothing\n", "title: \x00", "x" * 70_000, "[" * 5_000, "title: &a [*a]"])
def test_what_is_no_map_at_all_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(EventMapError) as refused:
        read_maps(text, "map.yaml")
    assert str(refused.value).startswith("the event map map.yaml")
    assert "\n" not in str(refused.value)


def test_a_file_is_read_and_one_that_cannot_be_is_named(tmp_path: Path) -> None:
    file = tmp_path / "map.yaml"
    assert load_maps(None) == ()
    with pytest.raises(EventMapError, match="cannot be read: No such file or directory: SEW_EVENT_MAP names the file"):
        load_maps(file)
    file.write_bytes(b"\xff")
    with pytest.raises(EventMapError, match="is not UTF-8"):
        load_maps(file)
    file.write_text(MAP)
    assert load_maps(file) == read_maps(MAP, "x")


def test_our_own_maps_are_sound_and_each_knows_its_events_by_their_marks() -> None:
    assert [each.name for each in built_in()] == ["Falco", "Suricata", "Kibana", "Suricata", ""]
    assert all(each.marks for each in built_in())
    assert other().marks == ()


OWN_LEVELS = """\
recognised_by: alarm
title: alarm
severity: {fields: level, levels: {2: 40}}
"""
OWN = EventMaps(read_maps(OWN_LEVELS, "map.yaml"), "at.start")


@pytest.mark.parametrize("maps", [EventMaps(), EventMaps(time_field="@timestamp"), OWN], ids=["none", "time", "own"])
@pytest.mark.parametrize(
    "document",
    [
        *map(sample, (*SAMPLE_TYPES, *OTHER_SAMPLES)),
        {"alarm": "x", "level": 2, "type": "waf", "severity": 90, "at": {"start": 1_772_442_845_000}},
        {"rule": "r", "priority": "unheard of", "output": "o", "time": "never"},
        {"any": "thing", "severity": "high"},
        {},
    ],
    ids=lambda document: str(document)[:40],
)
def test_the_heading_of_an_event_is_that_of_the_event_as_a_whole(document: dict[str, Any], maps: EventMaps) -> None:
    event = Event("", "e", document)
    whole = maps.read(event)
    heading = maps.heading(event)
    assert (heading.severity, heading.time) == (whole.severity, whole.shown.time)
    assert heading.type == whole.shown.document.get("type")


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5))
@pytest.mark.parametrize("field", ["time", "timestamp", "@timestamp"])
def test_whatever_an_event_has_for_its_time_it_is_a_number_or_none(field: str, value: Any) -> None:
    kinds = ({"rule": "r", "priority": "p", "output": "o"}, {"event_type": "alert"}, {"event": {"kind": "k"}}, {})
    for kind in kinds:
        event = Event("", "1", {**kind, field: value})
        time = EventMaps().time(event)
        assert time is None or isinstance(time, float)
        assert time == EventMaps().heading(event).time
