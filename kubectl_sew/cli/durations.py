"""Durations as flags."""

import re

import click

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|)")
_SECONDS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def read_duration(ctx: click.Context, param: click.Parameter, value: str) -> float:
    """A flag's `60s`, `2m`, `24h`, `7d`, `90` in seconds."""
    matched = _DURATION.fullmatch(value)
    if not matched:
        raise click.BadParameter(f"it must be a duration such as 30s or 2m, but is `{value}`", ctx, param)
    return float(matched[1]) * _SECONDS[matched[2]]
