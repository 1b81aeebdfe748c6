"""The request that would be sent of a delivery, by the manifests of an agent on files."""

import os
import time
from pathlib import Path

from kubectl_sew.consumers.registry import consumers
from kubectl_sew.consumers.slack import URL_PREFIXES
from kubectl_sew.event_maps.files import load_maps
from kubectl_sew.event_maps.readable import EventMaps
from kubectl_sew.payload import Preview, Waiting, preview
from sew_agent.base.settings import from_environment
from sew_agent.store.records import Delivery
from sew_agent.webhooks.files import FileWebhooks

_NO_MANIFESTS = "name the agent's manifests with --webhooks"


def preview_of(delivery: Delivery, webhooks: Path | None) -> Preview:
    """Return the request, or why it cannot be shown. Raises SewError where what it is made by cannot be read."""
    if webhooks is None:
        return Preview(why=_NO_MANIFESTS)
    settings, _ = from_environment(os.environ)
    snapshot = FileWebhooks(webhooks, secrets_namespace=settings.secrets_namespace, clock=time.time).snapshot()
    if refused := snapshot.refused.get(delivery.webhook):
        return Preview(why=f"the webhook cannot be sent with: {refused.message}")
    if not (webhook := snapshot.webhooks.get(delivery.webhook)):
        return Preview(why=f"there is no webhook {delivery.webhook} in {webhooks} any more")
    maps = EventMaps(load_maps(settings.event_map), settings.time_field)
    known = consumers(settings.slack_url_prefixes or URL_PREFIXES, maps)
    waiting = Waiting(delivery.event, delivery.delivery_id, delivery.again)
    return preview(webhook, known, (snapshot.secrets, snapshot.config_maps), waiting, time.time())
