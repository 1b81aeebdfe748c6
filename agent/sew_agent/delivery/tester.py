"""State Test: one marked sample event, sent with the webhook's own configuration, and its result."""

import threading
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from kubectl_sew.consumers.base import Outcome, Verdict
from kubectl_sew.event import Event
from kubectl_sew.samples import sample
from kubectl_sew.text import rfc3339
from kubectl_sew.validation.webhook import Accepted
from sew_agent.base.log import Log
from sew_agent.base.threads import NoThreadError, start_thread

MARK = "[Test] "

Attempt = Callable[[Accepted, Event], Outcome]


class DeliveryTester(Protocol):
    """Sender of sample events for the state Test, beside the deliveries."""

    @property
    def busy(self) -> bool:
        """Return whether a test is under way, or its result was not taken yet."""

    def fire(self, webhook: Accepted, digest: str) -> None:
        """Send the sample, unless that is under way."""

    def take_finished(self) -> Collection[tuple[str, str, str]]:
        """Return webhook, digest and result of each test that ended since the last call."""


class FileDeliveryTester:
    """Tester with a thread for each sample: a receiver that hangs delays nothing. `clock` in epoch seconds."""

    def __init__(self, attempt: Attempt, clock: Callable[[], float], log: Log) -> None:
        self._attempt = attempt
        self._clock = clock
        self._log = log
        self._lock = threading.Lock()
        self._running: set[tuple[str, str]] = set()
        """Tests whose results were not taken yet."""
        self._waiting: dict[tuple[str, str], Accepted] = {}
        """Tests that wait for a thread."""
        self._finished: list[tuple[str, str, str]] = []
        self._logged = False
        """True after the log said that there are no more threads."""

    @property
    def busy(self) -> bool:
        """Return whether a test is under way, or its result was not taken yet."""
        with self._lock:
            return bool(self._running)

    def fire(self, webhook: Accepted, digest: str) -> None:
        """Send the sample of this content, unless that is under way, or its result was not taken yet."""
        key = (webhook.webhook.name, digest)
        with self._lock:
            if key in self._running:
                return
            self._running.add(key)
        self._waiting[key] = webhook
        self._begin()

    def take_finished(self) -> Sequence[tuple[str, str, str]]:
        """Return webhook, digest and result of each test that ended since the last call; start waiting ones."""
        self._begin()
        with self._lock:
            finished, self._finished = self._finished, []
            self._running -= {(name, digest) for name, digest, _ in finished}
        return finished

    def _begin(self) -> None:
        for (name, digest), webhook in list(self._waiting.items()):
            try:
                start_thread(self._try, "delivery-test", webhook, digest)
            except NoThreadError as error:
                if not self._logged:
                    self._log.error("test_waits", webhook=name, message=f"{error}; it is tried again")
                self._logged = True
                return
            self._logged = False
            del self._waiting[name, digest]

    def _try(self, webhook: Accepted, digest: str) -> None:
        now, name = self._clock(), webhook.webhook.name
        outcome = self._attempt(webhook, marked_sample(webhook.webhook.test_event, digest, now))
        with self._lock:
            self._finished.append((name, digest, describe(outcome, now)))


def marked_sample(event_type: str, digest: str, now: float) -> Event:
    """Return a sample event of now whose description is marked."""
    document = sample(event_type)
    identity = f"sew-test-{digest[:16]}"
    document |= {"_id": identity, "id": identity, "time": int(now)}
    document["description"] = f"{MARK}{document['description']}"
    return Event("", identity, document)


def describe(outcome: Outcome, now: float) -> str:
    """Describe an outcome in a line: time, delivered or not, and the receiver's answer."""
    word = "delivered" if outcome.verdict is Verdict.DELIVERED else f"not delivered ({outcome.reason.value})"
    answer = outcome.detail or (str(outcome.status) if outcome.status else "")
    return f"{rfc3339(now)} {word}" + (f": {answer}" if answer else "")
