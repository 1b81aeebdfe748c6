"""The real html/template of Go, which renders any number of templates. Free of pytest."""

import json
import subprocess
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from testbed.servers.golang import go_program

_SOURCE = Path(__file__).with_name("go") / "templates" / "main.go"


@dataclass(frozen=True)
class Rendered:
    """What Go made of a template and an event: a body, or the reason why none."""

    body: bytes
    error: str
    parsed: bool
    """Whether the template is one, and only the event did not fit."""


def render_all(pairs: Sequence[tuple[str, Any]]) -> list[Rendered]:
    """Render each template for its event. Raises UnavailableError where there is no Go."""
    version = sha256(_SOURCE.read_bytes()).hexdigest()[:12]
    program = go_program("templates", "kubectl-sew/tests/servers/templates", version)
    lines = "".join(json.dumps({"template": template, "event": event}) + "\n" for template, event in pairs)
    ran = subprocess.run([program], input=lines.encode(), capture_output=True, check=True)
    answers = [json.loads(line) for line in ran.stdout.splitlines()]
    return [Rendered(b64decode(answer["body"] or ""), answer["error"], answer["parsed"]) for answer in answers]
