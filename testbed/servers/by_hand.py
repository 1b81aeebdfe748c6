"""A real server for a person: `python -m testbed.servers.NAME` prints how to reach it, and runs until Ctrl-C."""

import signal
import sys
from contextlib import AbstractContextManager, suppress

from testbed.servers.building import UnavailableError


def serve(server: AbstractContextManager[str]) -> None:
    """Start the server, print what it yields, and stop it at Ctrl-C or SIGTERM. Exit with 1 where it cannot be had."""
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell has what it runs in the background ignore SIGINT
        signal.signal(number, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        try:
            with server as reached_by:
                print("Ctrl-C stops it; its data goes with it.", file=sys.stderr, flush=True)
                print(reached_by, flush=True)
                signal.pause()
        except UnavailableError as error:
            sys.exit(f"error: {error}")
