"""Events with a field of one type, from before a webhook begins and after: who asks that field, and who does not."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from testbed.servers.indices import CALICO_MAPPINGS
from tests.integration.elasticsearch.harness import NOW, IngestHarness

HOUR = 3600


def serve(harness: IngestHarness, mapping: Mapping[str, Any], value: Any, other: Any, *queries: str) -> None:
    """Serve webhooks w0, w1, ...; `field`, so mapped, is `value` in two events, and `other` in two more."""
    harness.index(shards=2, dynamic=False, properties={**CALICO_MAPPINGS["properties"], "field": mapping})
    harness.write(["before"], field=value, time=int(NOW) - HOUR)
    harness.write(["other before"], field=other, time=int(NOW) - HOUR)
    for number, query in enumerate(queries):
        harness.serve(query, f"w{number}", start=NOW - 2 * HOUR)
    harness.record_results()
    harness.write(["after"], field=value)
    harness.write(["other after"], field=other)
    harness.record_results()


def selected(
    harness: IngestHarness, mapping: Mapping[str, Any], value: Any, other: Any, *queries: str
) -> dict[str, Counter[str]]:
    """Return query -> the events that it selects of those."""
    serve(harness, mapping, value, other, *queries)
    return {query: harness.got(f"w{number}") for number, query in enumerate(queries)}


def refused(harness: IngestHarness, mapping: Mapping[str, Any], value: Any, query: str) -> tuple[str, list[Any]]:
    """Return what is said of a query of the field, and what the field holds in the events of a webhook beside it."""
    serve(harness, mapping, value, value, query, "type = waf")
    assert harness.count("w0") == 0
    due = harness.store.due("w1", now=harness.now, limit=10)
    return harness.message("w0"), [delivery.event.document["field"] for delivery in due]
