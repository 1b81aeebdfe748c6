"""Writes the webhooks' conditions: the whole array at once, only where it changed, and never over another's write."""

import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from kubectl_sew.resource import CONDITIONS_ANNOTATION, Condition, Webhook, checkpoint, merge, write_due
from kubectl_sew.resource.conditions import REFRESH, write_conditions
from kubectl_sew.resource.serving import Served
from sew_agent.base.health import Health, Heartbeat
from sew_agent.base.threads import start_thread
from sew_agent.kubernetes.client import REQUEST_SECONDS, ApiError, ConflictError, InvalidError, NotFoundError
from sew_agent.kubernetes.context import ClusterContext
from sew_agent.kubernetes.webhooks import KubernetesWebhooks, read_webhook
from sew_agent.status.conditions import WebhookStatus, conditions

PERIOD = 1.0
"""Seconds between two rounds at most: a write that had to wait may be due."""
LONGEST_STEP = 2 * REQUEST_SECONDS + PERIOD
"""Seconds between two heartbeats at most: a webhook takes two requests."""
SHUTDOWN_SECONDS = 5.0
"""The time for what is written at the end, of however many webhooks: a pod is killed when its time is over."""
_MATTER = "status"


@dataclass(frozen=True, slots=True)
class _NothingDue:
    """A check that found nothing to write: for a status, at a resourceVersion, and until when (monotonic).

    `checkpoint`: as the resource has it; one that has to be lowered is checked at once.
    """

    webhook_status: WebhookStatus
    version: str
    until: float
    checkpoint: float | None

    def holds(self, webhook_status: WebhookStatus, webhook: Webhook, pace: float) -> bool:
        """Return whether there is still nothing to write."""
        read_to = webhook_status.progress.read_to if webhook_status.progress else None
        fallen = self.checkpoint is not None and read_to is not None and read_to < self.checkpoint
        same = (self.webhook_status, self.version) == (webhook_status, webhook.resource_version)
        return pace < self.until and same and not fallen


class StatusWriter:
    """A thread that writes the statuses of the last `update`.

    Beside Calico's processor, it writes them into an annotation, and only of webhooks that were taken over: that
    processor overwrites every status, and takes the time of Healthy for how far it has read.
    """

    def __init__(
        self, context: ClusterContext, webhooks: KubernetesWebhooks, health: Health, *, beside_calico: bool = False
    ) -> None:
        self._beside_calico = beside_calico
        self._context = context
        self._webhooks = webhooks
        self._health = health
        self._statuses: Mapping[str, WebhookStatus] = {}
        self._updated = threading.Event()
        self._stopped = False
        self._written: dict[str, Webhook] = {}
        """Webhooks as the server answered our last write, until the watch shows it."""
        self._last_write: dict[str, float] = {}
        """Webhook -> monotonic seconds."""
        self._nothing_due: dict[str, _NothingDue] = {}
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread."""
        self._thread = start_thread(self._run, "status", self._health.heartbeat("status", 2 * LONGEST_STEP))

    def update(self, statuses: Mapping[str, WebhookStatus]) -> None:
        """Write these from now on."""
        self._statuses = statuses
        self._updated.set()

    @property
    def checkpoints(self) -> Mapping[str, float | None]:
        """Webhook -> up to when, by its newest conditions, everything was delivered."""
        return {name: checkpoint(self._newest(webhook).conditions) for name, webhook in self._webhooks.current.items()}

    def stop(self, *, leading: bool) -> None:
        """End the thread. `leading`: no other agent writes yet, and the next one is to find how far this one was."""
        ends = self._context.monotonic() + SHUTDOWN_SECONDS
        self._stopped = True
        self._updated.set()
        if self._thread:
            self._thread.join(SHUTDOWN_SECONDS)
        if leading and not (self._thread and self._thread.is_alive()):
            with suppress(ApiError):
                self._write_checkpoints(self._statuses, ends)

    def _run(self, heartbeat: Heartbeat) -> None:
        while not self._stopped:
            self._updated.wait(PERIOD)
            self._updated.clear()
            heartbeat.beat()
            try:
                self._write_due(self._statuses, heartbeat)
            except ApiError as error:
                self._context.problems.report_error(_MATTER, error, _text(error))

    def _write_due(self, statuses: Mapping[str, WebhookStatus], heartbeat: Heartbeat) -> None:
        """Write what is due of all webhooks. Raises ApiError where the server cannot be reached."""
        current, served = self._webhooks.current, self._context.path.served
        if served is None:
            return
        self._forget(current)
        for name, webhook_status in statuses.items():
            if self._stopped:
                return
            if name in current and self._is_own(current[name]):
                heartbeat.beat()
                self._check(name, webhook_status, self._newest(current[name]), served)

    def _write_checkpoints(self, statuses: Mapping[str, WebhookStatus], ends: float) -> None:
        """Write how far events were read and delivered, where that went on: before the end it need not be fresh."""
        current, served = self._webhooks.current, self._context.path.served
        if served is None:
            return
        for name in statuses.keys() & {name for name, webhook in current.items() if self._is_own(webhook)}:
            webhook = self._newest(current[name])
            merged = self._merged(statuses[name], webhook, served)
            if statuses[name].validated.webhook == webhook and checkpoint(merged) != checkpoint(webhook.conditions):
                self._write(name, webhook, merged, served)
            if self._context.monotonic() > ends:
                return

    def _is_own(self, webhook: Webhook) -> bool:
        return webhook.is_taken_over or not self._beside_calico

    def _forget(self, current: Mapping[str, Webhook]) -> None:
        """Drop what was kept of deleted webhooks, and of our writes those that the watch shows."""
        for name in (self._written.keys() | self._last_write.keys() | self._nothing_due.keys()) - current.keys():
            self._last_write.pop(name, None)
            self._nothing_due.pop(name, None)
            self._context.problems.clear(f"{_MATTER} of {name}")
        self._written = {
            name: written
            for name, written in self._written.items()
            if name in current and _number(written) > _number(current[name])
        }

    def _newest(self, webhook: Webhook) -> Webhook:
        """Return the webhook as last written, where the watch does not show that yet."""
        written = self._written.get(webhook.name)
        return written if written and _number(written) > _number(webhook) else webhook

    def _check(self, name: str, webhook_status: WebhookStatus, webhook: Webhook, served: Served) -> None:
        pace = self._context.monotonic()
        nothing_due = self._nothing_due.get(name)
        unchanged = nothing_due and nothing_due.holds(webhook_status, webhook, pace)
        if unchanged or webhook_status.validated.webhook != webhook:
            return
        merged = self._merged(webhook_status, webhook, served)
        due = write_due(webhook.conditions, merged, last_write=self._last_write.get(name), now=pace)
        if due == 0.0:
            self._write(name, webhook, merged, served)
        else:
            again = pace + (REFRESH if due is None else due)
            read_to = checkpoint(webhook.conditions)
            self._nothing_due[name] = _NothingDue(webhook_status, webhook.resource_version, again, read_to)

    def _merged(self, webhook_status: WebhookStatus, webhook: Webhook, served: Served) -> tuple[Condition, ...]:
        """Return all conditions as they are to be now."""
        now = self._context.clock()
        generation = webhook.generation if served.status else self._observed(webhook)
        with_checkpoint = replace(webhook_status, checkpoint=checkpoint(webhook.conditions))
        return merge(webhook.conditions, conditions(with_checkpoint, generation=generation, now=now), now=now)

    def _write(self, name: str, webhook: Webhook, merged: tuple[Condition, ...], served: Served) -> None:
        context, path = self._context, served.one(name) if self._beside_calico else served.status_of(name)
        try:
            answer = context.client.patch(path, self._body(webhook, merged))
        except NotFoundError:
            pass  # deleted in between
        except ConflictError:  # what somebody else wrote is kept, and ours is tried in the next round
            self._written[name] = self._read(context.client.get(served.one(name)))
        except InvalidError as error:  # this webhook's status alone: the others go on
            self._last_write[name] = context.monotonic()
            context.problems.report(f"{_MATTER} of {name}", _text(error))
        else:
            context.problems.clear(f"{_MATTER} of {name}")
            self._last_write[name] = context.monotonic()
            self._written[name] = self._read(answer)
            context.problems.clear(_MATTER)

    def _read(self, obj: Mapping[str, Any]) -> Webhook:
        return read_webhook(obj, beside_calico=self._beside_calico).webhook

    def _body(self, webhook: Webhook, merged: tuple[Condition, ...]) -> dict[str, Any]:
        metadata: dict[str, Any] = {"resourceVersion": webhook.resource_version}
        if self._beside_calico:
            return {"metadata": metadata | {"annotations": {CONDITIONS_ANNOTATION: write_conditions(merged)}}}
        return {"metadata": metadata, "status": [condition.to_object() for condition in merged]}

    def _observed(self, webhook: Webhook) -> int:
        """Return the generation to observe where the status is no subresource: beside Calico's processor none.

        Each of its writes makes a new generation.
        """
        return 0 if self._beside_calico else _generation(webhook)


def _generation(webhook: Webhook) -> int:
    """Return what to observe where the status is no subresource: writing it makes a new generation."""
    observed = max((condition.observed_generation for condition in webhook.conditions), default=0)
    return observed if observed >= webhook.generation else webhook.generation + 1


def _number(webhook: Webhook) -> int:
    """Return the resourceVersion as a number: Kubernetes has them comparable so, by its own word since 1.35."""
    return int(webhook.resource_version) if webhook.resource_version.isdecimal() else 0


def _text(error: ApiError) -> str:
    return f"conditions cannot be written: {error}; it is tried again"
