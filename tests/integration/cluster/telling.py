"""All that an agent tells of itself and of its webhooks, by place, to be searched for what must not be in it."""

import json
import re
from collections.abc import Mapping

from tests.e2e.sew_agent import Agent, Folder
from tests.integration.cluster.in_cluster import Installed

_CANARY = re.compile("canary|[YQ]2FuYXJ5", re.IGNORECASE)
"""The word of which every planted secret is made, plain and as Base64."""


def leaks(told: Mapping[str, str], *more: str) -> Mapping[str, str]:
    """The places where a canary, or one of `more`, is seen."""
    return {place: text for place, text in told.items() if _CANARY.search(text) or any(each in text for each in more)}


def of_webhooks(here: Installed, *names: str) -> dict[str, str]:
    """What the cluster holds of webhooks: conditions and annotations, and the Events about them."""
    found = {name: here.object(name) for name in names}
    told = {name: json.dumps([each.get("status"), each["metadata"].get("annotations")]) for name, each in found.items()}
    return told | {"Events": events(here)}


def events(here: Installed) -> str:
    return here.server.kubectl("get", "events.events.k8s.io", "-n", "default", "-o", "json")


def of_agent(agent: Agent, folder: Folder) -> dict[str, str]:
    """Its log, its pages, its report, and what its commands print; without pages where it has ended."""
    pages = {path: agent.get(path)[1] for path in ("/metrics", "/readyz", "/healthz")} if agent.running else {}
    commands = (("status",), ("status", "-o", "json"), ("backlog", "list"), ("dead-letters", "list"))
    told = {" ".join(each): ran.stdout + ran.stderr for each in commands for ran in (folder.command(*each),)}
    report = folder.state / "agent.json"
    return {"log": agent.text(), "report": report.read_text() if report.exists() else "", **pages, **told}
