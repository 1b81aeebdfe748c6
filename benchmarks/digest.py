"""Measure a storm into Slack with and without digests: `python -m benchmarks.digest [EVENTS] [SECONDS]`.

EVENTS (50,000) come at once, in three groups; Slack's stand-in takes one message a second. The real agent, its file of
events, its store and its HTTP are all in it. Printed: when the first digest was there, when nothing waited any more,
in how many messages, and how much of it would have been delivered in SECONDS (30) without digests.
"""

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from testbed.receivers import slack
from tests.e2e.sew_agent import Agent, Folder, counters

EVENTS, SECONDS, LONGEST = 50_000, 30.0, 600.0
PATH = "/services/T/B/x"
GROUPS = ("waf", "global_alert", "suspicious_flow")


class Run(NamedTuple):
    """Figures of one run: seconds since the storm began, and messages."""

    first: float
    empty: float
    messages: int
    delivered: float
    refused: int


def run(count: int, longest: float, **config: str) -> Run:
    """Let a storm come, until all of it is delivered or for so many seconds."""
    receiver = slack(PATH)
    with tempfile.TemporaryDirectory() as name, receiver:
        folder = Folder(Path(name))
        folder.webhook("soc", receiver.url + PATH, consumer="Slack", **config)
        agent = folder.start(SEW_SLACK_URL_PREFIXES=receiver.url, SEW_RETRY_INITIAL="1s", SEW_RETRY_MAX="60s")
        while not agent.says("webhook_accepted"):
            time.sleep(0.1)
        folder.write([0], type=GROUPS[0])
        while not receiver.accepted:
            time.sleep(0.1)
        begun, first = time.monotonic(), 0.0
        _write(folder, count)
        delivered = 0.0
        while delivered <= count and time.monotonic() - begun < longest:
            with suppress(OSError):  # a busy machine may answer late
                delivered = _delivered(agent)
            first = first or (time.monotonic() - begun if any(map(_is_digest, receiver.accepted)) else 0.0)
            time.sleep(0.1)
        empty = time.monotonic() - begun
        folder.stop()
        return Run(first, empty, len(receiver.accepted) - 1, delivered - 1, len(receiver.refused))


def storm(count: int) -> Iterator[dict[str, Any]]:
    """Return the storm's events, as they come from a cluster, a third of them in each group."""
    for number in range(count):
        yield {
            "_id": f"s{number}",
            "type": GROUPS[number % len(GROUPS)],
            "severity": 60 + number % 40,
            "time": int(time.time()),
            "description": f"attempt {number} " + "x" * 300,
            "source_namespace": f"ns-{number % 40}",
            "source_name": f"pod-{number % 400}",
        }


def _write(folder: Folder, count: int) -> None:
    with folder.events.open("a") as file:
        file.write("\n".join(map(json.dumps, storm(count))) + "\n")


def _delivered(agent: Agent) -> float:
    return counters(agent.scrape(), "sew_deliveries", "state").get("delivered", 0.0)


def _is_digest(incoming: Any) -> bool:
    return "Their ids" in incoming.body.decode()


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else EVENTS
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else SECONDS
    made = run(count, LONGEST, digest="30s", groupBy="type")
    print(f"{count} events in {len(GROUPS)} groups, `digest: 30s`: {made.delivered:.0f} delivered")
    print(f"  first digest after {made.first:.1f} s, empty after {made.empty:.1f} s")
    print(f"  {made.messages} messages; {made.refused} requests refused by the rate limit")
    plain = run(count, seconds)
    print(f"without digests: {plain.delivered:.0f} delivered in {plain.empty:.0f} s")
    print(f"  so all of it after {count / max(plain.delivered / plain.empty, 1e-9) / 3600:.1f} h")


if __name__ == "__main__":
    main()
