"""Decides which agent owns which webhook's deliveries, of those that share a store. Pure.

Each agent decides for itself, and all decide alike: they see the same rows. Webhooks are spread by rendezvous hashing:
each goes to the agent with the highest hash of both names that has room for it. No agent has two more than another.
An agent gives up what is another one's, and takes what nobody has; so no webhook ever has two owners.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

READING = ""
"""Name of the ownership of reading: whoever has it keeps it until its end, or until its source fails for long."""


@dataclass(frozen=True, slots=True)
class Owned:
    """An ownership: of a webhook's deliveries, or of reading."""

    name: str
    owner: int | None
    """Number of the agent that has or had it; None for nobody."""
    wanted: bool = True
    """False for a webhook that is not to be sent to any more."""


@dataclass(frozen=True, slots=True)
class Shares:
    """Agents that are alive, by their numbers, and what there is to own."""

    agents: Mapping[int, str]
    leaving: Collection[int]
    """Numbers of those agents that are about to end: they get nothing more, and keep what they have until they give
    it up."""
    owned: Sequence[Owned]
    backed_off: Collection[int] = ()
    """Numbers of those agents that could not read when it was their turn, not long ago: they read only where the
    others could not, either."""

    @property
    def staying(self) -> Mapping[int, str]:
        """Agents that are not about to end."""
        return {number: name for number, name in self.agents.items() if number not in self.leaving}


@dataclass(frozen=True, slots=True)
class Moves:
    """Changes that one agent is to make. `release`: as soon as nothing of it is in flight."""

    claim: Sequence[Owned]
    release: Sequence[str]


def moves(me: int, shares: Shares, held: Collection[str]) -> Moves:
    """Return what an agent is to claim and to release. `held`: names of what it knows to be its own."""
    staying = shares.staying
    readers = staying.keys() - set(shares.backed_off) or staying.keys()
    wanted = tuple(sorted(one.name for one in shares.owned if one.wanted and one.name != READING))
    spread = spread_evenly(tuple(sorted(staying.values())), wanted)
    claim, release = list[Owned](), list[str]()
    for one in shares.owned:
        if one.name == READING:
            mine = me in readers or READING in held
        else:
            mine = me in staying and one.wanted and spread[one.name] == staying[me]
        free = one.owner not in shares.agents
        if mine and (free or (one.owner == me and one.name not in held)):  # the answer to its claim was lost
            claim.append(one)
        elif one.owner == me and not mine:
            release.append(one.name)
    return Moves(claim, release)


def may_pass_reading_on(me: int, shares: Shares) -> bool:
    """Return whether an agent that cannot read may leave that to another one, which has not failed lately."""
    return bool(shares.staying.keys() - {me, *shares.backed_off})


@lru_cache(maxsize=1)
def spread_evenly(agents: tuple[str, ...], webhooks: tuple[str, ...]) -> Mapping[str, str]:
    """Return the agent of each webhook; none where there is no agent."""
    if not agents:
        return {}
    least, more = divmod(len(webhooks), len(agents))
    loads, spread = Counter[str](), dict[str, str]()
    for webhook in sorted(webhooks, key=_hash):
        room = [agent for agent in agents if loads[agent] < least + (more > 0)]
        best = max(room, key=lambda agent: _hash(f"{agent}\0{webhook}"))
        more -= loads[best] == least
        loads[best] += 1
        spread[webhook] = best
    return spread


def _hash(text: str) -> bytes:
    return sha256(text.encode("utf-8", "surrogatepass")).digest()
