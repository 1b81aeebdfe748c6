"""Runs the plugin in this process."""

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from kubectl_sew.cli.program import run


@dataclass(frozen=True)
class Ran:
    """The exit code of a command line, and what it printed."""

    code: int
    out: str
    err: str


@pytest.fixture
def sew(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """`sew("fields", "--type", "ip", stdin="…")`."""

    def call(*args: str, stdin: str = "") -> Ran:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        code = run(args)
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return call
