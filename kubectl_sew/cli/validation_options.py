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
    from kubectl_sew.event_maps.readable import EventMaps

_GIVEN = click.core.ParameterSource.COMMANDLINE
INDEX = "tigera_secure_ee_events.*"
SLACK_URL_PREFIXES = "SEW_SLACK_URL_PREFIXES"
"""The agent's own variable, as the next: CI judges as the agent does where both have it."""
EVENT_MAP = "SEW_EVENT_MAP"

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class ValidationRules:
    """The keys that queries may use, and the consumers."""

    fields: FieldSet
    consumers: "Mapping[str, Consumer]"
    maps: "EventMaps"
    """How events that are not Calico's are read for messages."""


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
    known = FIELD_SETS[fields or "calico"] if elasticsearch is None else index_fields(elasticsearch, index)
    return ValidationRules(known, *consumers_and_maps())


def consumers_and_maps() -> "tuple[Mapping[str, Consumer], EventMaps]":
    """Return every consumer, and the maps by which they read events, as the agent's variables say. Raises SewError."""
    from kubectl_sew.consumers.registry import consumers  # noqa: PLC0415  # not every query's preview needs them
    from kubectl_sew.consumers.slack import URL_PREFIXES  # noqa: PLC0415  # as above

    prefixes, maps = members(os.environ.get(SLACK_URL_PREFIXES, "")), event_maps()
    return consumers(prefixes or URL_PREFIXES, maps), maps


def event_maps(time_field: str = "time") -> "EventMaps":
    """Return the maps by which events are read, with those of the agent's variable. Raises SewError."""
    from kubectl_sew.event_maps.files import load_maps  # noqa: PLC0415  # as above
    from kubectl_sew.event_maps.readable import EventMaps  # noqa: PLC0415  # as above

    own = os.environ.get(EVENT_MAP, "").strip()
    return EventMaps(load_maps(Path(own) if own else None), time_field)


def index_fields(urls: str, pattern: str) -> FieldSet:
    """The keys that the mapping of an index has. Raises SewError where it cannot be asked, or there is none."""
    from kubectl_sew.cli.selection_source import connected  # noqa: PLC0415  # few commands ask an index
    from kubectl_sew.cli.survey_index import fields_of  # noqa: PLC0415  # as above

    with connected(urls, pattern) as index:
        return fields_of(index)
