"""What was read for a webhook lately and is not delivered, kept for a while so that its condition names it."""

from collections.abc import Sequence

from sew_agent.ingest.source import SourceWarning

KEPT = 3600.0
"""Seconds after which a remark is in the log alone."""


class RecentWarnings:
    """The last remark of each kind, for each webhook and for all of them."""

    def __init__(self) -> None:
        self._all: dict[str, tuple[str, float]] = {}
        self._by_webhook: dict[str, dict[str, tuple[str, float]]] = {}

    def add(self, notes: Sequence[SourceWarning], now: float) -> None:
        for note in notes:
            for name in note.webhooks:
                self._by_webhook.setdefault(name, {})[note.kind] = (note.text, now + KEPT)
            if not note.webhooks:
                self._all[note.kind] = (note.text, now + KEPT)

    def of(self, webhook: str, now: float) -> Sequence[str]:
        """Those of a webhook, and those that concern all."""
        found = [*self._by_webhook.get(webhook, {}).values(), *self._all.values()]
        return [text for text, until in found if until > now]
