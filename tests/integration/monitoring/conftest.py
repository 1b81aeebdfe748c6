"""Prometheus' own promtool, the rules that we ship, and what a real agent serves."""

from pathlib import Path

import pytest
import yaml

from testbed.receivers import Answer, Receiver
from testbed.servers.building import program
from testbed.servers.required import required
from tests.e2e.sew_agent import Folder, counters
from tests.waiting import eventually

MONITORING = Path(__file__).parents[3] / "manifests/monitoring"
_ANSWERS = {"parked": 401, "dying": 400, "well": 200}


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


@pytest.fixture(scope="session")
def scrapes(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Pages of a real agent, before and after receivers took and refused what it sends; one webhook is refused."""
    folder = Folder(tmp_path_factory.mktemp("agent"))
    try:
        with Receiver(lambda incoming: Answer(_ANSWERS[incoming.path.strip("/")])) as receiver:
            for name in _ANSWERS:
                folder.webhook(name, f"{receiver.url}/{name}")
            folder.webhook("refused", receiver.url, query="severity >")
            agent = folder.start()
            eventually(lambda: len(counters(agent.scrape(), "sew_webhook_accepted", "webhook")) == 4, "all are judged")
            before = agent.scrape()
            folder.write(range(2), time="2026-11-25T16:36:21Z")
            for line in (
                'sew_webhook_parked{webhook="parked"} 1',
                'sew_deliveries{webhook="dying",state="dead"} 2',
                'sew_deliveries{webhook="well",state="delivered"} 2',
            ):
                eventually(lambda line=line: line in agent.scrape(), line)  # type: ignore[misc]
            return before, agent.scrape()
    finally:
        folder.stop()
