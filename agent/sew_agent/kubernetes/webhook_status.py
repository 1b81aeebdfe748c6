"""Puts together how all webhooks stand, from the parts of the running agent."""

from collections.abc import Callable, Mapping

from kubectl_sew.consumers.rate import rate_of
from kubectl_sew.validation import Accepted
from sew_agent.ingest.progress import Fetched
from sew_agent.status.conditions import Standing, TrialResult
from sew_agent.store.records import Lane, Store
from sew_agent.webhooks.reconciler import Director
from sew_agent.webhooks.validator import Unfit


class Standings:
    """In the agent's main thread. `tell` takes them, `results` gives the last tests of webhooks' present content.

    `lanes` gives those of the webhooks that are sent for. `rates`: consumer -> requests a second.
    """

    def __init__(
        self,
        director: Director,
        store: Store,
        lanes: Callable[[], Mapping[str, Lane]],
        results: Callable[[Mapping[str, Accepted]], Mapping[str, TrialResult]],
        tell: Callable[[Mapping[str, Standing], float], None],
        *,
        rates: Mapping[str, float],
    ) -> None:
        self._director = director
        self._store = store
        self._lanes = lanes
        self._results = results
        self._tell = tell
        self._rates = rates

    def tell(self, fetched: Mapping[str, Fetched], now: float) -> None:
        """Tell how it stands now (epoch seconds). Raises StoreError."""
        judged = self._director.judged
        lanes, books = self._lanes(), {each.webhook: each for each in self._store.books()}
        tested = self._results(judged.accepted)
        all_judged: Mapping[str, Accepted | Unfit] = {**judged.accepted, **judged.unfit}
        self._tell(
            {
                name: Standing(
                    each, fetched.get(name), lanes.get(name), books.get(name), tested.get(name), self._rate(each)
                )
                for name, each in all_judged.items()
            },
            now,
        )

    def _rate(self, judged: Accepted | Unfit) -> float:
        if isinstance(judged, Unfit):
            return 0.0
        return rate_of(judged.config, self._rates[judged.consumer.name])
