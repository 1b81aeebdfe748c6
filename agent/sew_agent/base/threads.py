"""Threads, requests to end them, and the error where the system gives no more of them."""

import threading
from collections.abc import Callable
from typing import Protocol

from kubectl_sew.errors import SewError


class Stop(Protocol):
    """A request to end."""

    def is_set(self) -> bool:
        """Return whether it was made."""

    def wait(self, timeout: float) -> bool:
        """Wait until it is made, at most so many seconds; return whether it was."""


class NoThreadError(SewError):
    """Error of the system's limit of processes or memory; the text says which to check."""


def start_thread(target: Callable[..., None], name: str, *args: object) -> threading.Thread:
    """Start a daemon thread, and return it. Raises NoThreadError."""
    thread = threading.Thread(target=target, args=args, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError:
        raise NoThreadError(
            "the system gives no more threads: raise the limit of processes (`ulimit -u`, or the pod's limit of PIDs) "
            "or of memory"
        ) from None
    return thread
