"""Work that takes longer than a page may: it runs in a thread, and its page shows how far it is."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from kubectl_sew.errors import SewError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class WorkState(Generic[T]):
    """How far it is: `doing` while it runs; then the `result`, or the `problem`."""

    doing: str = ""
    result: T | None = None
    problem: str = ""


class Work(Generic[T]):
    """One piece of work, which may be done again, but not twice at a time."""

    def __init__(self, do: Callable[[Callable[[str], None]], T]) -> None:
        """`do` is given what takes the name of each step."""
        self._do = do
        self._lock = threading.Lock()
        self.state: WorkState[T] = WorkState()

    def start(self) -> None:
        """Begin, unless it runs already."""
        with self._lock:
            if self.state.doing:
                return
            self.state = WorkState("it begins")
        threading.Thread(target=self._run, name="work", daemon=True).start()

    def _run(self) -> None:
        try:
            self.state = WorkState(result=self._do(self._step))
        except SewError as error:
            self.state = WorkState(problem=str(error))

    def _step(self, name: str) -> None:
        self.state = WorkState(f"asking for {name}")
