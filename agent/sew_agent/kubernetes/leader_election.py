"""Takes, renews and loses the Lease, and says which."""

import threading
import time
from collections.abc import Callable

from sew_agent.base.log import Log, locate
from sew_agent.base.threads import start_thread
from sew_agent.kubernetes.client import UNREADABLE, ApiError, KubernetesClient
from sew_agent.kubernetes.informer import REFUSED
from sew_agent.kubernetes.lease import (
    LASTS,
    NAME,
    RETRY_EVERY,
    Identity,
    Lease,
    LeaseAction,
    decide,
    starts_afresh,
    written,
)
from sew_agent.kubernetes.problems import Problems
from sew_agent.store.records import StoreError

_MATTER = "lease"
_UNKNOWN = 404
_TAKEN = (404, 409)
"""Somebody else was faster, or the Lease was deleted in between: it is looked at again."""
_REQUEST_SECONDS = 3.0
"""For a request: a step, the pause before it, and the next one's first request are less than a Lease lasts."""
LONGEST_STEP = 2 * _REQUEST_SECONDS + RETRY_EVERY
"""Seconds between two signs of life at most: a step is two requests."""
_RELEASED = 1
"""Seconds that a Lease lasts whose holder has ended as it should: the next agent need not wait."""


class LeaderElector:
    """A thread. While the API server cannot be reached the holder goes on: where that is so for all, nobody can take
    the Lease. Where this agent alone is cut off another one takes it, and both deliver: the same ids, twice.

    `afresh` is called whenever an agent with another store has the Lease, before this one takes it: also where it is
    deleted afterwards and made anew, it is known then. It raises StoreError, and then the Lease is not taken.
    """

    def __init__(  # noqa: PLR0913 - whom it asks, who it is, and whom it tells
        self,
        api: KubernetesClient,
        namespace: str,
        me: Identity,
        problems: Problems,
        log: Log,
        *,
        afresh: Callable[[], None],
        beat: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` is monotonic, in seconds."""
        self._api = api.quick(_REQUEST_SECONDS)
        self._clock = clock
        self._looked = float("-inf")
        """When the last look began that was answered, or could not be."""
        self._all = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._one = f"{self._all}/{NAME}"
        self._me = me
        self._problems = problems
        self._log = log
        self._afresh = afresh
        self._beat = beat
        self._stop = threading.Event()
        self._seen: tuple[str, str] = ("", "")
        self._seen_at = 0.0
        self._lasts = RETRY_EVERY
        """For how many seconds the Lease counts that was seen last: a holder that has ended leaves it a short time."""
        self._lease: Lease | None = None
        self._unnoted = False
        """Whether another agent had the Lease since `afresh` last succeeded."""
        self._place: str | None = None
        self.found = ""
        """The place that the Lease held when this agent got it."""
        self.held = threading.Event()
        self.turns = 0
        """How often this agent got it: lost and retaken between two looks at `held`, that shows here alone."""
        self.holder = ""
        """Who had it at the last look."""

    def start(self) -> None:
        start_thread(self._run, "lease")

    @property
    def sure(self) -> bool:
        """Whether this agent has the Lease, and another one cannot have got it since the last look.

        After a pause of this process (its machine slept, or was moved) that is not so until it has looked again. Where
        the API server cannot be reached, it cannot be reached by others.
        """
        return self.held.is_set() and self._clock() - self._looked < LASTS

    def keep(self, place: str) -> None:
        """From the next renewal on the Lease holds this place."""
        self._place = place

    def release(self) -> None:
        """This agent has ended its work: the next one may begin at once. Nothing where it is not the holder."""
        self._stop.set()
        if not self.held.is_set() or self._lease is None:
            return
        self.held.clear()
        try:
            body = written(self._lease, self._me, time.time(), lasts=_RELEASED, place=self._place)
            self._api.patch(self._one, body)
        except ApiError as error:
            self._log.warning("lease_not_released", message=str(error))

    def _run(self) -> None:
        while not self._stop.is_set():
            self._beat()
            began = self._clock()
            try:
                self._step()
                self._problems.over(_MATTER)
            except ApiError as error:
                if error.status not in _TAKEN:
                    self._problems.say(_MATTER, _text(error, held=self.held.is_set()))
            except StoreError as error:
                self._problems.say(_MATTER, f"this agent takes no Lease: {error}")
            except UNREADABLE as error:
                found = f"the Lease cannot be read ({locate(error)})"
                self._problems.say(_MATTER, f"{found}: delete it, and it is created again")
            self._looked = began
            self._stop.wait(RETRY_EVERY if self.held.is_set() else min(RETRY_EVERY, self._lasts))

    def _step(self) -> None:
        lease = self._look()
        move = decide(lease, self._me, seen_for=self._clock() - self._seen_at)
        another = starts_afresh(lease, self._me)
        if another or move is LeaseAction.WAIT:
            self._give_up()
        self._note(another=another)
        if move is LeaseAction.WAIT:
            return
        if not self.held.is_set():
            self._place, self.found = None, lease.place if lease else ""
        body = written(lease, self._me, time.time(), place=self._place)
        answer = self._api.create(self._all, body) if move is LeaseAction.CREATE else self._api.patch(self._one, body)
        if self._stop.is_set():
            return
        self._lease = Lease.from_object(answer)
        self.holder = self._me.holder
        if not self.held.is_set():
            self._log.info("lease_taken", holder=self._me.holder, before=lease.holder if lease else "")
            self.turns += 1
            self.held.set()

    def _look(self) -> Lease | None:
        try:
            lease = Lease.from_object(self._api.get(self._one))
        except ApiError as error:
            if error.status == _UNKNOWN:
                return None
            raise
        if (lease.holder, lease.renewed) != self._seen:
            self._seen, self._seen_at = (lease.holder, lease.renewed), self._clock()
        self.holder, self._lasts = lease.holder, lease.lasts
        return lease

    def _note(self, *, another: bool) -> None:
        """Until it is done: the Lease may be deleted in between."""
        self._unnoted = self._unnoted or another
        if self._unnoted:
            self._afresh()
            self._unnoted = False

    def _give_up(self) -> None:
        if self.held.is_set():
            self.held.clear()
            self._log.error("lease_lost", holder=self.holder, message="another agent delivers; this one stands by")


def _text(error: ApiError, *, held: bool) -> str:
    if error.status in REFUSED:
        return f"{error}: grant it as manifests/base/rbac.yaml does"
    return f"{error}; " + ("delivery goes on" if held else "it is tried again")
