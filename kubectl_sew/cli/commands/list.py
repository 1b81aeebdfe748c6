"""`kubectl sew list`."""

import time

import click

from kubectl_sew.cli.output import echo, pass_through, table
from kubectl_sew.cli.reach import api_group_option, webhooks
from kubectl_sew.consumers.text import line
from kubectl_sew.resource import Condition, Webhook, spell_duration

_HEADINGS = ("NAME", "CONSUMER", "STATE", "HEALTHY", "REASON", "MESSAGE")
_WIDE = ("NAME", "CONSUMER", "STATE", "HEALTHY", "REASON", "DELIVERING", "EVENTS", "AGE", "QUERY", "MESSAGE")


@click.command("list")
@click.option(
    "-o", "--output", metavar="FORMAT", help="wide, or any format of kubectl get: json, yaml, name, jsonpath=…"
)
@api_group_option
@click.pass_context
def list_command(ctx: click.Context, output: str | None, api_group: str | None) -> None:
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
    found = [Webhook.from_object(each) for each in cluster.all()]
    if not found:
        echo("No resources found", err=True)
        return
    now = time.time()
    rows = [_wide(each, now) if output else _row(each) for each in found]
    echo(table(_WIDE if output else _HEADINGS, rows))


def _row(webhook: Webhook) -> tuple[str, ...]:
    healthy = _condition(webhook, "Healthy")
    return (*_head(webhook, healthy), line(healthy.message, 100) or "-")


def _wide(webhook: Webhook, now: float) -> tuple[str, ...]:
    healthy, delivering, fetched = (_condition(webhook, each) for each in ("Healthy", "Delivering", "EventsFetched"))
    age = "-" if webhook.created is None else spell_duration(now - webhook.created)
    more = (delivering.status, line(fetched.message, 60) or fetched.reason, age, line(webhook.query, 60))
    return (*_head(webhook, healthy), *more, line(healthy.message, 500) or "-")


def _head(webhook: Webhook, healthy: Condition) -> tuple[str, ...]:
    return webhook.name, line(webhook.consumer, 30), webhook.state.value, healthy.status, line(healthy.reason, 60)


def _condition(webhook: Webhook, kind: str) -> Condition:
    return webhook.condition(kind) or Condition(kind, "-", "-")
