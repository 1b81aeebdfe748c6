"""What a change of the webhooks means: which are read for, sent to, begin, stop, go on or are forgotten. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from agent.store.base import Known

FORGOTTEN = ""
"""The state of a webhook that was deleted for good: what it was sent stays known, and it begins as new."""

QUIET = ("Disabled", "Debug")
"""Nothing is sent meanwhile, so time does not run against the retry horizon."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A webhook that was accepted. `digest` stands for its whole content with all values that it refers to."""

    state: str
    digest: str


@dataclass(slots=True)
class Plan:
    """What to do, in this order; every set holds webhooks' names."""

    begin: set[str] = field(default_factory=set)
    """New: read from the source's beginning, with a reader of their own."""
    leave: set[str] = field(default_factory=set)
    """Deleted or no longer valid: stop, and keep the position, so that nothing is missed if they come back."""
    detach: set[str] = field(default_factory=set)
    """Disabled: stop, and keep no position. Enabled again they read from where the source stands."""
    forget: set[str] = field(default_factory=set)
    """Deleted long enough: drop what is pending, and the position."""
    shift: dict[str, float] = field(default_factory=dict)
    """Seconds for which they sent nothing, which do not count against the retry horizon."""
    test: set[str] = field(default_factory=set)
    """Send the sample once."""
    remember: list[Known] = field(default_factory=list)
    read: set[str] = field(default_factory=set)
    debug: set[str] = field(default_factory=set)
    """Of those that are read for: log and count, send nothing."""
    send: set[str] = field(default_factory=set)


def plan(
    wanted: Mapping[str, Wanted],
    invalid: Collection[str],
    known: Mapping[str, Known],
    *,
    complete: bool,
    now: float,
    forget_after: float,
) -> Plan:
    """`invalid` webhooks are there but cannot be taken. Where not `complete`, an absent one has not been deleted."""
    made = Plan()
    for name, each in wanted.items():
        _present(made, name, each, known.get(name), now)
    for name in known.keys() - wanted.keys():
        if known[name].state == FORGOTTEN:
            continue
        if name in invalid or not complete:
            _stopped(made, known[name])
        else:
            _absent(made, known[name], now, forget_after)
    return made


def _present(made: Plan, name: str, wanted: Wanted, known: Known | None, now: float) -> None:
    before = None if known is None or known.state == FORGOTTEN else known
    if wanted.state == "Disabled":
        made.detach.add(name)
    else:
        _running(made, name, wanted, before, now)
    _remember(made, name, wanted, known, now)


def _running(made: Plan, name: str, wanted: Wanted, before: Known | None, now: float) -> None:
    made.read.add(name)
    (made.debug if wanted.state == "Debug" else made.send).add(name)
    if before is None:
        made.begin.add(name)
    elif before.state in QUIET and wanted.state != before.state and before.since:
        made.shift[name] = max(now - before.since, 0.0)
    if wanted.state == "Test" and (before is None or before.tested != wanted.digest):
        made.test.add(name)


def _remember(made: Plan, name: str, wanted: Wanted, known: Known | None, now: float) -> None:
    if known is None or known.state == FORGOTTEN:
        made.remember.append(Known(name, wanted.state, None, since=now))
    elif known.state != wanted.state:
        made.remember.append(replace(known, state=wanted.state, since=now, deleted_at=None))
    elif known.deleted_at is not None:
        made.remember.append(replace(known, deleted_at=None))


def _stopped(made: Plan, known: Known) -> None:
    if known.state != "Disabled":
        made.leave.add(known.name)
    if known.deleted_at is not None:
        made.remember.append(replace(known, deleted_at=None))


def _absent(made: Plan, known: Known, now: float, forget_after: float) -> None:
    if known.deleted_at is None:
        _stopped(made, known)
        made.remember.append(replace(known, deleted_at=now))
    elif now - known.deleted_at >= forget_after:
        made.forget.add(known.name)
        made.remember.append(replace(known, state=FORGOTTEN, deleted_at=now))
    else:
        _stopped(made, replace(known, deleted_at=None))
