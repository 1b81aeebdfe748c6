"""`kubectl sew replay` counts, asks, and has the agent begin: what it runs in the agent's container, by a kubectl that
answers as the agent does."""

import json
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Ran

KUBECTL = """#!{python}
import json, os, pathlib, sys
here = pathlib.Path({folder!r})
if "exec" not in sys.argv:
    print(json.dumps({{"spec": {{"holderIdentity": "sew-system/agent-0"}}}}))
    raise SystemExit
words = sys.argv[sys.argv.index("--") + 2:]
with (here / "ran").open("a") as ran:
    ran.write(" ".join(words) + chr(10))
print((here / "status.json").read_text() if words[:2] == ["replay", "status"] else "hook: done")
"""


class FakeAgent:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.kubectl = folder / "kubectl"
        self.kubectl.write_text(KUBECTL.format(python=sys.executable, folder=str(folder)))
        self.kubectl.chmod(self.kubectl.stat().st_mode | stat.S_IXUSR)

    def counts(self, to_send: int, **more: object) -> None:
        row = {"phase": "counted", "toSend": to_send, "counted": f"{to_send} to send", "why": None, **more}
        (self._folder / "status.json").write_text(json.dumps([row]))

    def ran(self) -> list[str]:
        """Return what was run in its container, without who asked."""
        lines = (self._folder / "ran").read_text().splitlines()
        return [line.partition(" --by")[0] + (line.partition("@")[2].partition(" ")[2] and " …") for line in lines]


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeAgent:
    made = FakeAgent(tmp_path)
    monkeypatch.setitem(os.environ, "KUBECTL_PATH", str(made.kubectl))
    return made


Sew = Callable[..., Ran]
WINDOW = "replay start --webhook hook --since 6h"


def test_a_dry_run_counts_and_withdraws(sew: Sew, agent: FakeAgent) -> None:
    agent.counts(40)
    ran = sew("replay", "hook", "--since", "6h", "--dry-run")
    assert (ran.code, ran.out, ran.err) == (0, "hook: 40 to send\n", "")
    assert agent.ran() == [f"{WINDOW} …", "replay status --webhook hook -o json", "replay stop --webhook hook --asked"]


def test_elsewhere_than_on_a_terminal_it_sends_only_with_yes(sew: Sew, agent: FakeAgent) -> None:
    agent.counts(40)
    ran = sew("replay", "hook", "--since", "6h")
    assert ran.code == 2
    assert "add --yes" in ran.err
    assert agent.ran()[-1] == "replay stop --webhook hook --asked"
    assert sew("replay", "hook", "--since", "6h", "--again", "--yes").out == "hook: done\n"
    assert agent.ran()[-1] == f"{WINDOW} --again …"


def test_where_nothing_is_to_be_sent_nobody_is_asked(sew: Sew, agent: FakeAgent) -> None:
    agent.counts(0)
    assert sew("replay", "hook", "--since", "6h").code == 0
    assert agent.ran()[-1] == "replay stop --webhook hook --asked"


def test_what_cannot_be_counted_is_an_error_that_says_why(sew: Sew, agent: FakeAgent) -> None:
    agent.counts(0, phase="failed", why="no such key")
    ran = sew("replay", "hook", "--since", "6h")
    assert (ran.code, ran.out) == (1, "")
    assert "the events cannot be counted: no such key" in ran.err


def test_a_count_that_lasts_too_long_is_withdrawn(sew: Sew, agent: FakeAgent) -> None:
    agent.counts(0, phase="counting")
    ran = sew("replay", "hook", "--since", "6h", "--timeout", "0s")
    assert ran.code == 124
    assert agent.ran()[-1] == "replay stop --webhook hook --asked"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--since"),
        (("status", "--since", "6h"), "status takes no window"),
        (("stop", "-o", "json"), "leave --output out"),
        (("--since", "6h", "--dry-run", "--yes"), "leave --yes out"),
    ],
)
def test_flags_that_do_not_go_together_are_a_usage_error(sew: Sew, words: tuple[str, ...], said: str) -> None:
    ran = sew("replay", "hook", *words)
    assert ran.code == 2
    assert said in ran.err
