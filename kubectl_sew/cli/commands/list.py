"""`kubectl sew list`."""

import time

import click

from kubectl_sew.cli.cluster_options import api_group_option, secrets_namespace_option, webhooks
from kubectl_sew.cli.output import echo, pass_through, print_warning
from kubectl_sew.cluster.webhook_details import AgentReport, ask_agent_report
from kubectl_sew.columns import table
from kubectl_sew.json_text import line
from kubectl_sew.resource import Condition, Webhook
from kubectl_sew.resource.conditions import waiting_in
from kubectl_sew.resource.effective import CONTESTED
from kubectl_sew.text import spell_seconds

HEADINGS = ("NAME", "CONSUMER", "STATE", "HEALTHY", "REASON", "WAITING", "DEAD", "MESSAGE")
_BY = "BY"
"""The heading of who delivers, beside Calico's processor."""
_WIDE = (*HEADINGS[:-1], "DELIVERING", "EVENTS", "AGE", "QUERY", "MESSAGE")


@click.command("list")
@click.option(
    "-o", "--output", metavar="FORMAT", help="wide, or any format of kubectl get: json, yaml, name, jsonpath=…"
)
@api_group_option
@secrets_namespace_option
@click.pass_context
def list_command(ctx: click.Context, output: str | None, api_group: str | None, secrets_namespace: str) -> None:
    """List the cluster's webhooks with their state and health.

    \b
    Examples:
      kubectl sew list
      kubectl sew list -o wide
      kubectl sew list -o jsonpath='{.items[*].metadata.name}'
    """
    cluster = webhooks(ctx, api_group)
    if output not in (None, "wide"):
        pass_through(cluster.kubectl.run("get", cluster.api.resource, "-o", output))
        return
    listed = [Webhook.from_object(obj) for obj in cluster.all()]
    if not listed:
        echo("No resources found", err=True)
        return
    agent = ask_agent_report(cluster.kubectl, secrets_namespace, time.time)
    if agent.gone:
        print_warning(agent.gone)
    now = time.time()
    rows = [_wide(webhook, agent, now) if output else row_of(webhook, agent) for webhook in listed]
    headings: tuple[str, ...] = _WIDE if output else HEADINGS
    if agent.beside_calico or any(webhook.state_text for webhook in listed):
        headings = _with(headings, _BY)
        rows = [_with(row, deliverer_of(webhook, agent)) for webhook, row in zip(listed, rows, strict=True)]
    echo(table(headings, rows))


def _with(cells: tuple[str, ...], more: str) -> tuple[str, ...]:
    """Return a row with another cell behind the state."""
    behind = HEADINGS.index("STATE") + 1
    return (*cells[:behind], more, *cells[behind:])


def deliverer_of(webhook: Webhook, agent: AgentReport) -> str:
    """Return who delivers, in a word."""
    deliverer = agent.deliverer(webhook)
    return "unknown" if deliverer is None else deliverer.value


def row_of(webhook: Webhook, agent: AgentReport) -> tuple[str, ...]:
    """Return the cells below HEADINGS."""
    healthy = _condition(webhook, "Healthy")
    return (*_head(webhook, healthy, agent), line(_message(webhook, healthy, agent), 100) or "-")


def _message(webhook: Webhook, healthy: Condition, agent: AgentReport) -> str:
    if webhook.is_contested and agent.beside_calico:
        return CONTESTED.format(name=webhook.name)
    return healthy.message


def _wide(webhook: Webhook, agent: AgentReport, now: float) -> tuple[str, ...]:
    healthy, delivering, fetched = (_condition(webhook, kind) for kind in ("Healthy", "Delivering", "EventsFetched"))
    age = "-" if webhook.created is None else spell_seconds(now - webhook.created)
    more = (delivering.status, line(fetched.message, 60) or fetched.reason, age, line(webhook.query, 60))
    return (*_head(webhook, healthy, agent), *more, line(_message(webhook, healthy, agent), 500) or "-")


def _head(webhook: Webhook, healthy: Condition, agent: AgentReport) -> tuple[str, ...]:
    """Return the first columns; the health that an agent has written which is gone is not known any more."""
    row = agent.rows.get(webhook.name, {})
    waiting, dead = row.get("backlog"), row.get("deadLetters")
    health = "Unknown" if agent.gone and healthy.status == "True" else healthy.status
    return (
        webhook.name,
        line(webhook.consumer, 30),
        webhook.effective_state.value,
        health,
        line(healthy.reason, 60),
        (waiting_in(webhook.conditions) or "-") if waiting is None else f"{waiting:,}",
        "-" if dead is None else f"{dead:,}",
    )


def _condition(webhook: Webhook, kind: str) -> Condition:
    return webhook.condition(kind) or Condition(kind, "-", "-")
