"""AlertExceptions as manifests and the API hold them: what is read, what is wrong, and when one is in force."""

from typing import Any

import pytest

from kubectl_sew.resource.exceptions import AlertException, check_exception, describe_exception

START, END = 1_767_225_600.0, 1_767_229_200.0


def manifest(**spec: Any) -> dict[str, Any]:
    whole = {"description": "d", "selector": "type = waf", "startTime": "2026-01-01T00:00:00Z", **spec}
    given = {name: value for name, value in whole.items() if value is not None}
    return {
        "apiVersion": "projectcalico.org/v3",
        "kind": "AlertException",
        "metadata": {"name": "quiet"},
        "spec": given,
    }


def test_an_exception_is_read_and_has_nothing_wrong() -> None:
    obj = manifest(endTime="2026-01-01T02:00:00+01:00")
    assert AlertException.from_object(obj) == AlertException("quiet", "type = waf", START, END, "d")
    assert check_exception(obj) == check_exception(obj | {"apiVersion": "crd.projectcalico.org/v1"}) == []
    assert check_exception(obj | {"status": {}}) == []


@pytest.mark.parametrize(
    ("end", "now", "in_force"),
    [
        (END, START - 1, False),
        (END, START, True),
        (END, END - 0.001, True),
        (END, END, False),
        (None, START - 1, False),
        (None, START * 2, True),
    ],
)
def test_it_is_in_force_from_its_start_until_before_its_end(end: float | None, now: float, in_force: bool) -> None:
    assert AlertException("x", "type = waf", START, end).in_force(now) is in_force


@pytest.mark.parametrize(
    ("spec", "codes"),
    [
        ({"selector": None}, ["SEW008"]),
        ({"selector": ""}, ["SEW008"]),
        ({"selector": " \n"}, ["SEW008"]),
        ({"description": " "}, ["SEW008"]),
        ({"startTime": None}, ["SEW008"]),
        ({"selector": 5}, ["SEW006"]),
        ({"description": ["x"]}, ["SEW006"]),
        ({"startTime": "tomorrow"}, ["SEW061"]),
        ({"startTime": 1_767_225_600}, ["SEW061"]),
        ({"startTime": "1767225600"}, ["SEW061"]),
        ({"startTime": "2026-01-01"}, ["SEW061"]),
        ({"startTime": "2026-01-01T00:00:00"}, ["SEW061"]),
        ({"startTime": "2026-01-01 00:00:00Z"}, ["SEW061"]),
        ({"startTime": "20260101T000000Z"}, ["SEW061"]),
        ({"startTime": "2026-01-01T00:00:00.5+14:00"}, []),
        ({"endTime": "2026-06-30T23:59:60Z"}, ["SEW061"]),
        ({"endTime": "2026"}, ["SEW061"]),
        ({"endTime": "2026-01-01T00:00:00Z"}, ["SEW061"]),
        ({"endTime": "2025-01-01T00:00:00Z"}, ["SEW061"]),
        ({"period": "1h"}, ["SEW007"]),
        ({"description": None}, ["SEW008"]),
    ],
)
def test_what_is_wrong_with_its_fields_is_found(spec: dict[str, Any], codes: list[str]) -> None:
    assert [found.finding.code for found in check_exception(manifest(**spec))] == codes


@pytest.mark.parametrize(
    ("changed", "codes"),
    [
        ({"apiVersion": "projectcalico.org/v1"}, ["SEW009"]),
        ({"metadata": {}}, ["SEW008"]),
        ({"kind": "AlertExeption"}, ["SEW018"]),
        ({"selector": "type = waf"}, ["SEW007"]),
        ({"metadata": {"name": "Not_A_Name"}}, ["SEW010"]),
        ({"spec": "x"}, ["SEW008"]),
        ({"spec": None, "metadata": 1, "apiVersion": 3}, ["SEW009", "SEW008", "SEW008"]),
    ],
)
def test_what_is_wrong_around_its_fields_is_found_too(changed: dict[str, Any], codes: list[str]) -> None:
    obj = manifest() | changed
    assert [found.finding.code for found in check_exception(obj)] == codes
    assert AlertException.from_object(obj).end is None


@pytest.mark.parametrize(
    ("row", "line"),
    [
        (
            {"inForce": True, "end": "2026-01-01T01:00:00Z", "suppressed": 1},
            "is in force until 2026-01-01T01:00:00Z: it has suppressed 1 event since the agent started",
        ),
        (
            {"inForce": True, "suppressed": 1_200},
            "is in force without an end: it has suppressed 1,200 events since the agent started",
        ),
        ({"suppressed": 2}, "is not in force: it has suppressed 2 events since the agent started"),
        ({"broken": "no such field", "inForce": False}, "suppresses nothing: no such field"),
    ],
)
def test_its_state_is_described_in_a_line(row: dict[str, Any], line: str) -> None:
    row = {"name": "x", "inForce": False, "end": None, "suppressed": 0, "broken": None} | row
    assert describe_exception(row) == f"AlertException x {line}"
