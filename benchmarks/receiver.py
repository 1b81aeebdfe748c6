"""A receiver for benchmarks, in a process of its own: HTTP/1.1 with keep-alive, answers 204, counts."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"


@contextmanager
def receiver() -> Iterator[int]:
    """Run a receiver, and yield its port on loopback."""
    command = [sys.executable, "-m", "benchmarks.receiver"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def _serve(connection: socket.socket) -> None:
    buffer = b""
    with connection:
        while True:
            while (end := buffer.find(b"\r\n\r\n")) < 0:
                received = connection.recv(65536)
                if not received:
                    return
                buffer += received
            head = buffer[:end].lower()
            at = head.index(b"content-length:") + 15
            size = int(head[at : head.find(b"\r", at) if head.find(b"\r", at) > 0 else None])
            buffer = buffer[end + 4 :]
            while len(buffer) < size:
                buffer += connection.recv(65536)
            buffer = buffer[size:]
            connection.sendall(_ANSWER)


def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    print(listener.getsockname()[1], flush=True)
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=_serve, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main()
