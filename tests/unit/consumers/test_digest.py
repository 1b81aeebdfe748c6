"""Digests: every event is counted, the newest are shown, and each receiver's limits hold whatever the events say."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubectl_sew.consumers.base import Config
from kubectl_sew.consumers.digest import Digest, SendsDigests, digest_id, make_digest
from kubectl_sew.consumers.digest_settings import DigestSettings, digest_settings, group_key, group_values
from kubectl_sew.consumers.registry import CONSUMERS
from kubectl_sew.event import Event
from kubectl_sew.event_maps.readable import EVENT_MAPS
from kubectl_sew.text import utf16_units

NOW = 1_800_000_000
ASKED = DigestSettings(600.0)
CONFIGS: dict[str, Config] = {
    "Slack": {"url": "https://hooks.slack.com/services/T/B/x", "digest": "10m"},
    "Jira": {
        "url": "https://jira.example/rest/api/2/issue",
        "project": "SEC",
        "issueType": "Bug",
        "username": "u",
        "apiToken": "t",
        "digest": "10m",
    },
    "Generic": {"url": "https://h.example/", "digest": "10m"},
}
TEXT = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["&<>" * 2000, "```" * 900, "\ud800x", "{noformat}" * 300, "\n* h1. \\\\", "😀" * 4000, "", "@here"]
    ),
)
VALUE = st.one_of(TEXT, st.integers(), st.floats(), st.none(), st.lists(TEXT, max_size=3), st.booleans())
FIELDS = ("type", "name", "description", "severity", "time", "source_name", "source_namespace", "dest_ip", "host")
EVENTS = st.lists(st.builds(Event, st.just(""), TEXT, st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, VALUE))))


def event(number: int, **fields: Any) -> Event:
    document = {"type": "waf", "severity": 50, "time": NOW + number, "description": f"d{number}"}
    return Event("", f"e{number}", document | fields)


def sent(name: str, digest: Digest, **config: str) -> Any:
    consumer = CONSUMERS[name]
    assert isinstance(consumer, SendsDigests)
    labels = {"cluster": "c1"}
    (request,) = consumer.render_digest(digest, labels, {**CONFIGS[name], **config}, now=NOW, delivery_id="a" * 32)
    return json.loads(request.body)


def test_a_digest_says_how_many_of_what_from_when_to_when_and_which_are_the_newest() -> None:
    events = [event(number, source_namespace="ns", source_name=f"pod-{number % 12}") for number in range(30)]
    events += [event(40, type="alert", severity=95)]
    digest = make_digest(events, DigestSettings(60.0, ("source_namespace",), 2), EVENT_MAPS)
    assert digest.headline == "31 events · highest severity 95"
    assert digest.text == (
        "31 events with source_namespace ns from 2027-01-15T08:00:00Z to 2027-01-15T08:00:40Z: 30 waf, 1 alert"
    )
    assert digest.types.top == (("waf", 30), ("alert", 1))
    assert (len(digest.sources.top), digest.sources.others, digest.sources.rest) == (10, 3, 6 - 1)
    assert digest.sources.shown()[-1] == "3 others (5)"
    assert sent("Generic", digest)["digest"]["sources"][-1] == {"others": 3, "count": 5}
    assert [readable.raw.id for readable in digest.newest] == ["e40", "e29"]
    assert digest.ids == tuple(each.id for each in events)


@settings(max_examples=60, deadline=None)
@given(EVENTS.filter(bool), st.integers(1, 20))
def test_every_event_is_counted_and_no_limit_is_exceeded(events: list[Event], named: int) -> None:
    digest = make_digest(events, DigestSettings(60.0, ("host", "type"), named), EVENT_MAPS)
    assert {tally.events for tally in digest.tallies.values()} == {len(events)} == {digest.count} == {len(digest.ids)}
    assert len(digest.newest) == min(named, len(events))
    check_slack(sent("Slack", digest))
    check_jira(sent("Jira", digest))


@pytest.mark.parametrize("text", ["&<>" * 2000, "```" * 900, "{noformat}" * 300, "😀" * 4000, "x" * 9000])
def test_a_thousand_events_of_hostile_texts_fit(text: str) -> None:
    long = dict.fromkeys(("description", "name", "type", "source_name", "source_namespace", "dest_name", "host"), text)
    events = [Event("", f"{number}{text}", {**long, "time": NOW, "severity": text}) for number in range(1000)]
    digest = make_digest(events, DigestSettings(60.0, ("host",), 20), EVENT_MAPS)
    check_slack(sent("Slack", digest))
    check_jira(sent("Jira", digest))
    assert len(sent("Generic", digest)["digest"]["ids"]) == 1000


def check_slack(message: Any) -> None:
    blocks = message["blocks"]
    assert len(blocks) <= 50
    assert len(message["text"]) <= 4_000
    sections = [block["text"]["text"] for block in blocks if "text" in block]
    fields = [part["text"] for block in blocks for part in block.get("fields", ())]
    assert all(0 < len(text) <= 3_000 for text in sections)
    assert all(len(text) <= 2_000 for text in fields)
    assert len("".join([message["text"], *sections, *fields])) <= 40_000
    assert not [text for text in sections if "<script" in text or "@here>" in text]


def check_jira(body: Any) -> None:
    fields = body["fields"]
    assert utf16_units(fields["summary"]) <= 255
    assert utf16_units(fields["description"]) <= 32_767
    assert fields["description"].endswith(f"\n\nDelivery {'a' * 32}")
    assert fields["description"].count("{noformat}") == 2


def test_ids_beyond_the_receivers_limit_are_counted() -> None:
    digest = make_digest([event(number) for number in range(1000)], ASKED, EVENT_MAPS)
    ids = sent("Slack", digest)["blocks"][-2]["text"]["text"]
    shown = ids.partition("```")[2].partition("```")[0].split()
    assert shown == [f"e{number}" for number in range(len(shown))]
    assert ids.endswith(f"… and {1000 - len(shown)} more")
    description = sent("Jira", digest)["fields"]["description"]
    assert all(f"e{number}" in description for number in (0, 500, 999))


def test_a_receiver_of_json_and_a_template_get_the_digest_as_an_event() -> None:
    digest = make_digest([event(number, record={"a": number}) for number in range(3)], ASKED, EVENT_MAPS)
    body = sent("Generic", digest)
    assert (body["id"], body["type"], body["severity"], body["labels"]) == ("a" * 32, "waf", 50, {"cluster": "c1"})
    assert body["description"] == digest.text
    assert body["digest"]["newest"][0] == {"id": "e2", **event(2, record={"a": 2}).document}
    assert body["digest"]["types"] == [{"value": "waf", "count": 3}]
    assert (body["digest"]["count"], body["digest"]["ids"]) == (3, ["e0", "e1", "e2"])
    template = '{"text": "{{ description }}", "many": {{ digest.count }}, "first": "{{ digest.ids[0] }}"}'
    assert sent("Generic", digest, template=template) == {"text": digest.text, "many": 3, "first": "e0"}
    message = sent("Slack", digest, title="{{ type }}!", template="*{{ digest.count }}* of {{ labels.cluster }}")
    assert [block["text"]["text"] for block in message["blocks"][:2]] == ["waf!", "*3* of c1"]
    issue = sent("Jira", digest, summary="calico", fields='{"customfield_1": "{{ digest.count | tojson }}"}')["fields"]
    assert (issue["summary"], issue["customfield_1"]) == ("Calico Security Alert", 3)


def test_the_id_of_a_digest_is_that_of_its_members_in_any_order() -> None:
    assert digest_id("hook", ["a", "b"]) == digest_id("hook", ["b", "a"])
    ids = [
        digest_id("hook", ["a"]),
        digest_id("hook", ["a", "b"]),
        digest_id("other", ["a"]),
        digest_id("hook", ["ab"]),
    ]
    assert len(set(ids)) == 4
    assert all(len(each) == 32 for each in ids)


def test_events_are_of_one_group_by_the_values_of_its_fields() -> None:
    events = [
        Event("", "1", {"type": "waf", "host": "a", "record": {"x.y": 1}}),
        Event("", "2", {"type": "waf", "host": "a", "record": {"x.y": 1}, "name": "other"}),
        Event("", "3", {"type": "waf", "host": "b"}),
        Event("", "4", {"type": "waf", "host": "a,b"}),
    ]
    keys = [group_key(EVENT_MAPS.read(each), ("host", "record.x.y")) for each in events]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3
    assert {group_key(EVENT_MAPS.read(each), ()) for each in events} == {""}


def test_a_group_of_events_without_a_value_says_so() -> None:
    digest = make_digest([event(1), event(2)], DigestSettings(60.0, ("host",)), EVENT_MAPS)
    assert "*host* none" in sent("Slack", digest)["blocks"][1]["text"]["text"]
    assert "\n*host:* none\n" in sent("Jira", digest)["fields"]["description"]
    assert sent("Generic", digest)["digest"]["group"] == {"host": ""}


def test_values_that_differ_where_no_message_shows_them_make_groups_of_their_own() -> None:
    long = "x" * 9_000
    values = [long, f"{long}y", [long, *range(30)], [long, *range(31)], {"a": long + "1"}, {"a": long + "2"}, None]
    events = [Event("", str(number), {"host": value}) for number, value in enumerate(values)]
    assert len({group_key(EVENT_MAPS.read(each), ("host",)) for each in events}) == len(values)
    (shown,) = group_values(EVENT_MAPS.read(events[0]), ("host",))
    assert len(shown[1]) == 200
    same = [Event("", "1", {"host": {"a": 1, "b": 2}}), Event("", "2", {"host": {"b": 2, "a": 1}})]
    assert len({group_key(EVENT_MAPS.read(each), ("host",)) for each in same}) == 1


@pytest.mark.parametrize(
    ("config", "variable", "words"),
    [
        ({"digest": "soon"}, "digest", "must be a duration"),
        ({"digest": "10"}, "digest", "must be a duration"),
        ({"digest": "0s"}, "digest", "from 1s to 24h"),
        ({"digest": "25h"}, "digest", "from 1s to 24h"),
        ({"digest": "10m", "digestMax": "0"}, "digestMax", "a number from 1 to 20"),
        ({"digest": "10m", "digestMax": "many"}, "digestMax", "a number from 1 to 20"),
        ({"digest": "10m", "groupBy": "a,b,c,d,e,f"}, "groupBy", "names 6 fields"),
        ({"digest": "", "groupBy": "type"}, "groupBy", "does nothing without `digest`"),
    ],
)
@pytest.mark.parametrize("name", CONFIGS)
def test_what_is_wrong_is_named_with_its_variable(name: str, config: Config, variable: str, words: str) -> None:
    (problem,) = CONSUMERS[name].validate({**CONFIGS[name], **config})
    assert (problem.variable, problem.warning) == (variable, False)
    assert words in problem.message
    assert problem.hint


def test_what_is_right_is_read() -> None:
    config = {**CONFIGS["Slack"], "digest": " 15m ", "groupBy": "type , host,", "digestMax": "7"}
    assert CONSUMERS["Slack"].validate(config) == []
    assert digest_settings(config) == DigestSettings(900.0, ("type", "host"), 7)
    assert digest_settings({"url": "x"}) is None


def test_alertmanager_refuses_digests_and_says_what_groups_there() -> None:
    config = {"url": "https://a.example/api/v2/alerts", "digest": "10m", "groupBy": "type"}
    problems = CONSUMERS["AlertManager"].validate(config)
    assert [(problem.variable, problem.warning) for problem in problems] == [("digest", False), ("groupBy", False)]
    assert "Alertmanager groups alerts itself" in problems[0].message
    assert not isinstance(CONSUMERS["AlertManager"], SendsDigests)
