"""Place of the store, in the state folder or in PostgreSQL, and how it is opened."""

import os
import socket
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType

from sew_agent.store.contract import Store
from sew_agent.store.records import StoreError
from sew_agent.store.sqlite import store as sqlite
from sew_agent.store.sqlite.files import has_store, identity, lock

_LONGEST = 2**16


@dataclass(frozen=True, slots=True)
class StorePlace:
    """Place of a store: the agent's folder, and the URL of a database where it is not in the folder. A secret.

    `file`: the file that the URL is from; None where it is not from one.
    """

    folder: Path
    url: str = field(default="", repr=False)
    file: Path | None = None

    def reread(self) -> str:
        """Return the URL as it is now. Raises StoreError."""
        return read_url("", self.file) if self.file else self.url

    def __str__(self) -> str:
        """Name it without a secret. Raises StoreError where the URL cannot be read."""
        return str(postgresql().place(self.url)) if self.url else str(self.folder)

    def servers(self) -> list[str]:
        """Return the addresses of the database's servers as URLs without a secret. Raises StoreError."""
        servers = postgresql().place(self.url).servers if self.url else []
        return [
            f"postgresql://[{host}]:{port}" if ":" in host else f"postgresql://{host}:{port}"
            for host, port in servers
            if not host.startswith("/")
        ]

    def exists(self) -> bool:
        """Return whether an agent was ever active on this folder; what is in a database, only the database knows."""
        return bool(self.url) or has_store(self.folder)

    def agent(self) -> str:
        """Return what identifies the agent of the folder, made once. Raises StoreError."""
        return identity(self.folder)

    def identity(self) -> str:
        """Return what identifies the store: made once, and lost with it. Raises StoreError."""
        return postgresql().identity(self.url) if self.url else identity(self.folder)


def read_url(url: str, file: Path | None) -> str:
    """Return the URL of a database, given or in a file; "" for none. Raises StoreError."""
    if url and file:
        raise StoreError("--store (SEW_STORE) and --store-file (SEW_STORE_FILE) cannot be given together")
    if file is None:
        return url
    try:
        with file.open(encoding="utf-8") as content:
            url = content.read(_LONGEST).strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not text"
        raise StoreError(f"the file {file} with the store's URL (SEW_STORE_FILE) cannot be read: {why}") from None
    if not url:
        raise StoreError(f"the file {file} with the store's URL (SEW_STORE_FILE) is empty")
    return url


def open_beside(place: StorePlace) -> Store:
    """Open the store beside an agent that may be using it. Raises StoreError."""
    if place.url:
        store: Store = postgresql().open_store(place.url, owner=None, reread=place.reread)
        return store
    return sqlite.open_store(place.folder, exclusive=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreLimits:
    """Bounds of what a store keeps.

    `known_for`: seconds for which an event stays seen. `max_bytes`: size of all that the store may hold.
    `attempts_kept`: attempts of each webhook in the log of deliveries.
    """

    known_for: float
    max_bytes: int
    attempts_kept: int


def open_for_agent(place: StorePlace, stack: ExitStack, limits: StoreLimits, *, alone: bool) -> Store:
    """Open the store for the running agent, until `stack` closes it. Raises StoreError, StoreHeldError.

    `alone`: share it with no other agent.
    """
    with ExitStack() as opened:
        store: Store
        if place.url:
            opened.callback(lock(place.folder).close)
            name = os.environ.get("POD_NAME") or socket.gethostname()
            owner = f"{name}-{identity(place.folder)[:8]}"
            store = postgresql().open_store(place.url, owner=owner, alone=alone, reread=place.reread, **asdict(limits))
        else:
            store = sqlite.open_store(place.folder, **asdict(limits))
        opened.callback(store.close)
        stack.push(opened.pop_all())
        return store


def postgresql() -> ModuleType:
    """Load the store in PostgreSQL only where it is used: its client costs memory, and is not always installed."""
    try:
        from sew_agent.store.postgresql import store  # noqa: PLC0415 - see above
    except ModuleNotFoundError as error:
        if error.name != "psycopg":
            raise
        raise StoreError("SEW_STORE needs psycopg: install kubectl-sew with its extra `postgresql`") from None
    return store
