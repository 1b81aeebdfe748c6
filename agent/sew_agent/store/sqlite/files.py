"""Files of the state folder: names, access rights, the lock that one agent holds, the store's identity."""

import fcntl
import os
import uuid
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from sew_agent.store.records import StoreError
from sew_agent.store.sqlite.errors import damaged, explained

DATABASE = "sew.db"
MARK = "sew.db.created"
"""File beside the database since that was created: with it, an empty database has lost its content."""
MOVED = "sew.db.moved"
"""File beside a database whose content is in PostgreSQL now."""
LOCK = "lock"
IDENTITY = "identity"
OURS = (LOCK, IDENTITY, MARK, "agent.json", "reserve")


def lock(folder: Path) -> BinaryIO:
    """Hold the folder for this process until the file is closed. Raises StoreError where another one holds it."""
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = os.fdopen(private(str(folder / LOCK), os.O_RDWR | os.O_CREAT | os.O_APPEND), "a+b", buffering=0)
        for path in folder.iterdir():  # whatever an older version, or a careless hand, left readable
            if path.name in OURS or path.name.startswith(DATABASE):
                with suppress(OSError):
                    path.chmod(0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read(32).decode(errors="replace").strip() or "unknown"
        file.close()
        raise StoreError(
            f"another agent (process {holder}) uses the state folder {folder}: stop it, or name another --state"
        ) from None
    with suppress(OSError):  # on a full disk it is held without a name
        file.truncate(0)
        file.write(f"{os.getpid()}\n".encode())
    return file


def private(path: str, flags: int) -> int:
    """Open a file that nobody else may read, whatever the umask is and the folder allows."""
    descriptor = os.open(path, flags, 0o600)
    with suppress(OSError):  # it is another user's: then it is that one's to say
        os.fchmod(descriptor, 0o600)
    return descriptor


def write_private(path: Path, text: str) -> None:
    """Write a file of the state folder."""
    with os.fdopen(private(str(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "w") as file:
        file.write(text)


def has_store(folder: Path) -> bool:
    """Return whether an agent was ever active on this folder: one that stands by makes none."""
    return (folder / DATABASE).exists() or (folder / MARK).exists()


def identity(folder: Path) -> str:
    """Return what identifies this store: made once, and lost with it. Raises StoreError."""
    path = folder / IDENTITY
    with explained(path):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            partial = path.with_suffix(".partial")
            write_private(partial, uuid.uuid4().hex)
            partial.replace(path)
        return path.read_text().strip()


def mark_moved(folder: Path) -> None:
    """Note that the store has moved to another place: an agent that began anew here would send all again."""
    with explained(folder):
        write_private(folder / MOVED, "")


def check_not_moved(folder: Path) -> None:
    """Raise StoreError where the store has moved to another place."""
    if (folder / MOVED).exists():
        raise StoreError(
            f"the store of {folder} was moved to PostgreSQL: give its URL by SEW_STORE or SEW_STORE_FILE, or name "
            "another --state"
        )


def check_presence(path: Path, mark: Path, *, create: bool) -> None:
    """Raise StoreError where the database is missing or empty but should not be."""
    size = path.stat().st_size if path.exists() else 0
    if mark.exists() and not size:
        raise damaged(path, "it is empty" if path.exists() else "it is gone")
    if not create and not size:
        raise StoreError(f"there is no store in {path.parent}: name the --state folder of an agent")
