"""Log lines and metrics of reading and delivering, written after the store has both."""

from collections.abc import Callable, Collection, Mapping, Sequence
from time import monotonic

from kubectl_sew.consumers.base import Outcome
from kubectl_sew.event_maps.readable import EVENT_MAPS, EventMaps
from kubectl_sew.resource import State as Wanted
from kubectl_sew.text import rfc3339
from kubectl_sew.validation.webhook import Accepted
from sew_agent.base.log import Log
from sew_agent.base.metrics import Metrics
from sew_agent.delivery.attempt import Route
from sew_agent.delivery.retry import Decision
from sew_agent.ingest.progress import FULL
from sew_agent.ingest.source import Arrival, SourceWarning
from sew_agent.status.debug_log import DebugLog
from sew_agent.store.records import Delivery, DeliveryState, EnqueueResult, StoreError

_FAILURES_EVERY = 60.0
"""Seconds between two log lines of results that cannot be written."""


class IngestTelemetry:
    """Observer of the poller. `notify` is called with the webhooks that have new deliveries."""

    def __init__(
        self,
        log: Log,
        metrics: Metrics,
        clock: Callable[[], float],
        notify: Callable[[Collection[str]], None],
        maps: EventMaps = EVENT_MAPS,
    ) -> None:
        self._log = log
        self._metrics = metrics
        self._debug_log = DebugLog(log, clock, maps)
        self._notify = notify
        self._debug: Mapping[str, Accepted] = {}
        self.without_room: set[str] = set()
        """Webhooks whose share of the store was full at the last read."""
        self.bad_lines = 0
        self.events = 0
        """Events read since the start of this process, whether or not a query selects them."""

    def serve(self, accepted: Mapping[str, Accepted]) -> None:
        """Set the webhooks that are served from now on."""
        self._debug = {
            name: webhook for name, webhook in accepted.items() if webhook.webhook.effective_state is Wanted.DEBUG
        }

    def close(self) -> None:
        """Wait a moment for events that are not logged yet."""
        self._debug_log.close()

    def warned(self, warnings: Sequence[SourceWarning]) -> None:
        for warning in warnings:
            self.bad_lines += warning.count if warning.kind == "bad_line" else 0
            self._metrics.skipped(warning.kind, warning.count)
            self._log.warning(warning.kind, message=warning.text)

    def scanned(self, events: int) -> None:
        self.events += events
        self._metrics.read(events)

    def enqueued(self, arrivals: Sequence[Arrival], taken: EnqueueResult) -> None:
        webhooks = {name for arrival in arrivals for name in arrival.webhooks}
        self.without_room -= webhooks
        if taken.new:
            self._notify(webhooks)
        if webhooks & self._debug.keys():
            self._log_debug([arrival for arrival in arrivals if not arrival.suppressed_by])
        for arrival in arrivals if taken.suppressed else ():
            if arrival.suppressed_by and arrival.event.key in taken.suppressed:
                self._metrics.suppressed(arrival.suppressed_by)

    def replaying(self, webhook: str, message: str) -> None:
        self._log.info("replay", webhook=webhook, message=message)

    def store_full(self, webhooks: Collection[str]) -> None:
        for name in set(webhooks) - self.without_room:
            self._log.warning("webhook_without_room", webhook=name, message=FULL)
        self.without_room.update(webhooks)

    def _log_debug(self, arrivals: Sequence[Arrival]) -> None:
        for arrival in arrivals:
            for name in arrival.webhooks:
                if name in self._debug:
                    self._debug_log.log(self._debug[name], arrival.event)


class DeliveryTelemetry:
    """Observer of the dispatcher; called from the dispatcher's thread."""

    def __init__(self, log: Log, metrics: Metrics, failing: Collection[str], maps: EventMaps = EVENT_MAPS) -> None:
        """`failing`: webhooks whose receivers failed before the start of this process. `maps` date events."""
        self._log = log
        self._metrics = metrics
        self._maps = maps
        self._quiet_until = 0.0
        self._down = set(failing)
        """Webhooks whose receivers were reported as failing, and have accepted nothing since."""

    def attempted(self, route: Route, delivery: Delivery, outcome: Outcome, decision: Decision, seconds: float) -> None:
        """Count an attempt, and log it where it failed or has a receipt."""
        consumer, result = route.consumer.name, decision.result
        self._log_peers(route)
        self._metrics.attempted(route.webhook, consumer, outcome.verdict.value, outcome.reason.value, seconds)
        if result.state is DeliveryState.DELIVERED:
            read_at, time = delivery.read_at, self._maps.time(delivery.event)
            self._metrics.delivered(consumer, now=result.at, read_at=read_at, event_time=time)
            self._log_recovery(route.webhook)
            if outcome.receipt:
                receipt = {"receipt": outcome.receipt, "message": outcome.detail}
                self._log.info("delivered", webhook=route.webhook, delivery=delivery.delivery_id, **receipt)
        else:
            self._log_failure(route, delivery, outcome, decision, seconds)

    def _log_peers(self, route: Route) -> None:
        for peer, why in route.peers.news():
            if why:
                message = "it is left out for a while; events go to the others"
                self._log.warning("peer_failed", webhook=route.webhook, peer=peer, detail=why, message=message)
            else:
                self._log.info("peer_recovered", webhook=route.webhook, peer=peer)

    def _log_recovery(self, webhook: str) -> None:
        if webhook in self._down:
            self._down.discard(webhook)
            self._log.info("webhook_recovered", webhook=webhook, message="its receiver takes events again")

    def _log_failure(
        self, route: Route, delivery: Delivery, outcome: Outcome, decision: Decision, seconds: float
    ) -> None:
        if decision.receiver.parked or decision.receiver.failures:
            self._down.add(route.webhook)
        fields = {
            "webhook": route.webhook,
            "delivery": delivery.delivery_id,
            "reason": outcome.reason.value,
            "detail": outcome.detail,
            "attempts": decision.result.attempts,
            "seconds": round(seconds, 3),
        }
        if decision.result.state is DeliveryState.DEAD:
            message = "kept as a dead letter: `sew-agent dead-letters list`"
            self._log.error("delivery_dead", **fields, message=message)
        elif decision.receiver.parked:
            message = (
                "parked until the webhook, its Secret or its ConfigMap changes; tried a few times, then once an hour"
            )
            self._log.error("webhook_parked", **fields, message=message)
        else:
            again = max(decision.receiver.retry_until, decision.result.due)
            self._log.warning("delivery_failed", **fields, next_attempt=rfc3339(again))

    def store_failed(self, error: StoreError) -> None:
        if monotonic() >= self._quiet_until:
            self._quiet_until = monotonic() + _FAILURES_EVERY
            self._log.error("store_failed", message=f"{error}; it is tried again")
