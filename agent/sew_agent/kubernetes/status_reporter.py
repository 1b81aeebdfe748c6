"""Reports the status of all webhooks to the cluster."""

from collections.abc import Callable, Mapping

from kubectl_sew.validation.webhook import Accepted, InvalidWebhook
from sew_agent.ingest.progress import Progress
from sew_agent.kubernetes.event_recorder import EventRecorder
from sew_agent.kubernetes.status_writer import StatusWriter
from sew_agent.kubernetes.tester import KubernetesDeliveryTester
from sew_agent.status.conditions import WebhookStatus
from sew_agent.status.report import Observations
from sew_agent.webhooks.reconciler import Reconciler


class StatusReporter:
    """Reports to the cluster: conditions, Events, and the position in the Lease. Used in the agent's main thread."""

    def __init__(
        self,
        reconciler: Reconciler,
        tester: KubernetesDeliveryTester,
        writer: StatusWriter,
        recorder: EventRecorder,
        keep_position: Callable[[str, Mapping[str, Progress], Mapping[str, float | None]], None],
    ) -> None:
        """`keep_position` leaves a successor a position, given the progress and the checkpoints in the conditions."""
        self._reconciler = reconciler
        self._tester = tester
        self._writer = writer
        self._recorder = recorder
        self._keep_position = keep_position

    def report(self, known: Observations, position: str, now: float) -> None:
        """Report how the webhooks stand, and up to which position events were read, now (epoch seconds)."""
        statuses = self._statuses(known)
        self._writer.update(statuses)
        self._recorder.record(statuses, now)
        self._keep_position(position, known.progress, self._writer.checkpoints)

    def pause(self) -> None:
        """Write no conditions until the next report."""
        self._writer.update({})

    def _statuses(self, known: Observations) -> Mapping[str, WebhookStatus]:
        """Return webhook -> status, of those that are valid and of those that are not."""
        validated = self._reconciler.validated
        tested = self._tester.results(validated.accepted)
        webhooks: Mapping[str, Accepted | InvalidWebhook] = {**validated.accepted, **validated.invalid}
        return {name: known.status_of(name, webhook, tested.get(name)) for name, webhook in webhooks.items()}
