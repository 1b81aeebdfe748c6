"""A realistic event of each of Calico's event types, and of other tools, for tests of webhooks and for previews."""

import json
from importlib.resources import files
from typing import Any

SAMPLE_TYPES = (
    "waf",
    "global_alert",
    "alert",
    "anomaly_detection_job",
    "deep_packet_inspection",
    "gtf_suspicious_dns_query",
    "gtf_suspicious_flow",
    "runtime_security",
    "suspicious_dns_query",
    "suspicious_flow",
)
"""Calico's event types; `waf`, the default of a test, comes first."""

OTHER_SAMPLES = ("falco", "falcosidekick", "suricata", "ecs", "kibana")
"""Samples of events that are not Calico's: falcosidekick's is Falco's as it stands in Elasticsearch."""


_OTHER_NAMES = {
    "gtf_suspicious_*": "gtf_suspicious_dns_query",
    "ga": "global_alert",
    "dpi": "deep_packet_inspection",
    "gtf": "gtf_suspicious_dns_query",
}
"""Names of Calico's own test events that are no types, the last three those of older versions."""


def sample_type(name: str) -> str | None:
    """Return the type of the sample that a name of Calico's stands for; None for any other name."""
    return name if name in SAMPLE_TYPES else _OTHER_NAMES.get(name)


def sample(event_type: str) -> dict[str, Any]:
    """The sample of one of SAMPLE_TYPES or OTHER_SAMPLES, newly read; raises KeyError for another name."""
    if event_type not in (*SAMPLE_TYPES, *OTHER_SAMPLES):
        raise KeyError(event_type)
    document: dict[str, Any] = json.loads(files(__name__).joinpath(f"{event_type}.json").read_text("utf-8"))
    return document
