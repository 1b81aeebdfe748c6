"""Bundles what all parts that talk to the cluster need."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from sew_agent.base.log import Log
from sew_agent.kubernetes.client import KubernetesClient
from sew_agent.kubernetes.paths import WebhookPath
from sew_agent.kubernetes.problems import Problems


@dataclass(frozen=True, slots=True)
class ClusterContext:
    """The API server, where it serves the webhooks, and where problems with it are reported."""

    client: KubernetesClient
    path: WebhookPath
    problems: Problems
    log: Log
    clock: Callable[[], float] = time.time
    """Seconds since the epoch."""
    monotonic: Callable[[], float] = time.monotonic
    """Seconds of a clock that nobody sets."""
