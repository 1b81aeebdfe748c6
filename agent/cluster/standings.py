"""Puts together how all webhooks stand, from the parts of the running agent."""

from collections.abc import Callable, Mapping

from agent.acceptance import Judged, Unfit
from agent.cluster.conditions import Standing, TrialResult
from agent.director import Director
from agent.poller import Poller
from agent.store.base import Store
from kubectl_sew.validation import Accepted

TELL_EVERY = 2.0
"""Seconds; a new judgement is told at once."""


class Standings:
    """In the agent's main thread. `tell` takes them, `results` gives the last tests of webhooks' present content."""

    def __init__(
        self,
        director: Director,
        poller: Poller,
        store: Store,
        results: Callable[[Mapping[str, Accepted]], Mapping[str, TrialResult]],
        tell: Callable[[Mapping[str, Standing], float], None],
    ) -> None:
        self._results = results
        self._director = director
        self._poller = poller
        self._store = store
        self._tell = tell
        self._judged: Judged | None = None
        self._next = 0.0

    def step(self, now: float) -> None:
        """Tell how it stands, where it is time. Raises StoreError."""
        judged = self._director.judged
        if judged is self._judged and now < self._next:
            return
        self._judged, self._next = judged, now + TELL_EVERY
        fetched, lanes = self._poller.fetched(now), self._store.lanes()
        books = {each.webhook: each for each in self._store.books()}
        tested = self._results(judged.accepted)
        all_judged: Mapping[str, Accepted | Unfit] = {**judged.accepted, **judged.unfit}
        self._tell(
            {
                name: Standing(each, fetched.get(name), lanes.get(name), books.get(name), tested.get(name))
                for name, each in all_judged.items()
            },
            now,
        )
