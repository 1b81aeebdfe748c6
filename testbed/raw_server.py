"""A server on loopback that answers each request with bytes of its own, and a certificate authority for it."""

import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

Script = Callable[["Connection"], bool | None]
"""Code that runs after each request; False ends the connection."""

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@dataclass
class Connection:
    """An accepted connection, and the event that ends the server."""

    socket: socket.socket
    stopped: threading.Event
    requests: list[bytes] = field(default_factory=list)
    request: bytes = b""
    """The request of this connection that is to be answered; `requests` has those of all."""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def drip(self, data: bytes, pause: float = 0.02) -> None:
        """Send one byte after the other, until the client goes away."""
        for byte in data:
            self.send(bytes([byte]))
            if self.stopped.wait(pause):
                return

    def read(self) -> bytes:
        """Read one request, head and body. Return nothing at the end of the connection."""
        data = b""
        while b"\r\n\r\n" not in data:
            more = self.socket.recv(65536)
            if not more:
                return b""
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        while len(body) < length:
            body += self.socket.recv(65536)
        self.request = head + b"\r\n\r\n" + body
        self.requests.append(self.request)
        return self.request


class RawServer:
    """A server that counts its connections, keeps the requests, and lets `script` answer each.

    With `in_turn` it serves one connection at a time.
    """

    def __init__(self, script: Script, context: ssl.SSLContext | None = None, *, in_turn: bool = False) -> None:
        self._script = script
        self._in_turn = in_turn
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._stopped = threading.Event()
        self.connections = 0
        self.requests: list[bytes] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._open: list[socket.socket] = []
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(accepted)
            thread = threading.Thread(target=self._serve, args=(accepted,))
            self._threads.append(thread)
            thread.start()
            if self._in_turn:
                thread.join()

    def _serve(self, accepted: socket.socket) -> None:
        try:
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context:
                plain, accepted = accepted, self._context.wrap_socket(accepted, server_side=True)
                self._open.remove(plain)
                self._open.append(accepted)
            connection = Connection(accepted, self._stopped, self.requests)
            while connection.read() and self._script(connection) is not False:
                pass
        except OSError:
            pass
        finally:
            accepted.close()
            self._open.remove(accepted)  # a long run opens many
            self._threads.remove(threading.current_thread())


def answering(*answers: bytes) -> Script:
    """Return a script that gives each request the next answer, and the last one again and again."""
    left = list(answers)

    def script(connection: Connection) -> None:
        connection.send(left.pop(0) if len(left) > 1 else left[0])

    return script


class Authority:
    """A certificate authority in a folder, made with openssl."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._run("req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=authority -keyout ca.key -out ca.crt")

    @property
    def certificate(self) -> str:
        return (self._folder / "ca.crt").read_text()

    def sign(self, name: str, *, days: int = 30, kind: str = "serverAuth") -> tuple[Path, Path]:
        """Sign a certificate for a host name, and return it with its key. One for 0 days has expired."""
        stem = f"{name}{days}"
        (self._folder / f"{stem}.ext").write_text(
            f"subjectAltName=DNS:{name}\nextendedKeyUsage={kind}\nauthorityKeyIdentifier=keyid\n"
        )
        self._run(f"req -newkey rsa:2048 -nodes -subj /CN={name} -keyout {stem}.key -out {stem}.csr")
        self._run(
            f"x509 -req -in {stem}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days {days} -extfile {stem}.ext"
            f" -out {stem}.crt"
        )
        return self._folder / f"{stem}.crt", self._folder / f"{stem}.key"

    def intermediate(self) -> str:
        """Make an authority below this one, which signs from now on, and return its certificate.

        It is as old tools make them: basicConstraints is not critical, and there is no keyUsage.
        """
        (self._folder / "below.ext").write_text("basicConstraints=CA:TRUE\n")
        self._run("req -newkey rsa:2048 -nodes -subj /CN=below -keyout below.key -out below.csr")
        self._run("x509 -req -in below.csr -CA ca.crt -CAkey ca.key -CAcreateserial -extfile below.ext -out below.crt")
        self._run("x509 -in below.crt -out ca.crt")
        self._run("pkey -in below.key -out ca.key")
        return self.certificate

    def encrypted(self, name: str) -> str:
        """Return the key of a name that was signed, with a passphrase."""
        self._run(f"pkey -aes128 -passout pass:secret -in {name}30.key -out {name}.encrypted")
        return (self._folder / f"{name}.encrypted").read_text()

    def server(self, name: str, *, days: int = 30, clients: bool = False) -> ssl.SSLContext:
        """Return the context of a server. With `clients` it asks for a certificate of this authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.sign(name, days=days))
        if clients:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self._folder / "ca.crt")
        return context

    def _run(self, command: str) -> None:
        subprocess.run(["openssl", *command.split()], cwd=self._folder, check=True, capture_output=True)
