"""The alert rules that we ship, judged by Prometheus' own promtool over scrapes of healthy and faulty agents.

Each alert fires for a real agent that has its cause. Simulated are histories of an hour and more, for which no test can
wait: all is well for long, and what is judged by the hour begins to fire, and ends.
"""

import json
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from sew_agent.base.metrics import Metrics
from sew_agent.base.process import process_gauges
from sew_agent.status.collector import collect
from sew_agent.store.records import Counters, ReceiverState
from tests.integration.monitoring.conftest import Scrapes

pytestmark = pytest.mark.server
HOUR = 60
_SAMPLE = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)")
Pages = Sequence[str]
"""What a pod serves in each minute; "" where it is not scraped."""


def series(pods: Mapping[str, Pages]) -> Mapping[str, list[str]]:
    """Return the values of each series, as they were scraped."""
    values: dict[str, list[str]] = {}
    for pod, scraped in pods.items():
        for minute, page in enumerate(scraped):
            for line in page.splitlines():
                if match := _SAMPLE.fullmatch(line):
                    labels = ",".join(filter(None, [match[2], f'job="sew-agent",namespace="sew-system",pod="{pod}"']))
                    of_series = values.setdefault(f"{match[1]}{{{labels}}}", [])
                    of_series += ["_"] * (minute - len(of_series))
                    of_series.append(match[3])
    return values


def firing(promtool: Path, rules: Path, folder: Path, pods: Mapping[str, Pages], minute: int = HOUR) -> set[str]:
    """Return the alerts that fire in a minute, with their webhook and reason: promtool names what it did not expect."""
    shipped = [rule for group in yaml.safe_load(rules.read_text())["groups"] for rule in group["rules"]]
    asked = {name for rule in shipped for name in re.findall(r"sew_\w+", rule["expr"])}
    given = {name: values for name, values in series(pods).items() if name.partition("{")[0] in asked}
    tested: dict[str, Any] = {
        "interval": "1m",
        "input_series": [{"series": name, "values": " ".join(values)} for name, values in given.items()],
        "alert_rule_test": [
            {"eval_time": f"{minute}m", "alertname": rule["alert"], "exp_alerts": []} for rule in shipped
        ],
    }
    file = folder / "test.yaml"  # JSON is YAML, too
    file.write_text(json.dumps({"rule_files": [str(rules)], "tests": [tested]}))
    ran = subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    alerts = [
        dict(re.findall(r'(\w+)="([^"]*)"', labels))
        for labels in re.findall(r"Labels:\{(.*)\}", ran.stdout + ran.stderr)
    ]
    assert ran.returncode == 0 or alerts, ran.stderr
    return {" ".join(filter(None, map(alert.get, ("alertname", "webhook", "reason")))) for alert in alerts}


def in_an_hour(*scraped: str) -> Pages:
    """Return what a pod serves within an hour: the first page for long, then a new one every four minutes."""
    return [scraped[max(len(scraped) - 1 - (HOUR - minute) // 4, 0)] for minute in range(HOUR + 1)]


def test_the_rules_are_what_prometheus_takes(promtool: Path, rules: Path) -> None:
    subprocess.run([promtool, "check", "rules", str(rules)], check=True, capture_output=True)


def test_a_real_agent_that_is_well_sets_off_no_alert_and_one_that_stands_by_neither(
    promtool: Path, rules: Path, tmp_path: Path, scrapes: Scrapes
) -> None:
    pods = {"a": in_an_hour(*scrapes.healthy), "b": in_an_hour(scrapes.standing_by)}
    assert firing(promtool, rules, tmp_path, pods) == set()


def test_a_real_agent_sets_off_the_alert_of_each_of_its_faults(
    promtool: Path, rules: Path, tmp_path: Path, scrapes: Scrapes
) -> None:
    pods = {"a": in_an_hour(scrapes.healthy[0], *scrapes.faulty), "b": in_an_hour(scrapes.standing_by)}
    assert firing(promtool, rules, tmp_path, pods) == {
        "SecurityEventsWait parked",
        "SecurityEventWebhookParked parked",
        "SecurityEventsDied dying",
        "SecurityEventsDropped gone deleted",
        "SecurityEventWebhookRoom full",
        "SecurityEventWebhookRefused refused",
        "SecurityEventsCannotBeRead source",
    }


def test_a_real_agent_that_could_not_read_a_part_reads_late(
    promtool: Path, rules: Path, tmp_path: Path, late: Pages
) -> None:
    assert firing(promtool, rules, tmp_path, {"a": in_an_hour(*late)}) == {"SecurityEventsAreReadLate late"}


def test_where_real_agents_only_stand_by_nobody_reads(
    promtool: Path, rules: Path, tmp_path: Path, scrapes: Scrapes
) -> None:
    pods = {"a": in_an_hour(scrapes.standing_by), "b": in_an_hour(scrapes.standing_by)}
    assert firing(promtool, rules, tmp_path, pods) == {"SecurityEventsAreNotRead"}


def test_an_agent_that_is_scraped_no_more_is_gone(
    promtool: Path, rules: Path, tmp_path: Path, scrapes: Scrapes
) -> None:
    pods = {"a": in_an_hour(*scrapes.healthy)[: HOUR // 2]}
    assert firing(promtool, rules, tmp_path, pods) == {"SecurityEventAgentIsGone"}


Counts = Mapping[str, Any]
Lives = Callable[[int], Counts | None]
"""Counts of a webhook in each minute, where they are not those of a good one; None before there is one."""


def simulated(last: int = HOUR, first: int = 0, w: Lives = lambda _minute: None) -> Pages:
    """Return what an agent serves from one minute to another that reads for a webhook `well`, and one `w`."""
    metrics = Metrics(process_gauges)
    return [""] * first + [_page(metrics, minute, {"well": {}, "w": w(minute)}) for minute in range(first, last + 1)]


def _page(metrics: Metrics, minute: int, webhooks: Mapping[str, Counts | None]) -> str:
    now = minute * 60.0
    metrics.polled(0.01)
    metrics.set_webhooks(dict.fromkeys(webhooks, True), dict.fromkeys(webhooks, now - 12))
    counters = [_counters(name, minute, counts) for name, counts in webhooks.items() if counts is not None]
    receivers = {row.webhook: ReceiverState(row.webhook) for row in counters}
    return collect(counters, receivers, dict.fromkeys(receivers, 0.1), {}, metrics, now)


def _counters(webhook: str, minute: int, changes: Counts) -> Counters:
    """Return counts as they are while all is well: a delivery each minute, two pending, one old dead letter."""
    counts = {"delivered": minute, "pending": 2, "dead": 1, "dropped": {"purged": minute}}
    rest = {"oldest_pending": 60.0 * minute - 30, "last_delivered_at": 60.0 * minute, "last_error": "", "bytes_used": 9}
    return Counters(webhook, **(counts | rest | changes))


def dead(*letters: tuple[int, int]) -> Lives:
    """Return the life of a webhook that has so many dead letters from a minute on."""
    return lambda minute: next(({"dead": number} for since, number in reversed(letters) if since <= minute), None)


def dropped(reason: str, since: int) -> Lives:
    """Return the life of a webhook for which something is dropped for the first time, seven at once."""
    return lambda minute: {"dropped": {"purged": minute} | ({reason: 7} if minute >= since else {})}


STANDING_BY = [Metrics(process_gauges).write({})] * (HOUR + 1)
DIED, EXPIRED = {"SecurityEventsDied w"}, {"SecurityEventsDropped w expired"}
HISTORIES: Mapping[str, tuple[Mapping[str, Pages], set[str]]] = {
    "well, and one stands by": ({"a": simulated(), "b": STANDING_BY}, set()),
    "a failover": ({"a": simulated(29), "b": [*STANDING_BY[:30], *simulated(first=30)[30:]]}, set()),
    "one dies": ({"a": simulated(w=dead((0, 1), (40, 2)))}, DIED),
    "one dies before its webhook is scraped": ({"a": simulated(w=dead((40, 1)))}, DIED),
    "one died so, more than an hour ago": ({"a": simulated(101, w=dead((40, 1)))}, set()),
    "one dies after all were purged": ({"a": simulated(w=dead((0, 5), (20, 0), (40, 2)))}, DIED),
    "all were purged": ({"a": simulated(w=dead((0, 5), (20, 0)))}, set()),
    "one dies at a failover": (
        {"a": simulated(29, w=dead((0, 1))), "b": simulated(first=30, w=dead((0, 2)))},
        DIED,
    ),
    "Prometheus is new": ({"a": simulated(first=30, w=dead((0, 5)))}, set()),
    "some are dropped for the first time": ({"a": simulated(w=dropped("expired", 40))}, EXPIRED),
    "some were, more than an hour ago": ({"a": simulated(101, w=dropped("expired", 40))}, set()),
    "some are dropped by an exception": ({"a": simulated(w=dropped("suppressed", 40))}, set()),
}


@pytest.mark.parametrize("history", HISTORIES)
def test_over_an_hour_what_is_new_fires_and_what_is_old_or_well_does_not(
    promtool: Path, rules: Path, tmp_path: Path, history: str
) -> None:
    pods, fires = HISTORIES[history]
    assert firing(promtool, rules, tmp_path, pods, max(map(len, pods.values())) - 1) == fires
