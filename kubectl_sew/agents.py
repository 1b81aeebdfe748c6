"""Words on the agents that share a store, for both programs. Pure."""

from collections.abc import Mapping
from typing import Any

from kubectl_sew.text import plural


def describe_agent(agent: Mapping[str, Any]) -> str:
    """Describe an agent that is alive, of those that share a store, as `sew-agent status -o json` lists it."""
    count = agent.get("webhooks") or 0
    reads = "reads events, and " if agent.get("reads") else ""
    return f"{agent.get('name')} {reads}delivers for {count:,} {plural(count, 'webhook')}"
