"""Serves a site on loopback, until Ctrl-C."""

import os
import secrets
import socket
import sys
import time
import webbrowser
from collections.abc import Callable
from dataclasses import dataclass

from kubectl_sew.dashboard.gate import Gate
from kubectl_sew.dashboard.history import History
from kubectl_sew.dashboard.lab import LabSources
from kubectl_sew.dashboard.reach import Reach
from kubectl_sew.dashboard.watching import Watcher
from kubectl_sew.errors import SewError
from kubectl_sew.library_warnings import capture_client
from kubectl_sew.pages import pip_install
from kubectl_sew.query import FieldSet

_HOST = "127.0.0.1"
_THREADS = 8
_MISSING = f"the dashboard needs what `{pip_install('dashboard')}` installs"


@dataclass(frozen=True, slots=True)
class Opening:
    """How it is opened: `port` 0 for a free one; `opens` whether the browser is asked to show it."""

    port: int
    opens: bool


def serve(
    reach: Reach, sources: LabSources, fields: FieldSet, opening: Opening, announce: Callable[[str], None]
) -> None:
    """Serve until Ctrl-C. `announce` takes the link. Raises SewError where the port or the extra cannot be had."""
    try:
        from waitress import create_server  # noqa: PLC0415 - an extra

        from kubectl_sew.dashboard.web import LARGEST_FORM, Site  # noqa: PLC0415 - as above
    except ImportError as error:
        raise SewError(f"{_MISSING} ({error.name} is not there)") from None
    capture_client(str)
    listener = listen(opening.port)
    port, token = listener.getsockname()[1], secrets.token_urlsafe(32)
    history = History()
    watcher = Watcher(reach, history, time.time)
    gate = Gate(port, token, secrets.token_urlsafe(32))
    site = Site(reach, gate, watcher, history, sources, fields, time.time)
    server = create_server(site, sockets=[listener], threads=_THREADS, ident=None, max_request_body_size=LARGEST_FORM)
    watcher.start()
    link = f"http://{_HOST}:{port}/?token={token}"
    announce(link)
    if opening.opens and _has_screen():
        webbrowser.open(link)
    server.run()


def _has_screen() -> bool:
    """Return whether a browser has a window: without one a text browser would take over the terminal."""
    return sys.platform != "linux" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def listen(port: int) -> socket.socket:
    """Return a socket on loopback that is bound to a port; 0 for a free one. Raises SewError."""
    listener = socket.socket()
    try:
        if os.name == "posix":  # elsewhere it would let another program take the port, too
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((_HOST, port))
    except OSError as error:
        listener.close()
        why = (error.strerror or str(error)).lower()
        raise SewError(f"port {port} of {_HOST} cannot be had ({why}): leave --port out for a free one") from None
    return listener
