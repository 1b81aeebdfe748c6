"""Collects all that an agent publishes of itself and of its webhooks, and searches it for planted secrets."""

import json
import re
from collections.abc import Mapping

from tests.e2e.sew_agent import Agent, Folder
from tests.integration.cluster.in_cluster import ClusterHarness

_CANARY = re.compile("canary|[YQ]2FuYXJ5", re.IGNORECASE)
"""The word of which every planted secret is made, plain and as Base64."""


def leaks(published: Mapping[str, str], *secrets: str) -> Mapping[str, str]:
    """Return the places that hold a canary, or one of `secrets`, with their text."""
    return {
        place: text
        for place, text in published.items()
        if _CANARY.search(text) or any(secret in text for secret in secrets)
    }


def of_webhooks(harness: ClusterHarness, *names: str) -> dict[str, str]:
    """Return what the cluster holds of webhooks: conditions and annotations, and the Events about them."""
    published = {"Events": events(harness)}
    for name in names:
        webhook = harness.object(name)
        published[name] = json.dumps([webhook.get("status"), webhook["metadata"].get("annotations")])
    return published


def events(harness: ClusterHarness) -> str:
    """Return all Events about webhooks."""
    return harness.server.kubectl("get", "events.events.k8s.io", "-n", "default", "-o", "json")


def of_agent(agent: Agent, folder: Folder) -> dict[str, str]:
    """Return its log, its pages, its report, and what its commands print; without pages where it has ended."""
    report = folder.state / "agent.json"
    published = {"log": agent.text(), "report": report.read_text() if report.exists() else ""}
    if agent.running:
        published |= {path: agent.get(path)[1] for path in ("/metrics", "/readyz", "/healthz")}
    for command in (("status",), ("status", "-o", "json"), ("backlog", "list"), ("dead-letters", "list")):
        ran = folder.command(*command)
        published[" ".join(command)] = ran.stdout + ran.stderr
    return published
