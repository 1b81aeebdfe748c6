"""The first page: each webhook with its health, the agents, and how far events were read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kubectl_sew.agents import describe_agent
from kubectl_sew.cli.commands.list import HEADINGS, deliverer_of, row_of
from kubectl_sew.dashboard.history import ChartStep
from kubectl_sew.dashboard.reach import Fleet
from kubectl_sew.dashboard.views.chart import Chart, draw
from kubectl_sew.event import read_time
from kubectl_sew.resource import Condition, State, Webhook, checkpoint
from kubectl_sew.text import cut, plural, spell_age, spell_duration, spell_seconds

HEALTH = ("failing", "parked", "behind", "unknown", "healthy", "off")
"""The words for a webhook's health, the most urgent first."""

_LONGEST_REASON = 500
"""Characters: the webhook's own page has all of it."""


@dataclass(frozen=True, slots=True)
class WebhookLine:
    """A webhook in the table; all are texts for people."""

    name: str
    consumer: str
    state: str
    health: str
    reason: str
    by: str
    waiting: str
    oldest: str
    dead: str
    delivered: str
    retry: str
    chart: Chart


@dataclass(frozen=True, slots=True)
class Overview:
    """The page. `counts`: how many webhooks are of each health; `agent`: lines on it; `problems` hinder them all."""

    lines: tuple[WebhookLine, ...]
    counts: tuple[tuple[str, int], ...]
    two_deliver: bool
    """True where Calico's processor may be who delivers."""
    agent: tuple[str, ...]
    problems: tuple[str, ...]


def overview(fleet: Fleet, history: Callable[[str], Sequence[ChartStep]], now: float, *, only: str = "") -> Overview:
    """Return the page; `now` in epoch seconds. `only`: a part of the names, or a word of HEALTH, of what is listed."""
    lines = [_line(webhook, fleet, history, now) for webhook in fleet.webhooks]
    counts = [(word, sum(line.health == word for line in lines)) for word in HEALTH]
    shown = sorted((line for line in lines if _fits(line, only)), key=_urgency)
    return Overview(
        tuple(shown),
        tuple((word, count) for word, count in counts if count),
        bool(fleet.agent.beside_calico or any(webhook.state_text for webhook in fleet.webhooks)),
        tuple(_agent(fleet, now)),
        tuple(_problems(fleet)),
    )


def health_of(webhook: Webhook, fleet_row: dict[str, Any], healthy: str) -> str:
    """Return the health in a word of HEALTH. `healthy`: as `kubectl sew list` has it."""
    if webhook.effective_state is State.DISABLED:
        return "off"
    if healthy == "False":
        return "parked" if fleet_row.get("parked") else "failing"
    if healthy == "True":
        return "behind" if fleet_row.get("behind") else "healthy"
    return "unknown"


def _line(webhook: Webhook, fleet: Fleet, history: Callable[[str], Sequence[ChartStep]], now: float) -> WebhookLine:
    row = dict(fleet.agent.rows.get(webhook.name, {}))
    cells = dict(zip(HEADINGS, row_of(webhook, fleet.agent), strict=True))
    oldest, retry = row.get("oldestWaitingSeconds"), read_time(row.get("nextRetry"))
    message, reason = cells["MESSAGE"], cells["REASON"]
    return WebhookLine(
        name=webhook.name,
        consumer=cells["CONSUMER"],
        state=cells["STATE"],
        health=health_of(webhook, row, cells["HEALTHY"]),
        reason=cut(str(row.get("behind") or "") or (reason if message == "-" else message), _LONGEST_REASON),
        by=deliverer_of(webhook, fleet.agent),
        waiting=cells["WAITING"],
        oldest="" if oldest is None else spell_seconds(oldest),
        dead=cells["DEAD"],
        delivered=f"{row['delivered']:,}" if "delivered" in row else "-",
        retry="" if retry is None else spell_age(retry - now),
        chart=draw(history(webhook.name), small=True),
    )


def _fits(line: WebhookLine, only: str) -> bool:
    return only == line.health if only in HEALTH else only in line.name


def _urgency(line: WebhookLine) -> tuple[int, str]:
    return HEALTH.index(line.health), line.name


def _agent(fleet: Fleet, now: float) -> list[str]:
    """Return lines on the agent, on those that share its store, and on how far it has read."""
    agent, report = fleet.agent, fleet.agent.report
    if agent.unknown:
        return [f"unknown: {agent.unknown}"]
    if not report.get("running"):
        return [f"{agent.holder}: its program is not running; the figures are from its store"]
    lines = [f"{agent.holder}, version {report.get('version')}"]
    lines += [describe_agent(one) for one in report.get("agents") or ()]
    read = report.get("eventsRead") or 0
    if report.get("startedAt") and report.get("reads"):
        lines.append(f"{read:,} {plural(read, 'event')} read since {report['startedAt']}")
    return lines + _lag(fleet, now)


def _lag(fleet: Fleet, now: float) -> list[str]:
    """Return how far the slowest webhook is read: to now, or by how much it lags."""
    fetched = (
        Condition("EventsFetched", "", "", str(row.get("eventsFetched") or "")) for row in fleet.agent.rows.values()
    )
    moments = [moment for one in fetched if (moment := checkpoint([one])) is not None]
    return [f"events are read to the last but {spell_duration(now - min(moments))}"] if moments else []


def _problems(fleet: Fleet) -> list[str]:
    report = fleet.agent.report
    reasons = [str(problem.get("message")) for problem in report.get("sourceTroubles") or ()]
    said = (*(report.get("sourceCaveats") or ()), *(report.get("problems") or ()))
    return [*([fleet.agent.gone] if fleet.agent.gone else []), *reasons, *map(str, said)]
