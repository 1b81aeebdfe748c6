"""A system that gives no more threads."""

import threading

import pytest


def refuse(patch: pytest.MonkeyPatch, *names: str) -> None:
    """Let no thread start whose name holds one of these, as where a limit of processes is reached."""
    start = threading.Thread.start

    def refused(thread: threading.Thread) -> None:
        if any(name in thread.name for name in names):
            raise RuntimeError("can't start new thread")
        start(thread)

    patch.setattr(threading.Thread, "start", refused)
