"""The alert rules that we ship, judged by Prometheus' own promtool over scrapes of healthy and faulty agents."""

import json
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from sew_agent.base.metrics import Metrics, PollFailure
from sew_agent.base.process import process_gauges
from sew_agent.status.collector import collect
from sew_agent.store.records import Counters, ReceiverState

pytestmark = pytest.mark.server
MINUTES = 60
_SAMPLE = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)")
W = "ns/w"


class ScrapedAgent:
    """An agent that reads one webhook's events and delivers them. `fault` changes what it counts in each minute."""

    def __init__(self, pod: str, fault: Callable[["ScrapedAgent", float], None] = lambda _agent, _now: None) -> None:
        self.pod, self._fault, self._metrics = pod, fault, Metrics(process_gauges)
        self.accepted, self.failure, self.read_to = True, None, 0.0
        self.room, self.receiver, self.counters = 0.1, ReceiverState(W), self._counters(0.0)

    def scrape(self, now: float) -> str:
        self.read_to, self.counters = now - 12, self._counters(now)
        self.failure: PollFailure | None = None
        self._fault(self, now)
        self._metrics.polled(0.01, self.failure)
        self._metrics.set_webhooks({W: self.accepted}, {W: self.read_to} if self.accepted else {})
        return collect([self.counters], {W: self.receiver}, {W: self.room}, {}, self._metrics, now)

    @staticmethod
    def _counters(now: float, **changes: Any) -> Counters:
        """Return counts as they are while all is well: a delivery each minute, two pending, one old dead letter."""
        counts = {"delivered": int(now / 60), "pending": 2, "dead": 1, "dropped": {"purged": int(now / 60)}}
        rest = {"oldest_pending": now - 30, "last_delivered_at": now, "last_error": "", "bytes_used": 100}
        return Counters(W, **(counts | rest | changes))

    def counts(self, now: float, **changes: Any) -> None:
        self.counters = self._counters(now, **changes)


class StandingBy(ScrapedAgent):
    def scrape(self, now: float) -> str:
        """Return what an agent serves that waits for the Lease, or for the store."""
        return Metrics(process_gauges).write({})


def waits(agent: ScrapedAgent, now: float) -> None:
    agent.counts(now, oldest_pending=0.0)


def is_parked(agent: ScrapedAgent, now: float) -> None:
    agent.receiver = ReceiverState(W, failures=9, parked=True)


def gives_up(agent: ScrapedAgent, now: float) -> None:
    agent.counts(now, dead=1 + int(now > 1800))


def drops(agent: ScrapedAgent, now: float) -> None:
    agent.counts(now, dropped={"purged": 0, "expired": int(now / 60)})


def fills_up(agent: ScrapedAgent, now: float) -> None:
    agent.room = 0.85


def refuses(agent: ScrapedAgent, now: float) -> None:
    agent.accepted = False


def reads_a_part(agent: ScrapedAgent, now: float) -> None:
    agent.read_to = 0.0


def fails(agent: ScrapedAgent, now: float) -> None:
    agent.failure = PollFailure.SOURCE
    agent.read_to = now


def series(pages: Mapping[str, Sequence[str]]) -> Mapping[str, list[str]]:
    """Return the values of each series, as they were scraped; `pages`: those of each pod, one for each minute."""
    values: dict[str, list[str]] = {}
    for pod, scraped in pages.items():
        for minute, page in enumerate(scraped):
            for line in page.splitlines():
                if match := _SAMPLE.fullmatch(line):
                    labels = ",".join(filter(None, [match[2], f'job="sew-agent",namespace="sew-system",pod="{pod}"']))
                    of_series = values.setdefault(f"{match[1]}{{{labels}}}", [])
                    of_series += ["_"] * (minute - len(of_series))
                    of_series.append(match[3])
    return values


def firing(promtool: Path, rules: Path, folder: Path, pages: Mapping[str, Sequence[str]]) -> set[str]:
    """Return the alerts that fire after an hour: promtool names those that it did not expect."""
    shipped = [rule for group in yaml.safe_load(rules.read_text())["groups"] for rule in group["rules"]]
    asked = {name for rule in shipped for name in re.findall(r"sew_\w+", rule["expr"])}
    given = {name: values for name, values in series(pages).items() if name.partition("{")[0] in asked}
    tested: dict[str, Any] = {
        "interval": "1m",
        "input_series": [{"series": name, "values": " ".join(values)} for name, values in given.items()],
        "alert_rule_test": [{"eval_time": "1h", "alertname": rule["alert"], "exp_alerts": []} for rule in shipped],
    }
    file = folder / "test.yaml"  # JSON is YAML, too
    file.write_text(json.dumps({"rule_files": [str(rules)], "tests": [tested]}))
    ran = subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    alerts = set(re.findall(r"alertname: ?(\w+)", ran.stdout + ran.stderr))
    assert ran.returncode == 0 or alerts, ran.stderr
    return alerts


def test_the_rules_are_what_prometheus_takes(promtool: Path, rules: Path) -> None:
    subprocess.run([promtool, "check", "rules", str(rules)], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("agents", "fires"),
    [
        ([ScrapedAgent("a")], set()),
        ([ScrapedAgent("a"), StandingBy("b")], set()),
        ([StandingBy("a"), StandingBy("b")], {"SecurityEventsAreNotRead"}),
        ([], {"SecurityEventAgentIsGone"}),
        ([ScrapedAgent("a", waits)], {"SecurityEventsWait"}),
        ([ScrapedAgent("a", is_parked), StandingBy("b")], {"SecurityEventWebhookParked"}),
        ([ScrapedAgent("a", gives_up)], {"SecurityEventsDied"}),
        ([ScrapedAgent("a", drops)], {"SecurityEventsDropped"}),
        ([ScrapedAgent("a", fills_up)], {"SecurityEventWebhookRoom"}),
        ([ScrapedAgent("a", fails), StandingBy("b")], {"SecurityEventsCannotBeRead"}),
        ([ScrapedAgent("a", reads_a_part)], {"SecurityEventsAreReadLate"}),
        ([ScrapedAgent("a", refuses)], {"SecurityEventWebhookRefused"}),
    ],
    ids=lambda value: "+".join(sorted(value)) or "none" if isinstance(value, set) else None,
)
def test_an_alert_fires_for_what_is_wrong_and_for_nothing_else(
    promtool: Path, rules: Path, tmp_path: Path, agents: Sequence[ScrapedAgent], fires: set[str]
) -> None:
    pages = {agent.pod: [agent.scrape(minute * 60.0) for minute in range(MINUTES + 1)] for agent in agents}
    assert firing(promtool, rules, tmp_path, pages) == fires


def test_a_failover_is_no_alert(promtool: Path, rules: Path, tmp_path: Path) -> None:
    reading, waiting, half = ScrapedAgent("a"), StandingBy("b"), MINUTES // 2
    after = ScrapedAgent("b")
    pages = {
        "a": [reading.scrape(minute * 60.0) for minute in range(half)],
        "b": [(waiting if minute < half else after).scrape(minute * 60.0) for minute in range(MINUTES + 1)],
    }
    assert firing(promtool, rules, tmp_path, pages) == set()


def test_the_alerts_of_a_real_agent_fire(promtool: Path, rules: Path, tmp_path: Path, scrapes: tuple[str, str]) -> None:
    before, after = scrapes
    assert firing(promtool, rules, tmp_path, {"a": [before] * 30 + [after] * 31}) == {
        "SecurityEventWebhookParked",
        "SecurityEventWebhookRefused",
        "SecurityEventsDied",
        "SecurityEventsAreNotRead",  # since the same page is scraped again and again
    }
