"""Reporter of the agent's state, every 2 s: metrics, conditions, the report file, warnings of little room."""

import time
from collections.abc import Mapping
from dataclasses import replace

from kubectl_sew.redaction import redact_urls
from kubectl_sew.resource.conditions import TIGHT, FetchedReason
from sew_agent.base.settings import Settings
from sew_agent.ingest.progress import Progress
from sew_agent.ingest.readers import SHARED
from sew_agent.status.report import (
    Observations,
    Report,
    ReportFile,
    build,
    report_exceptions,
    report_of_process,
    room_words,
)
from sew_agent.webhooks.validator import ValidationResult
from sew_agent.wiring import Runtime

_REPORT_EVERY = 2.0
"""Seconds between two reports; a new validation is reported at once."""


def source_name(settings: Settings) -> str:
    """Return the name of the events' source, without a secret."""
    return settings.events or f"{settings.index} at {redact_urls(', '.join(settings.elasticsearch))}"


class Reporter:
    """Reporter, a part of the main loop."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._file = ReportFile(runtime.state)
        self._started = time.time()
        self._room: Mapping[str, float] = {}
        self._reported: ValidationResult | None = None
        self._next_report = 0.0

    def close(self) -> None:
        """Remove the report file: the agent ends."""
        self._file.remove()

    def update(self, now: float, pace: float, store_error: str, *, reads: bool = True) -> None:
        """Report what changed, and all of it every 2 s. Raises StoreError.

        `now` is in epoch seconds, `pace` in monotonic ones; `store_error`: why the store cannot be used, "" if it can.
        `reads`: False where another agent reads, and reports what holds for all.
        """
        validated = self._runtime.reconciler.validated
        if validated is self._reported and pace < self._next_report:
            return
        progress = self._progress(now, store_error) if reads else {}
        if reads:
            self._check_room()
            self._measure(validated, progress)
        known = self._observe(progress)
        if reads:
            self._report_status(known, now)
        report = self._report(known, now, store_error)
        self._file.write(report if reads else replace(report, reads=False, source_troubles=(), source_caveats=()))
        self._reported, self._next_report = validated, pace + _REPORT_EVERY

    def report_status(self, now: float) -> None:
        """Report the webhooks' status as it is now (epoch seconds), at the end of the agent. Raises StoreError."""
        self._report_status(self._observe(self._runtime.poller.progress(now)), now)

    def _report_status(self, known: Observations, now: float) -> None:
        position = self._runtime.poller.positions.get(SHARED, "")
        self._runtime.status_sink.report(known, position, now)

    def _observe(self, progress: Mapping[str, Progress]) -> Observations:
        """Return what is known of all webhooks now. Raises StoreError."""
        runtime = self._runtime
        return Observations(
            room=self._room,
            progress=progress,
            receivers=runtime.receivers.states(),
            counters={counters.webhook: counters for counters in runtime.store.counters()},
            rates=runtime.settings.rates,
            failing_peers=runtime.receivers.failing_peers(),
            beside_calico=runtime.settings.beside_calico,
        )

    def _progress(self, now: float, store_error: str) -> Mapping[str, Progress]:
        """Return how far events are read. Nothing is read that cannot be kept."""
        progress = self._runtime.poller.progress(now)
        if not store_error:
            return progress
        return {
            name: replace(before, status="False", reason=FetchedReason.STORE, what=store_error)
            for name, before in progress.items()
        }

    def _measure(self, validated: ValidationResult, progress: Mapping[str, Progress]) -> None:
        unanswerable = {name for name, state in progress.items() if state.reason is FetchedReason.UNANSWERABLE}
        accepted = {name: name not in unanswerable for name in validated.accepted}
        read_to = {name: state.reading for name, state in progress.items() if state.reading is not None}
        self._runtime.metrics.set_webhooks(accepted | dict.fromkeys(validated.invalid, False), read_to)

    def _check_room(self) -> None:
        before, self._room = self._room, self._runtime.store.room()
        for name, filled in self._room.items():
            if filled >= TIGHT > before.get(name, 0.0):
                self._runtime.log.warning("webhook_room_low", webhook=name, message=room_words(filled))

    def _report(self, known: Observations, now: float, store_error: str) -> Report:
        runtime = self._runtime
        snapshot = runtime.reconciler.snapshot
        store = (f"store: {store_error}",) if store_error else ()
        stalled = (f"{loop}: {problem}" for loop, problem in runtime.health.stalled().items())
        problems = (*(snapshot.problems if snapshot else ()), *runtime.environment.problems(), *store, *stalled)
        return replace(
            report_of_process(problems, now),
            webhooks=build(runtime.reconciler.validated, known, now),
            exceptions=report_exceptions(
                runtime.reconciler.validated.exceptions,
                runtime.poller.broken_exceptions,
                runtime.metrics.suppressed_events(),
                now,
            ),
            source=source_name(runtime.settings),
            source_troubles=runtime.poller.problems,
            source_caveats=tuple(runtime.source.caveats),
            events_read=runtime.reading.events,
            started=self._started,
            beside_calico=known.beside_calico,
        )
