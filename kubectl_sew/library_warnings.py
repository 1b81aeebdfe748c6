"""Capture what libraries print by themselves, Python's warnings and their logging, for the program's own log.

Nothing but the program itself writes to stderr. `logging` is loaded by the libraries that use it alone: it would take a
tenth of a short run of the plugin.
"""

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from logging import Handler, LogRecord

    from kubectl_sew.redaction import Redact

Report = Callable[[str, str], None]
"""Takes what warns, a kind of warning or a logger's name, and its message: one line without URLs' secrets."""
_MOST = 1_000
"""Messages that are remembered as reported."""


class _Messages:
    """Reports each message once: libraries repeat theirs with every request."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._reported: set[tuple[str, str]] = set()
        self.handler: Handler | None = None
        self.redact: Redact = str

    def add(self, source: str, text: str) -> None:
        from kubectl_sew.redaction import redact_urls  # noqa: PLC0415  # few runs have anything to redact

        message = (source, redact_urls(self.redact(" ".join(text.split()))))
        if message in self._reported:
            return
        if len(self._reported) >= _MOST:
            self._reported.clear()
        self._reported.add(message)
        self._report(*message)

    def show(self, message: Warning | str, category: type[Warning], *_place: Any, **_also: Any) -> None:
        """Stand for `warnings.showwarning`, which would name a place in the code."""
        self.add(category.__name__, str(message))


_current: _Messages | None = None


@contextmanager
def captured(report: Report) -> Iterator[None]:
    """Give `report` what libraries warn of meanwhile, instead of stderr."""
    global _current  # noqa: PLW0603 - as global as what it stands for
    before, shown = _current, warnings.showwarning
    messages = _current = _Messages(report)
    warnings.showwarning = messages.show
    if "logging" in sys.modules:
        _capture_logging()
    try:
        yield
    finally:
        _current, warnings.showwarning = before, shown
        if messages.handler:
            _root().removeHandler(messages.handler)


def capture_client(redact: "Redact") -> None:
    """Capture the logging of a client that was loaded after `captured`; `redact` hides the credentials it is given."""
    if _current is not None:
        _current.redact = redact
        _capture_logging()


def _capture_logging() -> None:
    if _current is None or _current.handler is not None:
        return
    _current.handler = _handler(_current)
    _root().addHandler(_current.handler)


def _handler(messages: _Messages) -> "Handler":
    import logging  # noqa: PLC0415  # see the module

    class Captured(logging.Handler):
        def emit(self, record: "LogRecord") -> None:
            try:
                messages.add(record.name, record.getMessage())
            except (TypeError, ValueError):  # the library's own format does not fit what it says
                messages.add(record.name, str(record.msg))

    return Captured(logging.WARNING)


def _root() -> Any:
    import logging  # noqa: PLC0415  # see the module

    return logging.getLogger()
