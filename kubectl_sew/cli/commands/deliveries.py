"""`kubectl sew deliveries`."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import click

from kubectl_sew.cli import output as printing
from kubectl_sew.cli.agent_commands import ask_agent
from kubectl_sew.cli.cluster_options import (
    api_group_option,
    kubectl,
    name_argument,
    secrets_namespace_option,
    webhooks,
)
from kubectl_sew.cli.validation_options import consumers_and_maps
from kubectl_sew.cli.waiting import until
from kubectl_sew.cluster.agent import AgentError, ask, find_holder
from kubectl_sew.cluster.objects import read_objects
from kubectl_sew.confirmation import MAY_COME_TWICE, confirm
from kubectl_sew.deliveries import describe, table, unseen
from kubectl_sew.event import Event
from kubectl_sew.kubectl import KubectlError
from kubectl_sew.payload import Preview, Waiting, preview
from kubectl_sew.resource import Webhook


@click.command
@name_argument
@click.argument("action", type=click.Choice(["list", "show", "redeliver"]), default="list")
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--failed", is_flag=True, help="With list: only attempts that did not deliver.")
@click.option("--since", metavar="TIME", help="With list: only attempts of so long, e.g. 1h.")
@click.option("--event", metavar="ID", help="With list: only attempts of the event with this id.")
@click.option("-w", "--watch", is_flag=True, help="With list: go on with those that follow.")
@click.option("--yes", is_flag=True, help="With redeliver: do not ask.")
@click.option("-o", "--output", type=click.Choice(["json"]), help="With list and show: print JSON.")
@api_group_option
@secrets_namespace_option
@click.pass_context
def deliveries(  # noqa: PLR0913 - one for each flag
    ctx: click.Context,
    name: str,
    action: str,
    ids: tuple[str, ...],
    *,
    failed: bool,
    since: str | None,
    event: str | None,
    watch: bool,
    yes: bool,
    output: str | None,
    api_group: str | None,
    secrets_namespace: str,
) -> None:
    """List what was sent and what came back, show one delivery, or send some again.

    The newest attempts are there, of each webhook a thousand of the last seven days unless the agent is set otherwise.
    `show` adds the event of what is pending or a dead letter, and the request with it, without its secrets.
    `redeliver` sends what is pending or a dead letter at once, with the same id: it asks first. An event that was
    delivered is not kept, and cannot be sent again from there. An id may be cut short. The running agent answers, asked
    in its pod.

    \b
    Examples:
      kubectl sew deliveries prod-slack
      kubectl sew deliveries prod-slack --failed --since 1h
      kubectl sew deliveries prod-slack show 3f9c2a1b
      kubectl sew deliveries prod-slack redeliver 3f9c2a1b
    """
    _check(action, ids, listing=bool(failed or since or event or watch), yes=yes, output=output)
    more = [*(["--failed"] if failed else []), *(["--since", since] if since else [])]
    more += ["--event", event] if event else []
    if action == "redeliver":
        many = "1 delivery" if len(set(ids)) == 1 else f"{len(set(ids))} deliveries"
        confirm(f"send {many} of {name} again? {MAY_COME_TWICE}", printing.confirm, yes=yes)
        more += ["--yes"]
    if watch:
        _watch(ctx, secrets_namespace, name, more, as_json=bool(output))
    elif action == "show":
        _show(ctx, api_group, secrets_namespace, name, ids[0], as_json=bool(output))
    else:
        more += ["-o", output] if output else []
        ask_agent(ctx, secrets_namespace, "deliveries", action, "--webhook", name, *more, "--", *ids)


def _check(action: str, ids: tuple[str, ...], *, listing: bool, yes: bool, output: str | None) -> None:
    """Refuse what does not belong together. Raises click.UsageError."""
    if action == "list" and ids:
        raise click.UsageError("list shows all of them: leave the ids out, or use show")
    if action == "show" and len(ids) != 1:
        raise click.UsageError("show needs the id of one delivery")
    if action == "redeliver" and not ids:
        raise click.UsageError("redeliver needs the ids of deliveries")
    if listing and action != "list":
        raise click.UsageError(f"--failed, --since, --event and --watch are for list: leave them out with {action}")
    if yes and action != "redeliver":
        raise click.UsageError(f"--yes is for redeliver: leave it out with {action}")
    if output and action == "redeliver":
        raise click.UsageError("redeliver prints one line: leave --output out")


def _show(
    ctx: click.Context, api_group: str | None, secrets_namespace: str, name: str, identity: str, *, as_json: bool
) -> None:
    """Print one delivery as the agent has it, and its request as the webhook in the cluster makes it now."""
    connected = kubectl(ctx)
    holder = find_holder(connected, secrets_namespace)
    text = ask(connected, holder, "deliveries", "show", "--webhook", name, "-o", "json", "--", identity)
    delivery = _read_delivery(text)
    request = None
    if delivery["document"] is not None:
        try:
            request = _request(ctx, api_group, secrets_namespace, delivery)
        except KubectlError as error:
            request = Preview(why=str(error))
    if as_json:
        printing.print_json({**delivery, "request": asdict(request) if request else None})
    else:
        printing.echo(describe(delivery, request))


def _request(ctx: click.Context, api_group: str | None, secrets_namespace: str, delivery: Mapping[str, Any]) -> Preview:
    """Raises KubectlError where the webhook cannot be read; a Secret that cannot be read has something in its place."""
    webhook = Webhook.from_object(webhooks(ctx, api_group).one(delivery["webhook"]))
    held = read_objects(kubectl(ctx), secrets_namespace, webhook.references)
    event = Event(delivery["index"], delivery["event"], delivery["document"])
    waiting = Waiting(event, delivery["deliveryId"], bool(delivery.get("again")))
    objects = (held.of_kind("Secret"), held.of_kind("ConfigMap"))
    return preview(webhook, consumers_and_maps()[0], objects, waiting, time.time())


def _watch(ctx: click.Context, secrets_namespace: str, name: str, more: list[str], *, as_json: bool) -> None:
    """Print what is new, again and again, until it is interrupted; another agent may answer meanwhile."""
    connected, seen, first = kubectl(ctx), set[tuple[Any, ...]](), True

    def read() -> None:
        nonlocal first
        holder = find_holder(connected, secrets_namespace)
        rows = unseen(
            _read_rows(ask(connected, holder, "deliveries", "list", "--webhook", name, *more, "-o", "json")), seen
        )
        if as_json:
            for row in rows:
                printing.print_json(row)
        elif rows:
            text = table(rows)
            printing.echo(text if first else text.partition("\n")[2])
            first = False

    until(read, None)


def _read_rows(text: str) -> list[dict[str, Any]]:
    """Raises AgentError where it is not what an agent of this kind prints."""
    try:
        rows = json.loads(text)
    except ValueError:
        rows = None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise _unreadable()
    return rows


def _read_delivery(text: str) -> dict[str, Any]:
    """Raises AgentError where it is not what an agent of this kind prints."""
    try:
        delivery: dict[str, Any] = json.loads(text)
        rows, document = delivery["attempts"], delivery["document"]
        texts = (delivery[key] for key in ("webhook", "deliveryId", "event", "index", "state"))
        whole = all(isinstance(text, str) for text in texts) and all(isinstance(row, dict) for row in rows)
        whole = whole and (document is None or isinstance(document, dict))
    except (ValueError, TypeError, KeyError):
        whole = False
    if not whole:
        raise _unreadable()
    return delivery


def _unreadable() -> AgentError:
    return AgentError("the agent's log cannot be read", "is it of another version than `kubectl sew version`?")
