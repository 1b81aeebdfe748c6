"""Reading from a real Elasticsearch: requests and its own time for 1,000 webhooks, latency, a drain, memory and
processor at rest, with webhooks from a real API server.

    python -m benchmarks.elasticsearch [polls] [latency] [drain] [memory]

The server is started for it (testbed/servers), or `ELASTICSEARCH_URL` names one. 1,000 webhooks in one search are
beside 1,000 single searches; a drain is beside the bare urllib3 loop of benchmarks/delivery.py. Each pair alternates.
"""

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

import elastic_transport
from elasticsearch import Elasticsearch
from elasticsearch.helpers import bulk

from benchmarks.delivery import bare
from benchmarks.receiver import receiver
from kubectl_sew.elasticsearch.access import Access
from kubectl_sew.query import CALICO, bind, parse, to_dsl
from sew_agent.ingest.elasticsearch.source import ElasticsearchSource, IngestSettings
from sew_agent.ingest.source import Subscription
from sew_agent.store.sqlite.store import open_store
from testbed.servers.elasticsearch import V8, elasticsearch_url
from testbed.servers.indices import CALICO_MAPPINGS, CALICO_SETTINGS
from testbed.servers.kubernetes import find, kubernetes
from tests.integration.cluster.in_cluster import ClusterHarness, webhook

EVENTS = 300_000
WEBHOOKS = 1_000
NEW_EVENTS = (20, 200)
WARM_UP = 60
POLLS = 30
PAGE = 1_000
ROUNDS = 3
DRAINED = 100_000
LATENCY_SECONDS = 60.0
WAIT = 12.0
SETTLED = 60.0
AT_REST = 60.0


_READING = ("_stats/docs", "_msearch", "_settings", "_mapping", "_pit")


class Requests:
    """Counters of the event source's requests, but for those that fetch sources, and of the time that they took."""

    def __init__(self) -> None:
        self.count = 0
        self.took = 0
        """Milliseconds that Elasticsearch reports."""
        real = elastic_transport.Transport.perform_request

        def counted(transport: Any, method: str, target: str, **more: Any) -> Any:
            answer = real(transport, method, target, **more)
            self.count += any(kind in target for kind in _READING)
            self.took += answer.body.get("took", 0) if isinstance(answer.body, dict) else 0
            return answer

        elastic_transport.Transport.perform_request = counted  # type: ignore[method-assign,assignment]


class Reader:
    """A reader for all webhooks that keeps its position in memory."""

    def __init__(self, source: ElasticsearchSource, subscriptions: Sequence[Subscription]) -> None:
        self._source = source
        self._subscriptions = subscriptions
        self._position: str | None = None

    def read(self) -> str:
        """Read one page, and return the position behind it."""
        batch = self._source.read(self._subscriptions, self._position, now=time.time(), limit=PAGE)
        return batch.position

    def go_on(self) -> None:
        self._position = self.read()


@contextmanager
def events(client: Elasticsearch, size: int, shards: int = 3) -> Iterator[str]:
    name = f"bench-{uuid.uuid4().hex[:8]}"
    settings = {**CALICO_SETTINGS, "number_of_shards": shards, "refresh_interval": "1s"}
    client.indices.create(index=name, mappings=CALICO_MAPPINGS, settings=settings)
    write(client, name, range(size))
    client.indices.refresh(index=name)
    yield name
    client.indices.delete(index=name)


def write(client: Elasticsearch, name: str, numbers: Iterable[int]) -> None:
    chance = random.Random()
    actions = ({"_index": name, "_id": str(number), "_source": event(chance)} for number in numbers)
    bulk(client, actions, chunk_size=5_000)


def event(chance: random.Random) -> dict[str, Any]:
    return {
        "time": int(time.time()) - 5,
        "type": chance.choice(["waf", "alert", "suspicious_flow", "runtime_security"]),
        "severity": chance.randrange(100),
        "source_namespace": f"ns-{chance.randrange(200)}",
        "dest_port": chance.randrange(65_536),
        "origin": f"origin-{chance.randrange(1_000)}",
        "record": {"text": "x" * 500},
    }


def queries() -> list[str]:
    """Return queries of up to five leaves that select little, as alerts do."""
    chance = random.Random(7)
    made = []
    for number in range(WEBHOOKS):
        leaves = [
            f"origin = 'origin-{number}'",
            f"severity >= {chance.randrange(50)}",
            f"source_namespace != 'ns-{chance.randrange(200)}'",
            "type IN {'waf', 'alert'}",
            f"dest_port > {chance.randrange(1_000)}",
        ]
        made.append(" AND ".join(leaves[: chance.randint(2, 5)]))
    return made


def polls(client: Elasticsearch, url: str) -> None:
    requests = Requests()
    with events(client, EVENTS) as name:
        source = ElasticsearchSource(IngestSettings(name), lambda: Access((url,)), lambda _: {}, CALICO)
        asked = [parse(query) for query in queries()]
        reader = Reader(source, [Subscription(f"w{number:04}", node) for number, node in enumerate(asked)])
        reader.go_on()
        dsl = [to_dsl(bind(node, source.fields)) for node in asked]
        numbers = count(EVENTS)
        for _ in range(WARM_UP):
            write(client, name, [next(numbers) for _ in range(20)])
            client.indices.refresh(index=name)
            reader.go_on()
        singles(client, name, dsl)
        for new in NEW_EVENTS:
            reader.go_on()
            write(client, name, [next(numbers) for _ in range(new)])
            client.indices.refresh(index=name)
            compare(client, requests, reader, name, dsl)
        for _ in range(3):
            time.sleep(WAIT)
            reader.go_on()
        before = requests.count
        reader.read()
        print(f"a poll at rest: {requests.count - before} requests")
        source.close()


def compare(
    client: Elasticsearch, requests: Requests, reader: Reader, name: str, dsl: Sequence[dict[str, Any]]
) -> None:
    """Read the same new events again and again, for all webhooks at once, and by a search for each."""
    asked_for, before = requests.count, spent(client, requests)
    for _ in range(POLLS):
        reader.read()
    ours = {kind: value / POLLS for kind, value in since(client, requests, before).items()}
    asked_for = requests.count - asked_for
    before = spent(client, requests)
    singles(client, name, dsl)
    single = since(client, requests, before)
    less = ", ".join(f"{single[one] / max(ours[one], 0.1):.0f} times less {one}" for one in ours)
    print(f"a poll: {asked_for / POLLS:.1f} requests, {in_words(ours)}")
    print(f"  1,000 single searches: {in_words(single)}; {less}", flush=True)


def singles(client: Elasticsearch, name: str, dsl: Sequence[dict[str, Any]]) -> None:
    window = {"range": {"_seq_no": {"gte": EVENTS // 3}}}
    for query in dsl:
        body = {"query": {"bool": {"filter": [window, query]}}, "size": PAGE, "sort": [{"_seq_no": "asc"}]}
        client.search(index=name, body={**body, "_source": False, "track_total_hits": False})


def spent(client: Elasticsearch, requests: Requests) -> dict[str, float]:
    """Return the milliseconds of Elasticsearch since its start, which it measures once a second."""
    time.sleep(1.5)
    (node,) = client.nodes.stats(metric="indices,process").body["nodes"].values()
    search = node["indices"]["search"]
    return {
        "query time": requests.took,
        "CPU": node["process"]["cpu"]["total_in_millis"],
        "time in shards": search["query_time_in_millis"] + search["fetch_time_in_millis"],
    }


def since(client: Elasticsearch, requests: Requests, before: dict[str, float]) -> dict[str, float]:
    return {name: value - before[name] for name, value in spent(client, requests).items()}


def in_words(spent_: dict[str, float]) -> str:
    return ", ".join(f"{value:,.0f} ms of {name}" for name, value in spent_.items())


class Arrivals:
    """A receiver that records how long after its event was written each request came."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        noted = self.seconds

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                noted.append(time.time() - body["record"]["written"])
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server gives
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])


@contextmanager
def agent(url: str, name: str, webhooks: dict[str, str], port: int, *flags: str) -> Iterator[tuple[int, Path]]:
    """Run the real process on manifests in files, and yield its process id and its state folder."""
    with tempfile.TemporaryDirectory() as folder:
        for key, query in webhooks.items():
            manifest = webhook(key, f"http://127.0.0.1:{port}/events", query=query)
            (Path(folder) / f"{key}.json").write_text(json.dumps(manifest))
        with agent_on(["--webhooks", folder], url, name, *flags) as started:
            yield started


@contextmanager
def agent_on(webhooks: Sequence[str], url: str, name: str, *flags: str) -> Iterator[tuple[int, Path]]:
    """Run the real process. `webhooks` are the flags that say where those are."""
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state"
        command = [sys.executable, "-m", "sew_agent", "run", *webhooks, "--state", str(state)]
        command += ["--elasticsearch", url, "--index", name, "--listen", "off", *flags]
        environment = os.environ | {"SEW_EGRESS_ALLOW": "127.0.0.0/8", "SEW_RATE_GENERIC": "100000/s"}
        with (
            (Path(folder) / "log").open("wb") as log,
            subprocess.Popen(command, env=environment, stderr=log) as process,
        ):
            try:
                yield process.pid, state
            finally:
                process.kill()


def latency(client: Elasticsearch, url: str) -> None:
    arrivals = Arrivals()
    webhooks = {f"w{number}": f"severity = {number}" for number in range(100)}
    with events(client, 1_000) as name, agent(url, name, webhooks, arrivals.port):
        time.sleep(15)
        chance = random.Random(1)
        ends, number = time.time() + LATENCY_SECONDS, 0
        while time.time() < ends:
            written = time.time()
            document = event(chance) | {"time": int(written), "record": {"written": written}}
            client.index(index=name, id=f"l{number}", document=document)
            number += 1
            time.sleep(max(0.0, 0.05 - (time.time() - written)))
        time.sleep(5)
    seconds = sorted(arrivals.seconds)
    print(
        f"latency, 100 webhooks, {number / LATENCY_SECONDS:.0f} events a second: {len(seconds)} of {number} arrived,"
        f" p50 {seconds[len(seconds) // 2]:.2f} s, p99 {seconds[int(len(seconds) * 0.99)]:.2f} s"
    )


def drain(client: Elasticsearch, url: str) -> None:
    ratios = []
    with receiver() as port, events(client, DRAINED) as name:
        for _ in range(ROUNDS):
            loop = DRAINED / 5 / bare(port, DRAINED // 5)
            with agent(url, name, {"all": "severity >= 0"}, port, "--start", "24h") as (_, state):
                rate = drained(state)
            ratios.append(rate / loop)
            print(
                f"drain of {DRAINED:,}: {rate:,.0f}/s, bare loop {loop:,.0f}/s: {rate / loop:.2f} times the bare loop"
            )
    print(f"median {statistics.median(ratios):.2f} times the bare loop")


def drained(state: Path) -> float:
    """Return the deliveries a second, from the first one on."""
    while not (state / "sew.db.created").exists():
        time.sleep(0.1)
    store = open_store(state, exclusive=False)
    first, started = 0, 0.0
    while True:
        done = sum(row.delivered for row in store.counters())
        if done and not started:
            first, started = done, time.perf_counter()
        if done >= DRAINED:
            store.close()
            return (DRAINED - first) / (time.perf_counter() - started)
        time.sleep(0.05)


def memory(client: Elasticsearch, url: str) -> None:
    kibibytes = []
    with kubernetes(find()) as server, events(client, 1_000) as name:
        cluster = ClusterHarness(server)
        cluster.install()
        cluster.define()
        for many in (1, WEBHOOKS):
            names = [f"w{number}" for number in range(many)]
            cluster.apply(*(webhook(key, "http://127.0.0.1:9/", query="severity = 101") for key in names))
            with agent_on(["--kubeconfig", str(cluster.kubeconfig)], url, name) as (pid, _):
                time.sleep(SETTLED)
                before = cpu_seconds(pid)
                time.sleep(AT_REST)
                cpu = (cpu_seconds(pid) - before) / AT_REST
                resident = int(Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()[0])
            print(f"at rest, {many:,} webhooks: {resident / 1024:.0f} MiB, {cpu:.1%} of a core", flush=True)
            kibibytes.append(resident)
    print(f"{(kibibytes[1] - kibibytes[0]) / (WEBHOOKS - 1):.1f} KiB a webhook more")


def cpu_seconds(pid: int) -> float:
    """Return the processor's seconds of a process since its start, in user and system mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


PARTS = {"polls": polls, "latency": latency, "drain": drain, "memory": memory}


def main() -> None:
    with elasticsearch_url(V8) as url, Elasticsearch(url, request_timeout=120) as client:
        for part in sys.argv[1:] or PARTS:
            PARTS[part](client, url)


if __name__ == "__main__":
    main()
