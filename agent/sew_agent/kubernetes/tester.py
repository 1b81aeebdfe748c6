"""State Test in a cluster: the sample once, its result into an annotation, and the state back to Enabled.

The annotation is the journal: what is about to be sent stands there first, so that whoever finds it there, after an
agent that ended in between or lost its volume, sends it once more at most, and says so.
"""

import json
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from enum import Enum
from hashlib import sha256
from typing import Any

from kubectl_sew.consumers.base import Verdict
from kubectl_sew.resource import TEST_RESULT_ANNOTATION, State
from kubectl_sew.resource.ownership import give_back
from kubectl_sew.text import rfc3339
from kubectl_sew.validation import Accepted
from sew_agent.base.health import Heartbeat
from sew_agent.base.threads import NoThreadError, start_thread
from sew_agent.delivery.attempt import MOST_REQUESTS
from sew_agent.delivery.tester import Attempt, describe, tried
from sew_agent.kubernetes.client import REQUEST_SECONDS, ApiError, KubernetesClient
from sew_agent.kubernetes.informer import REFUSED
from sew_agent.kubernetes.problems import Problems
from sew_agent.kubernetes.webhooks import WebhookPath, read_webhook
from sew_agent.status.conditions import DeliveryTestResult
from sew_agent.store.records import WebhookRecord
from sew_agent.webhooks.validator import content_digest

AT_ONCE = 8
_TRY_AGAIN = 2.0
_MATTER = "tests"
_UNKNOWN = 404
_CONFLICT = 409
_SENDING = " the sample is being sent"
_AGAIN = " the sample is being sent again"
_TWICE = "; sent a second time, since the agent ended during the first"
NOT_AGAIN = "; not sent again: the same was tested less than an hour before (`kubectl sew test` sends another)"
_AN_HOUR = 3600.0
_NO_MORE = " not known: the agent ended twice while the sample was being sent; look for it at the receiver"


def longest_step(request_timeout: float) -> float:
    """Seconds between two signs of life at most: a test takes two requests, and one attempt."""
    return 2 * (2 * REQUEST_SECONDS + _TRY_AGAIN + MOST_REQUESTS * request_timeout)


class JournalStep(Enum):
    """What to do about a webhook that is in state Test."""

    SEND = "send"
    SEND_AGAIN = "send again"
    GIVE_UP = "give up"


def next_step(journal: str) -> JournalStep:
    """From the annotation as it is found. What another test left there says nothing about this one."""
    if journal.endswith(_AGAIN):
        return JournalStep.GIVE_UP
    return JournalStep.SEND_AGAIN if journal.endswith(_SENDING) else JournalStep.SEND


class _ChangedError(Exception):
    """Somebody changed the webhook: this test is over, and what they made of it is looked at anew."""


class KubernetesDeliveryTester:
    """Each test in a thread of its own, some at a time. `clock` in epoch seconds."""

    def __init__(  # noqa: PLR0913 - whom it asks, what it sends with, and what was before
        self,
        api: KubernetesClient,
        place: WebhookPath,
        problems: Problems,
        attempt: Attempt,
        clock: Callable[[], float],
        alive: Callable[[str], AbstractContextManager[Heartbeat]],
        *,
        before: Iterable[WebhookRecord] = (),
    ) -> None:
        """`alive` begins the signs of life of a test, by a name; they come at least once in `longest_step`.

        `before`: what the store remembers of tests before this start.
        """
        self._alive = alive
        self._api = api
        self._place = place
        self._problems = problems
        self._attempt = attempt
        self._clock = clock
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._free = threading.BoundedSemaphore(AT_ONCE)
        self._wanted: dict[str, Accepted] = {}
        """Tests that are under way, each with the newest content that was asked for."""
        self._waiting: deque[str] = deque()
        """Of those, the ones for which there was no thread yet."""
        self._finished: list[tuple[str, str, str]] = []
        self._noted: dict[str, str] = {}
        self._results: dict[str, tuple[str, DeliveryTestResult]] = dict(_remembered(before))

    @property
    def busy(self) -> bool:
        """Whether a test is under way, or its result has not been taken."""
        with self._lock:
            return bool(self._wanted or self._finished)

    def fire(self, webhook: Accepted, digest: str) -> None:  # noqa: ARG002 - state Test asks, whatever the content
        """Test this one, unless that is under way; then it is looked at again afterwards."""
        name = webhook.webhook.name
        with self._lock:
            running, self._wanted[name] = name in self._wanted, webhook
        if not running:
            self._waiting.append(name)
            self._begin()

    def finished(self) -> Sequence[tuple[str, str, str]]:
        """Webhook, what is to be remembered, and result of what has ended since the last call.

        What had no thread is tried again.
        """
        self._begin()
        with self._lock:
            found, self._finished = self._finished, []
        return found

    def results(self, accepted: Mapping[str, Accepted]) -> Mapping[str, DeliveryTestResult]:
        """The last results, for those whose content is still what was tested."""
        with self._lock:
            kept = dict(self._results)
        return {
            name: result
            for name, (digest, result) in kept.items()
            if name in accepted and content_digest(accepted[name]) == digest
        }

    def stop(self) -> None:
        self._stop.set()

    def _begin(self) -> None:
        while self._waiting:
            try:
                start_thread(self._run, "trial", self._waiting[0])
            except NoThreadError as error:
                self._problems.say(_MATTER, f"{error}; it is tried again")
                return
            self._waiting.popleft()

    def _run(self, name: str) -> None:
        tested: Accepted | None = None
        while (wanted := self._next(name, tested)) is not None:
            tested = wanted
            with self._free, self._alive(f"test-{name}") as heartbeat:
                self._persist(wanted, heartbeat)

    def _next(self, name: str, tested: Accepted | None) -> Accepted | None:
        """What to test now; None, and the test is over, where nothing newer was asked for."""
        with self._lock:
            wanted = self._wanted[name]
            if wanted is tested or self._stop.is_set():
                del self._wanted[name]
                return None
            return wanted

    def _persist(self, accepted: Accepted, heartbeat: Heartbeat) -> None:
        """Until it is through, however long the server is away."""
        while not self._stop.is_set():
            heartbeat.beat()
            try:
                self._test(accepted, heartbeat)
            except _ChangedError:
                pass
            except ApiError as error:
                if error.status != _UNKNOWN:
                    self._pause(error)
                    continue
            self._problems.over(_MATTER)
            return

    def _test(self, accepted: Accepted, heartbeat: Heartbeat) -> None:
        obj = self._read(accepted)
        step = self._step(accepted.webhook.name, _journal(obj))
        now = self._clock()
        if step is JournalStep.SEND and (before := self._lately(accepted, now)):
            self._finish(accepted, before, heartbeat)
            return
        if step is JournalStep.GIVE_UP:
            result = DeliveryTestResult(now, False, rfc3339(now) + _NO_MORE, accepted.webhook.test_requested)
            self._finish(accepted, result, heartbeat)
            return
        self._note(accepted, obj, rfc3339(now) + (_AGAIN if step is JournalStep.SEND_AGAIN else _SENDING))
        outcome = tried(self._attempt, accepted, _identity(obj), now)
        said = describe(outcome, now) + (_TWICE if step is JournalStep.SEND_AGAIN else "")
        delivered = outcome.verdict is Verdict.DELIVERED
        result = DeliveryTestResult(self._clock(), delivered, said, accepted.webhook.test_requested)
        self._finish(accepted, result, heartbeat)

    def _lately(self, accepted: Accepted, now: float) -> DeliveryTestResult | None:
        """The result of the same test within an hour: whoever keeps setting the state, e.g. from a repository, would
        else have a sample sent each time."""
        with self._lock:
            digest, result = self._results.get(accepted.webhook.name, ("", None))
        asked = accepted.webhook.test_requested
        if result is None or digest != content_digest(accepted) or result.requested != asked:
            return None
        if not 0.0 <= now - result.at < _AN_HOUR:
            return None
        return replace(result, result=result.result.removesuffix(NOT_AGAIN) + NOT_AGAIN, repeated=True)

    def _step(self, name: str, journal: str) -> JournalStep:
        """A note of our own, whose answer was cut off: nothing was sent after it."""
        return JournalStep.SEND if journal and journal == self._noted.pop(name, "") else next_step(journal)

    def _read(self, accepted: Accepted) -> dict[str, Any]:
        """The webhook as it is now. Raises _ChangedError where it is not the one to be tested any more."""
        obj = self._api.get(self._path(accepted))
        found = read_webhook(obj).webhook
        if found.state is not State.TEST or found != accepted.webhook:
            raise _ChangedError
        return obj

    def _note(self, accepted: Accepted, obj: Mapping[str, Any], text: str) -> None:
        """Before the sample is sent."""
        if text.endswith(_SENDING):
            self._noted[accepted.webhook.name] = text
        self._patch(accepted, obj, text, {})

    def _finish(self, accepted: Accepted, result: DeliveryTestResult, heartbeat: Heartbeat) -> None:
        """Writes the result and ends the state, unless somebody has changed that."""
        name = accepted.webhook.name
        with self._lock:
            digest = content_digest(accepted)
            self._results[name] = (digest, result)
            tested = json.dumps([digest, result.at, result.delivered, result.requested])
            self._finished.append((name, tested, result.result))
        while not self._stop.is_set():
            heartbeat.beat()
            try:
                obj = self._api.get(self._path(accepted))
                ours = read_webhook(obj).webhook == accepted.webhook
                change = {"spec": {"state": State.ENABLED.value}} if ours else {}
                self._give_back(accepted, obj, self._patch(accepted, obj, result.result, change))
            except ApiError as error:
                if error.status == _UNKNOWN:
                    return
                self._pause(error)
            else:
                return

    def _pause(self, error: ApiError) -> None:
        """Somebody wrote in between, e.g. conditions: that is read again at once."""
        if error.status != _CONFLICT:
            self._problems.say(_MATTER, _text(error))
            self._stop.wait(_TRY_AGAIN)

    def _give_back(self, accepted: Accepted, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """The state belongs to whom it belonged to; where somebody has written meanwhile it stays ours."""
        fields = (each["metadata"].get("managedFields") or () for each in (before, after))
        if (owned := give_back(*fields)) is None:
            return
        metadata = {"resourceVersion": after["metadata"]["resourceVersion"], "managedFields": owned}
        with suppress(ApiError):
            self._api.patch(self._path(accepted), {"metadata": metadata})

    def _patch(
        self, accepted: Accepted, obj: Mapping[str, Any], text: str, change: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """The webhook as it is then."""
        version = obj["metadata"]["resourceVersion"]
        metadata = {"resourceVersion": version, "annotations": {TEST_RESULT_ANNOTATION: text}}
        return self._api.patch(self._path(accepted), {"metadata": metadata, **change})

    def _path(self, accepted: Accepted) -> str:
        self._place.path()
        served = self._place.served
        if served is None:
            raise ApiError("the webhooks are not served any more")
        return served.one(accepted.webhook.name)


def _remembered(before: Iterable[WebhookRecord]) -> Iterator[tuple[str, tuple[str, DeliveryTestResult]]]:
    """What the store kept of tests, but for those of webhooks from files, which say only what was tested."""
    for each in before:
        with suppress(ValueError, TypeError):
            digest, at, delivered, requested = json.loads(each.tested)
            repeated = each.test_result.endswith(NOT_AGAIN)
            yield each.name, (digest, DeliveryTestResult(at, delivered, each.test_result, requested, repeated))


def _journal(obj: Mapping[str, Any]) -> str:
    return str((obj["metadata"].get("annotations") or {}).get(TEST_RESULT_ANNOTATION, ""))


def _identity(obj: Mapping[str, Any]) -> str:
    """The same for a sample that is sent again, another one for the next test."""
    return sha256(f"{obj['metadata'].get('uid')} {obj['metadata'].get('generation')}".encode()).hexdigest()


def _text(error: ApiError) -> str:
    if error.status in REFUSED:
        return f"{error}: grant it as manifests/base/rbac.yaml does"
    return f"a test waits: {error}; it is tried again"
