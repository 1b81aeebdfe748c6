"""`kubectl sew version`."""

import click

import kubectl_sew


@click.command
def version() -> None:
    """Print the version of this program."""
    click.echo(f"kubectl-sew {kubectl_sew.__version__}")
