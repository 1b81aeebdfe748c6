"""A TCP proxy on loopback that can be cut: what was sent stays unanswered, as over a network that is partitioned."""

import socket
import threading
from contextlib import suppress
from typing import Self

_PIECE = 65536


class TcpProxy:
    """Passes bytes on to a port of this machine, both ways, while it is not cut."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._passes = threading.Event()
        self._passes.set()
        self._server = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        """Port of the proxy."""
        return int(self._server.getsockname()[1])

    def cut(self) -> None:
        """Pass nothing on: connections stay open, and new ones are made and hang."""
        self._passes.clear()

    def mend(self) -> None:
        """Pass on what waits, and all that follows."""
        self._passes.set()

    def close(self) -> None:
        """End all connections."""
        self._passes.set()
        for connection in (self._server, *self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                self._open += [client, server]
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(_PIECE):
                self._passes.wait()
                sink.sendall(piece)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
