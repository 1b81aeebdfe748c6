"""`sew-agent run`: the settings' table as flags, and the agent."""

import os
from typing import Any

import click

from sew_agent.base.settings import SETTINGS, Setting, from_environment


def _option(setting: Setting) -> click.Option:
    shown = f" [default: {setting.default}]" if setting.default not in ("", "false") else ""
    text = f"{setting.meaning[0].upper()}{setting.meaning[1:]}{shown} ({setting.variable})."
    if setting.default == "false":
        return click.Option([setting.flag], is_flag=True, flag_value="true", default=None, type=str, help=text)
    return click.Option([setting.flag], metavar=setting.name.rpartition("_")[2].upper(), help=text)


def _run(**flags: Any) -> None:
    from sew_agent.app import run  # noqa: PLC0415 - the other commands need neither network nor threads

    given = {name: value for name, value in flags.items() if value is not None}
    settings, warnings = from_environment(os.environ, given)
    raise SystemExit(run(settings, warnings))


RUN = click.Command(
    "run",
    callback=_run,
    params=[_option(each) for each in SETTINGS],
    help="Deliver security events to webhooks. Each flag is also an environment variable.",
)
