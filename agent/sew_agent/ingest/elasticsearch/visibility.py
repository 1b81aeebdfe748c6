"""Since when a checkpoint can be seen: by what its shard's copies have done since, and not by our clock alone. Pure.

A checkpoint says that writes are in, not that they can be seen. They can be in a copy that was refreshed twice after
it was known (the first of the two may have begun before), or that had nothing to refresh while it lived for so long
that it should have. A server that stands still answers nothing, and for as long as that no time is counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sew_agent.ingest.elasticsearch.shards import LEAST_WAIT, START, IndexSettings, Shard, ShardStats

PROMPT = 1.0
"""Seconds within which a server answers that does not stand still."""
STEP = 2.0
"""Seconds of life at most that two answers prove, however long it is between them."""
_REFRESHES = 2


@dataclass(slots=True)
class _Copy:
    """Refreshes of one copy since the checkpoint was in it, and for how long (seconds) there was none."""

    first: int
    last: int
    quiet: float = 0.0

    def count(self, refreshes: int, lived: float) -> None:
        """A copy that was started anew counts from its beginning."""
        self.quiet = self.quiet + lived if refreshes == self.last else 0.0
        if refreshes < self.last:
            self.first = refreshes
        self.last = refreshes

    def shows(self, wait: float | None) -> bool:
        return self.last - self.first >= _REFRESHES or (wait is not None and self.quiet >= wait)


@dataclass(slots=True)
class _Proof:
    history: str
    candidate: int
    observed: float
    observed_at: float
    proven: int = START
    proven_at: float = 0.0
    copies: dict[str, _Copy] = field(default_factory=dict)
    """By node, from the first look after the checkpoint was observed on: in that one it was in all of them."""

    def watch(self, shard: Shard, observed: float, observed_at: float) -> None:
        """Another checkpoint."""
        self.candidate, self.observed, self.observed_at = shard.checkpoint, observed, observed_at
        self.copies = {}

    def count(self, shard: Shard, lived: float) -> None:
        before = self.copies
        self.copies = {node: before.get(node) or _Copy(number, number) for node, number in shard.refreshes.items()}
        for node in before.keys() & self.copies.keys():
            self.copies[node].count(shard.refreshes[node], lived)


class VisibilityProofs:
    """Of each shard one checkpoint at a time, which takes 10 s at least: so often all is read again.

    A look is first counted, then concluded from, with settings that are still right where `due` said so.
    """

    def __init__(self) -> None:
        self._proofs: dict[str, _Proof] = {}
        self._answered = float("inf")

    def count(self, look: ShardStats, asked: float, answered: float) -> None:
        """What the copies have done since the last look. Monotonic seconds before and after it."""
        prompt = look.whole and answered - asked <= PROMPT
        lived = min(max(answered - self._answered, 0.0), STEP) if prompt else 0.0
        self._answered = answered
        for key, shard in look.shards.items():
            proof = self._proofs.get(key)
            if proof is None or proof.history != shard.history:
                self._proofs[key] = _Proof(shard.history, shard.checkpoint, answered, look.at)
            else:
                proof.count(shard, lived)
        for key in self._proofs.keys() - look.shards.keys():
            del self._proofs[key]

    def due(self, look: ShardStats, facts: Mapping[str, IndexSettings]) -> bool:
        """Whether a checkpoint becomes proven now, if the refresh intervals are still what they were."""
        return any(self._ripe(key, shard, facts) for key, shard in look.shards.items())

    def conclude(self, look: ShardStats, facts: Mapping[str, IndexSettings]) -> None:
        """`facts` were read just now where `due` said so."""
        for key, shard in look.shards.items():
            proof = self._proofs[key]
            if self._ripe(key, shard, facts):
                proof.proven, proof.proven_at = proof.candidate, proof.observed_at
            if proof.candidate <= proof.proven < shard.checkpoint:
                proof.watch(shard, self._answered, look.at)

    def of(self, shard: Shard) -> tuple[int, float]:
        """The highest number up to which a search now sees all, and the moment at which all these writes were in."""
        proof = self._proofs.get(shard.key)
        return (proof.proven, proof.proven_at) if proof and proof.history == shard.history else (START, 0.0)

    def _ripe(self, key: str, shard: Shard, facts: Mapping[str, IndexSettings]) -> bool:
        proof, fact = self._proofs[key], facts.get(shard.uuid)
        if proof.candidate <= proof.proven or fact is None or not proof.copies:
            return False
        shown = all(each.shows(fact.wait) for each in proof.copies.values())
        return shown and self._answered - proof.observed >= LEAST_WAIT
