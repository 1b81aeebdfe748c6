"""The alert rules that we ship, judged by Prometheus' own promtool over scrapes of healthy and faulty agents."""

import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from sew_agent.base.metrics import Metrics, PollFailure
from sew_agent.status.collector import collect
from testbed.servers.building import program
from testbed.servers.required import required

pytestmark = pytest.mark.server
RULES = Path(__file__).parents[2] / "manifests/alerts.yaml"
MINUTES = 60
_SAMPLE = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)")


@pytest.fixture(scope="module")
def promtool() -> Path:
    with required():
        return program("promtool", "prometheus")


class ScrapedAgent:
    """An agent that is scraped once a minute. `step` is what happens in each of them."""

    def __init__(self, pod: str) -> None:
        self.pod, self.metrics, self.read_to = pod, Metrics(), 0.0

    def step(self, now: float) -> None:
        self.metrics.polled(0.01)
        self.metrics.set_webhooks({"ns/w": True}, {"ns/w": now - 12})


class StandingBy(ScrapedAgent):
    def step(self, now: float) -> None:
        """Do nothing: it does not read."""


class Failing(ScrapedAgent):
    def step(self, now: float) -> None:
        self.metrics.polled(0.01, PollFailure.SOURCE)
        self.metrics.set_webhooks({"ns/w": True}, {"ns/w": now})


class ReadingAPart(ScrapedAgent):
    def step(self, now: float) -> None:
        self.metrics.polled(0.01)
        self.metrics.set_webhooks({"ns/w": True}, {"ns/w": 0.0})


class Refusing(ScrapedAgent):
    def step(self, now: float) -> None:
        self.metrics.polled(0.01)
        self.metrics.set_webhooks({"ns/w": False}, {})


def series(agents: Sequence[ScrapedAgent]) -> Mapping[str, list[str]]:
    """Return the values of each series over an hour, as they were scraped."""
    values: dict[str, list[str]] = {}
    for minute in range(MINUTES + 1):
        for agent in agents:
            agent.step(minute * 60.0)
            for line in collect([], {}, {}, agent.metrics, minute * 60.0).splitlines():
                if match := _SAMPLE.fullmatch(line):
                    labels = ",".join(filter(None, [match[2], f'job="sew-agent",pod="{agent.pod}"']))
                    values.setdefault(f"{match[1]}{{{labels}}}", []).append(match[3])
    return values


def firing(promtool: Path, folder: Path, agents: Sequence[ScrapedAgent]) -> set[str]:
    """Return the alerts that fire after an hour: promtool names those that it did not expect."""
    names = [rule["alert"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    tested: dict[str, Any] = {
        "interval": "1m",
        "input_series": [{"series": name, "values": " ".join(values)} for name, values in series(agents).items()],
        "alert_rule_test": [{"eval_time": "1h", "alertname": name, "exp_alerts": []} for name in names],
    }
    file = folder / "test.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "tests": [tested]}))
    ran = subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    alerts = set(re.findall(r"alertname: ?(\w+)", ran.stdout + ran.stderr))
    assert ran.returncode == 0 or alerts, ran.stderr
    return alerts


def test_the_rules_are_what_prometheus_takes(promtool: Path) -> None:
    subprocess.run([promtool, "check", "rules", str(RULES)], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("agents", "fires"),
    [
        ([ScrapedAgent("a")], set()),
        ([ScrapedAgent("a"), StandingBy("b")], set()),
        ([StandingBy("a"), StandingBy("b")], {"SecurityEventsAreNotRead"}),
        ([], {"SecurityEventAgentIsGone"}),
        ([Failing("a"), StandingBy("b")], {"SecurityEventsCannotBeRead"}),
        ([ReadingAPart("a")], {"SecurityEventsAreReadLate"}),
        ([Refusing("a")], {"SecurityEventWebhookRefused"}),
    ],
    ids=["well", "one stands by", "nobody reads", "gone", "fails", "a part is not read", "refused"],
)
def test_an_alert_fires_for_what_is_wrong_and_for_nothing_else(
    promtool: Path, tmp_path: Path, agents: Sequence[ScrapedAgent], fires: set[str]
) -> None:
    assert firing(promtool, tmp_path, agents) == fires
