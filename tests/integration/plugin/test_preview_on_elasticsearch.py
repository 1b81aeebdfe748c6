"""`kubectl sew preview-query --elasticsearch` on real servers, through kubectl."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from testbed.servers.indices import connect, index, write

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl on PATH"),
]
HOUR = 3_600
Sew = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def events(each_elasticsearch: str) -> Iterator[str]:
    """Ten events: one an hour, each other one of type waf; the name of their index."""
    now = int(time.time())
    made = [
        {"_id": f"e{n}", "time": now - n * HOUR - 60, "type": ["waf", "alert"][n % 2], "severity": n} for n in range(10)
    ]
    with connect(each_elasticsearch) as client, index(client) as name:
        write(client, name, [*made, {"_id": "old", "time": now - 50 * HOUR, "type": "waf"}])
        yield name


@pytest.fixture
def preview(each_elasticsearch: str, events: str) -> Sew:
    def run(query: str, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        where = ("--elasticsearch", each_elasticsearch, "--index", events)
        return _sew("preview-query", query, *where, *arguments, **variables)

    return run


def _sew(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, **variables}
    return subprocess.run(["kubectl", "sew", *arguments], env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def exceptions(tmp_path: Path) -> str:
    """A folder of two exceptions that have an event in common."""
    for name, selector in (("few", "severity IN {2, 3, 4}"), ("high", "severity >= 4 AND severity < 8")):
        spec = {"description": "d", "selector": selector, "startTime": "2026-01-01T00:00:00Z"}
        head = {"apiVersion": "projectcalico.org/v3", "kind": "AlertException", "metadata": {"name": name}}
        (tmp_path / f"{name}.json").write_text(json.dumps({**head, "spec": spec}))
    return str(tmp_path)


def test_what_exceptions_take_away_is_counted_apart_and_each_event_once_in_all(preview: Sew, exceptions: str) -> None:
    ran = preview("type = waf", "--exceptions", exceptions)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "Events:   5 of 10 match (50.0%), found in" in ran.stdout
    assert "          2 of them would be delivered, and 3 suppressed\n" in ran.stdout
    assert "          2 by AlertException few\n          2 by AlertException high\n" in ran.stdout
    shown = [line.split()[0] for line in ran.stdout.splitlines() if line.startswith("  e")]
    assert shown == ["e0", "e8"]
    assert "\nThe newest that would be delivered:\n" in ran.stdout


def test_when_events_would_be_delivered_and_when_suppressed_is_drawn(preview: Sew, exceptions: str) -> None:
    lines = preview("type = waf", "--exceptions", exceptions).stdout.splitlines()
    assert "Events in each 1h, # delivered, - suppressed:" in lines
    assert [line.split()[-3:] for line in lines if line.startswith("  20") and ("#" in line or "-" * 40 in line)] == [
        ["#" * 40, "1", "0"],
        *[["-" * 40, "0", "1"]] * 3,
        ["#" * 40, "1", "0"],
    ]
    result = json.loads(preview("type = waf", "--exceptions", exceptions, "-o", "json").stdout)
    assert (result["count"], result["suppressed"], result["suppressedInAll"]) == (2, {"few": 2, "high": 2}, 3)
    assert sum(bar["count"] for bar in result["histogram"]) == 2
    assert sum(bar["suppressed"] for bar in result["histogram"]) == 3


def test_it_counts_samples_and_draws_when(preview: Sew) -> None:
    ran = preview("type = waf AND severity >= 2")
    assert (ran.returncode, ran.stderr) == (0, "")
    lines = ran.stdout.splitlines()
    assert "Events:   4 of 10 match (40.0%), found in" in ran.stdout
    assert "Events in each 1h:" in lines
    bars = [line for line in lines if line.endswith(" 1") and "#" * 40 in line]
    assert len(bars) == 4
    assert any(line.startswith("  type = waf: 5 in ") for line in lines)
    assert any(line.startswith("  severity >= 2: 8 in ") for line in lines)
    assert next(line for line in lines if "  e" in line).startswith("  e2  {")


def test_the_window_is_as_wide_as_asked(preview: Sew) -> None:
    assert "Events:   6 of 11 match" in preview("type = waf", "--since", "3d").stdout
    assert "Events:   1 of 2 match" in preview("type = waf", "--since", "90m").stdout
    assert "Window:   1970-01-01 00:00:00Z to " in preview("type = waf", "--since", "999999999d").stdout
    assert "Events:   0 of 0 match" in preview("type = waf", "--since", "0").stdout


def test_programs_get_it_as_json(preview: Sew) -> None:
    result = json.loads(preview("type = waf", "-o", "json").stdout)
    assert (result["count"], result["total"], result["parts"]) == (5, 10, [])
    assert sum(bar["count"] for bar in result["histogram"]) == 5
    assert 20 <= len(result["histogram"]) <= 26
    assert [sample["_id"] for sample in result["samples"]] == ["e0", "e2", "e4", "e6", "e8"]


def test_what_the_mapping_cannot_answer_is_named_with_its_place(preview: Sew) -> None:
    ran = preview("type = waf AND attacker = x")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith("error: 1:16: there is no field `attacker`\n")


def test_nothing_matches_is_no_error(preview: Sew) -> None:
    ran = preview("type = waf", "--since", "10s")
    assert (ran.returncode, "Events:   0 of 0 match" in ran.stdout) == (0, True)


def test_a_pattern_that_matches_nothing_is_named(preview: Sew, each_elasticsearch: str) -> None:
    ran = preview("type = waf", "--index", "nowhere-*")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "nowhere-*" in ran.stderr
    for command in (("fields",), ("validate", "-f", "examples/webhooks/generic.yaml")):
        ran = _sew(*command, "--elasticsearch", each_elasticsearch, "--index", "nowhere-*")
        assert (ran.returncode, ran.stdout) == (1, ""), command
        assert "no index of" in ran.stderr


def test_a_field_that_is_no_time_is_refused(preview: Sew) -> None:
    ran = preview("type = waf", "--time-field", "severity")
    assert ran.returncode == 1
    assert "have no time in `severity`: it must be a time, but is integer; name it by --time-field" in ran.stderr


def test_a_server_that_is_away_is_an_error_in_a_line(preview: Sew) -> None:
    ran = preview("type = waf", "--elasticsearch", "http://127.0.0.1:1")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == "error: Elasticsearch at http://127.0.0.1:1 cannot be reached (Connection refused)\n"


def test_redaction_credentials_come_from_files_and_are_never_shown(preview: Sew, tmp_path: Path) -> None:
    missing = preview("type = waf", SEW_ELASTICSEARCH_API_KEY_FILE=str(tmp_path / "none"))
    assert missing.returncode == 1
    assert f"the file {tmp_path}/none with credentials for Elasticsearch cannot be read" in missing.stderr
    (tmp_path / "key").write_text("canary")
    (tmp_path / "token").write_text("canary")
    both = {name: str(tmp_path / name.split("_")[2].lower()) for name in ("SEW_ELASTICSEARCH_TOKEN_FILE",)}
    ran = preview("type = waf", SEW_ELASTICSEARCH_API_KEY_FILE=str(tmp_path / "key"), **both)
    assert ran.returncode == 1
    assert "give one of an API key" in ran.stderr
    assert "canary" not in ran.stderr + ran.stdout
