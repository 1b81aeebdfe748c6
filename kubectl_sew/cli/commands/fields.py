"""`kubectl sew fields`."""

from collections.abc import Iterable

import click

from kubectl_sew.cli.output import echo, print_json, print_warning
from kubectl_sew.cli.validation_options import check_index_flags, index_fields, index_option
from kubectl_sew.columns import table
from kubectl_sew.query.fields import CALICO, Field, FieldType
from kubectl_sew.terminal import json_option

_TYPES = {"string": FieldType.STRING, "integer": FieldType.INTEGER, "boolean": FieldType.BOOLEAN}
_TYPES |= {"time": FieldType.TIME, "ip": FieldType.IP, "number": FieldType.FLOAT}

_FORMS = {
    FieldType.BOOLEAN: "true, false",
    FieldType.IP: 'an address; with =, !=, IN and NOTIN also a network, e.g. "10.0.0.0/8"',
    FieldType.TIME: 'seconds since the epoch, "2026-01-31T12:00:00Z", "now", "now-15m" (s m h d)',
}
_CALICOS = ("NAME", "TYPE", "MEANING", "VALUES")
_OF_EVENTS = ("NAME", "TYPE", "EVENTS", "VALUES")


@click.command
@click.option("--type", "kind", type=click.Choice(list(_TYPES)), help="Only fields of this type.")
@click.option(
    "--events",
    metavar="FILE",
    type=click.Path(allow_dash=True),
    help="The keys that the events of an NDJSON file have.",
)
@click.option("--elasticsearch", metavar="URL", help="The keys that the mapping of an index has.")
@index_option
@json_option
def fields(kind: str | None, events: str | None, elasticsearch: str | None, index: str, output: str | None) -> None:
    """List the keys that a query may use, with their types and values.

    Without a flag it lists the keys of Calico's events. A query may use the keys of a file's events with --fields any.

    \b
    Examples:
      kubectl sew fields
      kubectl sew fields --type ip
      kubectl sew fields --events falco.ndjson
      kubectl sew fields --elasticsearch https://elasticsearch:9200 --index 'falco-*'
    """
    check_index_flags(elasticsearch)
    if events is not None and (elasticsearch is not None or kind):
        raise click.UsageError("--events cannot be given together with --elasticsearch or --type")
    if events is not None:
        _print(_OF_EVENTS, _of_events(events), output)
        return
    field_set: Iterable[Field] = CALICO if elasticsearch is None else index_fields(elasticsearch, index)
    _print(_CALICOS, [_row(field) for field in field_set if kind is None or field.type is _TYPES[kind]], output)


def _print(headings: tuple[str, ...], rows: list[tuple[str, ...]], output: str | None) -> None:
    if output:
        print_json([dict(zip(map(str.lower, headings), row, strict=True)) for row in rows])
    else:
        echo(table(headings, rows))


def _row(field: Field) -> tuple[str, ...]:
    if field.storage.refusal:
        return field.name, field.type.value, field.meaning, f"cannot be queried: {field.storage.refusal}"
    return field.name, field.type.value, field.meaning, field.allowed or _FORMS.get(field.type, "any")


def _of_events(source: str) -> list[tuple[str, ...]]:
    from kubectl_sew.cli.event_fields import MOST_KEYS, Keys  # noqa: PLC0415  # likewise
    from kubectl_sew.cli.events import read_events  # noqa: PLC0415  # only this form reads events

    keys = Keys()
    read_events(source, keys.take)
    if keys.left_out:
        print_warning(f"the events have more than {MOST_KEYS:,} keys: the others are left out")
    return [(name, seen.type, f"{seen.events} of {keys.events}", ", ".join(seen.values)) for name, seen in keys]
