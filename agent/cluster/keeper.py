"""Takes, renews and loses the Lease, and says which."""

import threading
import time
from collections.abc import Callable

from agent.cluster.api import UNREADABLE, Api, ApiError
from agent.cluster.lease import LOOK_EVERY, NAME, RENEW_EVERY, Identity, Lease, Move, decide, starts_afresh, written
from agent.cluster.troubles import Troubles
from agent.cluster.watch import REFUSED
from agent.log import Log

_MATTER = "lease"
_UNKNOWN = 404
_TAKEN = (404, 409)
"""Somebody else was faster, or the Lease was deleted in between: it is looked at again."""
_RELEASED = 1
"""Seconds that a Lease lasts whose holder has ended as it should: the next agent need not wait."""


class LeaseKeeper:
    """A thread. While the API server is away the holder goes on: nobody else can take the Lease then either.

    `afresh` is called before this agent takes a Lease that an agent with another store had.
    """

    def __init__(
        self,
        api: Api,
        namespace: str,
        me: Identity,
        troubles: Troubles,
        log: Log,
        *,
        afresh: Callable[[], None],
    ) -> None:
        self._api = api
        self._all = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._one = f"{self._all}/{NAME}"
        self._me = me
        self._troubles = troubles
        self._log = log
        self._afresh = afresh
        self._stop = threading.Event()
        self._seen: tuple[str, str] = ("", "")
        self._seen_at = 0.0
        self._lease: Lease | None = None
        self.held = threading.Event()
        self.holder = ""
        """Who had it at the last look."""

    def start(self) -> None:
        threading.Thread(target=self._run, name="lease", daemon=True).start()

    def release(self) -> None:
        """This agent has ended its work: the next one may begin at once. Nothing where it is not the holder."""
        self._stop.set()
        if not self.held.is_set() or self._lease is None:
            return
        self.held.clear()
        try:
            self._api.patch(self._one, written(self._lease, self._me, time.time(), lasts=_RELEASED))
        except ApiError as error:
            self._log.warning("lease_not_released", message=str(error))

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._step()
                self._troubles.over(_MATTER)
            except ApiError as error:
                if error.status not in _TAKEN:
                    self._troubles.say(_MATTER, _text(error, held=self.held.is_set()))
            except UNREADABLE as error:
                self._troubles.say(_MATTER, f"the Lease cannot be read ({error!r}): delete it, and it is made anew")
            self._stop.wait(RENEW_EVERY if self.held.is_set() else LOOK_EVERY)

    def _step(self) -> None:
        lease = self._look()
        move = decide(lease, self._me, seen_for=time.monotonic() - self._seen_at)
        if move is Move.WAIT:
            self._give_up()
            return
        if move is Move.TAKE and starts_afresh(lease, self._me):
            self._give_up()
            self._afresh()
        body = written(lease, self._me, time.time())
        answer = self._api.create(self._all, body) if move is Move.CREATE else self._api.patch(self._one, body)
        if self._stop.is_set():
            return
        self._lease = Lease.from_object(answer)
        self.holder = self._me.holder
        if not self.held.is_set():
            self._log.info("lease_taken", holder=self._me.holder, before=lease.holder if lease else "")
            self.held.set()

    def _look(self) -> Lease | None:
        try:
            lease = Lease.from_object(self._api.get(self._one))
        except ApiError as error:
            if error.status == _UNKNOWN:
                return None
            raise
        if (lease.holder, lease.renewed) != self._seen:
            self._seen, self._seen_at = (lease.holder, lease.renewed), time.monotonic()
        self.holder = lease.holder
        return lease

    def _give_up(self) -> None:
        if self.held.is_set():
            self.held.clear()
            self._log.error("lease_lost", holder=self.holder, message="another agent delivers; this one stands by")


def _text(error: ApiError, *, held: bool) -> str:
    if error.status in REFUSED:
        return f"{error}: grant it as manifests/base/rbac.yaml does"
    return f"{error}; " + ("delivery goes on" if held else "it is tried again")
