"""Decides what a person must act on, and how often a Kubernetes Event says so. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kubectl_sew.redaction import redact_urls
from kubectl_sew.text import cut
from kubectl_sew.validation.webhook import InvalidWebhook
from sew_agent.base.token_bucket import TokenBucket
from sew_agent.status.conditions import WebhookStatus, last_error
from sew_agent.store.records import BY_HAND, Counters

AGAIN_AFTER = 600.0
"""Seconds before the same reason is recorded of the same webhook again, whatever changed."""
AT_ONCE = 20
ONE_EVERY = 10.0
"""Seconds: of more than AT_ONCE notices, one in so many; the others are recorded later, where they still hold."""
LONGEST = 1_024
"""The most characters that Kubernetes allows."""


@dataclass(frozen=True, slots=True)
class Notice:
    """An Event to be: `reason` as Kubernetes writes it; `note` for people, with what to do and without secrets."""

    webhook: str
    uid: str
    reason: str
    note: str


class EventCorrelator:
    """Remembers what was recorded. Times in seconds of one clock."""

    def __init__(self) -> None:
        self._recorded: dict[tuple[str, str], tuple[str, float]] = {}
        self._dead: dict[str, int] = {}
        """Dead letters of each webhook when they were last recorded, or first seen."""
        self._given_up: dict[str, int] = {}
        """Deliveries of each webhook that a person had dropped or purged then."""
        self._bucket = TokenBucket(1 / ONE_EVERY, AT_ONCE)

    def select(self, statuses: Mapping[str, WebhookStatus], now: float) -> list[Notice]:
        """Return what to record now. What does not hold any more is forgotten, and is news when it comes back."""
        notices = [notice for name, webhook_status in statuses.items() for notice in self._of(name, webhook_status)]
        holds = {(notice.webhook, notice.reason) for notice in notices}
        self._recorded = {
            key: (note, at) for key, (note, at) in self._recorded.items() if key in holds or now - at < AGAIN_AFTER
        }
        return [notice for notice in notices if self._is_news(notice, now) and not self._bucket.take(now)]

    def _of(self, name: str, webhook_status: WebhookStatus) -> Iterator[Notice]:
        webhook = webhook_status.validated.webhook
        uid = webhook.uid if webhook else ""
        if isinstance(webhook_status.validated, InvalidWebhook):
            yield _notice(name, uid, "Invalid", f"not run: {webhook_status.validated.message}")
        elif webhook_status.receiver and webhook_status.receiver.parked:
            again = "nothing is sent until the webhook, its Secret or its ConfigMap changes"
            yield _notice(name, uid, "Parked", f"{last_error(webhook_status.receiver)}; {again}")
        dead = webhook_status.counters.dead if webhook_status.counters else 0
        if dead > self._dead.setdefault(name, dead):
            command = f"kubectl sew dead-letters {name}"
            error = webhook_status.counters.last_error if webhook_status.counters else ""
            yield _notice(name, uid, "DeadLetters", f"{dead} events could not be delivered ({error}): `{command}`")
        self._dead[name] = min(dead, self._dead[name])
        given_up = _given_up(webhook_status.counters)
        if more := given_up - self._given_up.setdefault(name, given_up):
            yield _notice(name, uid, "GivenUp", f"{more:,} events were given up by hand: `kubectl sew status {name}`")

    def _is_news(self, notice: Notice, now: float) -> bool:
        before = self._recorded.get((notice.webhook, notice.reason))
        return before is None or (before[0] != notice.note and now - before[1] >= AGAIN_AFTER)

    def mark_recorded(self, notice: Notice, webhook_status: WebhookStatus, now: float) -> None:
        """Remember that a notice was recorded."""
        self._recorded[notice.webhook, notice.reason] = (notice.note, now)
        if webhook_status.counters and notice.reason == "DeadLetters":
            self._dead[notice.webhook] = webhook_status.counters.dead
        if notice.reason == "GivenUp":
            self._given_up[notice.webhook] = _given_up(webhook_status.counters)


def _given_up(counters: Counters | None) -> int:
    return sum(counters.dropped.get(reason.value, 0) for reason in BY_HAND) if counters else 0


def _notice(name: str, uid: str, reason: str, note: str) -> Notice:
    return Notice(name, uid, reason, cut(redact_urls(note), LONGEST))
