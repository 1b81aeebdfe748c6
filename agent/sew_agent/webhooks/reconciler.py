"""Applies the desired webhooks to reading, sending, and the store's records of them."""

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from kubectl_sew.exceptions import ValidatedExceptions
from kubectl_sew.resource import Deliverer, State, Webhook, checkpoint
from kubectl_sew.resource.effective import CONTESTED
from kubectl_sew.text import rfc3339
from kubectl_sew.validation.webhook import Accepted
from sew_agent.base.log import Log
from sew_agent.delivery.tester import DeliveryTester
from sew_agent.ingest.poller import Poller
from sew_agent.ingest.source import Subscription
from sew_agent.store.contract import Store
from sew_agent.store.records import DropReason, WebhookRecord
from sew_agent.webhooks.base import Snapshot, WebhookSource
from sew_agent.webhooks.plan import FORGOTTEN, HANDED_BACK, LATE, QUIET, DesiredWebhook, Plan, PlanRules, plan
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

    def __init__(  # noqa: PLR0913 - its rules, one for each
        self,
        parts: Parts,
        *,
        forget_after: float,
        start: str | float,
        by_number: bool,
        beside_calico: bool,
        changed: Callable[[ValidationResult], None],
        steady: Callable[[], float],
        watch: float,
    ) -> None:
        """`forget_after`: seconds that a deleted webhook's deliveries are kept. `changed` gets new results.

        `watch`: seconds for which this process must have seen that it is gone, by `steady`, which nobody sets: the time
        of its deletion may be of a clock that was set since.

        `start`, `by_number`: see sew_agent.webhooks.plan.PlanRules. `beside_calico`: leave alone what Calico's
        processor delivers.
        """
        self._by_number = by_number
        self._beside_calico = beside_calico
        self._parts = parts
        self._forget_after = forget_after
        self._start = start
        self._changed = changed
        self._steady = steady
        self._watch = watch
        self._gone: dict[str, float] = {}
        """Deleted webhooks, and since when (steady seconds) this process has seen that they are gone."""
        self._snapshot: Snapshot | None = None
        self._plan_again = float("inf")
        self._contested: set[str] = set()
        self._dropping: Counter[str] = Counter()
        self._test_results: deque[tuple[str, str, str]] = deque()
        """Results of tests that the store has not taken yet."""
        self._owned: Collection[str] | None = None
        """Webhooks that the agents of a shared store are to own, as last written there."""
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

    def resume(self) -> None:
        """Decide all again in the next step: another agent has done so since."""
        self._owned, self._plan_again = None, float("-inf")
        self._gone.clear()

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
        known = self._parts.store.webhook_records()
        if not same:
            self._log_contested(snapshot)
            self._validate_own(snapshot, known)
        changes = self._plan(snapshot, known, now)
        self._apply(changes, known, now)
        self._snapshot = snapshot
        records = self._parts.store.webhook_records().values()
        self._watch_deleted(records)
        self._plan_again = min(self._due(records, now), default=float("inf"))

    def _watch_deleted(self, records: Collection[WebhookRecord]) -> None:
        """Note since when this process has seen each deleted webhook gone."""
        steady = self._steady()
        deleted = (one.name for one in records if one.state != FORGOTTEN and one.deleted_at is not None)
        self._gone = {name: self._gone.get(name, steady) for name in deleted}

    def _due(self, records: Collection[WebhookRecord], now: float) -> Iterator[float]:
        """Yield the moments (epoch seconds) at which something is to be done although nothing changes."""
        steady = self._steady()
        for record in records:
            if record.name in self._gone and record.deleted_at is not None:
                watched = steady - self._gone[record.name]
                yield max(record.deleted_at + self._forget_after, now + self._watch - watched)
            if record.state == HANDED_BACK and record.end is not None and now < record.end + LATE:
                yield record.end + LATE

    def follow(self) -> None:
        """Deliver for the desired webhooks that this agent owns, while another one reads and decides all else.

        Raises StoreError; the next step then tries again.
        """
        snapshot = self._parts.webhooks.snapshot()
        if snapshot is self._snapshot and not self._parts.validator.stale:
            return
        if snapshot.known:
            self._validate_own(snapshot, self._parts.store.webhook_records())
            accepted = self.validated.accepted
            sending = {name: one for name, one in accepted.items() if self._state(one.webhook) not in QUIET}
            self._parts.routes.serve(sending)
            self.sending = frozenset(sending)
        self._snapshot = snapshot

    def _validate_own(self, snapshot: Snapshot, known: Mapping[str, WebhookRecord]) -> None:
        self._validate(own(snapshot, known) if self._beside_calico else snapshot)

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
                log.info("webhook_accepted", webhook=name, state=self._state(accepted.webhook))
                for warning in accepted.warnings:
                    log.warning("webhook_warning", webhook=name, message=str(warning))
        self._log_exceptions(before.exceptions)
        self._changed(self.validated)

    def _log_contested(self, snapshot: Snapshot) -> None:
        """Warn of webhooks that were taken over, and that Calico's processor delivers all the same."""
        contested = {name for name, webhook in snapshot.webhooks.items() if webhook.is_contested}
        for name in sorted(contested - self._contested) if self._beside_calico else ():
            self._parts.log.warning("webhook_contested", webhook=name, message=CONTESTED.format(name=name))
        self._contested = contested

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
        steady = self._steady()
        return plan(
            {name: self._desired(accepted_webhook) for name, accepted_webhook in self.validated.accepted.items()},
            self.validated.invalid,
            known,
            complete=snapshot.complete,
            rules=PlanRules(
                self._forget_after,
                {name for name in known if steady - self._gone.get(name, steady) >= self._watch},
                self._parts.store.first_used(now),
                self._start,
                self._by_number,
            ),
            now=now,
        )

    def _apply(self, changes: Plan, known: Mapping[str, WebhookRecord], now: float) -> None:
        """Apply in an order that loses nothing wherever it is cut off: a webhook is recorded after its position."""
        parts, accepted = self._parts, self.validated.accepted
        self.sending = frozenset(changes.send)
        for name, seconds in changes.shift.items():
            parts.store.save_webhook(replace(known[name], since=now), shift=seconds)
        parts.routes.serve({name: accepted[name] for name in changes.send})
        self._let_own(self.sending)
        parts.poller.leave(changes.leave)
        parts.poller.begin(changes.begin, now)
        parts.poller.end_backfills({name: (changes.read[name], end) for name, end in changes.ends.items()})
        parts.poller.detach(changes.detach, now)
        parts.poller.forget(changes.forget)
        read = {
            name: Subscription(name, accepted[name].node, start, changes.ends.get(name))
            for name, start in sorted(changes.read.items())
        }
        parts.poller.serve(read, changes.debug, self.validated.exceptions)
        unfinished = {name for name in changes.forget if not self._dropped(name)}
        for record in changes.remember:
            if record.name not in unfinished:
                self._log_handover(known.get(record.name), record)
                self._remember(record)
        for name in changes.test:
            parts.tester.fire(accepted[name], content_digest(accepted[name]))

    def _let_own(self, webhooks: Collection[str]) -> None:
        """Let the agents of a shared store own these webhooks, which may be sent to from here on."""
        sharing = self._parts.store.sharing()
        if sharing and webhooks != self._owned:
            sharing.want(webhooks)
            self._owned = webhooks

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

    def _log_handover(self, before: WebhookRecord | None, after: WebhookRecord) -> None:
        if after.state == HANDED_BACK and (before is None or before.state != HANDED_BACK):
            until = {} if after.end is None else {"end": rfc3339(after.end)}
            message = "Calico's processor delivers it: this agent delivers what is dated before the end, and what waits"
            self._parts.log.warning("webhook_handed_back", webhook=after.name, **until, message=message)

    def _state(self, webhook: Webhook) -> str:
        """Return the effective state, as records have it."""
        by_calico = webhook.delivered_by(beside_calico=self._beside_calico) is Deliverer.CALICO
        return HANDED_BACK if by_calico else webhook.effective_state.value

    def _desired(self, accepted: Accepted) -> DesiredWebhook:
        webhook = accepted.webhook
        return DesiredWebhook(
            self._state(webhook),
            content_digest(accepted),
            webhook.created,
            checkpoint(webhook.conditions),
            webhook.is_taken_over,
            webhook.begin,
            webhook.end,
            webhook.state is State.DEBUG,
        )

    def _keep_test_results(self) -> None:
        self._test_results += self._parts.tester.take_finished()
        while self._test_results:
            name, digest, result = self._test_results[0]
            known = self._parts.store.webhook_records().get(name)
            if known:
                self._parts.store.save_webhook(replace(known, tested=digest, test_result=result))
            self._test_results.popleft()
            self._parts.log.info("webhook_tested", webhook=name, result=result)


def own(snapshot: Snapshot, known: Mapping[str, WebhookRecord]) -> Snapshot:
    """Return a snapshot without the webhooks that Calico's processor delivers, and without those that nobody does.

    Those that the agent has served stay: something may be left to deliver for them.
    """
    served = {name for name, record in known.items() if record.state != FORGOTTEN}

    def is_own(webhook: Webhook | None) -> bool:
        return webhook is None or webhook.is_taken_over or webhook.name in served

    return replace(
        snapshot,
        webhooks={name: webhook for name, webhook in snapshot.webhooks.items() if is_own(webhook)},
        refused={name: invalid for name, invalid in snapshot.refused.items() if is_own(invalid.webhook)},
    )
