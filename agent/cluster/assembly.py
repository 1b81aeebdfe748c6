"""Builds what the agent has in a cluster from its settings."""

from contextlib import ExitStack
from dataclasses import dataclass

from agent.cluster.api import Api, connect
from agent.cluster.troubles import Troubles
from agent.log import Log
from agent.settings import Settings
from agent.webhooks.cluster import ClusterWebhooks, Scope, WebhookPlace


@dataclass(frozen=True, slots=True)
class Cluster:
    """The agent's side of its cluster."""

    api: Api
    place: WebhookPlace
    troubles: Troubles
    webhooks: ClusterWebhooks


def open_cluster(settings: Settings, log: Log, stack: ExitStack) -> Cluster:
    """Begins to watch. Raises ApiError where there is nobody to log in as."""
    api = connect(settings.kubeconfig, settings.context)
    stack.callback(api.close)
    place, troubles = WebhookPlace(api, settings.api_group), Troubles(log)
    scope = Scope(settings.secrets_namespace, settings.selector, settings.secret_selector)
    webhooks = ClusterWebhooks(api, place, scope, troubles, believe_after=settings.forget_after)
    stack.callback(webhooks.close)
    log.info("cluster", server=api.server, secrets_namespace=scope.secrets_namespace)
    return Cluster(api, place, troubles, webhooks)
