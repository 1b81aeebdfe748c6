"""Maps of the user's own, from the file that `SEW_EVENT_MAP` names."""

from pathlib import Path

from kubectl_sew.event_maps.event_map import LONGEST_FILE, EventMap, EventMapError, read_maps


def load_maps(path: Path | None) -> tuple[EventMap, ...]:
    """Read the maps of a file; none where there is no file. Raises EventMapError."""
    return () if path is None else read_maps(_read(path), str(path))


def text_of_maps(path: Path) -> str:
    """Return the text of a file that holds maps. Raises EventMapError."""
    text = _read(path)
    read_maps(text, str(path))
    return text


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(LONGEST_FILE + 1).decode()
    except OSError as error:
        why = error.strerror or str(error)
        raise EventMapError(f"the event map {path} cannot be read: {why}: SEW_EVENT_MAP names the file") from None
    except UnicodeDecodeError:
        raise EventMapError(f"the event map {path} is not UTF-8: save it as such") from None
