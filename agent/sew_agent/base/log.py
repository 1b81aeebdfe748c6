"""Log: one JSON object a line, with stable event names and without secrets."""

import json
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from traceback import extract_tb
from typing import Any, TextIO

from kubectl_sew.redaction import redact_urls
from kubectl_sew.text import rfc3339

_NOT_OF_A_LINE = re.compile("[\x7f-\x9f\u2028\u2029]")
"""Characters that JSON allows as they are, and that terminals and line readers interpret."""
_LONGEST = 2_000


class Log:
    """Logger that writes to `stream`, a line in one write. `clock` gives seconds since the epoch."""

    def __init__(self, stream: TextIO, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._clock = clock

    def info(self, event: str, **fields: Any) -> None:
        """Log normal operation. `event` is a stable name, e.g. `agent_started`."""
        self._write("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Log something that a person may want to check."""
        self._write("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """Log something that a person must check."""
        self._write("error", event, fields)

    def _write(self, level: str, event: str, fields: dict[str, Any]) -> None:
        time = rfc3339(self._clock(), "milliseconds")
        record = {
            "time": time,
            "level": level,
            "event": event,
            **{name: _safe(value) for name, value in fields.items()},
        }
        with suppress(OSError):  # a closed stream must not end the agent
            line = json.dumps(record, ensure_ascii=False)
            self._stream.write(_NOT_OF_A_LINE.sub(lambda match: f"\\u{ord(match[0]):04x}", line) + "\n")
            self._stream.flush()


def locate(error: Exception) -> str:
    """Return kind and place of a caught error, and nothing of its text: that may hold a secret."""
    stop = extract_tb(error.__traceback__, limit=-1)[0]
    return f"{type(error).__name__} at {Path(stop.filename).name}:{stop.lineno}"


def _safe(value: Any) -> Any:
    if isinstance(value, str):
        return redact_urls(value[:_LONGEST]).encode("utf-8", "replace").decode()
    if isinstance(value, list | tuple):
        return [_safe(part) for part in value]
    if isinstance(value, dict):
        return {str(name): _safe(part) for name, part in value.items()}
    return value if value is None or isinstance(value, int | float) else _safe(str(value))
