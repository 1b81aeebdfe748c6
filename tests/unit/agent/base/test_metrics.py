"""The text that Prometheus reads, what it adds up to, and the documentation and alerts that name it."""

import re
from pathlib import Path

import pytest
import yaml

from sew_agent.base.metrics import METRICS, Metrics, PollFailure
from sew_agent.status.collector import collect
from sew_agent.store.records import Counters, ReceiverState

ROOT = Path(__file__).parents[4]


def counters(webhook: str, **changes: object) -> Counters:
    counts: dict[str, object] = {
        "delivered": 5,
        "pending": 3,
        "dead": 2,
        "dropped": {"debug": 1, "purged": 4},
        "oldest_pending": 900.0,
        "last_delivered_at": 990.5,
        "last_error": "",
        "bytes_used": 4096,
    }
    return Counters(webhook, **(counts | changes))  # type: ignore[arg-type]


def test_the_text_is_what_prometheus_reads() -> None:
    receivers = {"w": ReceiverState("w", failures=2, parked=True)}
    text = collect([counters("w")], receivers, {"w": 0.25}, {}, Metrics(), 1000.0)
    for line in (
        "# TYPE sew_events_seen_total counter",
        'sew_events_seen_total{webhook="w"} 15',
        'sew_deliveries{webhook="w",state="delivered"} 5',
        'sew_deliveries{webhook="w",state="pending"} 3',
        'sew_deliveries{webhook="w",state="dead"} 2',
        'sew_deliveries{webhook="w",state="dropped"} 5',
        'sew_dropped_total{webhook="w",reason="purged"} 4',
        'sew_backlog_oldest_seconds{webhook="w"} 100',
        'sew_last_delivery_timestamp_seconds{webhook="w"} 990.5',
        'sew_store_room_ratio{webhook="w"} 0.25',
        'sew_webhook_parked{webhook="w"} 1',
        'sew_failures_in_a_row{webhook="w"} 2',
        "sew_polls_total 0",
        'sew_poll_errors_total{reason="source"} 0',
    ):
        assert line in text.splitlines()
    assert text.endswith("\n")


def test_how_far_behind_reading_is_grows_with_the_clock() -> None:
    metrics = Metrics()
    metrics.set_webhooks({"good": True, "bad": False}, {"good": 990.0, "ahead": 1001.0})
    lines = collect([], {}, {}, {}, metrics, 1000.0).splitlines()
    assert 'sew_read_lag_seconds{webhook="good"} 10' in lines
    assert 'sew_read_lag_seconds{webhook="ahead"} 0' in lines
    assert 'sew_webhook_accepted{webhook="good"} 1' in lines
    assert 'sew_webhook_accepted{webhook="bad"} 0' in lines
    assert 'sew_read_lag_seconds{webhook="good"} 70' in collect([], {}, {}, {}, metrics, 1060.0).splitlines()


def test_seen_is_the_sum_of_the_states() -> None:
    text = collect([counters("a"), counters("b", pending=0, dropped={})], {}, {}, {}, Metrics(), 1000.0)
    states = re.findall(r'^sew_deliveries\{webhook="a",.*\} (\d+)$', text, re.MULTILINE)
    assert 'sew_events_seen_total{webhook="a"} 15' in text
    assert sum(map(int, states)) == 15


def test_an_empty_backlog_has_no_age_and_a_new_webhook_no_last_delivery() -> None:
    text = collect(
        [counters("w", pending=0, oldest_pending=None, last_delivered_at=None)], {}, {}, {}, Metrics(), 1000.0
    )
    assert 'sew_backlog_oldest_seconds{webhook="w"} 0' in text
    assert "sew_last_delivery_timestamp_seconds{" not in text


def test_labels_are_escaped() -> None:
    text = collect([counters('a"b\\c\nd')], {}, {}, {}, Metrics(), 1000.0)
    assert 'sew_events_seen_total{webhook="a\\"b\\\\c\\nd"} 15' in text.splitlines()


def test_attempts_are_counted_by_outcome_and_reason() -> None:
    metrics = Metrics()
    for _ in range(2):
        metrics.attempted("w", "Slack", "retry", "timeout", 3.0)
    metrics.attempted("w", "Slack", "delivered", "none", 0.001)
    lines = metrics.write({}).splitlines()
    assert 'sew_attempts_total{webhook="w",outcome="retry",reason="timeout"} 2' in lines
    assert 'sew_attempts_total{webhook="w",outcome="delivered",reason="none"} 1' in lines
    assert 'sew_attempt_duration_seconds_bucket{consumer="Slack",le="0.005"} 1' in lines
    assert 'sew_attempt_duration_seconds_bucket{consumer="Slack",le="2"} 1' in lines
    assert 'sew_attempt_duration_seconds_bucket{consumer="Slack",le="5"} 3' in lines
    assert 'sew_attempt_duration_seconds_bucket{consumer="Slack",le="+Inf"} 3' in lines
    assert 'sew_attempt_duration_seconds_count{consumer="Slack"} 3' in lines
    assert 'sew_attempt_duration_seconds_sum{consumer="Slack"} 6.001' in lines


def test_a_receivers_latency_is_summed_up_by_webhook_until_that_is_deleted() -> None:
    metrics = Metrics()
    for seconds in (3.0, 0.5):
        metrics.attempted("w", "Slack", "retry", "timeout", seconds)
    metrics.attempted("gone", "Slack", "retry", "timeout", 1.0)
    metrics.keep({"w"})
    text = metrics.write({})
    lines = text.splitlines()
    assert "# TYPE sew_webhook_attempt_duration_seconds summary" in lines
    assert 'sew_webhook_attempt_duration_seconds_sum{webhook="w"} 3.5' in lines
    assert 'sew_webhook_attempt_duration_seconds_count{webhook="w"} 2' in lines
    assert "gone" not in text


def test_a_value_on_a_bound_belongs_to_its_bucket() -> None:
    metrics = Metrics()
    metrics.polled(0.5)
    assert 'sew_poll_duration_seconds_bucket{le="0.5"} 1' in metrics.write({})
    assert 'sew_poll_duration_seconds_bucket{le="0.1"} 0' in metrics.write({})


def test_latency_is_from_reading_and_from_the_events_own_time() -> None:
    metrics = Metrics()
    metrics.delivered("Jira", now=1000.0, read_at=990.0, event_time=None)
    metrics.delivered("Jira", now=1000.0, read_at=999.0, event_time=400.0)
    metrics.delivered("Jira", now=1000.0, read_at=999.0, event_time=2000.0)
    lines = metrics.write({}).splitlines()
    assert 'sew_delivery_latency_seconds_sum{consumer="Jira"} 12' in lines
    assert 'sew_event_latency_seconds_sum{consumer="Jira"} 600' in lines
    assert 'sew_event_latency_seconds_count{consumer="Jira"} 2' in lines


@pytest.mark.parametrize("failure", PollFailure)
def test_failed_polls_are_polls_too(failure: PollFailure) -> None:
    metrics = Metrics()
    metrics.polled(0.1)
    metrics.polled(0.1, failure)
    lines = metrics.write({}).splitlines()
    assert "sew_polls_total 2" in lines
    assert f'sew_poll_errors_total{{reason="{failure.value}"}} 1' in lines


def test_what_is_no_event_is_counted_by_kind() -> None:
    metrics = Metrics()
    metrics.skipped("bad_line")
    assert 'sew_source_warnings_total{kind="bad_line"} 1' in metrics.write({})


def test_every_line_is_of_the_text_format() -> None:
    metrics = Metrics()
    metrics.polled(1.5)
    metrics.attempted("w", "Slack", "retry", "timeout", 3.0)
    sample = re.compile(r'[a-z_]+(\{([a-z]+="[^"]*")(,[a-z]+="[^"]*")*\})? [0-9.+Inf]+')
    for line in collect([counters("w")], {"w": ReceiverState("w")}, {"w": 0.5}, {}, metrics, 1000.0).splitlines():
        assert line.startswith(("# HELP ", "# TYPE ")) or sample.fullmatch(line), line


@pytest.mark.documentation
def test_the_documentation_names_the_metrics_that_there_are() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| (\w+) \| (.*?) \| (.*) \|$", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE
    )
    there = [
        (metric.name, metric.kind, ", ".join(f"`{label}`" for label in metric.labels), metric.meaning)
        for metric in METRICS
    ]
    assert rows == there


def test_alerts_ask_only_for_metrics_that_there_are() -> None:
    groups = yaml.safe_load((ROOT / "manifests/monitoring/prometheusrule.yaml").read_text())["spec"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    served = {metric.name for metric in METRICS}
    assert rules
    for rule in rules:
        named = set(re.findall(r"\bsew_\w+", rule["expr"]))
        assert named, rule["alert"]
        assert named <= served
        assert rule["annotations"]["summary"]


def test_suppressed_events_are_counted_by_exception_from_zero_on_until_it_is_deleted() -> None:
    metrics = Metrics()
    metrics.set_exceptions(["a", "b"])
    metrics.suppressed(("a",))
    metrics.suppressed(("a", "b"))
    metrics.set_exceptions(["a", "c"])
    assert metrics.suppressed_events() == {"a": 2, "c": 0}
    lines = metrics.write({}).splitlines()
    assert {'sew_events_suppressed_total{exception="a"} 2', 'sew_events_suppressed_total{exception="c"} 0'} <= set(
        lines
    )


def test_what_was_read_and_what_was_left_out_for_its_own_time_are_counted() -> None:
    metrics = Metrics()
    metrics.read(3)
    metrics.read(4)
    metrics.skipped("before_start", 2)
    metrics.skipped("too_old", 5)
    lines = metrics.write({}).splitlines()
    assert {"sew_events_read_total 7", "sew_events_before_start_total 2", "sew_events_too_old_total 5"} <= set(lines)


def test_what_waits_for_its_digest_is_not_old_until_its_time_is_over() -> None:
    rows = [counters("early", oldest_pending=500.0), counters("late", oldest_pending=300.0)]
    text = collect(rows, {}, {}, {"early": 600.0, "late": 600.0}, Metrics(), 1000.0)
    assert 'sew_backlog_oldest_seconds{webhook="early"} 0' in text
    assert 'sew_backlog_oldest_seconds{webhook="late"} 100' in text
