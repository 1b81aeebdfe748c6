"""Plans what a change of the webhooks means: which are read for, sent to, begin, stop, go on or end. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from sew_agent.store.records import WebhookRecord

FORGOTTEN = ""
"""The state of a webhook that was deleted for good: what it was sent stays known, and it begins as new."""

QUIET = ("Disabled", "Debug")
"""Nothing is sent meanwhile, so time does not run against the retry horizon."""


@dataclass(frozen=True, slots=True)
class DesiredWebhook:
    """A webhook that was accepted. `digest` stands for its whole content with all values that it refers to."""

    state: str
    digest: str
    created: float | None = None
    """Epoch seconds; None where that is not known."""
    checkpoint: float | None = None
    """The moment up to which, by its condition EventsFetched, everything was delivered."""


@dataclass(frozen=True, slots=True)
class PlanRules:
    """Rules for when a webhook is forgotten, and where one without position and checkpoint starts."""

    forget_after: float
    """Seconds that a deleted webhook's pending deliveries are kept."""
    first_used: float
    """Epoch seconds at which the store was first used."""
    start: str | float = ""
    """SEW_START: `now`, `created`, seconds back, or "" for the later of creation and the store's first use."""

    by_number: bool = False
    """True when events are found by number: late ones too, of a webhook that another agent read for."""

    def own_since(self, webhook: DesiredWebhook, now: float) -> float:
        """Return the own time (epoch seconds) from which on events belong to a new webhook.

        Its checkpoint says how far another agent was by time, and is no bound for what came late.
        """
        start = self.start_of(webhook, now)
        if not self.by_number or webhook.checkpoint is None or webhook.created is None:
            return start
        return min(start, webhook.created)

    def start_of(self, webhook: DesiredWebhook, now: float) -> float:
        """Return epoch seconds, never after `now`. A webhook of unknown creation was created when it is first seen."""
        created = now if webhook.created is None else webhook.created
        if webhook.checkpoint is not None:
            start = webhook.checkpoint
        elif isinstance(self.start, float):
            start = now - self.start
        else:
            start = {"now": now, "created": created}.get(self.start, max(created, self.first_used))
        return min(start, now)


@dataclass(slots=True)
class Plan:
    """Changes to make, in this order, by the webhooks' names."""

    begin: dict[str, float] = field(default_factory=dict)
    """New: read from this moment on (epoch seconds)."""
    leave: set[str] = field(default_factory=set)
    """Deleted or no longer valid: stop, and keep the position, so that nothing is missed if they come back."""
    detach: set[str] = field(default_factory=set)
    """Disabled: stop. Enabled again they read from where the source stands, and what they had not read before."""
    forget: set[str] = field(default_factory=set)
    """Deleted long enough: drop what is pending, and the position."""
    shift: dict[str, float] = field(default_factory=dict)
    """Seconds for which they sent nothing, which do not count against the retry horizon."""
    test: set[str] = field(default_factory=set)
    """Send the sample once."""
    remember: list[WebhookRecord] = field(default_factory=list)
    read: dict[str, float | None] = field(default_factory=dict)
    """Webhooks that are read for, with their starts: None where an older agent stored none."""
    debug: set[str] = field(default_factory=set)
    """Webhooks that are read for, logged and counted, and not sent."""
    send: set[str] = field(default_factory=set)


def plan(
    wanted: Mapping[str, DesiredWebhook],
    invalid: Collection[str],
    known: Mapping[str, WebhookRecord],
    *,
    complete: bool,
    rules: PlanRules,
    now: float,
) -> Plan:
    """Return the changes. `invalid` webhooks are there; where not `complete`, an absent one has not been deleted."""
    changes = Plan()
    for name, webhook in wanted.items():
        _present(changes, name, webhook, known.get(name), rules, now)
    for name in known.keys() - wanted.keys():
        if known[name].state == FORGOTTEN:
            continue
        if name in invalid or not complete:
            _stopped(changes, known[name])
        else:
            _absent(changes, known[name], now, rules.forget_after)
    return changes


def _present(
    changes: Plan, name: str, wanted: DesiredWebhook, known: WebhookRecord | None, rules: PlanRules, now: float
) -> None:
    before = None if known is None or known.state == FORGOTTEN else known
    start = None
    if wanted.state == "Disabled":
        changes.detach.add(name)
    else:
        start = _start(wanted, before, rules, now)
        _running(changes, name, wanted, before, start, now)
        if before is None:
            changes.begin[name] = rules.start_of(wanted, now)
    after = _record(name, wanted, before, start, now)
    if after != known:
        changes.remember.append(after)


def _record(
    name: str, wanted: DesiredWebhook, before: WebhookRecord | None, start: float | None, now: float
) -> WebhookRecord:
    if before is None:
        return WebhookRecord(name, wanted.state, start, since=now)
    since = before.since if before.state == wanted.state else now
    return replace(before, state=wanted.state, start=start, since=since, deleted_at=None)


def _start(wanted: DesiredWebhook, before: WebhookRecord | None, rules: PlanRules, now: float) -> float | None:
    """Enabling starts a webhook anew; nothing else moves its start."""
    if before is None:
        return rules.own_since(wanted, now)
    return now if before.state == "Disabled" else before.start


def _running(
    changes: Plan, name: str, wanted: DesiredWebhook, before: WebhookRecord | None, start: float | None, now: float
) -> None:
    changes.read[name] = start
    (changes.debug if wanted.state == "Debug" else changes.send).add(name)
    if before and before.state in QUIET and wanted.state != before.state and before.since:
        changes.shift[name] = max(now - before.since, 0.0)
    if wanted.state == "Test" and (before is None or before.tested != wanted.digest):
        changes.test.add(name)


def _stopped(changes: Plan, known: WebhookRecord) -> None:
    if known.state != "Disabled":
        changes.leave.add(known.name)
    if known.deleted_at is not None:
        changes.remember.append(replace(known, deleted_at=None))


def _absent(changes: Plan, known: WebhookRecord, now: float, forget_after: float) -> None:
    if known.deleted_at is None:
        _stopped(changes, known)
        changes.remember.append(replace(known, deleted_at=now))
    elif now - known.deleted_at >= forget_after:
        changes.forget.add(known.name)
        changes.remember.append(replace(known, state=FORGOTTEN, deleted_at=now))
    else:
        _stopped(changes, replace(known, deleted_at=None))
