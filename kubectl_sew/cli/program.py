"""`kubectl sew`: runs a command, and turns every way in which it can end into an exit code."""

import os
import sys
from collections.abc import Sequence

import click

from kubectl_sew.cli.connection import connection_options
from kubectl_sew.cli.group import Plugin
from kubectl_sew.cli.output import echo, print_error
from kubectl_sew.errors import SewError
from kubectl_sew.pages import page
from kubectl_sew.terminal import usage

USAGE, INTERRUPTED, BROKEN_PIPE = 2, 130, 141

PLUGIN = Plugin(
    "kubectl sew",
    params=list(connection_options()),
    help="Write, check, preview and operate Calico's SecurityEventWebhooks.",
    epilog=f"`kubectl sew COMMAND --help` says more about a command.\n\n\b\n{page('commands')}",
    callback=lambda: None,
    no_args_is_help=False,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


def run(args: Sequence[str]) -> int:
    """Runs a command line, and returns the exit code: a command's own if it returns one."""
    try:
        code = _invoke(_asked(list(args)))
        sys.stdout.flush()
        return code
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except BrokenPipeError:
        _discard_output()
        return BROKEN_PIPE
    except (click.ClickException, SewError, OSError) as error:
        return _report(error)
    except (KeyboardInterrupt, EOFError, click.Abort):
        echo(err=True)  # what comes next begins on a line of its own
        return INTERRUPTED


def _asked(args: list[str]) -> list[str]:
    """`help COMMAND` and `--version`, which people expect everywhere, as the command lines that they stand for."""
    if args[:1] == ["help"]:
        return [*args[1:], "--help"]
    return ["version", "--client"] if args == ["--version"] else args


def _report(error: click.ClickException | SewError | OSError) -> int:
    """Prints an error, and returns the exit code."""
    match error:
        case click.ClickException():
            text, code = usage(error, "kubectl sew"), USAGE
        case SewError():
            text, code = error.render(), error.exit_code
        case _:
            text, code = f"{error.filename or 'the output'}: {error.strerror or error}", 1
    print_error(text)
    return code


def _invoke(args: list[str]) -> int:
    with PLUGIN.make_context("kubectl sew", args) as context:
        if not args:
            echo(context.get_help())
            return 0
        code = PLUGIN.invoke(context)
        return code if isinstance(code, int) else 0


def _discard_output() -> None:
    """The reader has gone (`| head`): what is still buffered goes nowhere, and nothing complains at the exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
