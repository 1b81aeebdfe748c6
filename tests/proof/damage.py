"""Damages the files of a state at random places: the agent goes on and loses nothing, or says what to do.

SQLite has no checksums: a bit that flips within a payload, and leaves it JSON, is sent as it is. That is counted, and
is no violation.

The state is that of an agent that was killed at work: some events are delivered, some wait, one receiver is away, and
the write-ahead log holds what is not in the database yet. Each place is tried on a copy of it.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from testbed.servers.running import slowness
from tests.e2e.sew_agent import Folder
from tests.proof.disruptions import POWER
from tests.proof.events import Events
from tests.proof.files import Files
from tests.proof.history import Arrival, Change, Definition, Disruption, History, Limits, State
from tests.proof.judge import judge
from tests.proof.receivers import ProofReceiver
from tests.proof.setup import FORGET_AFTER, SETTINGS, TIMEOUT, WORKERS
from tests.proof.verdict import Violation
from tests.waiting import eventually

WEBHOOKS = ("w0", "w1", "away")
EVENTS = 300
FILES = (
    "sew.db",
    "sew.db",
    "sew.db",
    "sew.db-wal",
    "sew.db-wal",
    "identity",
    "sew.db.created",
    "agent.json",
    "reserve",
    "lock",
)
"""Files to damage; those that hold more are hit more often."""
SAYS = ("is damaged", "error:", '"store_failed"')
"""What an agent prints that does not go on."""
RUNS_FOR = 30.0
"""Seconds after which a run ends that cannot: it has said what to do again and again."""
TIMED_OUT = 124
LIMITS = Limits(WORKERS, TIMEOUT, FORGET_AFTER, in_flight=1e9, effect=1e9)


@dataclass(frozen=True, slots=True)
class Place:
    """A damage: `how` is flipped (one bit), zeroed (a sector), or truncated, at a share of the file's length."""

    file: str
    how: str
    at: float


def places(seed: int, count: int) -> tuple[Place, ...]:
    """Return the places of a run. Pure."""
    chance = random.Random(f"{seed} damage")
    return tuple(
        Place(chance.choice(FILES), chance.choice(("flipped", "flipped", "zeroed", "truncated")), chance.random())
        for _ in range(count)
    )


def damaged(content: bytes, place: Place) -> bytes:
    """Return a file's content with the damage of a place. Pure."""
    at = int(len(content) * place.at)
    if place.how == "truncated" or not content:
        return content[:at]
    end = at + (1 if place.how == "flipped" else min(512, len(content) - at))
    middle = bytes([content[at] ^ (1 << at % 8)]) if place.how == "flipped" else bytes(end - at)
    return content[:at] + middle + content[end:]


class Scene:
    """A state to damage, and what is true of it."""

    def __init__(self, path: Path, stack: ExitStack, seed: int) -> None:
        self._began = time.monotonic()
        self._files = Files()
        self.folder = self._files.folder = Folder(path)
        stack.callback(self.folder.stop)
        self._events = Events(seed, WEBHOOKS, self._clock, time.time)
        self._receivers = [stack.enter_context(self._receiver(name)) for name in WEBHOOKS]
        self._changes = [Change(Definition(name, 0, State.ENABLED, 30), 0.0, 0.0) for name in WEBHOOKS]
        for change, receiver in zip(self._changes, self._receivers, strict=True):
            receiver.definitions[0] = change.definition
            self._files.apply(change.definition, receiver)
        self._snapshot = path / "snapshot"
        self._make()
        self._before = self._arrivals()
        self._starter = stack.enter_context(_starter())

    def try_place(self, number: int, place: Place) -> tuple[str, list[Violation]]:
        """Run the agent on a damaged copy to its end; return what it did, and what is wrong with that."""
        state, log = self.folder.path / "damaged", self.folder.path / f"place-{number}.log"
        shutil.rmtree(state, ignore_errors=True)
        shutil.copytree(self._snapshot, state)
        file = state / place.file
        if file.exists():
            file.write_bytes(damaged(file.read_bytes(), place))
        counts = [len(receiver.arrivals) for receiver in self._receivers]
        code = self._run(state, log, RUNS_FOR)
        if code == TIMED_OUT and not _says(log):  # a busy machine did not let it run: the next run goes on from there
            code = self._run(state, log, RUNS_FOR * slowness())
        arrivals = [
            arrival
            for receiver, count in zip(self._receivers, counts, strict=True)
            for arrival in receiver.arrivals[count:]
        ]
        return self._judge(place, code, log, arrivals)

    def _judge(self, place: Place, code: int, log: Path, arrivals: Sequence[Arrival]) -> tuple[str, list[Violation]]:
        text = log.read_text(errors="replace")
        failure = Disruption(POWER, self._cut, self._cut)
        verdict = judge(History(self._events.written, self._changes, [*self._before, *arrivals], [failure]), LIMITS)
        wrong, database = verdict.violations, place.file.startswith("sew.db")
        altered = database and any(violation.kind == "altered" for violation in wrong)
        wrong = [violation for violation in wrong if not (database and violation.kind == "altered")]
        said = _says(log)
        if "Traceback" in text or not (code in (0, 1) or (code == TIMED_OUT and said)):
            wrong.append(Violation("problem", f"{place}: it ended with {code}: {text[-600:]}"))
        if code and said:
            return "said what to do", [violation for violation in wrong if violation.kind != "lost"]
        what = "went on, with an altered event" if altered else "went on"
        return what, [Violation(violation.kind, f"{place}: {violation.text}") for violation in wrong]

    def _make(self) -> None:
        """Leave a state of an agent that was killed at work."""
        self._receivers[2].troubles.append("away")
        self._files.write(self._events, EVENTS // 2)
        agent = self.folder.start(**SETTINGS)
        eventually(lambda: self._delivered() > EVENTS // 3, "the first half is delivered")
        self._files.write(self._events, EVENTS // 2)
        before = self._delivered()
        eventually(lambda: self._delivered() > before + EVENTS // 4, "a part of the second half is delivered")
        agent.kill()
        self._cut = self._clock()
        shutil.copytree(self.folder.state, self._snapshot)
        self._receivers[2].troubles.clear()

    def _delivered(self) -> int:
        return sum(len(receiver.accepted) for receiver in self._receivers)

    def _arrivals(self) -> list[Arrival]:
        return [arrival for receiver in self._receivers for arrival in receiver.arrivals]

    def _receiver(self, name: str) -> ProofReceiver:
        return ProofReceiver(
            name,
            self._events,
            identify=self._files.identify,
            clock=self._clock,
            timeout=TIMEOUT,
            chance=random.Random(name),
            atomic=True,
        )

    def _clock(self) -> float:
        return time.monotonic() - self._began

    def _run(self, state: Path, log: Path, seconds: float) -> int:
        command = [
            "run",
            "--once",
            "--timeout",
            f"{seconds:.0f}s",
            "--state",
            str(state),
            "--webhooks",
            str(self.folder.webhooks),
        ]
        assert self._starter.stdin
        assert self._starter.stdout
        self._starter.stdin.write(json.dumps([str(log), [*command, "--events", str(self.folder.events)]]) + "\n")
        self._starter.stdin.flush()
        return int(self._starter.stdout.readline())


def _says(log: Path) -> bool:
    text = log.read_text(errors="replace")
    return any(known in text for known in SAYS)


@contextmanager
def _starter() -> Iterator["subprocess.Popen[str]"]:
    given = {**SETTINGS, "SEW_EGRESS_ALLOW": "127.0.0.0/8", "SEW_RETRY_INITIAL": "50ms"}
    command = [sys.executable, "-m", "tests.proof.starter"]
    with subprocess.Popen(
        command, env=os.environ | given, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        assert process.stdin
        process.stdin.close()


def run(
    folder: Path, *, count: int, seed: int, say: Callable[[str], None]
) -> tuple[Mapping[str, int], list[Violation]]:
    """Try so many places; return how often the agent did what, and all violations."""
    done: Counter[str] = Counter()
    violations: list[Violation] = []
    with ExitStack() as stack:
        scene = Scene(folder, stack, seed)
        for number, place in enumerate(places(seed, count)):
            what, wrong = scene.try_place(number, place)
            done[f"{place.file} {place.how}: {what}"] += 1
            violations += wrong
            if number % 25 == 24:
                say(f"{number + 1} of {count} places, {len(violations)} violations")
    return done, violations
