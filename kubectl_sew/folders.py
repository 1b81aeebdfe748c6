"""The rule which files of a folder are manifests, for the plugin and the agent."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

SUFFIXES = (".yaml", ".yml", ".json")


def _raise(error: OSError) -> None:
    raise error


def manifests_in(folder: Path, *, recursive: bool = True, failed: Callable[[OSError], None] = _raise) -> Iterator[Path]:
    """The manifests of a folder and, where it is `recursive`, of those in it, behind links too.

    What cannot be listed, or looked at, is given to `failed`, which raises it unless another is given.

    Hidden files and folders are left out: that is where Kubernetes keeps a mounted volume's versions. A link that leads
    nowhere is named; what is no file, such as a pipe that nobody writes to, is not.
    """
    for root, files in _walk(folder, failed):
        yield from (root / name for name in files if _fits(name) and _is_file(root / name, failed))
        if not recursive:
            return


def empty_folders(folder: Path) -> list[Path]:
    """The folders below one, of those in which manifests are looked for, that hold nothing at all. Raises OSError."""
    return [root for root, _ in _walk(folder, _raise) if root != folder and is_empty(root)]


def is_empty(folder: Path) -> bool:
    """Return whether the folder exists and is empty."""
    return folder.is_dir() and not any(folder.iterdir())


def _walk(folder: Path, failed: Callable[[OSError], None]) -> Iterator[tuple[Path, list[str]]]:
    """Yield each folder once, with the names of its files."""
    status = folder.stat()
    seen = {(status.st_dev, status.st_ino)}
    for root, folders, files in os.walk(folder, followlinks=True, onerror=failed):
        below = [name for name in folders if not name.startswith(".")]
        folders[:] = [name for name in below if _first_time(Path(root, name), seen, failed)]
        yield Path(root), files


def _fits(name: str) -> bool:
    return name.endswith(SUFFIXES) and not name.startswith(".")


def _is_file(path: Path, failed: Callable[[OSError], None]) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return True
    except OSError as error:
        failed(error)
        return False


def _first_time(folder: Path, seen: set[tuple[int, int]], failed: Callable[[OSError], None]) -> bool:
    """Links may lead round in a circle."""
    try:
        status = folder.stat()
    except OSError as error:
        failed(error)
        return False
    place = (status.st_dev, status.st_ino)
    if place in seen:
        return False
    seen.add(place)
    return True
