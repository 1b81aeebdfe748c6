"""The list of consumers."""

from collections.abc import Mapping

from kubectl_sew.consumers.alertmanager import AlertManager
from kubectl_sew.consumers.base import Consumer
from kubectl_sew.consumers.generic import Generic
from kubectl_sew.consumers.jira import Jira
from kubectl_sew.consumers.slack import URL_PREFIXES, Slack
from kubectl_sew.event_maps.readable import EVENT_MAPS, EventMaps

ALIASES = {"Alertmanager": "AlertManager"}
"""Other spellings that Calico's documentation uses."""


def consumers(
    slack_url_prefixes: tuple[str, ...] = URL_PREFIXES, maps: EventMaps = EVENT_MAPS
) -> Mapping[str, Consumer]:
    """Return every consumer by the name that `spec.consumer` gives it; `maps` read events that are not Calico's."""
    known = (Slack(slack_url_prefixes, maps), Jira(maps), Generic(maps), AlertManager(maps))
    return {consumer.name: consumer for consumer in known}


CONSUMERS: Mapping[str, Consumer] = consumers()


def find(name: str, among: Mapping[str, Consumer] = CONSUMERS) -> Consumer | None:
    """Return the consumer of that name, in Calico's other spelling too; None if there is none."""
    return among.get(ALIASES.get(name, name))
