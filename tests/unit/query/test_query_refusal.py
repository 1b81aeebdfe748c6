"""What keeps an event out is said in the query's own parts, with the event's values."""

from typing import Any

import pytest

from kubectl_sew.query import CALICO, bind, parse, refusals
from tests.cases import NOW

EVENT: dict[str, Any] = {
    "type": "global_alert",
    "severity": 50,
    "dest_port": [53, 54],
    "host": "",
    "name": "a\x1b[31m\u202e\nb",
    "mitre_tactic": None,
}


def said(query: str) -> list[str]:
    return [str(refusal) for refusal in refusals(bind(parse(query), CALICO), EVENT, NOW)]


@pytest.mark.parametrize(
    ("query", "refusing"),
    [
        ("severity = 50", []),
        ("severity >= 80", ["severity >= 80: severity is 50"]),
        (
            "severity > 80 AND type = waf AND dest_port = 53",
            ["severity > 80: severity is 50", "type = waf: type is global_alert"],
        ),
        ("dest_port = 80", ["dest_port = 80: dest_port is 53, 54"]),
        ("source_name = a", ["source_name = a: source_name is missing"]),
        ("mitre_tactic = a", ["mitre_tactic = a: mitre_tactic is missing"]),
        ("host = a", ["host = a: host is empty"]),
        ("severity EMPTY", ["severity EMPTY: severity is 50"]),
        ("severity = 50 AND (type = waf OR host = b)", ["type = waf OR host = b: type is global_alert, host is empty"]),
        ("NOT severity = 50", ["NOT severity = 50: severity is 50"]),
        ("NOT (severity = 50 OR dest_port = 80)", ["NOT severity = 50: severity is 50"]),
        (
            "NOT (severity = 50 AND type = global_alert)",
            ["NOT (severity = 50 AND type = global_alert): severity is 50, type is global_alert"],
        ),
        ("NOT (NOT severity = 60 OR dest_port = 1)", ["severity = 60: severity is 50"]),
    ],
)
def test_the_smallest_parts_that_refuse_an_event_are_named(query: str, refusing: list[str]) -> None:
    assert said(query) == refusing


def test_what_an_event_holds_is_shown_clean_and_cut() -> None:
    (hostile,) = said("name = x")
    assert hostile.isprintable()
    (long,) = said(" OR ".join(f"host = h{number}" for number in range(500)))
    assert len(long) < 400


def test_of_many_keys_the_first_are_shown() -> None:
    keys = "type = waf OR host = b OR name = c OR dest_port = 1 OR source_port = 2 OR origin = d"
    (part,) = said(f"severity = 1 OR {keys}")
    assert part.endswith("dest_port is 53, 54 and 2 more keys")
