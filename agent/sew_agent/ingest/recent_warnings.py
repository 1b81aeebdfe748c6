"""Warnings of the last hour, by webhook, so that its condition names what was not delivered."""

from collections.abc import Sequence

from sew_agent.ingest.source import SourceWarning

KEPT = 3600.0
"""Seconds after which a warning is in the log alone."""


class RecentWarnings:
    """The last warning of each kind, for each webhook and for all of them."""

    def __init__(self) -> None:
        self._all: dict[str, tuple[str, float]] = {}
        self._by_webhook: dict[str, dict[str, tuple[str, float]]] = {}

    def add(self, warnings: Sequence[SourceWarning], now: float) -> None:
        for warning in warnings:
            for name in warning.webhooks:
                self._by_webhook.setdefault(name, {})[warning.kind] = (warning.text, now + KEPT)
            if not warning.webhooks:
                self._all[warning.kind] = (warning.text, now + KEPT)

    def of(self, webhook: str, now: float) -> Sequence[str]:
        """Return the warnings of a webhook, and those that concern all."""
        warnings = [*self._by_webhook.get(webhook, {}).values(), *self._all.values()]
        return [text for text, until in warnings if until > now]
