"""What the commands share: the state folder, the output's form, and errors without traceback."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from agent.store.base import Store
from agent.store.sqlite import open_store

Command = TypeVar("Command", bound=Callable[..., Any])


def state_option(command: Command) -> Command:
    return click.option(
        "--state",
        envvar="SEW_STATE",
        required=True,
        type=click.Path(path_type=Path, file_okay=False),
        help="The agent's state folder.",
    )(command)


def output_option(command: Command) -> Command:
    return click.option("-o", "--output", type=click.Choice(["json"]), help="Print JSON.")(command)


@contextmanager
def beside(state: Path) -> Iterator[Store]:
    """The store of a folder that an agent may be using at the same time."""
    store = open_store(state, exclusive=False)
    try:
        yield store
    finally:
        store.close()


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))
