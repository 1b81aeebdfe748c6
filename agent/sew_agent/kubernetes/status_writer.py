"""Writes the webhooks' conditions: the whole array at once, only where it changed, and never over another's write."""

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from kubectl_sew.resource import Condition, Webhook, checkpoint, merge, write_due
from kubectl_sew.resource.conditions import REFRESH
from kubectl_sew.resource.serving import Served
from sew_agent.base.threads import start_thread
from sew_agent.kubernetes.client import REQUEST_SECONDS, ApiError, KubernetesClient
from sew_agent.kubernetes.informer import REFUSED
from sew_agent.kubernetes.problems import Problems
from sew_agent.kubernetes.webhooks import KubernetesWebhooks, WebhookPath, read_webhook
from sew_agent.status.conditions import WebhookStatus, conditions

LOOK_EVERY = 1.0
"""Seconds between two looks at what was told, and at whether a write that had to wait is due."""
LONGEST_STEP = 2 * REQUEST_SECONDS + LOOK_EVERY
"""Seconds between two signs of life at most: a webhook takes two requests."""
LAST_WORDS = 5.0
"""Seconds for what is written at the end, of however many webhooks: a pod is killed when its time is over."""
_MATTER = "status"
_UNKNOWN = 404
_CONFLICT = 409
_INVALID = (400, 422)
"""The server's schema is another one: that is so for this webhook, and the others go on."""


@dataclass(frozen=True, slots=True)
class _Looked:
    """There was nothing to write yet: for which standing, at which resourceVersion, and until when (monotonic).

    `checkpoint`: what the resource says; one that has to be lowered is worth another look.
    """

    webhook_status: WebhookStatus
    version: str
    until: float
    checkpoint: float | None

    def holds(self, webhook_status: WebhookStatus, webhook: Webhook, pace: float) -> bool:
        read_to = webhook_status.progress.read_to if webhook_status.progress else None
        fallen = self.checkpoint is not None and read_to is not None and read_to < self.checkpoint
        same = (self.webhook_status, self.version) == (webhook_status, webhook.resource_version)
        return pace < self.until and same and not fallen


class StatusWriter:
    """A thread that writes what it was last told. `clock` in epoch seconds."""

    def __init__(
        self,
        api: KubernetesClient,
        place: WebhookPath,
        webhooks: KubernetesWebhooks,
        problems: Problems,
        clock: Callable[[], float],
        beat: Callable[[], None],
    ) -> None:
        self._api = api
        self._place = place
        self._webhooks = webhooks
        self._problems = problems
        self._clock = clock
        self._beat = beat
        self._statuses: Mapping[str, WebhookStatus] = {}
        self._told = threading.Event()
        self._stopped = False
        self._written: dict[str, Webhook] = {}
        """As the server answered our last write, until the watch shows it."""
        self._last_write: dict[str, float] = {}
        """In monotonic seconds."""
        self._looked: dict[str, _Looked] = {}

    def start(self) -> None:
        self._thread = start_thread(self._run, "status")

    def tell(self, statuses: Mapping[str, WebhookStatus]) -> None:
        """From now on this is how the webhooks stand."""
        self._statuses = statuses
        self._told.set()

    @property
    def checkpoints(self) -> Mapping[str, float | None]:
        """Webhook -> up to when, by its conditions as we last know them, everything was delivered."""
        found = {}
        for name, webhook in self._webhooks.current.items():
            written = self._written.get(name)
            newest = written if written and _number(written) > _number(webhook) else webhook
            found[name] = checkpoint(newest.conditions)
        return found

    def stop(self, *, in_charge: bool) -> None:
        """`in_charge`: no other agent writes yet, and the next one is to find how far this one was."""
        ends = time.monotonic() + LAST_WORDS
        self._stopped = True
        self._told.set()
        self._thread.join(LAST_WORDS)
        if in_charge and not self._thread.is_alive():
            with suppress(ApiError):
                self._leave(self._statuses, ends)

    def _run(self) -> None:
        while not self._stopped:
            self._told.wait(LOOK_EVERY)
            self._told.clear()
            self._beat()
            try:
                self._round(self._statuses)
            except ApiError as error:
                self._problems.say(_MATTER, _text(error))

    def _round(self, statuses: Mapping[str, WebhookStatus]) -> None:
        """One look at all. Raises ApiError where the server cannot be reached."""
        current, served = self._webhooks.current, self._place.served
        if served is None:
            return
        self._forget(current)
        for name, webhook_status in statuses.items():
            if self._stopped:
                return
            if name in current:
                self._look(name, webhook_status, self._newest(current[name]), served)

    def _leave(self, statuses: Mapping[str, WebhookStatus], ends: float) -> None:
        """How far events were read and delivered, where that went on since: it need not be fresh before the end."""
        current, served = self._webhooks.current, self._place.served
        if served is None:
            return
        for name in statuses.keys() & current.keys():
            webhook = self._newest(current[name])
            merged = self._merged(statuses[name], webhook, served)
            if statuses[name].validated.webhook == webhook and checkpoint(merged) != checkpoint(webhook.conditions):
                self._write(name, webhook, merged, served)
            if time.monotonic() > ends:
                return

    def _forget(self, current: Mapping[str, Webhook]) -> None:
        for name in (self._written.keys() | self._last_write.keys() | self._looked.keys()) - current.keys():
            self._written.pop(name, None)
            self._last_write.pop(name, None)
            self._looked.pop(name, None)
            self._problems.over(f"{_MATTER} of {name}")

    def _newest(self, webhook: Webhook) -> Webhook:
        written = self._written.get(webhook.name)
        if written and _number(written) > _number(webhook):
            return written
        self._written.pop(webhook.name, None)
        return webhook

    def _look(self, name: str, webhook_status: WebhookStatus, webhook: Webhook, served: Served) -> None:
        pace = time.monotonic()
        looked = self._looked.get(name)
        if (looked and looked.holds(webhook_status, webhook, pace)) or webhook_status.validated.webhook != webhook:
            return
        merged = self._merged(webhook_status, webhook, served)
        due = write_due(webhook.conditions, merged, last_write=self._last_write.get(name), now=pace)
        if due == 0.0:
            self._write(name, webhook, merged, served)
        else:
            again = pace + (REFRESH if due is None else due)
            self._looked[name] = _Looked(
                webhook_status, webhook.resource_version, again, checkpoint(webhook.conditions)
            )

    def _merged(self, webhook_status: WebhookStatus, webhook: Webhook, served: Served) -> tuple[Condition, ...]:
        """All conditions as they are to be now."""
        now = self._clock()
        generation = webhook.generation if served.status else _generation(webhook)
        standing_now = replace(webhook_status, checkpoint=checkpoint(webhook.conditions))
        return merge(webhook.conditions, conditions(standing_now, generation=generation, now=now), now=now)

    def _write(self, name: str, webhook: Webhook, merged: tuple[Condition, ...], served: Served) -> None:
        status = [each.to_object() for each in merged]
        body = {"metadata": {"resourceVersion": webhook.resource_version}, "status": status}
        self._beat()
        try:
            answer = self._api.patch(served.status_of(name), body)
        except ApiError as error:
            if error.status == _CONFLICT:
                self._read_again(name, served)
            elif error.status in _INVALID:
                self._last_write[name] = time.monotonic()
                self._problems.say(f"{_MATTER} of {name}", _text(error))
            elif error.status != _UNKNOWN:
                raise
            return
        self._problems.over(f"{_MATTER} of {name}")
        self._last_write[name] = time.monotonic()
        self._written[name] = read_webhook(answer).webhook
        self._problems.over(_MATTER)

    def _read_again(self, name: str, served: Served) -> None:
        """Somebody wrote in between: what they wrote is kept, and ours is tried in the next round."""
        self._written[name] = read_webhook(self._api.get(served.one(name))).webhook


def _generation(webhook: Webhook) -> int:
    """Where the status is no subresource, writing it makes a new generation, which is the one that was seen then."""
    observed = max((each.observed_generation for each in webhook.conditions), default=0)
    return observed if observed >= webhook.generation else webhook.generation + 1


def _number(webhook: Webhook) -> int:
    """Of the version: Kubernetes has them comparable as numbers, by its own word since 1.35."""
    return int(webhook.resource_version) if webhook.resource_version.isdecimal() else 0


def _text(error: ApiError) -> str:
    if error.status in REFUSED:
        return f"{error}: grant it as manifests/base/rbac.yaml does"
    return f"conditions cannot be written: {error}; it is tried again"
