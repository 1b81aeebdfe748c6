"""Durations as flags."""

import click

from kubectl_sew.text import parse_duration


def read_duration(ctx: click.Context, param: click.Parameter, value: str) -> float:
    """A flag's `60s`, `2m`, `24h`, `7d`, `90` in seconds."""
    try:
        return parse_duration(value, unit="s")
    except ValueError:
        raise click.BadParameter(f"it must be a duration such as 30s or 2m, but is `{value}`", ctx, param) from None
