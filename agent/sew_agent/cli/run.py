"""`sew-agent run`: the settings' table as flags, and the agent."""

import os
from collections.abc import Callable
from typing import Any

import click

from kubectl_sew.consumers.rate import parse_rate
from kubectl_sew.text import parse_duration
from sew_agent.base import settings as table
from sew_agent.base.settings import SETTINGS, Setting, from_environment

_PLACEHOLDERS: dict[Callable[[str], Any], str] = {
    parse_duration: "TIME",
    table.parse_pause: "TIME",
    table.parse_size: "SIZE",
    table.parse_count: "NUMBER",
    table.parse_path: "PATH",
    table.parse_rules: "ADDRESSES",
    parse_rate: "RATE",
}
"""Parser of a setting -> placeholder of its value in the help; else the last word of its name."""


def _option(setting: Setting) -> click.Option:
    shown = f" [default: {setting.default}]" if setting.default not in ("", "false") else ""
    text = f"{setting.meaning[0].upper()}{setting.meaning[1:]}{shown} ({setting.variable})."
    if setting.default == "false":
        return click.Option([setting.flag], is_flag=True, flag_value="true", default=None, type=str, help=text)
    shown_as = _PLACEHOLDERS.get(setting.parse) or setting.name.rpartition("_")[2].upper()
    return click.Option([setting.flag], metavar=shown_as, help=text)


def _run(**flags: Any) -> None:
    from sew_agent.app import run  # noqa: PLC0415 - the other commands need neither network nor threads

    given = {name: value for name, value in flags.items() if value is not None}
    settings, warnings = from_environment(os.environ, given)
    raise SystemExit(run(settings, warnings))


RUN = click.Command(
    "run",
    callback=_run,
    params=[_option(setting) for setting in SETTINGS],
    help="Deliver security events to webhooks. Each flag is also an environment variable.",
)
