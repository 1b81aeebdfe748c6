"""Hostile text made fit to be shown, and links to MITRE."""

import json

import pytest

from kubectl_sew import json_text
from kubectl_sew.consumers import event_text, mitre
from kubectl_sew.event import Event


def deep(depth: int) -> object:
    value: object = "end"
    for _ in range(depth):
        value = {"in": value}
    return value


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        ("", ""),
        ("  a\n\tb\r\n c ", "a b c"),
        ("a\x00b\x1b\u202ec\ud800", "a�b��c�"),
        (0, "0"),
        (False, "false"),
        (1.5, "1.5"),
        (["a", None, 7, ["b"]], 'a, 7, ["b"]'),
        ({"a": "ü"}, '{"a": "ü"}'),
        ("x" * 30, "x" * 30),
        ("x" * 40, "x" * 29 + "…"),
        ([10**5_000], "a number of 16610 bits…"),
    ],
)
def test_any_value_becomes_one_clean_line(value: object, shown: str) -> None:
    assert json_text.line(value, 30) == shown


def test_a_long_list_says_how_many_members_are_left_out() -> None:
    assert json_text.items(list(range(25)), 10)[-1] == "… and 5 more"
    assert len(json_text.items(list(range(20)), 10)) == 20


@pytest.mark.parametrize("value", [deep(100_000), {"a": ["x" * 9_000] * 9_000}, [[[[0] * 99] * 99] * 99] * 99])
def test_a_block_is_bounded_whatever_is_in_it(value: object) -> None:
    assert len(json_text.block(value, 500)) <= 500
    assert len(json.dumps(json_text.prune(value))) < 5_000_000


def test_a_pruned_value_shows_where_it_was_cut() -> None:
    assert json.dumps(json_text.prune(deep(20)), ensure_ascii=False).count("in") == 8
    assert "…" in json.dumps(json_text.prune(deep(20)), ensure_ascii=False)
    assert json_text.prune({str(n): n for n in range(5_000)})["…"] == "3001 more"
    assert json_text.prune([0] * 5_000)[-1] == "… 3001 more"
    assert json_text.prune({"a": [1, None, True, 1.5, "b"]}) == {"a": [1, None, True, 1.5, "b"]}


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({}, ""),
        ({"source_ip": "10.0.0.1", "source_port": 80}, "10.0.0.1:80"),
        ({"source_ip": "10.0.0.1", "source_port": 0}, "10.0.0.1"),
        ({"source_namespace": "shop", "source_name_aggr": "cart-*"}, "shop/cart-*"),
        ({"source_namespace": "-", "source_name": "pub", "source_ip": "1.2.3.4"}, "pub (1.2.3.4)"),
    ],
)
def test_an_endpoint_is_shown_as_far_as_it_is_known(fields: dict[str, object], shown: str) -> None:
    assert event_text.endpoint(Event("", "", fields), "source") == shown


@pytest.mark.parametrize(
    ("time", "shown"),
    [
        (None, ""),
        (0, "1970-01-01 00:00:00 UTC"),
        ("2026-03-02T10:00:00+02:00", "2026-03-02 08:00:00 UTC"),
        (9e11, "900000000000.0"),
        ("soon", ""),
    ],
)
def test_a_time_is_shown_in_utc_and_one_beyond_the_calendar_as_it_is(time: object, shown: str) -> None:
    assert event_text.when(Event("", "", {"time": time})) == shown


def test_a_title_says_nothing_twice() -> None:
    assert event_text.title(Event("", "", {"name": "a", "description": "a"})) == "a"
    assert event_text.title(Event("", "", {"name": "a", "description": "b"})) == "a: b"
    assert event_text.name(Event("", "", {"type": "waf"})) == "waf"


@pytest.mark.parametrize(
    ("name", "page"),
    [
        ("T1041", "techniques/T1041/"),
        ("t1041.001", "techniques/T1041/001/"),
        ("TA0010", "tactics/TA0010/"),
        ("n/a", ""),
        ("T1041|x", ""),
        ("T1041\n", ""),
    ],
)
def test_only_what_is_an_id_is_linked(name: str, page: str) -> None:
    assert mitre.link(name) == (page and f"https://attack.mitre.org/{page}")
