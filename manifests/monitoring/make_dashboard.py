"""Makes dashboard.json, Grafana's dashboard of the agent: `make dashboard`. Edit the table here, not that file."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase

from grafana_foundation_sdk.builders import dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.builders.common import ReduceDataOptions, VizLegendOptions, VizTooltipOptions
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    LegendDisplayMode,
    LegendPlacement,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    GridPos,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
    VariableSort,
)

FILE = Path(__file__).with_name("dashboard.json")
_SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
_WIDTH = 24
"""Columns of Grafana's grid."""


@dataclass(frozen=True)
class Figure:
    """One number. `bad`: from which value on it is red."""

    title: str
    expression: str
    unit: str = "short"
    bad: float | None = None


@dataclass(frozen=True)
class Graph:
    """Lines over time. `lines`: an expression -> the name of each of its series."""

    title: str
    description: str
    unit: str
    lines: Mapping[str, str]


_OF_JOB = 'namespace=~"$namespace", job=~"$job"'
_OF_WEBHOOK = f'{_OF_JOB}, webhook=~"$webhook"'
_FAILED = ', outcome!="delivered"'
_WAITING = ', state="pending"'
_DEAD = ', state="dead"'


def _by_webhook(metric: str, more: str = "") -> str:
    """The gauge of each webhook, in each release. Of agents that share a store only the one that reads serves it."""
    return f"max by (namespace, job, webhook) ({metric}{{{_OF_WEBHOOK}{more}}})"


def _rate(metric: str, by: str = "", selector: str = _OF_JOB) -> str:
    """The sum over all agents, by some labels."""
    grouped = f" by ({by})" if by else ""
    return f"sum{grouped} (rate({metric}{{{selector}}}[$__rate_interval]))"


def _quantile(part: float, metric: str, by: str = "") -> str:
    return f"histogram_quantile({part}, {_rate(f'{metric}_bucket', f'le, {by}' if by else 'le')})"


_WAIT = _by_webhook("sew_deliveries", _WAITING)
_LETTERS = _by_webhook("sew_deliveries", _DEAD)
_ACCEPTED = _by_webhook("sew_webhook_accepted")
_LATENCY = " / ".join(
    _rate(f"sew_webhook_attempt_duration_seconds_{part}", "webhook", _OF_WEBHOOK) for part in ("sum", "count")
)

OVERVIEW = (
    Figure("Agents", f"count(sew_build_info{{{_OF_JOB}}})"),
    Figure("Webhooks", f"count({_ACCEPTED})"),
    Figure("Refused", f"count({_ACCEPTED} == 0) or vector(0)", bad=1),
    Figure("Parked", f"sum({_by_webhook('sew_webhook_parked')})", bad=1),
    Figure("Waiting", f"sum({_WAIT})"),
    Figure("Oldest waits for", f"max({_by_webhook('sew_backlog_oldest_seconds')})", "s", bad=900),
    Figure("Dead letters", f"sum({_LETTERS})", bad=1),
    Figure("Furthest behind", f"max({_by_webhook('sew_read_lag_seconds')})", "s", bad=600),
)
ROWS: Mapping[str, tuple[Graph, ...]] = {
    "Overview": (
        Graph(
            "Events",
            "Events that are read, and how many of them the queries of webhooks select: one that two webhooks select "
            "counts twice.",
            "ops",
            {_rate("sew_events_read_total"): "read", _rate("sew_events_seen_total"): "selected"},
        ),
        Graph(
            "Attempts",
            "Attempts to deliver, by outcome.",
            "ops",
            {_rate("sew_attempts_total", "outcome"): "{{outcome}}"},
        ),
        Graph("Waiting", "Pending deliveries of each webhook.", "short", {_WAIT: "{{webhook}}"}),
    ),
    "Webhook $webhook": (
        Graph(
            "Attempts that failed",
            "By webhook and reason.",
            "ops",
            {_rate("sew_attempts_total", "webhook, reason", _OF_WEBHOOK + _FAILED): "{{webhook}} {{reason}}"},
        ),
        Graph(
            "Latency of its receiver",
            "Mean duration of an attempt.",
            "s",
            {_LATENCY: "{{webhook}}"},
        ),
        Graph("Age of the oldest that waits", "", "s", {_by_webhook("sew_backlog_oldest_seconds"): "{{webhook}}"}),
        Graph("Dead letters", "Kept until they are replayed, purged or expire.", "short", {_LETTERS: "{{webhook}}"}),
        Graph(
            "Time since the last delivery",
            "",
            "s",
            {f"time() - {_by_webhook('sew_last_delivery_timestamp_seconds')}": "{{webhook}}"},
        ),
        Graph(
            "Failures in a row",
            "Failed attempts since the last successful one.",
            "short",
            {_by_webhook("sew_failures_in_a_row"): "{{webhook}}"},
        ),
    ),
    "Reading": (
        Graph(
            "How far behind",
            "Age of the moment up to which everything was read. Up to 90 s is normal.",
            "s",
            {_by_webhook("sew_read_lag_seconds"): "{{webhook}}"},
        ),
        Graph(
            "Polls",
            "Polls for new events of each agent: one reads, the others rest. Failed ones by reason.",
            "ops",
            {
                _rate("sew_polls_total", "instance"): "{{instance}}",
                _rate("sew_poll_errors_total", "reason"): "failed: {{reason}}",
            },
        ),
        Graph(
            "Duration of a poll",
            "",
            "s",
            {
                _quantile(0.5, "sew_poll_duration_seconds"): "median",
                _quantile(0.95, "sew_poll_duration_seconds"): "95 %",
            },
        ),
        Graph(
            "Left out",
            "Events that are too old, older than a webhook's start, or suppressed; and what is no event.",
            "ops",
            {
                _rate("sew_events_too_old_total"): "too old",
                _rate("sew_events_before_start_total"): "before the start",
                _rate("sew_events_suppressed_total", "exception"): "exception {{exception}}",
                _rate("sew_source_warnings_total", "kind"): "{{kind}}",
            },
        ),
    ),
    "Receivers": (
        Graph(
            "Duration of an attempt",
            "By consumer.",
            "s",
            {
                _quantile(0.5, "sew_attempt_duration_seconds", "consumer"): "{{consumer}} median",
                _quantile(0.95, "sew_attempt_duration_seconds", "consumer"): "{{consumer}} 95 %",
            },
        ),
        Graph(
            "From reading to delivery",
            "95 of 100 events are faster.",
            "s",
            {_quantile(0.95, "sew_delivery_latency_seconds", "consumer"): "{{consumer}}"},
        ),
        Graph(
            "From the event to its delivery",
            "From the event's own time; 95 of 100 events are faster.",
            "s",
            {_quantile(0.95, "sew_event_latency_seconds", "consumer"): "{{consumer}}"},
        ),
    ),
    "Store": (
        Graph(
            "How full",
            "Of each webhook's share; at 100 % nothing more is read for it.",
            "percentunit",
            {_by_webhook("sew_store_room_ratio"): "{{webhook}}"},
        ),
        Graph(
            "Size",
            "Bytes of pending deliveries and dead letters.",
            "bytes",
            {_by_webhook("sew_store_bytes"): "{{webhook}}"},
        ),
        Graph(
            "Dropped",
            "Deliveries that will never be sent.",
            "ops",
            {_rate("sew_dropped_total", "reason", _OF_WEBHOOK): "{{reason}}"},
        ),
    ),
    "Agent": (
        Graph("Memory", "", "bytes", {f"process_resident_memory_bytes{{{_OF_JOB}}}": "{{instance}}"}),
        Graph("Processor", "Cores in use.", "short", {_rate("process_cpu_seconds_total", "instance"): "{{instance}}"}),
        Graph("Open files and connections", "", "short", {f"process_open_fds{{{_OF_JOB}}}": "{{instance}}"}),
    ),
}
"""Each row's graphs."""


def text() -> str:
    """Return the dashboard as Grafana imports it."""
    made = (
        dashboard.Dashboard("Security event webhooks (sew-agent)")
        .uid("sew-agent")
        .description("Reading and delivering security events by kubectl-sew's agent.")
        .tags(["kubectl-sew"])
        .refresh("30s")
        .time("now-6h", "now")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(
            _variable("namespace", "Namespace", "label_values(sew_build_info, namespace)").all_value(
                ".*"
            )  # without the Prometheus operator there is none to choose
        )
        .with_variable(_variable("job", "Job", 'label_values(sew_build_info{namespace=~"$namespace"}, job)'))
        .with_variable(_variable("webhook", "Webhook", f"label_values(sew_webhook_accepted{{{_OF_JOB}}}, webhook)"))
    )
    for number, panel in enumerate(_panels(), 1):
        panel.id(number)
        made = made.with_row(panel) if isinstance(panel, dashboard.Row) else made.with_panel(panel)
    return JSONEncoder(sort_keys=True, indent=2).encode(made.build()) + "\n"


def _variable(name: str, label: str, query: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(_SOURCE)
        .query(query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
    )


def _panels() -> Iterator[dashboard.Row | stat.Panel | timeseries.Panel]:
    """Yield rows and panels, each at its place from top to bottom."""
    top = 0
    for name, graphs in ROWS.items():
        yield dashboard.Row(name).grid_pos(GridPos(h=1, w=_WIDTH, x=0, y=top))
        top += 1
        if name == "Overview":
            wide = _WIDTH // len(OVERVIEW)
            yield from (
                _figure(figure).grid_pos(GridPos(h=4, w=wide, x=number * wide, y=top))
                for number, figure in enumerate(OVERVIEW)
            )
            top += 4
        columns = 3 if len(graphs) % 3 == 0 else 2
        wide = _WIDTH // columns
        for number, graph in enumerate(graphs):
            row, column = divmod(number, columns)
            yield _graph(graph).grid_pos(GridPos(h=8, w=wide, x=column * wide, y=top + 8 * row))
        top += 8 * -(-len(graphs) // columns)


def _figure(figure: Figure) -> stat.Panel:
    steps = [Threshold(value=None, color="green"), Threshold(value=figure.bad, color="red")]
    return (
        stat.Panel()
        .title(figure.title)
        .datasource(_SOURCE)
        .unit(figure.unit)
        .color_mode(BigValueColorMode.VALUE)
        .reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(
            dashboard.ThresholdsConfig()
            .mode(ThresholdsMode.ABSOLUTE)
            .steps(steps if figure.bad is not None else [Threshold(value=None, color="blue")])
        )
        .with_target(_query(figure.expression, "A").instant())
    )


def _graph(graph: Graph) -> timeseries.Panel:
    legend = VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM).show_legend(True)
    panel = (
        timeseries.Panel()
        .title(graph.title)
        .description(graph.description)
        .datasource(_SOURCE)
        .unit(graph.unit)
        .min(0)
        .fill_opacity(10)
        .legend(legend)
        .tooltip(VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    )
    for letter, (expression, name) in zip(ascii_uppercase, graph.lines.items(), strict=False):
        panel = panel.with_target(_query(expression, letter).legend_format(name))
    return panel


def _query(expression: str, letter: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().ref_id(letter).expr(expression).datasource(_SOURCE)


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
