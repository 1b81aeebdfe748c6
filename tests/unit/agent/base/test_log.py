"""Log lines: one JSON object each, without a secret."""

import io
import json
from pathlib import PurePosixPath
from typing import Any

import pytest

from kubectl_sew.redaction import redact_urls
from sew_agent.base.log import Log

URL = "https://hooks.slack.com/services/T0/B0/SECRET"


def logged(**values: Any) -> dict[str, Any]:
    stream = io.StringIO()
    Log(stream, lambda: 1767225600.25).info("something", **values)
    (line,) = stream.getvalue().splitlines()
    record: dict[str, Any] = json.loads(line)
    return record


def test_a_line_has_time_level_event_and_fields() -> None:
    assert logged(webhook="w", count=3, ok=True, none=None, seconds=0.5) == {
        "time": "2026-01-01T00:00:00.250Z",
        "level": "info",
        "event": "something",
        "webhook": "w",
        "count": 3,
        "ok": True,
        "none": None,
        "seconds": 0.5,
    }


def test_levels_are_named() -> None:
    stream = io.StringIO()
    log = Log(stream, lambda: 0.0)
    log.info("one")
    log.warning("two")
    log.error("three")
    assert [json.loads(line)["level"] for line in stream.getvalue().splitlines()] == ["info", "warning", "error"]


@pytest.mark.parametrize(
    "value",
    [
        URL,
        f"POST {URL} failed",
        [URL],
        {"url": URL},
        {"deep": [{"er": (URL,)}]},
        OSError(f"cannot reach {URL}"),
        PurePosixPath(URL),
        "HTTPS://me:SECRET@host/x",
        "https://host?token=SECRET",
        "https://host#SECRET",
        "x" * 1_990 + " https://h/SECRET",
    ],
)
def test_no_value_shows_more_of_a_url_than_scheme_and_host(value: Any) -> None:
    assert "SECRET" not in json.dumps(logged(value=value))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"to {URL}: refused", "to https://hooks.slack.com"),
        ("https://me:pw@host:8443/x", "https://host:8443"),
        ("two http://a/b and http://c/d", "two http://a and http://c"),
        ("severity >= 90 AND a/b", "severity >= 90 AND a/b"),
    ],
)
def test_scheme_and_host_stay(text: str, shown: str) -> None:
    assert redact_urls(text).startswith(shown)


@pytest.mark.parametrize("text", ["a\nb", "\u2028\u0000\x1b[31m", "\ud800", '"}\n{"event": "forged"}'])
def test_hostile_text_stays_in_its_line(text: str) -> None:
    assert logged(text=text)["event"] == "something"


def test_long_text_is_cut() -> None:
    assert len(logged(text="x" * 1_000_000)["text"]) == 2_000


def test_a_log_that_nobody_takes_does_not_end_the_agent() -> None:
    class Broken(io.StringIO):
        def write(self, text: str, /) -> int:
            raise BrokenPipeError(text)

    Log(Broken(), lambda: 0.0).error("something")
