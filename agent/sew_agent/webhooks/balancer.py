"""Spreads the webhooks' deliveries over the agents that share a store: each takes and gives up what it should."""

import json
import threading
from contextlib import suppress

from sew_agent.base.health import Heartbeat
from sew_agent.base.log import Log
from sew_agent.base.threads import start_thread
from sew_agent.delivery.dispatcher import Dispatcher
from sew_agent.store.balance import READING, may_pass_reading_on, moves
from sew_agent.store.contract import Sharing
from sew_agent.store.records import StoreError
from sew_agent.webhooks.routes import Routes

ROUND_EVERY = 1.0
"""Seconds between two rounds."""
LEAVING_EVERY = 0.1
"""Seconds between two rounds of an agent that is about to end."""


LONGEST_ROUND = 120.0
"""Seconds between two heartbeats at most: a round is a few transactions, and each may wait for the server."""
_END_WITHIN = 5.0


class Balancer:
    """Balancer of one agent. Each round sees who is alive, and moves what is this agent's to move."""

    def __init__(
        self, sharing: Sharing, routes: Routes, dispatcher: Dispatcher, heartbeat: Heartbeat, log: Log
    ) -> None:
        self._sharing = sharing
        self._routes = routes
        self._dispatcher = dispatcher
        self._heartbeat = heartbeat
        self._log = log
        self._leaving = self._stopped = False
        self._round = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._said = ""

    def start(self) -> None:
        """Begin, in a thread of its own. Raises NoThreadError."""
        self._thread = start_thread(self._work, "ownership")

    def leave(self) -> None:
        """Give up each webhook from now on, as soon as nothing of it is in flight, and take nothing more."""
        self._leaving = True
        self._wake.set()

    def release_reading(self) -> None:
        """Give up reading: nothing more is read or written by it."""
        with suppress(StoreError):
            self._sharing.release([READING])

    def pass_reading_on(self, pause: float) -> bool:
        """Let another agent read that may be able to, and claim that again after `pause` seconds at the earliest.

        Return False where there is none: then this agent goes on. Raises StoreError. Nothing more is read or written
        by it where this returns True.
        """
        with self._round:  # what is given up now is not claimed by what was seen before
            if not may_pass_reading_on(self._sharing.me, self._sharing.shares()):
                return False
            self._sharing.back_off(pause)
            self.release_reading()
            return True

    def stop(self) -> None:
        """End the thread."""
        self._stopped = True
        self._wake.set()
        if self._thread:
            self._thread.join(_END_WITHIN)

    def step(self) -> None:
        """Take one round. Raises StoreError; the next round goes on from there."""
        with self._round:
            self._step()

    def _step(self) -> None:
        sharing = self._sharing
        shares = sharing.shares()
        if self._leaving and sharing.me not in shares.leaving:
            sharing.leave()
            shares = sharing.shares()
        planned = moves(sharing.me, shares, sharing.held)
        wanted = {one.name for one in shares.owned if one.wanted} - {READING}
        kept = set(sharing.held) - set(planned.release) - {READING}
        self._routes.own(kept, moving=set(planned.release) & wanted)
        before, busy = set(sharing.held), self._dispatcher.in_flight(planned.release)
        sharing.release(set(planned.release) - set(busy))
        sharing.claim(planned.claim)
        self._routes.own(set(sharing.held) - set(planned.release) - {READING})
        self._report(before, set(sharing.held))
        self._say()

    def _report(self, before: set[str], after: set[str]) -> None:
        if READING in after - before:
            self._log.info("reading", message="this agent reads for all that share its store")
        claimed, released = after - before - {READING}, before - after - {READING}
        if claimed or released:
            owned = len(after - {READING})
            self._log.info("webhooks_moved", claimed=len(claimed), released=len(released), owned=owned)

    def _say(self) -> None:
        """Let the agent that reads know which of several receivers of a webhook fail."""
        failing = self._routes.failing_peers()
        said = json.dumps(failing) if failing else ""
        if said != self._said:
            self._sharing.say(said)
            self._said = said

    def _work(self) -> None:
        try:
            while not self._stopped:
                self._heartbeat.beat()
                with suppress(StoreError):
                    self.step()
                self._wake.wait(LEAVING_EVERY if self._leaving else ROUND_EVERY)
                if self._leaving and not self._stopped:
                    self._wake.clear()
        except Exception as error:  # noqa: BLE001 - whatever it is, the agent's health must say that nothing moves
            self._heartbeat.fail(error)
