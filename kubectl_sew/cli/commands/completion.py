"""`kubectl sew completion`."""

import os
import shutil
import sys
from pathlib import Path

import click

from kubectl_sew.cli.main import COMPLETE
from kubectl_sew.cli.output import echo, print_warning
from kubectl_sew.errors import SewError

NAME = "kubectl_complete-sew"

_SCRIPT = f"""#!/bin/sh
# Written by `kubectl sew completion install`: kubectl runs it to complete `kubectl sew`.
exec "$(dirname "$0")/kubectl-sew" {COMPLETE} "$@"
"""


_SHELLS = ("bash", "zsh", "fish", "powershell")


class _Completion(click.Group):
    """Answer who asks for a shell's script, as kubectl prints one, that none is needed."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] in _SHELLS:
            raise click.UsageError(f"kubectl's own completion is enough: `kubectl completion {args[0]}`", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=_Completion, invoke_without_command=True)
@click.pass_context
def completion(ctx: click.Context) -> None:
    """Set up completion of `kubectl sew` in the shell.

    kubectl's own completion (`kubectl completion --help` says how to load it) runs kubectl_complete-sew, which must be
    on PATH. pip puts it there; krew does not, so after installing with krew run this command once.

    \b
    Example:
      kubectl sew completion install
    """
    if ctx.invoked_subcommand is None:
        echo(ctx.get_help())


@completion.command
def install() -> None:
    """Put kubectl_complete-sew beside the plugin."""
    folder = Path(shutil.which("kubectl-sew") or sys.argv[0]).absolute().parent
    target = folder / NAME
    if target.is_file() and os.access(target, os.X_OK):
        echo(f"{target} is there already")
        return
    try:
        target.write_text(_SCRIPT)
        target.chmod(0o755)
    except OSError as error:
        raise SewError(f"{target} cannot be written: {error.strerror}: install as the owner of that folder") from None
    echo(f"{target} written")
    if shutil.which(NAME) is None:
        print_warning(f"{folder} is not on PATH, so kubectl will not find it")
