"""Messages of events that are not Calico's: each says what happened, when, where and how bad."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubectl_sew import json_text
from kubectl_sew.consumers.registry import CONSUMERS, consumers
from kubectl_sew.event import Event
from kubectl_sew.event_maps.event_map import read_maps
from kubectl_sew.event_maps.readable import EVENT_MAPS, EventMaps
from kubectl_sew.samples import OTHER_SAMPLES, SAMPLE_TYPES, sample

CONFIG = {"url": "https://h/api/v2/alerts", "project": "P", "issueType": "B", "username": "u", "apiToken": "t"}
FALCO: dict[str, object] = {
    "output": "Sensitive file opened (file=/etc/shadow)",
    "priority": "Warning",
    "rule": "Read sensitive file untrusted",
    "time": "2026-03-02T09:14:05.408091526Z",
    "source": "syscall",
    "hostname": "node-1",
    "output_fields": {"k8s.ns.name": "shop", "k8s.pod.name": "front", "fd.sip": "10.0.0.9", "fd.sport": 443},
}
EVE: dict[str, object] = {
    "timestamp": "2026-03-02T09:14:05.408091+0000",
    "event_type": "alert",
    "src_ip": "10.0.0.1",
    "src_port": 4711,
    "dest_ip": "10.0.0.9",
    "dest_port": 443,
    "proto": "TCP",
    "alert": {
        "signature": "ET MALWARE Beacon",
        "category": "Malware Command and Control",
        "severity": 1,
        "metadata": {"mitre_technique_id": ["T1041"]},
    },
}
ECS: dict[str, object] = {
    "@timestamp": "2026-03-02T09:14:05.408Z",
    "ecs": {"version": "8.11.0"},
    "event": {"kind": "alert", "action": "connection-refused", "severity": 47, "module": "firewall"},
    "message": "refused a connection",
    "source": {"ip": "10.0.0.1", "port": 4711},
    "destination.ip": "10.0.0.9",
    "destination.port": 443,
    "host": {"name": "node-1"},
}
EVE_IN_ECS: dict[str, object] = {
    "@timestamp": "2026-03-02T09:14:05.408Z",
    "ecs": {"version": "1.12.0"},
    "event": {"kind": "alert", "module": "suricata", "dataset": "suricata.eve", "severity": 1},
    "message": "Malware Command and Control",
    "rule": {"id": "2018358", "name": "ET MALWARE Beacon", "category": "Malware Command and Control"},
    "network": {"transport": "tcp"},
    "source": {"ip": "10.0.0.1", "port": 4711},
    "destination": {"ip": "10.0.0.9", "port": 443},
    "suricata": {"eve": {"event_type": "alert", "alert": {"metadata": {"mitre_technique_id": ["T1041"]}}}},
}
KIBANA: dict[str, object] = {
    "@timestamp": "2026-03-02T09:14:05.408Z",
    "kibana.alert.rule.name": "Beaconing",
    "kibana.alert.reason": "it beacons",
    "kibana.alert.severity": "high",
    "destination": {"ip": "10.0.0.9", "port": 443},
    "source": {"ip": "10.0.0.1"},
}
EVENTS = {
    "Falco": (
        FALCO,
        ["Read sensitive file untrusted", "Sensitive file opened", "Warning", "shop/front", "10.0.0.9:443"],
    ),
    "EVE": (EVE, ["ET MALWARE Beacon", "Malware Command and Control", "10.0.0.1:4711", "10.0.0.9:443", "T1041"]),
    "EVE in ECS": (
        EVE_IN_ECS,
        ["ET MALWARE Beacon", "Malware Command and Control", "10.0.0.1:4711", "10.0.0.9:443", "T1041"],
    ),
    "ECS": (ECS, ["connection-refused", "refused a connection", "47", "10.0.0.1:4711", "10.0.0.9:443"]),
    "Kibana": (KIBANA, ["Beaconing", "it beacons", "high", "10.0.0.1", "10.0.0.9:443"]),
}

NAMES = st.sampled_from(
    [
        *FALCO,
        *EVE,
        *ECS,
        *KIBANA,
        "a",
        "a.b",
        "b",
        "alert",
        "kind",
        "url",
        "metadata",
        "k8s",
        "ns",
        "name",
        "type",
        "level",
    ]
)
PEOPLES = pytest.mark.parametrize("name", ["Slack", "Jira", "AlertManager"])


def body(name: str, document: dict[str, object]) -> str:
    (request,) = CONSUMERS[name].render(
        Event("", "e-1", document), {}, CONFIG, now=1_900_000_000.0, delivery_id="0123abcd"
    )
    return json.dumps(json.loads(request.body), ensure_ascii=False)


def above_the_record(name: str, document: dict[str, object]) -> str:
    shown: dict[str, object] = json.loads(
        body(name, document) if name != "AlertManager" else body(name, document)[1:-1]
    )
    if name == "Jira":
        return str(shown["fields"]).partition("*Record:*")[0]
    if name == "Slack":
        return json.dumps(shown["blocks"][:-1])  # type: ignore[index]
    return json.dumps([shown["labels"], shown["startsAt"], {**shown["annotations"], "record": ""}])  # type: ignore[dict-item]


@PEOPLES
@pytest.mark.parametrize("kind", EVENTS)
def test_a_message_of_a_known_kind_of_event_says_what_when_where_and_how_bad(name: str, kind: str) -> None:
    document, parts = EVENTS[kind]
    shown = above_the_record(name, document)
    assert [part for part in parts if part not in shown] == []
    assert "2026-03-02" in shown
    assert "09:14:05" in shown


@PEOPLES
@pytest.mark.parametrize("kind", EVENTS)
def test_the_whole_event_stands_in_the_message_as_its_record(name: str, kind: str) -> None:
    document, _ = EVENTS[kind]
    assert all(part in body(name, document) for part in document)


@PEOPLES
def test_of_an_event_of_no_known_kind_the_main_fields_are_shown(name: str) -> None:
    shown = above_the_record(name, {"user": {"x": 1}, "verb": "delete", "code": 403, "_id": "hidden-id", "empty": ""})
    assert "verb: delete, code: 403" in shown
    assert "hidden-id" not in shown


@pytest.mark.parametrize("event_type", SAMPLE_TYPES)
def test_an_event_of_calicos_is_left_as_it_is(event_type: str) -> None:
    event = Event("i", "1", sample(event_type))
    assert EVENT_MAPS.read(event).shown is event
    assert EVENT_MAPS.read(event).names == {}


@pytest.mark.parametrize("document", [{"type": "x"}, {"severity": 1}, {"description": "x"}, {"name": "x"}])
def test_one_field_of_calicos_is_enough_where_nothing_shows_another_kind(document: dict[str, object]) -> None:
    event = Event("i", "1", document)
    assert EVENT_MAPS.read(event).shown is event
    assert EVENT_MAPS.read(event).names == {}


@pytest.mark.parametrize(
    ("document", "known"),
    [
        (FALCO, True),
        (EVE, True),
        (ECS, True),
        ({"type": "waf"}, True),
        ({"message": "x"}, True),
        ({"verb": "delete"}, False),
        ({}, False),
    ],
)
def test_it_is_known_whether_any_known_field_is_set(document: dict[str, object], known: bool) -> None:
    assert EVENT_MAPS.knows(Event("", "1", document)) is known


@PEOPLES
@pytest.mark.parametrize(
    "document", [{"seen.at": 1_772_450_000}, {"seen": {"at": 1_772_450_000, "type": "x"}, "type": "a"}]
)
def test_an_event_has_its_time_where_the_agents_setting_says(name: str, document: dict[str, object]) -> None:
    consumer = consumers(maps=EventMaps(time_field="seen.at"))[name]
    (request,) = consumer.render(Event("", "e", document), {}, CONFIG, now=1_900_000_000.0, delivery_id="d")
    assert "2026-03-02" in request.body.decode()


def shown_of(name: str, document: dict[str, object], maps: EventMaps = EVENT_MAPS, **config: str) -> dict[str, Any]:
    (request,) = consumers(maps=maps)[name].render(
        Event("", "e-1", document), {}, {**CONFIG, **config}, now=1_900_000_000.0, delivery_id="0123abcd"
    )
    body = json.loads(request.body)
    return body[0] if name == "AlertManager" else body


@pytest.mark.parametrize(
    ("priority", "word"),
    [
        ("Emergency", "critical"),
        ("Alert", "critical"),
        ("Critical", "critical"),
        ("Error", "warning"),
        ("warning", "warning"),
        ("Notice", "info"),
        ("Informational", "info"),
        ("Debug", "info"),
        ("Mine", "Mine"),
    ],
)
def test_falcos_priorities_are_the_words_that_routes_know_and_its_own_for_people(priority: str, word: str) -> None:
    alert = shown_of("AlertManager", FALCO | {"priority": priority})
    assert (alert["labels"]["severity"], alert["annotations"]["severity"]) == (word, priority)


@pytest.mark.parametrize(
    ("severity", "word", "shown"),
    [(1, "critical", "90"), (2.0, "warning", "60"), ("3", "info", "30"), (255, "", "255")],
)
def test_of_suricatas_severities_the_lowest_number_is_the_worst(severity: object, word: str, shown: str) -> None:
    as_logged = EVE | {"alert": {"signature": "s", "severity": severity}}
    for event in (as_logged, EVE_IN_ECS | {"event": {"kind": "alert", "severity": severity}}):
        alert = shown_of("AlertManager", event)
        assert (alert["labels"].get("severity", ""), alert["annotations"]["severity"]) == (word, shown)


def test_falco_without_its_output_is_known_all_the_same() -> None:
    event = {name: value for name, value in FALCO.items() if name != "output"}
    assert "Read sensitive file untrusted" in above_the_record("Slack", event)


def test_the_flattened_fields_that_falcosidekick_writes_are_found() -> None:
    fields = {"k8s_ns_name": "shop", "k8s_pod_name": "front", "fd_sip": "10.0.0.9", "fd_sport": 443}
    shown = above_the_record("Jira", FALCO | {"output_fields": fields, "@timestamp": FALCO["time"]})
    assert "shop/front" in shown
    assert "10.0.0.9:443" in shown


LINK = "https://siem.example/a?b=c&d=e"


def test_a_link_stands_in_each_message_as_it_is() -> None:
    event = ECS | {"event": {"kind": "alert", "url": LINK}}
    assert f"<{LINK.replace('&', '&amp;')}>" in body("Slack", event)
    assert f"*Link:* [{LINK}]" in shown_of("Jira", event)["fields"]["description"]
    assert shown_of("AlertManager", event)["annotations"]["link"] == LINK


@PEOPLES
@pytest.mark.parametrize(
    "link",
    [
        "javascript:alert(1)",
        "https://good.example@evil.example/",
        "https://evil.example|click",
        "https://evil.example>",
        "https://evil.example] [x",
        "https://evil.example/\u202e",
        "https://",
        "http://[x",
        "https://evil.example/" + "x" * 1_000,
        ["https://evil.example"],
        7,
        None,
    ],
)
def test_what_is_no_plain_address_is_no_link(name: str, link: object) -> None:
    shown = shown_of(name, {"message": "m", "url": link}, EventMaps(read_maps("text: message\nlink: url", "m")))
    above = json.dumps(shown).partition("ecord")[0]
    assert "Link" not in above
    assert "link" not in shown.get("annotations", {})


@PEOPLES
@pytest.mark.parametrize("time", [1_772_450_000_000, 1_772_450_000, "2026-03-02T11:13:20Z"])
def test_a_time_is_read_in_seconds_milliseconds_or_as_text(name: str, time: object) -> None:
    shown = json.dumps(shown_of(name, {"@timestamp": time, "event": {"kind": "alert"}}))
    assert "2026-03-02" in shown
    assert "11:13:20" in shown


def test_a_template_reads_by_calicos_names_what_another_event_has_elsewhere() -> None:
    template = "{{.type}}|{{.severity}}|{{.source_namespace}}|{{.source}}|{{.rule}}"
    expected = "Read sensitive file untrusted|60|shop|syscall|Read sensitive file untrusted"
    (request,) = CONSUMERS["Generic"].render(
        Event("", "e", FALCO),
        {},
        {"url": "https://h/", "template": template, "headers": "Content-Type: text/plain"},
        now=0.0,
        delivery_id="d",
    )
    assert request.body.decode() == expected
    assert shown_of("Slack", FALCO, template=template)["blocks"][1]["text"]["text"] == expected
    assert shown_of("Slack", FALCO, title="{{ type }} {{ severity }}")["blocks"][0]["text"]["text"].endswith(" 60")
    fields = shown_of("Jira", FALCO, fields='{"customfield_1": "{{ .severity | json }}"}')["fields"]
    assert fields["customfield_1"] == 60


def test_the_whole_event_in_a_template_is_the_event_as_it_came() -> None:
    (request,) = CONSUMERS["Generic"].render(
        Event("", "e", FALCO), {}, {"url": "https://h/", "template": "{{json .}}"}, now=0.0, delivery_id="d"
    )
    assert json.loads(request.body) == FALCO | {"id": "e", "labels": {}}


@PEOPLES
@pytest.mark.parametrize("kind", OTHER_SAMPLES)
def test_every_sample_of_another_tool_says_what_when_where_and_how_bad(name: str, kind: str) -> None:
    shown = EVENT_MAPS.read(Event("", "1", sample(kind)))
    assert {"type", "description", "time", "origin", "severity"} <= shown.filled.keys()
    assert {"source_name", "source_ip"} & shown.filled.keys()
    message = above_the_record(name, sample(kind))
    assert "2026-03-02" in message
    assert json_text.line(shown.filled["type"], 500) in message


PIECES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=30),
    st.sampled_from(["\ud800", "a\u202eb", "{{"]),
)
VALUES = st.recursive(PIECES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4))
PARTS_OF_SAMPLES = st.sampled_from(OTHER_SAMPLES).flatmap(
    lambda kind: st.lists(st.sampled_from(sorted(sample(kind))), unique=True).map(
        lambda names: {name: sample(kind)[name] for name in names}
    )
)
OWN = EventMaps(read_maps("title: event\ntext: [message, a.b]\nseverity: {fields: a, levels: {x: 1}}\nlink: b", "m"))


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(NAMES, VALUES, max_size=8), PARTS_OF_SAMPLES, st.sampled_from([EVENT_MAPS, OWN]))
def test_whatever_an_event_is_a_message_results(
    more: dict[str, object], part: dict[str, object], maps: EventMaps
) -> None:
    for name in ("Slack", "Jira", "AlertManager"):
        assert shown_of(name, part | more, maps)


def test_where_a_mark_is_something_else_nothing_fails() -> None:
    for value in (None, 1, "x", [], {}, {"kind": {"a": {}}}, [{"kind": "x"}]):
        for name in ("Slack", "Jira", "AlertManager"):
            body(name, {"@timestamp": value, "event": value, "rule": value, "output": value, "priority": value})
