"""A realistic event of each of Calico's event types, for tests of webhooks and for previews."""

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


def sample(event_type: str) -> dict[str, Any]:
    """The sample of one of SAMPLE_TYPES, newly read; raises KeyError for another type."""
    if event_type not in SAMPLE_TYPES:
        raise KeyError(event_type)
    document: dict[str, Any] = json.loads(files(__name__).joinpath(f"{event_type}.json").read_text("utf-8"))
    return document
