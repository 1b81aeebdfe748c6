"""Write realistic security events as NDJSON, always the same: `python -m examples.make_events 300 > FILE`."""

import json
import random
import sys
from collections.abc import Iterator
from typing import Any

from kubectl_sew.event import META_KEYS
from kubectl_sew.samples import SAMPLE_TYPES, sample

START = 1_767_225_600  # 2026-01-01T00:00:00Z
NAMESPACES = ("storefront", "payments", "sandbox", "kube-system", "analytics")
WORKLOADS = ("frontend", "checkout", "ledger", "etl", "coredns")


def events(count: int, seed: int = 1) -> Iterator[dict[str, Any]]:
    """Yield `count` events over a day, of every type. About one in thirty is urgent (severity 90 or more)."""
    chance = random.Random(seed)
    samples = {kind: sample(kind) for kind in SAMPLE_TYPES}
    kinds = [*SAMPLE_TYPES, "waf", "waf"]
    for number in range(count):
        kind = chance.choice(kinds)
        yield _without_meta(samples[kind]) | _particulars(number, count, chance)


def _without_meta(event: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name not in META_KEYS}


def _particulars(number: int, count: int, chance: random.Random) -> dict[str, Any]:
    workload = chance.choice(WORKLOADS)
    return {
        "id": f"event-{number:06d}",
        "time": START + number * 86_400 // count,
        "severity": chance.randint(90, 100) if chance.random() < 1 / 30 else chance.randint(10, 85),
        "source_namespace": chance.choice(NAMESPACES),
        "source_name": f"{workload}-{chance.randrange(16**5):05x}",
        "source_name_aggr": f"{workload}-*",
        "source_ip": f"10.{chance.randrange(4)}.{chance.randrange(256)}.{chance.randrange(1, 255)}",
        "dest_ip": f"203.0.113.{chance.randrange(1, 255)}",
        "dismissed": chance.random() < 0.1,
    }


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    sys.stdout.writelines(json.dumps(event, separators=(",", ":")) + "\n" for event in events(count))


if __name__ == "__main__":
    main()
