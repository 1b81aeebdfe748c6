"""`sew-agent`: the commands, and one line for every error that a user can cause."""

import sys
from importlib.metadata import version

import click

from kubectl_sew.errors import SewError
from kubectl_sew.terminal import harmless, usage
from sew_agent.cli.backlog import backlog
from sew_agent.cli.dead_letters import dead_letters
from sew_agent.cli.deliveries import deliveries
from sew_agent.cli.migrate_store import migrate_store
from sew_agent.cli.replay import replay
from sew_agent.cli.run import RUN
from sew_agent.cli.status import status_command
from sew_agent.cli.trace import trace


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Deliver security events to SecurityEventWebhooks."""


@cli.command("version")
def version_command() -> None:
    """Print the version of this program."""
    click.echo(f"sew-agent {version('kubectl-sew')}")


for command in (RUN, trace, deliveries, dead_letters, backlog, replay, status_command, migrate_store):
    cli.add_command(command)


def main() -> None:
    """Run a command. Exit codes: 0 fine, 1 an error, 2 usage, 124 a time-out, 130 interrupted."""
    sys.exit(_run())


def _run() -> int:
    try:
        cli(prog_name="sew-agent", standalone_mode=False)
    except SewError as error:
        return _exit(f"error: {error}", 1)
    except click.ClickException as error:
        text = error.format_message()
        helps = text.startswith("Usage: ")  # no command was given: click lists them
        return _exit(text if helps else f"error: {usage(error, 'sew-agent')}", 2)
    except click.Abort:
        return _exit("", 130)  # the shell goes on in a new line
    return 0


def _exit(text: str, code: int) -> int:
    click.echo(harmless(text), err=True)
    return code


if __name__ == "__main__":
    main()
