"""Draws the faults of a run from its seed: which, when, for how long. Pure, so a seed repeats its run's faults."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

KILL_EVERY = 4.0
"""Seconds that a kill takes, with the start after it and the work until the next one, on average."""
WORKS = (0.05, 3.0)
"""Shortest and longest time for which an agent works before it is killed."""
IN_START = 0.2
"""Share of the kills that come while an agent starts."""
SHORTEST = 15.0
CHANGES = ("query", "secret", "token", "deleted", "digest")
STOPS = ("disabled", "forgotten")
"""Changes after which a webhook has no right to some events; they come to the last third of the webhooks alone."""
TROUBLES = ("refuses", "limits", "hangs", "drips", "late", "cuts", "slow")


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault from `at` on, in seconds since events are written. `target`: number of a webhook or an agent."""

    at: float
    kind: str
    lasts: float = 0.0
    what: str = ""
    target: int = 0


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault: seconds between two of them, shortest and longest duration, and its variants."""

    every: float
    lasts: tuple[float, float] = (0.0, 0.0)
    variants: Sequence[str] = ("",)


COMMON: Mapping[str, Kind] = {
    "stop": Kind(9.0, (0.1, 4.0)),
    "trouble": Kind(0.7, (1.0, 8.0), TROUBLES),
    "change": Kind(4.0, (1.0, 4.0), CHANGES),
    "stopped webhook": Kind(15.0, (1.0, 4.0), STOPS),
}
"""Faults of every set-up."""


@dataclass(frozen=True, slots=True)
class Kill:
    """A kill of an agent `after` it has worked for so many seconds, or while it starts; it is `down` for a moment."""

    agent: int
    after: float
    in_start: bool
    down: float


def kills(seed: int, *, count: int, agents: int) -> tuple[Kill, ...]:
    """Return the kills of a run, one after the other."""
    chance = random.Random(f"{seed} kill")
    return tuple(
        Kill(chance.randrange(agents), chance.uniform(*WORKS), chance.random() < IN_START, chance.uniform(0.0, 0.5))
        for _ in range(count)
    )


def faults(seed: int, *, lasts: float, webhooks: int, agents: int, kinds: Mapping[str, Kind]) -> tuple[Fault, ...]:
    """Return all other faults of a run of so many seconds, in their order."""
    drawn = []
    for name, kind in kinds.items():
        chance = random.Random(f"{seed} {name}")
        targets = range(agents if name == "stop" else webhooks)
        if name == "stopped webhook":
            targets = targets[-max(webhooks // 3, 1) :]
        for _ in range(max(1, round(lasts / kind.every))):
            length, what = chance.uniform(*kind.lasts), chance.choice(kind.variants)
            drawn.append(Fault(chance.uniform(1.0, lasts), name, length, what, chance.choice(targets)))
    return tuple(sorted(drawn, key=lambda fault: fault.at))


def duration(kills: int) -> float:
    """Return the seconds for which events are written and faults come."""
    return max(SHORTEST, kills * KILL_EVERY)
