"""Applies the desired webhooks to reading, sending, and the store's records of them."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from kubectl_sew.exceptions import ValidatedExceptions
from kubectl_sew.resource import checkpoint
from kubectl_sew.text import rfc3339
from kubectl_sew.validation import Accepted
from sew_agent.base.log import Log
from sew_agent.delivery.tester import DeliveryTester
from sew_agent.ingest.poller import Poller
from sew_agent.ingest.source import Subscription
from sew_agent.store.contract import Store
from sew_agent.store.records import DropReason, WebhookRecord
from sew_agent.webhooks.base import Snapshot, WebhookSource
from sew_agent.webhooks.plan import FORGOTTEN, DesiredWebhook, Plan, PlanRules, plan
from sew_agent.webhooks.routes import Routes
from sew_agent.webhooks.validator import ValidationResult, WebhookValidator, content_digest

_DROPPED_AT_ONCE = 5_000
"""Deliveries of a deleted webhook to drop in one step."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Parts of the agent that the reconciler changes."""

    webhooks: WebhookSource
    validator: WebhookValidator
    store: Store
    poller: Poller
    routes: Routes
    tester: DeliveryTester
    log: Log


class Reconciler:
    """Reconciles one step at a time, in the agent's main thread."""

    def __init__(
        self,
        parts: Parts,
        *,
        forget_after: float,
        start: str | float,
        by_number: bool,
        changed: Callable[[ValidationResult], None],
    ) -> None:
        """`forget_after`: seconds that a deleted webhook's deliveries are kept. `changed` gets new results.

        `start`, `by_number`: see sew_agent.webhooks.plan.PlanRules.
        """
        self._by_number = by_number
        self._parts = parts
        self._forget_after = forget_after
        self._start = start
        self._changed = changed
        self._snapshot: Snapshot | None = None
        self._plan_again = float("inf")
        self._dropping: Counter[str] = Counter()
        self.validated = ValidationResult()
        self.sending: Collection[str] = frozenset()
        """Webhooks whose deliveries are sent now."""

    @property
    def snapshot(self) -> Snapshot | None:
        """The snapshot of the last step."""
        return self._snapshot

    @property
    def ready(self) -> bool:
        """True when the webhooks are known: events that are read before that are read for nobody."""
        return self._snapshot is not None and self._snapshot.known

    def reconcile(self, now: float) -> None:
        """Apply what changed in the desired webhooks. Raises StoreError; the next step then tries again."""
        self._keep_test_results()
        snapshot = self._parts.webhooks.snapshot()
        same = snapshot is self._snapshot and not self._parts.validator.stale
        if same and now < self._plan_again:
            return
        if not snapshot.known:
            self._snapshot = snapshot
            return
        if not same:
            self._validate(snapshot)
        known = self._parts.store.webhook_records()
        changes = self._plan(snapshot, known, now)
        self._apply(changes, known, now)
        self._snapshot = snapshot
        deleted = [
            record.deleted_at for record in self._parts.store.webhook_records().values() if record.state != FORGOTTEN
        ]
        self._plan_again = min((at + self._forget_after for at in deleted if at is not None), default=float("inf"))

    def _validate(self, snapshot: Snapshot) -> None:
        before, self.validated = self.validated, self._parts.validator.validate(snapshot)
        log = self._parts.log
        for problem in snapshot.problems:
            log.warning("webhooks_problem", problem=problem)
        for name, invalid in self.validated.invalid.items():
            if before.invalid.get(name) != invalid:
                log.error("webhook_refused", webhook=name, reason=invalid.reason.value, message=invalid.message)
        for name, accepted in self.validated.accepted.items():
            if before.accepted.get(name) is not accepted:
                log.info("webhook_accepted", webhook=name, state=accepted.webhook.state.value)
                for warning in accepted.warnings:
                    log.warning("webhook_warning", webhook=name, message=str(warning))
        self._log_exceptions(before.exceptions)
        self._changed(self.validated)

    def _log_exceptions(self, before: ValidatedExceptions) -> None:
        log, now = self._parts.log, self.validated.exceptions
        for name, why in now.broken.items():
            if before.broken.get(name) != why:
                log.error("exception_refused", exception=name, message=f"it suppresses nothing: {why}")
        known = {accepted.name: accepted for accepted in before.accepted}
        for accepted in now.accepted:
            if known.get(accepted.name) != accepted:
                start, end = accepted.exception.start, accepted.exception.end
                until = {} if end is None else {"end": rfc3339(end)}
                log.info("exception_accepted", exception=accepted.name, start=rfc3339(start), **until)
        for name in (known.keys() | before.broken) - {accepted.name for accepted in now.accepted} - now.broken.keys():
            log.info("exception_deleted", exception=name, message="events that it selects are delivered again")

    def _plan(self, snapshot: Snapshot, known: Mapping[str, WebhookRecord], now: float) -> Plan:
        return plan(
            {name: _desired(accepted_webhook) for name, accepted_webhook in self.validated.accepted.items()},
            self.validated.invalid,
            known,
            complete=snapshot.complete,
            rules=PlanRules(self._forget_after, self._parts.store.first_used(now), self._start, self._by_number),
            now=now,
        )

    def _apply(self, changes: Plan, known: Mapping[str, WebhookRecord], now: float) -> None:
        """Apply in an order that loses nothing wherever it is cut off: a webhook is recorded after its position."""
        parts, accepted = self._parts, self.validated.accepted
        self.sending = frozenset(changes.send)
        for name, seconds in changes.shift.items():
            parts.store.save_webhook(replace(known[name], since=now), shift=seconds)
        parts.routes.serve({name: accepted[name] for name in changes.send})
        parts.poller.leave(changes.leave)
        parts.poller.begin(changes.begin, now)
        parts.poller.detach(changes.detach)
        parts.poller.forget(changes.forget)
        read = {name: Subscription(name, accepted[name].node, start) for name, start in sorted(changes.read.items())}
        parts.poller.serve(read, changes.debug, self.validated.exceptions)
        unfinished = {name for name in changes.forget if not self._dropped(name)}
        for record in changes.remember:
            if record.name not in unfinished:
                self._remember(record)
        for name in changes.test:
            parts.tester.fire(accepted[name], content_digest(accepted[name]))

    def _dropped(self, name: str) -> bool:
        """Drop some pending deliveries of a deleted webhook; return whether those were all."""
        dropped = self._parts.store.drop(name, DropReason.DELETED, most=_DROPPED_AT_ONCE)
        self._dropping[name] += dropped
        if dropped >= _DROPPED_AT_ONCE:
            return False
        self._parts.log.warning("webhook_forgotten", webhook=name, dropped=self._dropping.pop(name))
        return True

    def _remember(self, known: WebhookRecord) -> None:
        self._parts.store.save_webhook(known)
        if known.deleted_at is not None and known.state != FORGOTTEN:
            self._parts.log.warning(
                "webhook_deleted", webhook=known.name, message=f"what waits is kept for {self._forget_after:g} s"
            )

    def _keep_test_results(self) -> None:
        for name, digest, result in self._parts.tester.take_finished():
            known = self._parts.store.webhook_records().get(name)
            if known:
                self._parts.store.save_webhook(replace(known, tested=digest, test_result=result))
            self._parts.log.info("webhook_tested", webhook=name, result=result)


def _desired(accepted: Accepted) -> DesiredWebhook:
    webhook = accepted.webhook
    return DesiredWebhook(
        webhook.state.value, content_digest(accepted), webhook.created, checkpoint(webhook.conditions)
    )
