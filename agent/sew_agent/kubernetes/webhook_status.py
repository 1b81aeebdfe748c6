"""Puts together how all webhooks stand, from the parts of the running agent."""

from collections.abc import Callable, Mapping

from kubectl_sew.consumers.rate import rate_of
from kubectl_sew.validation import Accepted, InvalidWebhook
from sew_agent.ingest.progress import Progress
from sew_agent.status.conditions import DeliveryTestResult, WebhookStatus
from sew_agent.store.records import ReceiverState, Store
from sew_agent.webhooks.reconciler import Reconciler


class WebhookStatuses:
    """In the agent's main thread. `tell` takes them, `results` gives the last tests of webhooks' present content.

    `lanes` gives those of the webhooks that are sent for. `rates`: consumer -> requests a second.
    """

    def __init__(
        self,
        reconciler: Reconciler,
        store: Store,
        receivers: Callable[[], Mapping[str, ReceiverState]],
        results: Callable[[Mapping[str, Accepted]], Mapping[str, DeliveryTestResult]],
        tell: Callable[[Mapping[str, WebhookStatus], float], None],
        *,
        rates: Mapping[str, float],
    ) -> None:
        self._reconciler = reconciler
        self._store = store
        self._receivers = receivers
        self._results = results
        self._tell = tell
        self._rates = rates

    def tell(self, progress: Mapping[str, Progress], now: float) -> None:
        """Tell how it stands now (epoch seconds). Raises StoreError."""
        validated = self._reconciler.validated
        receivers, counters = self._receivers(), {each.webhook: each for each in self._store.counters()}
        tested = self._results(validated.accepted)
        all_judged: Mapping[str, Accepted | InvalidWebhook] = {**validated.accepted, **validated.invalid}
        self._tell(
            {
                name: WebhookStatus(
                    each,
                    progress.get(name),
                    receivers.get(name),
                    counters.get(name),
                    tested.get(name),
                    self._rate(each),
                )
                for name, each in all_judged.items()
            },
            now,
        )

    def _rate(self, validated: Accepted | InvalidWebhook) -> float:
        if isinstance(validated, InvalidWebhook):
            return 0.0
        return rate_of(validated.config, self._rates[validated.consumer.name])
