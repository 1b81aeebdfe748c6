"""`kubectl sew version`."""

import click

import kubectl_sew
from kubectl_sew.cli.output import echo


@click.command
def version() -> None:
    """Print the version of this program."""
    echo(f"kubectl-sew {kubectl_sew.__version__}")
