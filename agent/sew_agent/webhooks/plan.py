"""Plans what a change of the webhooks means: which are read for, sent to, begin, stop, go on or end. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from kubectl_sew.resource.effective import MARGIN
from sew_agent.store.records import WebhookRecord

FORGOTTEN = ""
"""The state of a webhook that was deleted for good: what it was sent stays known, and it begins as new."""

HANDED_BACK = "HandedBack"
"""The state of a webhook that Calico's processor delivers again: what is dated before its end is delivered still."""

LATE = 3600.0
"""Seconds after its end for which events of a webhook that was handed back are read: some come late."""

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
    taken_over: bool = False
    """True for one that Calico's processor delivered before: it begins where that was."""
    begin: float | None = None
    """The moment at which the agent is to begin, by an annotation, where it was taken over."""
    end: float | None = None
    """The moment at which the agent is to end, by an annotation, where it was handed back."""
    quiet: bool = False
    """True for one that Calico's processor has in Debug: nothing is sent meanwhile."""


@dataclass(frozen=True, slots=True)
class PlanRules:
    """Rules for when a webhook is forgotten, and where one without position and checkpoint starts."""

    forget_after: float
    """Seconds that a deleted webhook's pending deliveries are kept."""
    watched: Collection[str]
    """Deleted webhooks that were seen to be gone for long enough, by a clock that nobody sets."""
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
        if not self.by_number or webhook.checkpoint is None:
            return start
        first = webhook.begin if webhook.taken_over else webhook.created
        return start if first is None else min(start, first)

    def start_of(self, webhook: DesiredWebhook, now: float) -> float:
        """Return epoch seconds, never after `now`. A webhook of unknown creation was created when it is first seen.

        One that was taken over begins where Calico's processor was, or another agent since.
        """
        if webhook.taken_over:
            known = [moment for moment in (webhook.begin, webhook.checkpoint) if moment is not None]
            return min(max(known, default=now - MARGIN), now)
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
    detach: dict[str, float | None] = field(default_factory=dict)
    """Disabled: stop, with their starts, as in `read`.

    Enabled again they read from where the source stands, and what they had not read before.
    """
    forget: set[str] = field(default_factory=set)
    """Deleted long enough: drop what is pending, and the position."""
    shift: dict[str, float] = field(default_factory=dict)
    """Seconds for which they sent nothing, which do not count against the retry horizon."""
    test: set[str] = field(default_factory=set)
    """Send the sample once."""
    remember: list[WebhookRecord] = field(default_factory=list)
    read: dict[str, float | None] = field(default_factory=dict)
    """Webhooks that are read for, with their starts: None where an older agent stored none."""
    ends: dict[str, float] = field(default_factory=dict)
    """Ends of those among them that were handed back."""
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
            _absent(changes, known[name], now, forgets=_is_over(known[name], now, rules))
    return changes


def _present(
    changes: Plan, name: str, wanted: DesiredWebhook, known: WebhookRecord | None, rules: PlanRules, now: float
) -> None:
    before = None if known is None or known.state == FORGOTTEN else known
    start = None
    if wanted.state == HANDED_BACK:
        _handed_back(changes, wanted, before, now)
        return
    if wanted.state == "Disabled":
        changes.detach[name] = None if before is None else before.start
    else:
        again = None if before is None else _taken_over_again(wanted, before, now)
        start = _start(wanted, before, again, rules, now)
        _running(changes, name, wanted, before, start, now)
        if before is None:
            changes.begin[name] = rules.start_of(wanted, now)
        elif again is not None:
            changes.begin[name] = again
    after = _record(name, wanted, before, start, now)
    if after != known:
        changes.remember.append(after)


def _record(
    name: str, wanted: DesiredWebhook, before: WebhookRecord | None, start: float | None, now: float
) -> WebhookRecord:
    begun = None if wanted.state == "Disabled" else wanted.begin
    if before is None:
        return WebhookRecord(name, wanted.state, start, since=now, begun=begun)
    since = before.since if before.state == wanted.state else now
    begun = before.begun if begun is None else begun
    return replace(before, state=wanted.state, start=start, since=since, deleted_at=None, begun=begun, end=None)


def _start(
    wanted: DesiredWebhook, before: WebhookRecord | None, again: float | None, rules: PlanRules, now: float
) -> float | None:
    """Enabling starts a webhook anew; nothing else moves its start.

    Of one that comes back from Calico's processor what is still to be read for it stays its own.
    """
    if before is None:
        return rules.own_since(wanted, now)
    if before.state == "Disabled":
        return now if again is None else again
    return before.start


def _taken_over_again(wanted: DesiredWebhook, before: WebhookRecord, now: float) -> float | None:
    """Return where a webhook begins that Calico's processor delivered meanwhile; None for any other.

    An annotation that it has begun from already says nothing: it was taken over by hand.
    """
    has_new_begin = wanted.begin not in (None, before.begun)
    if before.state != HANDED_BACK and not (before.state == "Disabled" and has_new_begin):
        return None
    return min(wanted.begin, now) if wanted.begin is not None and has_new_begin else now - MARGIN


def _handed_back(changes: Plan, wanted: DesiredWebhook, before: WebhookRecord | None, now: float) -> None:
    """Deliver what is dated before the end: its processor begins a moment later.

    Nothing was read of one that was Disabled or in Debug, so it has no end; what waits since before is sent. Of one
    that is not known nothing is to be done.
    """
    if before is None:
        return
    after = before
    if before.state != HANDED_BACK:
        end = None if before.state in QUIET else _end(wanted, before, now)
        after = replace(before, state=HANDED_BACK, since=now, end=end)
        if before.state in QUIET and before.since:
            changes.shift[after.name] = max(now - before.since, 0.0)
    after = replace(after, deleted_at=None)
    if not wanted.quiet:
        changes.send.add(after.name)
    if after.end is not None and now < after.end + LATE:
        changes.read[after.name], changes.ends[after.name] = after.start, after.end
    else:
        changes.detach[after.name] = after.start
    if after != before:
        changes.remember.append(after)


def _end(wanted: DesiredWebhook, before: WebhookRecord, now: float) -> float:
    """Return when the agent ends, at most an hour from now: both deliver until then.

    An annotation from before the takeover, as of a backup, is of an earlier handback.
    """
    if wanted.end is None or (before.begun is not None and wanted.end <= before.begun):
        return now + MARGIN
    return min(wanted.end, now + LATE)


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


def _is_over(known: WebhookRecord, now: float, rules: PlanRules) -> bool:
    return known.deleted_at is not None and now - known.deleted_at >= rules.forget_after and known.name in rules.watched


def _absent(changes: Plan, known: WebhookRecord, now: float, *, forgets: bool) -> None:
    if known.deleted_at is None:
        _stopped(changes, known)
        changes.remember.append(replace(known, deleted_at=now))
    elif forgets:
        changes.forget.add(known.name)
        changes.remember.append(replace(known, state=FORGOTTEN, deleted_at=now))
    else:
        _stopped(changes, replace(known, deleted_at=None))
