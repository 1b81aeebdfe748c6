"""Options that say how to validate webhooks: the keys that queries may use, and the consumers, as in the agent."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from kubectl_sew.members import members
from kubectl_sew.query import FieldSet
from kubectl_sew.query.fields import FIELD_SETS

if TYPE_CHECKING:
    from kubectl_sew.consumers.base import Consumer

_GIVEN = click.core.ParameterSource.COMMANDLINE
INDEX = "tigera_secure_ee_events.*"
SLACK_URL_PREFIXES = "SEW_SLACK_URL_PREFIXES"
"""The agent's own variable: CI judges as the agent does where both have it."""

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class ValidationRules:
    """The keys that queries may use, and the consumers."""

    fields: FieldSet
    consumers: "Mapping[str, Consumer]"


def rules_options(command: Command) -> Command:
    """`--fields`, `--elasticsearch` and `--index`, as the argument `rules`."""

    @wraps(command)
    def with_rules(*args: Any, fields: str | None, elasticsearch: str | None, index: str, **given: Any) -> Any:
        return command(*args, rules=_rules(fields, elasticsearch, index), **given)

    wrapped: Any = with_rules
    for option in (index_option, _ELASTICSEARCH, _FIELDS):
        wrapped = option(wrapped)
    return cast("Command", wrapped)


_FIELDS = click.option(
    "--fields",
    type=click.Choice(list(FIELD_SETS)),
    help="The keys that queries may use, as the agent's SEW_FIELDS. [default: calico]",
)
_ELASTICSEARCH = click.option(
    "--elasticsearch", metavar="URL", help="Check queries against the keys of an index there, as the agent does."
)
index_option = click.option(
    "--index", metavar="PATTERN", default=INDEX, show_default=True, help="With --elasticsearch: its indices."
)


def check_index_flags(elasticsearch: str | None) -> None:
    """Refuse what is said of an index where none is asked: it would be left unread, silently."""
    source = click.get_current_context().get_parameter_source
    given = [f"--{name}" for name in ("index", "since", "time-field") if source(name.replace("-", "_")) is _GIVEN]
    if given and elasticsearch is None:
        raise click.UsageError(f"{given[0]} is for --elasticsearch: give its URL, too")


def _rules(fields: str | None, elasticsearch: str | None, index: str) -> ValidationRules:
    check_index_flags(elasticsearch)
    if fields and elasticsearch is not None:
        raise click.UsageError("--fields and --elasticsearch cannot be given together: an index has its own keys")
    from kubectl_sew.consumers.registry import CONSUMERS, consumers  # noqa: PLC0415  # not every query's preview needs them

    prefixes = members(os.environ.get(SLACK_URL_PREFIXES, ""))
    known = FIELD_SETS[fields or "calico"] if elasticsearch is None else index_fields(elasticsearch, index)
    return ValidationRules(known, consumers(prefixes) if prefixes else CONSUMERS)


def index_fields(urls: str, pattern: str) -> FieldSet:
    """The keys that the mapping of an index has. Raises ElasticsearchError."""
    from kubectl_sew.elasticsearch.client import Index  # noqa: PLC0415  # likewise
    from kubectl_sew.elasticsearch.credentials import VARIABLES, from_files  # noqa: PLC0415  # few commands ask an index

    files = {name: Path(path) for name, variable in VARIABLES.items() if (path := os.environ.get(variable))}
    index = Index(from_files(members(urls), files)(), pattern)
    try:
        return index.fields()
    finally:
        index.close()
