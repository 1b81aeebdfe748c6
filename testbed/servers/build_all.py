"""Build and install all servers under test ahead of their tests: `python -m testbed.servers.build_all`.

One that cannot be had is named with the reason, and tried again by its tests, which fail or are skipped then.
"""

import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

from testbed.servers import (
    alertmanager,
    browser,
    elasticsearch,
    grafana,
    helm,
    krew,
    kubernetes,
    node,
    opensearch,
    postgresql,
    prometheus_operator,
    secured,
)
from testbed.servers.building import UnavailableError
from testbed.servers.images import base_image

SERVERS: Mapping[str, Callable[[], object]] = {
    "PostgreSQL": postgresql.find,
    "Chromium": browser.find,
    "Elasticsearch 8": lambda: elasticsearch.build(elasticsearch.V8),
    "Elasticsearch 9": lambda: elasticsearch.build(elasticsearch.V9),
    "OpenSearch 2": lambda: elasticsearch.build(opensearch.V2),
    "Elasticsearch 8 with security": lambda: elasticsearch.build(secured.VERSIONS["elasticsearch_8"]),
    "Alertmanager": alertmanager.find,
    "the API server": kubernetes.find,
    "the node": node.find,
    "the base of the agent's image": base_image,
    **{name: partial(helm.find, version) for name, version in helm.VERSIONS.items()},
    "krew": krew.find,
    "Grafana's types": grafana.find,
    "the kinds of the Prometheus operator": prometheus_operator.find,
}
"""Each server and how it is had, in the order in which the tests come to need them."""


def build_all(servers: Mapping[str, Callable[[], object]] = SERVERS) -> list[str]:
    """Have all servers, one after the other, and return those that cannot be had. Prints a line for each."""
    missing = []
    for name, find in servers.items():
        began = time.monotonic()
        try:
            find()
        except UnavailableError as error:
            missing.append(name)
            print(f"{name} cannot be had: {error}", flush=True)
        else:
            print(f"{name} is there after {time.monotonic() - began:.0f} s", flush=True)
    return missing


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what is half built goes
    with suppress(KeyboardInterrupt):
        sys.exit(1 if build_all() else 0)
