"""Shared options of the commands: the state folder, the form of the output, and checks."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from kubectl_sew.confirmation import who
from kubectl_sew.errors import SewError
from kubectl_sew.json_text import line
from kubectl_sew.terminal import to_json
from kubectl_sew.text import parse_duration
from sew_agent.store.contract import Store
from sew_agent.store.opening import StorePlace, open_beside, read_url
from sew_agent.store.records import DropReason, ManualAction

Command = TypeVar("Command", bound=Callable[..., Any])


def state_option(command: Callable[..., None]) -> Callable[..., None]:
    """Give the command the place of the store, as `state`: the agent's folder, or its database."""

    @wraps(command)
    def placed(*, state: Path, store: str, store_file: Path | None, **rest: Any) -> None:
        command(state=StorePlace(state, read_url(store, store_file), store_file), **rest)

    path = click.Path(path_type=Path, file_okay=False)
    options = (
        click.option("--state", envvar="SEW_STATE", required=True, type=path, help="The agent's state folder."),
        click.option(
            "--store", envvar="SEW_STORE", default="", metavar="URL", help="The agent's PostgreSQL, if it has one."
        ),
        click.option(
            "--store-file",
            envvar="SEW_STORE_FILE",
            type=click.Path(path_type=Path, dir_okay=False),
            help="File with the URL of that PostgreSQL.",
        ),
    )
    for option in reversed(options):
        placed = option(placed)
    return placed


def yes_option(command: Command) -> Command:
    return click.option("--yes", is_flag=True, help="Do not ask.")(command)


def ask(question: str) -> None:
    """Ask on stderr; any answer but yes ends the command."""
    click.confirm(question, abort=True, err=True)


def by_option(command: Command) -> Command:
    """Add the hidden option for the person on whose behalf `kubectl sew` runs the command."""
    return click.option("--by", default=who, hidden=True)(command)


class Duration(click.ParamType[float]):
    """Duration such as `1h`, in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)


@contextmanager
def beside(state: StorePlace) -> Iterator[Store]:
    """Open a store that an agent may be using at the same time."""
    store = open_beside(state)
    try:
        yield store
    finally:
        store.close()


def record(store: Store, what: DropReason, webhook: str, count: int, by: str) -> None:
    """Leave a trace of what a person gave up: the running agent logs it, and `status` shows it."""
    if count:
        store.record_action(ManualAction(0, time.time(), line(by, 80), what.value, webhook, count))


def check_webhook(store: Store, webhook: str | None, state: StorePlace) -> None:
    """Check that the store knows a webhook: with a typing error a command would do nothing. Raises SewError."""
    names = [row.webhook for row in store.counters()]
    if webhook is not None and webhook not in names:
        raise SewError(f"there is no webhook {webhook} in {state}; it holds: {', '.join(names) or 'none'}")


def print_json(value: Any) -> None:
    click.echo(to_json(value))
