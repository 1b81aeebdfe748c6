"""`sew-agent migrate-store`: the store of a state folder into PostgreSQL."""

from pathlib import Path

import click

from kubectl_sew.errors import SewError
from sew_agent.store.moving import move
from sew_agent.store.opening import read_url


@click.command("migrate-store")
@click.option(
    "--from",
    "folder",
    envvar="SEW_STATE",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="State folder of the agent, which is stopped.",
)
@click.option("--to", "store", envvar="SEW_STORE", default="", metavar="URL", help="PostgreSQL that gets it.")
@click.option(
    "--to-file",
    "store_file",
    envvar="SEW_STORE_FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File with the URL of that PostgreSQL.",
)
def migrate_store(folder: Path, store: str, store_file: Path | None) -> None:
    """Move everything that a state folder holds into PostgreSQL.

    Stop the agent first, and give it SEW_STORE or SEW_STORE_FILE when it is started again.
    """
    url = read_url(store, store_file)
    if not url:
        raise SewError("name the PostgreSQL that gets the store: --to (SEW_STORE) or --to-file (SEW_STORE_FILE)")
    copied = move(folder, url)
    click.echo(
        f"moved: {copied['webhooks']:,} webhooks, {copied['deliveries']:,} deliveries that wait or are dead letters, "
        f"{copied['seen']:,} seen events"
    )
