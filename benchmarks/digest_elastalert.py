"""Measure a storm into Slack through ElastAlert 2's aggregation, and through digests, beside each other.

    python -m benchmarks.digest_elastalert [EVENTS [SECONDS]]

EVENTS (3,000) are written at once into an index of a real Elasticsearch 8, in three groups. Both programs read them
there and send to the same stand-in for Slack, which takes one message a second (429, `Retry-After: 1`), one after the
other. Each has SECONDS (180) at most. ElastAlert 2 is installed once into a folder of its own in the cache; it needs
`python3.12` on PATH.

ElastAlert is configured for a storm, as its documentation has it: an aggregation for each type, as long as the digest,
sent as a table of counts; `realert` is off, since it would drop all events but the first; it asks each 10 s (its
example: 1 min), and scrolls through everything.

Printed: until the first message and until all events have arrived, how many there were in how many messages, refused
requests, the longest text, the processor's time of the program, and what stays in ElastAlert's own index.
"""

import json
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from elasticsearch import Elasticsearch

from benchmarks.concurrency import use_of
from benchmarks.digest import PATH, storm
from testbed.receivers import Incoming, Receiver, slack
from testbed.servers.building import built, run
from testbed.servers.elasticsearch import V8, elasticsearch_url
from testbed.servers.indices import CALICO_MAPPINGS, connect, index, write
from testbed.servers.running import Server
from tests.e2e.sew_agent import Folder
from tests.waiting import eventually

VERSION, PYTHON = "2.31.0", "python3.12"
EVENTS, SECONDS, STARTING = 3_000, 180.0, 60.0
WRITTEN = "sew-bench-elastalert"
"""ElastAlert's own index: each event that it has seen, until it was sent and after. Its other four begin with this."""
MAPPINGS = {**CALICO_MAPPINGS, "properties": {**CALICO_MAPPINGS["properties"], "@timestamp": {"type": "date"}}}
"""With the field by which ElastAlert's rules tell the time, unless they say otherwise."""

_MODULE = """
import runpy, sys
from elasticsearch import Elasticsearch
Elasticsearch.info = lambda *_, **__: {"version": {"number": "%s"}}
Elasticsearch.delete_by_query = lambda self, index, body: self.delete(index=index, id=body["query"]["term"]["_id"])
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__")
"""
"""Runs a module of ElastAlert. Our node lacks two things that it asks for: its version at `/`, and `_delete_by_query`,
by which it deletes one document after the other; `delete` does the same, with less work."""

Program = Callable[[str, str, Receiver, Path, Elasticsearch], Any]
"""Context manager that runs a program on the index at a URL, and yields its process when it reads."""


class Measured(NamedTuple):
    """What arrived within so many seconds of the storm's beginning, and what it took."""

    first: float
    last: float
    events: int
    messages: int
    refused: int
    longest: int
    cpu: float


def main() -> None:
    """Print the figures of both."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else EVENTS
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else SECONDS
    with elasticsearch_url(V8) as url, connect(url) as client:
        for name, program in (("sew-agent, `digest: 30s`", agent), (f"ElastAlert {VERSION}, 30 s", elastalert)):
            print(f"{name}: {described(measured(program, url, client, count, seconds), count)}", flush=True)
        print(f"  {left_by_elastalert(client)}")
        client.indices.delete(index=list(client.indices.get(index=f"{WRITTEN}*")))


def measured(program: Program, url: str, client: Elasticsearch, count: int, seconds: float) -> Measured:
    """Run a program, let the storm come, and watch until all of it has arrived or the time is over."""
    with (
        tempfile.TemporaryDirectory() as place,
        index(client, mappings=MAPPINGS) as name,
        slack(PATH, burst=1) as receiver,
    ):
        with program(url, name, receiver, Path(place), client) as process:
            began, before = time.monotonic(), use_of(process.pid).cpu
            now = datetime.now(UTC).isoformat()
            write(client, name, ({**event, "@timestamp": now} for event in storm(count)))
            first = last = 0.0
            arrived = 0
            while arrived < count and time.monotonic() - began < seconds:
                time.sleep(0.1)
                seen, arrived = arrived, sum(map(events_in, receiver.accepted))
                if arrived > seen:
                    last = time.monotonic() - began
                    first = first or last
            cpu = use_of(process.pid).cpu - before
        longest = max((len(text_of(incoming)) for incoming in receiver.accepted), default=0)
        return Measured(first, last, arrived, len(receiver.accepted), len(receiver.refused), longest, cpu)


@contextmanager
def agent(url: str, name: str, receiver: Receiver, place: Path, _client: Elasticsearch) -> Iterator[Any]:
    """Run sew-agent, with the retries that it has by default."""
    folder = Folder(place)
    folder.webhook("soc", receiver.url + PATH, consumer="Slack", digest="30s", groupBy="type")
    settings = {"SEW_SLACK_URL_PREFIXES": receiver.url, "SEW_RETRY_INITIAL": "1s", "SEW_RETRY_MAX": "60s"}
    started = folder.start("--elasticsearch", url, "--index", name, **settings)
    try:
        eventually(lambda: started.says("webhook_accepted"), "the webhook is served", STARTING)
        eventually(lambda: "\nsew_polls_total 0\n" not in started.scrape(), "the index is read", STARTING)
        yield started
    finally:
        folder.stop()


@contextmanager
def elastalert(url: str, name: str, receiver: Receiver, place: Path, client: Elasticsearch) -> Iterator[Any]:
    """Run ElastAlert with a rule of type `any`."""
    python = built("elastalert2", VERSION, _install) / "bin" / "python"
    host, _, port = url.removeprefix("http://").partition(":")
    settings = {
        "rules_folder": str(place / "rules"),
        "run_every": {"seconds": 10},
        "buffer_time": {"minutes": 15},
        "es_host": host,
        "es_port": int(port),
        "writeback_index": WRITTEN,
        "alert_time_limit": {"days": 2},
    }
    rule = {
        "name": "soc",
        "type": "any",
        "index": name,
        "filter": [{"range": {"severity": {"gte": 0}}}],
        "realert": {"minutes": 0},
        "aggregation": {"seconds": 30},
        "aggregation_key": "type",
        "alert_text_type": "aggregation_summary_only",
        "summary_table_fields": ["type", "severity", "source_namespace"],
        "alert": "slack",
        "slack_webhook_url": receiver.url + PATH,
    }
    (place / "rules").mkdir()
    (place / "config.yaml").write_text(yaml.safe_dump(settings))
    (place / "rules" / "soc.yaml").write_text(yaml.safe_dump(rule))
    command, given = [python, "-c", _MODULE % V8.number], ["--config", str(place / "config.yaml")]
    run(*command, "elastalert.create_index", *given, cwd=place)
    with Server([*command, "elastalert.elastalert", *given], place / "log") as server:
        server.wait_until(lambda: client.count(index=f"{WRITTEN}_status")["count"] > 0, STARTING)
        yield server


def _install(folder: Path) -> None:
    run(PYTHON, "-m", "venv", folder)
    run(folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-compile", f"elastalert2=={VERSION}")


def events_in(incoming: Incoming) -> int:
    """Return how many events a message tells of: the sum of ElastAlert's table, or what a digest's first line says."""
    text = text_of(incoming)
    rows = re.findall(r"\| (\d+) +\|$", text, re.MULTILINE)
    digest = re.match(r"(\d+) events?\b", text)
    return sum(map(int, rows)) if rows else int(digest[1]) if digest else 1


def text_of(incoming: Incoming) -> str:
    """Return the text of a message in all its parts, as they follow each other."""
    message = incoming.json()
    parts = [message["text"], *(part["text"] for part in message.get("attachments", ()))]
    return "\n".join(filter(None, parts)) + json.dumps(message.get("blocks", ""))


def left_by_elastalert(client: Elasticsearch) -> str:
    """Return what its index says: how much was written there, and what was not sent and never will be.

    An event that waits for others is beside the first of them, whose id it has; that one is deleted when it is sent.
    """
    client.indices.refresh(index=WRITTEN)
    unsent = client.search(index=WRITTEN, query={"term": {"alert_sent": False}}, size=10_000)["hits"]["hits"]
    heads = {hit["_id"] for hit in unsent}
    orphans = sum(hit["_source"].get("aggregate_id", hit["_id"]) not in heads for hit in unsent)
    indexing = client.indices.stats(index=WRITTEN, metric="indexing")["_all"]["primaries"]["indexing"]
    written, deleted = indexing["index_total"], indexing["delete_total"]
    return (
        f"its index: {written:,} writes, {deleted:,} deletions; {len(unsent):,} unsent, {orphans:,} without their first"
    )


def described(made: Measured, count: int) -> str:
    """Return figures in words."""
    return (
        f"{made.events:,} of {count:,} events in {made.messages} messages, the first after {made.first:.1f} s,"
        f" the last after {made.last:.1f} s; refused {made.refused}; longest {made.longest:,} characters;"
        f" processor {made.cpu:.0f} s"
    )


if __name__ == "__main__":
    main()
