"""Messages of events that are not Calico's: each says what happened, when, where and how bad."""

import json

import pytest

from kubectl_sew.consumers.registry import CONSUMERS, consumers
from kubectl_sew.consumers.shape_table import ANY, SHAPES
from kubectl_sew.consumers.shapes import is_known, readable
from kubectl_sew.event import Event
from kubectl_sew.samples import SAMPLE_TYPES, sample

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
    "ECS": (ECS, ["connection-refused", "refused a connection", "47", "10.0.0.1:4711", "10.0.0.9:443"]),
    "Kibana": (KIBANA, ["Beaconing", "it beacons", "high", "10.0.0.1", "10.0.0.9:443"]),
}

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
    assert readable(event) is event


@pytest.mark.parametrize("document", [{"type": "x"}, {"severity": 1}, {"description": "x"}, {"name": "x"}])
def test_one_field_of_calicos_is_enough_where_nothing_shows_another_kind(document: dict[str, object]) -> None:
    event = Event("i", "1", document)
    assert readable(event) is event


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
    assert is_known(Event("", "1", document)) is known


@PEOPLES
@pytest.mark.parametrize(
    "document", [{"seen.at": 1_772_450_000}, {"seen": {"at": 1_772_450_000, "type": "x"}, "type": "a"}]
)
def test_an_event_has_its_time_where_the_agents_setting_says(name: str, document: dict[str, object]) -> None:
    consumer = consumers(time_field="seen.at")[name]
    (request,) = consumer.render(Event("", "e", document), {}, CONFIG, now=1_900_000_000.0, delivery_id="d")
    assert "2026-03-02" in request.body.decode()


def test_the_table_names_only_fields_that_messages_show() -> None:
    shown = {*sample("waf"), "source_ip", "dest_ip", "protocol", "host", "mitre_ids", "mitre_tactic", "origin"}
    assert {name for shape in (*SHAPES, ANY) for name in shape.places} - shown == set()


def test_where_a_mark_is_something_else_nothing_fails() -> None:
    for value in (None, 1, "x", [], {}, {"kind": {"a": {}}}, [{"kind": "x"}]):
        for name in ("Slack", "Jira", "AlertManager"):
            body(name, {"@timestamp": value, "event": value, "rule": value, "output": value, "priority": value})
