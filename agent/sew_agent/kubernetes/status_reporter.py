"""Gathers the status of all webhooks from the parts of the running agent, and reports it to the cluster."""

from collections.abc import Callable, Mapping

from kubectl_sew.consumers.rate import rate_of
from kubectl_sew.validation.webhook import Accepted, InvalidWebhook
from sew_agent.ingest.progress import Progress
from sew_agent.kubernetes.event_recorder import EventRecorder
from sew_agent.kubernetes.status_writer import StatusWriter
from sew_agent.kubernetes.tester import KubernetesDeliveryTester
from sew_agent.status.conditions import WebhookStatus
from sew_agent.store.contract import Store
from sew_agent.store.records import ReceiverState
from sew_agent.webhooks.reconciler import Reconciler


class WebhookStatuses:
    """The status of every webhook, valid or not. Used in the agent's main thread."""

    def __init__(
        self,
        reconciler: Reconciler,
        store: Store,
        receivers: Callable[[], Mapping[str, ReceiverState]],
        tester: KubernetesDeliveryTester,
        *,
        rates: Mapping[str, float],
    ) -> None:
        """`receivers` returns the state of those that are sent to. `rates`: consumer -> requests a second."""
        self._reconciler = reconciler
        self._store = store
        self._receivers = receivers
        self._tester = tester
        self._rates = rates

    def collect(self, progress: Mapping[str, Progress]) -> Mapping[str, WebhookStatus]:
        """Return webhook -> status. Raises StoreError."""
        validated = self._reconciler.validated
        receivers = self._receivers()
        counters = {record.webhook: record for record in self._store.counters()}
        tested = self._tester.results(validated.accepted)
        webhooks: Mapping[str, Accepted | InvalidWebhook] = {**validated.accepted, **validated.invalid}
        return {
            name: WebhookStatus(
                webhook,
                progress.get(name),
                receivers.get(name),
                counters.get(name),
                tested.get(name),
                self._rate(webhook),
            )
            for name, webhook in webhooks.items()
        }

    def _rate(self, webhook: Accepted | InvalidWebhook) -> float:
        if isinstance(webhook, InvalidWebhook):
            return 0.0
        return rate_of(webhook.config, self._rates[webhook.consumer.name])


class StatusReporter:
    """Reports to the cluster: conditions, Events, and the position in the Lease. Used in the agent's main thread."""

    def __init__(
        self,
        statuses: WebhookStatuses,
        writer: StatusWriter,
        recorder: EventRecorder,
        keep_position: Callable[[str, Mapping[str, Progress], Mapping[str, float | None]], None],
    ) -> None:
        """`keep_position` leaves a successor a position, given the progress and the checkpoints in the conditions."""
        self._statuses = statuses
        self._writer = writer
        self._recorder = recorder
        self._keep_position = keep_position

    def report(self, progress: Mapping[str, Progress], position: str, now: float) -> None:
        """Report how the webhooks stand, and up to which position events were read, now (epoch seconds).

        Raises StoreError.
        """
        statuses = self._statuses.collect(progress)
        self._writer.update(statuses)
        self._recorder.record(statuses, now)
        self._keep_position(position, progress, self._writer.checkpoints)

    def pause(self) -> None:
        """Write no conditions until the next report."""
        self._writer.update({})
