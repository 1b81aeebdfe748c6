"""Prometheus' own promtool, the rules that we ship, and what real agents serve."""

import json
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
import yaml
from elasticsearch import Elasticsearch

from testbed.receivers import Answer, Receiver
from testbed.servers.building import program
from testbed.servers.indices import index
from testbed.servers.required import required
from tests.e2e.sew_agent import Agent, Folder, counters
from tests.integration.elasticsearch.faults import proxy, refuse
from tests.proof.preload import preload
from tests.waiting import eventually

MONITORING = Path(__file__).parents[3] / "manifests/monitoring"
_ANSWERS = {"parked": 401, "dying": 400, "well": 200, "gone": 503, "full": 503}
_AHEAD = 1000
"""Seconds by which the agent's clock is set while an event waits."""


@pytest.fixture(scope="session")
def promtool() -> Path:
    with required():
        return program("promtool", "prometheus")


@pytest.fixture(scope="session")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rules as a file of Prometheus: the `spec` of the PrometheusRule."""
    file = tmp_path_factory.mktemp("rules") / "rules.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load((MONITORING / "prometheusrule.yaml").read_text())["spec"]))
    return file


@dataclass(frozen=True)
class Scrapes:
    """Pages of two real agents. The one that reads has polled once more before each page."""

    healthy: Sequence[str]
    faulty: Sequence[str]
    """With each fault that it can have on files, all at once, and each poll failing."""
    standing_by: str
    """Of the other one, which waits for its store: an agent that waits for the Lease serves the same."""


@pytest.fixture(scope="session")
def scrapes(tmp_path_factory: pytest.TempPathFactory) -> Scrapes:
    """An agent on a file, whose clock can be set, and one whose PostgreSQL is away."""
    folder, other = Folder(tmp_path_factory.mktemp("agent")), Folder(tmp_path_factory.mktemp("other"))
    clock = folder.path / "clock"
    _set(clock, 0)
    with required():
        settings = {"LD_PRELOAD": str(preload("clock", folder.path)), "CLOCK_OFFSET": str(clock)}
    settings |= {"SEW_POLL_INTERVAL": "50ms", "SEW_FORGET_AFTER": "100ms", "SEW_STORE_MAX": "1MiB"}
    try:
        with Receiver(lambda incoming: Answer(_ANSWERS[incoming.path.strip("/")])) as receiver:
            _webhooks(folder, receiver.url)
            agent = folder.start(**settings)
            accepted = dict.fromkeys(_ANSWERS, 1.0)
            eventually(
                lambda: counters(agent.scrape(), "sew_webhook_accepted", "webhook") == accepted, "all are judged"
            )
            standing_by = other.start(SEW_STORE="postgresql://127.0.0.1:1/sew")
            healthy = pages(agent, 4)
            _fail(folder, agent, clock)
            return Scrapes(healthy, pages(agent, 3, "sew_poll_errors_total"), standing_by.scrape())
    finally:
        folder.stop()
        other.stop()


def _webhooks(folder: Folder, url: str) -> None:
    """Write a webhook for each answer, and an exception for events of the host `quiet`."""
    for name in _ANSWERS:
        folder.webhook(name, f"{url}/{name}", query=f"type = {'alert' if name == 'full' else 'waf'}")
    spec = {"description": "d", "selector": "host = quiet", "startTime": "2026-01-01T00:00:00Z"}
    exception = {"apiVersion": "projectcalico.org/v3", "kind": "AlertException", "metadata": {"name": "quiet"}}
    (folder.webhooks / "quiet.json").write_text(json.dumps(exception | {"spec": spec}))


def _fail(folder: Folder, agent: Agent, clock: Path) -> None:
    """Bring about each fault, and wait until the agent has noticed."""
    folder.webhook("refused", "https://r.example", query="severity >")
    folder.write(range(2), time="2026-11-25T16:36:21Z")
    folder.write([2], host="quiet")
    with folder.events.open("a") as file:
        file.write("no event\n")
    _served(agent, 'sew_webhook_accepted{webhook="refused"} 0')
    _served(agent, 'sew_webhook_parked{webhook="parked"} 1')
    _served(agent, 'sew_deliveries{webhook="dying",state="dead"} 2')
    _served(agent, 'sew_deliveries{webhook="well",state="delivered"} 2')
    _set(clock, _AHEAD)
    (folder.webhooks / "gone.json").unlink()
    _served(agent, 'sew_dropped_total{webhook="gone",reason="deleted"} 2')
    for number in count():
        if counters(agent.scrape(), "sew_store_room_ratio", "webhook")["full"] > 0.8:
            break
        folder.write([f"big-{number}"], type="alert", description="x" * 30_000)
        _served(agent, f'sew_events_seen_total{{webhook="full"}} {number + 1}')
    folder.events.unlink()
    folder.events.mkdir()  # a file that is gone is read on
    eventually(lambda: total(agent.scrape(), "sew_poll_errors_total") > 0, "it cannot read")


def _set(clock: Path, seconds: int) -> None:
    with clock.open("r+b" if clock.exists() else "wb") as file:
        file.write(struct.pack("q", seconds))


def _served(agent: Agent, line: str) -> None:
    eventually(lambda: line in agent.scrape().splitlines(), line)


@pytest.fixture(scope="session")
def late(elasticsearch_8: str, tmp_path_factory: pytest.TempPathFactory) -> Sequence[str]:
    """Pages of a real agent on Elasticsearch that reads what is new, and cannot read what was in the hours before."""
    folder = Folder(tmp_path_factory.mktemp("late"))
    with (
        Elasticsearch(elasticsearch_8, request_timeout=60) as client,
        index(client) as name,
        proxy(elasticsearch_8) as between,
    ):
        between.fault = lambda path, _body, real: refuse(503) if "_pit" in path else real()
        folder.webhook("late", "http://127.0.0.1:9")
        flags = ("--elasticsearch", between.url, "--index", name, "--start", "2h")
        try:
            agent = folder.start(*flags, SEW_POLL_INTERVAL="50ms")
            eventually(lambda: between.of("_pit") and "sew_read_lag_seconds{" in agent.scrape(), "it cannot read")
            return pages(agent, 3)
        finally:
            folder.stop()


def pages(agent: Agent, number: int, counter: str = "sew_polls_total") -> list[str]:
    """Return so many pages, with the counter further on in each."""
    taken = [agent.scrape()]
    while len(taken) < number:
        eventually(lambda: total(agent.scrape(), counter) > total(taken[-1], counter), f"{counter} grows")
        taken.append(agent.scrape())
    return taken


def total(page: str, counter: str) -> float:
    """Return the sum of a counter's series."""
    return sum(map(float, re.findall(rf"^{counter}(?:{{.*}})? (\S+)$", page, re.MULTILINE)))
