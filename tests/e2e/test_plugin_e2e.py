"""kubectl finds the plugin on PATH, and passes its exit codes, bytes and streams."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.servers.kubernetes import kubectl
from testbed.servers.required import required

EVENTS = Path("docs/examples/events.ndjson")


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """Environment in which kubectl finds the plugin of this checkout, and no cluster."""
    with required():
        folders = (str(Path(sys.executable).parent), str(kubectl().parent), os.environ["PATH"])
    return os.environ | {"PATH": os.pathsep.join(folders), "KUBECONFIG": "/dev/null"}


@pytest.fixture
def sew(environment):
    """Run the plugin as in `sew("fields", "--type", "ip")`, with bytes in and out."""

    def call(*args: str, stdin: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
        command = ["kubectl", "sew", *args]
        return subprocess.run(command, env=environment, input=stdin, capture_output=True, check=False)

    return call


def test_kubectl_lists_the_plugin(environment):
    command = ["kubectl", "plugin", "list", "--name-only"]
    listed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "kubectl-sew" in listed.stdout.splitlines()


def test_preview_query_prints_the_elasticsearch_query_alone(sew):
    done = sew("preview-query", "type = waf", "-o", "json")
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout) == {"term": {"type": "waf"}}


def test_an_invalid_query_exits_with_1_and_a_caret_line(sew):
    done = sew("preview-query", "tpye = waf", "-o", "json")
    assert (done.returncode, done.stdout) == (1, b"")
    lines = done.stderr.decode().splitlines()
    assert lines[0].startswith("error: ")
    assert lines[2].strip() == "^^^^"


def test_preview_query_passes_matching_lines_unchanged(sew):
    content = EVENTS.read_bytes()
    first, _, _, last = content.splitlines(keepends=True)
    from_file = sew("preview-query", "type = waf", "--events", str(EVENTS))
    from_stdin = sew("preview-query", "type = waf", "--events", "-", stdin=content)
    assert from_file.stdout == from_stdin.stdout == first + last
    assert from_file.stderr == from_stdin.stderr
    assert from_file.returncode == from_stdin.returncode == 0


def test_validate_exits_as_scripts_expect(sew):
    assert sew("validate", "-f", "examples/webhooks", "--strict").returncode == 0
    assert sew("validate", "-f", "docs/examples/broken.yaml").returncode == 1
    assert sew("validate", "--nonsense").returncode == 2
    flags = ("--consumer", "Generic", "--query", "tpye IN {waf}", "--secret", "url=hook/url", "--dry-run=client")
    warned = sew("create", "unsure", *flags, "-o", "yaml").stdout
    assert sew("validate", "--strict", "-f", "-", stdin=warned).returncode == 3
    assert sew("validate", "-f", "-", stdin=b"kind: ConfigMap\nmetadata: {name: x}\n").returncode == 1


def test_a_webhook_created_client_side_is_valid(sew):
    flags = ("--consumer", "Slack", "--query", "severity >= 90", "--secret", "url=hook/url", "--dry-run=client")
    made = sew("create", "urgent", *flags, "-o", "yaml")
    assert made.returncode == 0
    assert sew("validate", "--strict", "-f", "-", stdin=made.stdout).returncode == 0


def test_redaction_preview_payload_shows_no_secret(sew):
    done = sew("preview-payload", "-f", "docs/examples/collector.yaml", "--sample", "waf")
    assert done.returncode == 0
    assert b"s3cret" not in done.stdout + done.stderr
    assert b"a1b2c3" not in done.stdout + done.stderr


def test_a_closed_pipe_ends_the_preview_without_an_error(environment, tmp_path):
    events = tmp_path / "events.ndjson"
    events.write_bytes(EVENTS.read_bytes().splitlines(keepends=True)[0] * 50_000)
    line = f"kubectl sew preview-query 'type = waf' --events {events} | head -n 1"
    done = subprocess.run(line, shell=True, env=environment, capture_output=True, check=True)
    assert done.stdout == events.read_bytes().splitlines(keepends=True)[0]
    assert done.stderr == b""


def test_kubectls_flags_may_stand_before_the_command(sew):
    done = sew("--context", "prod", "version", "--client")
    assert (done.returncode, done.stderr) == (0, b"")
