"""Serves state Test in a cluster: sends the sample once, writes its result, and sets the state back to Enabled.

The annotation with the result is a journal: it says first that the sample is about to be sent. An agent that reads
that, after one that ended in between or lost its volume, sends the sample once more at most, and says so.
"""

import json
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from enum import Enum
from hashlib import sha256
from typing import Any

from kubectl_sew.consumers.base import Verdict
from kubectl_sew.resource import STATE_ANNOTATION, TEST_RESULT_ANNOTATION, State, Webhook
from kubectl_sew.resource.delivery_tests import read_test_result, write_test_result
from kubectl_sew.resource.ownership import give_back
from kubectl_sew.text import rfc3339
from kubectl_sew.validation.webhook import Accepted
from sew_agent.base.health import Health, Heartbeat
from sew_agent.base.threads import NoThreadError, start_thread
from sew_agent.delivery.attempt import MOST_REQUESTS
from sew_agent.delivery.tester import Attempt, describe, marked_sample
from sew_agent.kubernetes.client import REQUEST_SECONDS, ApiError, ConflictError, NotFoundError
from sew_agent.kubernetes.context import ClusterContext
from sew_agent.kubernetes.webhooks import read_webhook
from sew_agent.status.conditions import DeliveryTestResult
from sew_agent.store.records import WebhookRecord
from sew_agent.webhooks.validator import content_digest

AT_ONCE = 8
_RETRY_SECONDS = 2.0
_MATTER = "tests"
_SENDING = " the sample is being sent"
_AGAIN = " the sample is being sent again"
_TWICE = "; sent a second time, since the agent ended during the first"
NOT_AGAIN = "; not sent again: the same was tested less than an hour before (`kubectl sew test` sends another)"
_AN_HOUR = 3600.0
_NO_MORE = " not known: the agent ended twice while the sample was being sent; check whether the receiver has it"


def longest_step(request_timeout: float) -> float:
    """Return the most seconds between two heartbeats: a test takes two requests, and one attempt."""
    return 2 * (2 * REQUEST_SECONDS + _RETRY_SECONDS + MOST_REQUESTS * request_timeout)


class JournalStep(Enum):
    """The next thing to do about a webhook that is in state Test."""

    SEND = "send"
    SEND_AGAIN = "send again"
    GIVE_UP = "give up"


def next_step(journal: str) -> JournalStep:
    """Return what to do, from the annotation as it is. What an earlier test left there says nothing about this one."""
    if journal.endswith(_AGAIN):
        return JournalStep.GIVE_UP
    return JournalStep.SEND_AGAIN if journal.endswith(_SENDING) else JournalStep.SEND


class _ChangedError(Exception):
    """Somebody changed the webhook: this test is over, and what they made of it counts."""


class KubernetesDeliveryTester:
    """Runs each test in a thread of its own, some at a time."""

    def __init__(
        self,
        context: ClusterContext,
        attempt: Attempt,
        health: Health,
        *,
        request_timeout: float,
        records: Callable[[], Iterable[WebhookRecord]] = tuple,
    ) -> None:
        """`records`: returns webhooks as the store remembers them, with their tests before the first use of this."""
        self._context = context
        self._attempt = attempt
        self._health = health
        self._longest_step = longest_step(request_timeout)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._free = threading.BoundedSemaphore(AT_ONCE)
        self._wanted: dict[str, Accepted] = {}
        """Tests under way, each with the newest content that was asked for."""
        self._waiting: deque[str] = deque()
        """The tests under way that have no thread yet."""
        self._finished: list[tuple[str, str, str]] = []
        self._journaled: dict[str, str] = {}
        self._records = records
        self._results: dict[str, tuple[str, DeliveryTestResult]] | None = None

    @property
    def busy(self) -> bool:
        """True while a test is under way, or its result was not returned by `finished`."""
        with self._lock:
            return bool(self._wanted or self._finished)

    def fire(self, webhook: Accepted, digest: str) -> None:  # noqa: ARG002 - state Test asks, whatever the content
        """Test this webhook, unless that is under way; then it is read again afterwards. Raises StoreError."""
        name = webhook.webhook.name
        with self._lock:
            self._kept()
            running, self._wanted[name] = name in self._wanted, webhook
        if not running:
            self._waiting.append(name)
            self._start_waiting()

    def take_finished(self) -> Sequence[tuple[str, str, str]]:
        """Return webhook, what to remember, and result of each test that ended since the last call.

        Tests that had no thread are started again.
        """
        self._start_waiting()
        with self._lock:
            finished, self._finished = self._finished, []
        return finished

    def results(self, accepted: Mapping[str, Accepted]) -> Mapping[str, DeliveryTestResult]:
        """Return the last results of the webhooks whose content is still what was tested."""
        with self._lock:
            kept = dict(self._kept())
        return {
            name: result
            for name, (digest, result) in kept.items()
            if name in accepted and content_digest(accepted[name]) == digest
        }

    def stop(self) -> None:
        """Begin nothing more, and end what waits for the server."""
        self._stop.set()

    def _kept(self) -> dict[str, tuple[str, DeliveryTestResult]]:
        """Return the last results. The caller holds the lock. Raises StoreError at the first call."""
        if self._results is None:
            self._results = dict(_remembered(self._records()))
        return self._results

    def _start_waiting(self) -> None:
        while self._waiting:
            try:
                start_thread(self._run, "delivery-test", self._waiting[0])
            except NoThreadError as error:
                self._context.problems.report(_MATTER, f"{error}; it is tried again")
                return
            self._waiting.popleft()

    def _run(self, name: str) -> None:
        tested: Accepted | None = None
        while (wanted := self._next(name, tested)) is not None:
            tested = wanted
            with self._free, self._health.during(f"test-{name}", self._longest_step) as heartbeat:
                self._test_until_done(wanted, heartbeat)

    def _next(self, name: str, tested: Accepted | None) -> Accepted | None:
        """Return what to test now; None, and the test is over, where nothing newer was asked for."""
        with self._lock:
            wanted = self._wanted[name]
            if wanted is tested or self._stop.is_set():
                del self._wanted[name]
                return None
            return wanted

    def _test_until_done(self, accepted: Accepted, heartbeat: Heartbeat) -> None:
        """Try until the test is over, however long the server is away."""
        while not self._stop.is_set():
            heartbeat.beat()
            try:
                self._test(accepted, heartbeat)
            except (_ChangedError, NotFoundError):
                pass
            except ApiError as error:
                self._pause(error)
                continue
            self._context.problems.clear(_MATTER)
            return

    def _test(self, accepted: Accepted, heartbeat: Heartbeat) -> None:
        obj = self._read(accepted)
        step = self._next_step(accepted.webhook.name, _journal(obj))
        now = self._context.clock()
        if step is JournalStep.SEND and (before := self._recent_result(accepted, now)):
            self._finish(accepted, before, heartbeat)
            return
        if step is JournalStep.GIVE_UP:
            text = rfc3339(now) + _NO_MORE
            result = DeliveryTestResult(now, False, text, accepted.webhook.test_requested)
            self._finish(accepted, result, heartbeat)
            return
        again = step is JournalStep.SEND_AGAIN
        self._write_journal(accepted, obj, rfc3339(now) + (_AGAIN if again else _SENDING))
        outcome = self._attempt(accepted, marked_sample(accepted.webhook.test_event, _identity(obj), now))
        text = describe(outcome, now) + (_TWICE if again else "")
        delivered = outcome.verdict is Verdict.DELIVERED
        requested, status = accepted.webhook.test_requested, outcome.status or 0
        result = DeliveryTestResult(self._context.clock(), delivered, text, requested, status)
        self._finish(accepted, result, heartbeat)

    def _recent_result(self, accepted: Accepted, now: float) -> DeliveryTestResult | None:
        """Return the result of the same test within an hour: the state may be set again and again, e.g. from a
        repository, and would have a sample sent each time."""
        with self._lock:
            digest, result = self._kept().get(accepted.webhook.name, ("", None))
        requested = accepted.webhook.test_requested
        if result is None or digest != content_digest(accepted) or result.requested != requested:
            return None
        if not 0.0 <= now - result.at < _AN_HOUR:
            return None
        return replace(result, result=result.result.removesuffix(NOT_AGAIN) + NOT_AGAIN, repeated=True)

    def _next_step(self, name: str, journal: str) -> JournalStep:
        """Return what to do. After an entry of our own whose answer was cut off nothing was sent."""
        return JournalStep.SEND if journal and journal == self._journaled.pop(name, "") else next_step(journal)

    def _read(self, accepted: Accepted) -> dict[str, Any]:
        """Return the webhook as it is now. Raises _ChangedError where it is not the one to be tested any more."""
        obj = self._context.client.get(self._path(accepted))
        webhook = read_webhook(obj).webhook
        if webhook.effective_state is not State.TEST or webhook != accepted.webhook:
            raise _ChangedError
        return obj

    def _write_journal(self, accepted: Accepted, obj: Mapping[str, Any], text: str) -> None:
        """Write what is about to be sent, before it is."""
        if text.endswith(_SENDING):
            self._journaled[accepted.webhook.name] = text
        self._patch(accepted, obj, write_test_result(text, 0), {})

    def _finish(self, accepted: Accepted, result: DeliveryTestResult, heartbeat: Heartbeat) -> None:
        """Write the result and end the state, unless somebody has changed that."""
        name = accepted.webhook.name
        with self._lock:
            digest = content_digest(accepted)
            self._kept()[name] = (digest, result)
            tested = json.dumps([digest, result.at, result.delivered, result.requested, result.status])
            self._finished.append((name, tested, result.result))
        while not self._stop.is_set():
            heartbeat.beat()
            try:
                obj = self._context.client.get(self._path(accepted))
                ours = read_webhook(obj).webhook == accepted.webhook
                patch = _ended(accepted.webhook) if ours else {}
                self._restore_owner(accepted, obj, self._patch(accepted, obj, _annotation(result), patch))
            except NotFoundError:
                return
            except ApiError as error:
                self._pause(error)
            else:
                return

    def _pause(self, error: ApiError) -> None:
        """Report an error and wait. After a conflict, e.g. with conditions, the webhook is read again at once."""
        if not isinstance(error, ConflictError):
            self._context.problems.report_error(_MATTER, error, f"a test waits: {error}; it is tried again")
            self._stop.wait(_RETRY_SECONDS)

    def _restore_owner(self, accepted: Accepted, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """Let the field manager of the state keep it; where somebody has written meanwhile it stays ours."""
        fields = (obj["metadata"].get("managedFields") or () for obj in (before, after))
        if (owned := give_back(*fields)) is None:
            return
        metadata = {"resourceVersion": after["metadata"]["resourceVersion"], "managedFields": owned}
        with suppress(ApiError):
            self._context.client.patch(self._path(accepted), {"metadata": metadata})

    def _patch(
        self, accepted: Accepted, obj: Mapping[str, Any], annotation: str, state: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Write the annotation and the state; return the webhook as it is then."""
        state = dict(state)
        annotations = {TEST_RESULT_ANNOTATION: annotation, **state.pop("annotations", {})}
        metadata = {"resourceVersion": obj["metadata"]["resourceVersion"], "annotations": annotations}
        return self._context.client.patch(self._path(accepted), {"metadata": metadata, **state})

    def _path(self, accepted: Accepted) -> str:
        self._context.path.resolve()
        served = self._context.path.served
        if served is None:
            raise ApiError("the webhooks are not served any more")
        return served.one(accepted.webhook.name)


def _remembered(records: Iterable[WebhookRecord]) -> Iterator[tuple[str, tuple[str, DeliveryTestResult]]]:
    """Yield the tests that the store kept. A record of a webhook from a file says only what was tested: it is none."""
    for record in records:
        with suppress(ValueError, TypeError):
            kept = [*json.loads(record.tested), 0]  # older agents kept no status
            digest, at, delivered, requested, status = kept[:5]
            repeated = record.test_result.endswith(NOT_AGAIN)
            result = DeliveryTestResult(at, delivered, record.test_result, requested, status, repeated)
            yield record.name, (digest, result)


def _ended(webhook: Webhook) -> dict[str, Any]:
    """Return the change that ends state Test, where that stands: in the annotation of one that was taken over."""
    if webhook.is_taken_over:
        return {"annotations": {STATE_ANNOTATION: State.ENABLED.value}}
    return {"spec": {"state": State.ENABLED.value}}


def _annotation(result: DeliveryTestResult) -> str:
    return write_test_result(result.result, result.status)


def _journal(obj: Mapping[str, Any]) -> str:
    """Return the line in the annotation, in whichever form."""
    return read_test_result(str((obj["metadata"].get("annotations") or {}).get(TEST_RESULT_ANNOTATION, "")))


def _identity(obj: Mapping[str, Any]) -> str:
    """Return the same for a sample that is sent again, and another one for the next test."""
    return sha256(f"{obj['metadata'].get('uid')} {obj['metadata'].get('generation')}".encode()).hexdigest()
