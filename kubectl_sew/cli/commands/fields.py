"""`kubectl sew fields`."""

import click

from kubectl_sew.cli.output import echo, table
from kubectl_sew.query.fields import CALICO, Field, FieldType

_TYPES = {"string": FieldType.STRING, "integer": FieldType.INTEGER, "boolean": FieldType.BOOLEAN}
_TYPES |= {"time": FieldType.TIME, "ip": FieldType.IP}

_FORMS = {
    FieldType.BOOLEAN: "true, false",
    FieldType.IP: 'an address; with =, !=, IN and NOTIN also a network, e.g. "10.0.0.0/8"',
    FieldType.TIME: 'seconds since the epoch, "2026-01-31T12:00:00Z", "now", "now-15m" (s m h d)',
}


@click.command
@click.option("--type", "kind", type=click.Choice(list(_TYPES)), help="Only fields of this type.")
def fields(kind: str | None) -> None:
    """List the keys that a query may use, with their types and values.

    \b
    Examples:
      kubectl sew fields
      kubectl sew fields --type ip
    """
    chosen = [each for each in CALICO if kind is None or each.type is _TYPES[kind]]
    echo(table(("NAME", "TYPE", "MEANING", "VALUES"), [_row(each) for each in chosen]))


def _row(field: Field) -> tuple[str, ...]:
    return field.name, field.type.value, field.meaning, field.allowed or _FORMS.get(field.type, "any")
