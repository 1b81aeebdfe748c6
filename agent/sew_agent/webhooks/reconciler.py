"""Applies what is wanted to what runs: reading, sending, and what the store remembers of the webhooks."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from kubectl_sew.resource import checkpoint
from kubectl_sew.validation import Accepted
from sew_agent.base.log import Log
from sew_agent.delivery.tester import DeliveryTester
from sew_agent.ingest.poller import Poller
from sew_agent.ingest.source import Subscription
from sew_agent.store.records import DropReason, Store, WebhookRecord
from sew_agent.webhooks.base import Snapshot, WebhookSource
from sew_agent.webhooks.plan import FORGOTTEN, DesiredWebhook, Plan, PlanRules, plan
from sew_agent.webhooks.routes import Routes
from sew_agent.webhooks.validator import ValidationResult, WebhookValidator, content_digest

_DROPPED_AT_ONCE = 5_000
"""Of a deleted webhook's deliveries, in one step."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the reconciler changes."""

    webhooks: WebhookSource
    validator: WebhookValidator
    store: Store
    poller: Poller
    routes: Routes
    tester: DeliveryTester
    log: Log


class Reconciler:
    """One step at a time, in the agent's main thread."""

    def __init__(
        self,
        parts: Parts,
        *,
        forget_after: float,
        start: str | float = "",
        by_number: bool = False,
        changed: Callable[[ValidationResult], None],
    ) -> None:
        """`forget_after`: seconds that a deleted webhook's deliveries are kept. `changed` is told new judgements.

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
        """What the last step was made from."""
        return self._snapshot

    @property
    def ready(self) -> bool:
        """Whether it is known what is wanted: what is read before that is read for nobody."""
        return self._snapshot is not None and self._snapshot.known

    def reconcile(self, now: float) -> None:
        """Look at what is wanted, and apply what changed. Raises StoreError; the next step then tries again."""
        self._keep_test_results()
        snapshot = self._parts.webhooks.snapshot()
        same = snapshot is self._snapshot and not self._parts.validator.stale
        if same and now < self._plan_again:
            return
        if not snapshot.known:
            self._snapshot = snapshot
            return
        if not same:
            self._judge(snapshot)
        known = self._parts.store.known()
        made = self._plan(snapshot, known, now)
        self._apply(made, known, now)
        self._snapshot = snapshot
        deleted = [each.deleted_at for each in self._parts.store.known().values() if each.state != FORGOTTEN]
        self._plan_again = min((at + self._forget_after for at in deleted if at is not None), default=float("inf"))

    def _judge(self, snapshot: Snapshot) -> None:
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
                for each in accepted.warnings:
                    log.warning("webhook_warning", webhook=name, message=str(each))
        self._changed(self.validated)

    def _plan(self, snapshot: Snapshot, known: Mapping[str, WebhookRecord], now: float) -> Plan:
        return plan(
            {name: _wanted(each) for name, each in self.validated.accepted.items()},
            self.validated.invalid,
            known,
            complete=snapshot.complete,
            rules=PlanRules(self._forget_after, self._parts.store.first_used(now), self._start, self._by_number),
            now=now,
        )

    def _apply(self, made: Plan, known: Mapping[str, WebhookRecord], now: float) -> None:
        """In an order that loses nothing wherever it is cut off: a webhook is remembered when its place is."""
        parts, accepted = self._parts, self.validated.accepted
        self.sending = frozenset(made.send)
        for name, seconds in made.shift.items():
            parts.store.remember(replace(known[name], since=now), shift=seconds)
        parts.routes.serve({name: accepted[name] for name in made.send})
        parts.poller.leave(made.leave)
        parts.poller.begin(made.begin, now)
        parts.poller.detach(made.detach)
        parts.poller.forget(made.forget)
        read = {name: Subscription(name, accepted[name].node, start) for name, start in sorted(made.read.items())}
        parts.poller.serve(read, made.debug)
        unfinished = {name for name in made.forget if not self._dropped(name)}
        for each in made.remember:
            if each.name not in unfinished:
                self._remember(each)
        for name in made.test:
            parts.tester.fire(accepted[name], content_digest(accepted[name]))

    def _dropped(self, name: str) -> bool:
        """Drop some of what waits for a deleted webhook; whether that was all: else the next step goes on."""
        dropped = self._parts.store.drop(name, DropReason.DELETED, most=_DROPPED_AT_ONCE)
        self._dropping[name] += dropped
        if dropped >= _DROPPED_AT_ONCE:
            return False
        self._parts.log.warning("webhook_forgotten", webhook=name, dropped=self._dropping.pop(name))
        return True

    def _remember(self, known: WebhookRecord) -> None:
        self._parts.store.remember(known)
        if known.deleted_at is not None and known.state != FORGOTTEN:
            self._parts.log.warning(
                "webhook_deleted", webhook=known.name, message=f"what waits is kept for {self._forget_after:g} s"
            )

    def _keep_test_results(self) -> None:
        for name, digest, result in self._parts.tester.finished():
            known = self._parts.store.known().get(name)
            if known:
                self._parts.store.remember(replace(known, tested=digest, test_result=result))
            self._parts.log.info("webhook_tested", webhook=name, result=result)


def _wanted(accepted: Accepted) -> DesiredWebhook:
    webhook = accepted.webhook
    return DesiredWebhook(
        webhook.state.value, content_digest(accepted), webhook.created, checkpoint(webhook.conditions)
    )
