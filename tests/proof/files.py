"""The set-up `files`: manifests and a file of events, and the store in SQLite."""

import json
import os
import shutil
import struct
import subprocess
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from kubectl_sew.event import Event, delivery_id
from testbed.servers.building import UnavailableError
from tests.e2e.sew_agent import Agent, Folder
from tests.proof.events import Events, identity
from tests.proof.history import Books, Definition, State
from tests.proof.preload import preload
from tests.proof.receivers import ProofReceiver
from tests.proof.schedule import COMMON, Fault, Kind
from tests.proof.setup import SETTINGS, books_of, manifests, pending_of, state_in

DISK = "256m"
CLOCKS = ("+600", "-600", "+86400", "-3600")
_KINDS: Mapping[str, Kind] = {
    **COMMON,
    "file": Kind(5.0, variants=("renamed", "truncated", "replaced")),
    "full": Kind(25.0, (0.5, 4.0)),
    "clock": Kind(25.0, (2.0, 8.0), CLOCKS),
}


class Files:
    """Events are lines of a file that is rotated in all ways; the state is on a small disk that gets full."""

    name = "files"
    agents = 1
    ordered = atomic = True
    kill = "kill"
    disrupts: Mapping[str, str] = {"full": "store", "clock": "clock"}

    def __init__(self) -> None:
        self.kinds = dict(_KINDS)
        self.skipped: list[str] = []
        self.settings: dict[str, str] = {}

    def start(self, folder: Path, stack: ExitStack) -> None:
        self.folder = Folder(folder)
        stack.callback(self.folder.stop)
        self._clock = folder / "clock"
        self._without("full", self._mount(stack))
        self._without("clock", self._fake_clock())

    def identify(self, webhook: str, number: int) -> str:
        return delivery_id(webhook, Event("", identity(number), {}))

    def apply(self, definition: Definition, receiver: ProofReceiver) -> bool:
        file = self.folder.webhooks / f"{definition.webhook}.json"
        if definition.state is State.ABSENT:
            file.unlink()
            return True
        partial = self.folder.path / "partial"
        partial.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests(definition, receiver)}))
        partial.replace(file)
        return True

    def write(self, events: Events, count: int, severity: int | None = None) -> None:
        lines = []
        for _ in range(count):
            number = len(events.written)
            lines.append(json.dumps({"_id": identity(number), **events.next(severity)}) + "\n")
        with self.folder.events.open("a") as file:
            file.writelines(lines)

    def start_agent(self, number: int) -> Agent:
        return self.folder.start(**SETTINGS | self.settings)

    def state_of(self, webhook: str) -> str:
        return state_in(self.folder.state, webhook)

    def begin(self, fault: Fault) -> None:
        begins: Mapping[str, Callable[[Fault], None]] = {"file": self._rotate, "full": self._fill, "clock": self._set}
        begins[fault.kind](fault)

    def is_over(self, _fault: Fault) -> bool:
        return True

    def end(self, fault: Fault) -> None:
        if fault.kind == "full":
            (self.folder.state / "filler").unlink(missing_ok=True)
        elif fault.kind == "clock":
            self._move_clock(0)

    def pending(self, agents: list[Agent]) -> int:
        return pending_of(agents[0])

    def books(self) -> Mapping[str, Books]:
        return books_of(self.folder)

    def _without(self, kind: str, why: str) -> None:
        if why:
            self.skipped.append(f"{kind}: {why}")
            del self.kinds[kind]

    def _mount(self, stack: ExitStack) -> str:
        """Put the state on a disk of its own. Return why that is not possible."""
        self.folder.state.mkdir()
        if os.geteuid() != 0:
            return "only root may mount a small disk for the state"
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "none", str(self.folder.state)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            return f"no small disk for the state: {done.stderr.strip()}"
        stack.callback(lambda: subprocess.run(["umount", "--lazy", str(self.folder.state)], check=True))
        stack.callback(self.folder.stop)
        return ""

    def _fake_clock(self) -> str:
        """Give the agents a clock that can be set. Return why that is not possible."""
        try:
            library = preload("clock", self.folder.path)
        except UnavailableError as error:
            return f"the agent's clock cannot be set: {error}"
        self._move_clock(0)
        self.settings |= {"LD_PRELOAD": str(library), "CLOCK_OFFSET": str(self._clock)}
        return ""

    def _move_clock(self, seconds: int) -> None:
        with self._clock.open("r+b" if self._clock.exists() else "wb") as file:
            file.write(struct.pack("q", seconds))

    def _rotate(self, fault: Fault) -> None:
        path = self.folder.events
        if fault.what == "replaced":
            copy = path.with_name("copy")
            shutil.copyfile(path, copy)
            copy.replace(path)
            return
        rotated = sorted(path.parent.glob(f"{path.name}.*"), key=lambda file: int(file.suffix[1:]), reverse=True)
        for file in rotated:
            file.rename(path.with_name(f"{path.name}.{int(file.suffix[1:]) + 1}"))
        if fault.what == "renamed":
            path.rename(path.with_name(f"{path.name}.1"))
            path.touch()
        else:
            shutil.copyfile(path, path.with_name(f"{path.name}.1"))
            os.truncate(path, 0)

    def _fill(self, _fault: Fault) -> None:
        filler = self.folder.state / "filler"
        subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=64k"], check=False, capture_output=True)

    def _set(self, fault: Fault) -> None:
        self._move_clock(int(fault.what))
