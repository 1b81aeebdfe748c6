"""`sew-agent`: every error that a user can cause ends here, in one line."""

import sys
from importlib.metadata import version

import click

from agent.cli.backlog import backlog
from agent.cli.dead_letters import dead_letters
from agent.cli.run import RUN
from agent.cli.status import status_command
from kubectl_sew.errors import SewError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Delivers security events to SecurityEventWebhooks."""


@cli.command("version")
def version_command() -> None:
    """The version of this program."""
    click.echo(f"sew-agent {version('kubectl-sew')}")


for command in (RUN, dead_letters, backlog, status_command):
    cli.add_command(command)


def main() -> None:
    """Exit codes: 0 fine, 1 an error, 2 usage, 124 a time-out."""
    try:
        cli(prog_name="sew-agent")
    except SewError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
