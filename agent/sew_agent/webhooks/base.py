"""The contract of a webhook source: the webhooks, with the Secrets and ConfigMaps that they refer to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from kubectl_sew.resource import Webhook
from kubectl_sew.resource.exceptions import AlertException
from kubectl_sew.validation.webhook import InvalidWebhook


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The webhooks, as last read. Values of Secrets never show in `repr`."""

    webhooks: Mapping[str, Webhook]
    secrets: Mapping[str, Mapping[str, bytes]] = field(repr=False)
    config_maps: Mapping[str, Mapping[str, bytes]] = field(repr=False)
    problems: Sequence[str] = ()
    """Problems with reading, each with place, reason and what is used meanwhile."""
    refused: Mapping[str, InvalidWebhook] = field(default_factory=dict)
    """Webhook name -> why (e.g. the name stands twice); they are not in `webhooks`."""
    exceptions: Mapping[str, AlertException] = field(default_factory=dict)
    broken_exceptions: Mapping[str, str] = field(default_factory=dict)
    """Exception -> why it suppresses nothing, whatever its selector; they are not in `exceptions`."""
    complete: bool = True
    """False after an error: a webhook that is absent then has not been deleted."""
    known: bool = True
    """False before anything could be read: then nothing changes."""


class WebhookSource(Protocol):
    """`snapshot` never blocks on the network; the same object comes back while nothing changed."""

    def snapshot(self) -> Snapshot:
        """Return the webhooks as they are now."""

    def close(self) -> None:
        """Stop watching."""
