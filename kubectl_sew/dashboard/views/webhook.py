"""The page of one webhook: what `status` says of it, its query in words, what `validate` finds, its dead letters."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from kubectl_sew.cli.commands.list import HEADINGS, row_of
from kubectl_sew.cli.status_text import Labelled, advice, labelled
from kubectl_sew.cluster.webhook_details import Resolved, WebhookDetails
from kubectl_sew.dashboard.history import ChartStep
from kubectl_sew.dashboard.views.chart import Chart, draw
from kubectl_sew.dashboard.views.overview import health_of
from kubectl_sew.query import ANY, FieldSet, QueryError, bind, explain, parse
from kubectl_sew.resource import Condition, Finding, Webhook

MOST_LETTERS = 200
"""Dead letters on a page."""


@dataclass(frozen=True, slots=True)
class VariableLine:
    """A variable of the configuration: where its value is, and whether that is there. No value is ever shown."""

    name: str
    where: str
    said: str
    missing: bool = False
    fix: str = ""


@dataclass(frozen=True, slots=True)
class WebhookView:
    """The page."""

    name: str
    consumer: str
    health: str
    reason: str
    facts: tuple[tuple[str, tuple[str, ...]], ...]
    """Label -> its lines."""
    advice: tuple[str, ...]
    query: str
    words: str
    """The query in plain words, or what is wrong with it."""
    variables: tuple[VariableLine, ...]
    conditions: tuple[Condition, ...]
    findings: tuple[Finding, ...]
    chart: Chart
    waiting: int
    dead: int


def webhook_view(
    details: WebhookDetails, findings: Sequence[Finding], steps: Sequence[ChartStep], fields: FieldSet
) -> WebhookView:
    """Return the page. `fields`: the keys that its query may use."""
    webhook, row = details.webhook, dict(details.delivery or {})
    cells = dict(zip(HEADINGS, row_of(webhook, details.agent), strict=True))
    return WebhookView(
        name=webhook.name,
        consumer=webhook.consumer,
        health=health_of(webhook, row, cells["HEALTHY"]),
        reason=cells["REASON"] if cells["MESSAGE"] == "-" else cells["MESSAGE"],
        facts=tuple(_grouped(labelled(details))),
        advice=tuple(advice(details)),
        query=webhook.query,
        words=in_words(webhook.query, fields),
        variables=tuple(_variables(webhook, details.references, details.secrets_namespace)),
        conditions=webhook.conditions,
        findings=tuple(findings),
        chart=draw(steps),
        waiting=int(row.get("backlog") or 0),
        dead=int(row.get("deadLetters") or 0),
    )


def in_words(query: str, fields: FieldSet) -> str:
    """Return a query in plain words, or what is wrong with it; "" where it is not known."""
    if not query.strip():
        return ""
    try:
        node = parse(query)
    except QueryError as error:
        return error.render()
    try:
        return explain(bind(node, fields, query))
    except QueryError:
        try:
            return explain(bind(node, ANY, query))  # of other events than Calico's, as far as this place knows
        except QueryError as error:
            return error.render()


def _grouped(lines: Iterable[Labelled]) -> list[tuple[str, tuple[str, ...]]]:
    """Return each label with its lines, without those that the page shows elsewhere."""
    groups: list[tuple[str, list[str]]] = []
    for label, text in lines:
        if label or not groups:
            groups.append((label, [text]))
        else:
            groups[-1][1].append(text)
    return [(label, tuple(texts)) for label, texts in groups if label not in ("Webhook", "Query", "References")]


def _variables(webhook: Webhook, resolved: Sequence[Resolved], namespace: str) -> Iterable[VariableLine]:
    found = {one.variable: one for one in resolved}
    for setting in webhook.config:
        if (one := found.get(setting.name)) is None:
            yield VariableLine(setting.name, "in the webhook itself", "not shown: it may be a credential")
        else:
            yield VariableLine(setting.name, str(one.reference), one.said, one.missing, one.help(namespace))


@dataclass(frozen=True, slots=True)
class LettersView:
    """The dead letters of a webhook, the newest first; `total` counts those that are left out, too."""

    name: str
    letters: tuple[dict[str, Any], ...]
    total: int


def letters_view(name: str, letters: Sequence[dict[str, Any]]) -> LettersView:
    """Return the page. `letters` as `sew-agent dead-letters list -o json` prints them, oldest first."""
    return LettersView(name, tuple(reversed(letters[-MOST_LETTERS:])), len(letters))
