"""The tables of all checks, group by group, in the order in which a person fixes things."""

from collections.abc import Iterator

from kubectl_sew.check.agent import AGENT
from kubectl_sew.check.api import KUBERNETES, RESOURCE
from kubectl_sew.check.elasticsearch import ELASTICSEARCH
from kubectl_sew.check.facts import Facts
from kubectl_sew.check.verdict import Check, CheckOutcome
from kubectl_sew.check.webhooks import SECRETS, WEBHOOKS

GROUPS: dict[str, tuple[Check, ...]] = {
    "Kubernetes API": KUBERNETES,
    "SecurityEventWebhook API": RESOURCE,
    "Agent": AGENT,
    "Elasticsearch": ELASTICSEARCH,
    "Secrets and ConfigMaps": SECRETS,
    "Webhooks and receivers": WEBHOOKS,
}


def judge(facts: Facts) -> Iterator[CheckOutcome]:
    """Yield all outcomes; only the first group's where the API server cannot be reached."""
    for group, checks in GROUPS.items():
        for check in checks:
            yield CheckOutcome(group, check, check.judge(facts))
            if facts.unreachable:
                return
