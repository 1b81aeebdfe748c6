"""Opening of connections: resolve the name, check every address, connect to a checked one, or ask a proxy."""

import socket
from dataclasses import dataclass
from ipaddress import ip_address

from kubectl_sew.consumers.base import Response
from sew_agent.delivery.http.connection import Connection, write_head
from sew_agent.delivery.http.egress import EgressGuard
from sew_agent.delivery.http.event_loop import Steps
from sew_agent.delivery.http.proxy import Proxy
from sew_agent.delivery.http.resolver import Address, Resolver
from sew_agent.delivery.http.sockets import connect


class RefusedAddressError(Exception):
    """Refusal of every address; the text says which and why."""


class ProxyRefusalError(Exception):
    """Refusal by the proxy: it answers, and opens no tunnel."""

    def __init__(self, answer: Response) -> None:
        super().__init__(answer.status)
        self.answer = answer


class ProxyError(Exception):
    """Failure to reach the proxy itself; the cause is chained."""


@dataclass(frozen=True, slots=True)
class Connector:
    """Opener of connections. The guard checks every address that is connected to, a proxy's too."""

    guard: EgressGuard
    resolver: Resolver
    proxy: Proxy | None

    def open(self, host: str, port: int, ends: float, *, tunnel: bool) -> Steps[socket.socket]:
        """Return a connection: to the receiver, with a proxy and `tunnel` through it, without `tunnel` to the proxy.

        Raises OSError, RefusedAddressError, ProxyRefusalError, ProxyError.
        """
        proxy = self.proxy_for(host, port)
        if proxy is None:
            return (yield from self._connect(host, port, ends))
        self._check_literal(host, port)
        try:
            connection = yield from self._connect(proxy.host, proxy.port, ends)
            try:
                if tunnel:
                    yield from _open_tunnel(connection, proxy, host, port, ends)
                return connection
            except BaseException:
                connection.close()
                raise
        except (RefusedAddressError, ProxyRefusalError):
            raise
        except Exception as error:
            raise ProxyError from error

    def proxy_for(self, host: str, port: int) -> Proxy | None:
        return self.proxy if self.proxy and self.proxy.serves(host, port) else None

    def _check_literal(self, host: str, port: int) -> None:
        """Check a host that is an address itself; a name is resolved by the proxy."""
        try:
            address = ip_address(host)
        except ValueError:
            return
        if refusal := self.guard.refusal(address, port):
            raise _refused(host, address, refusal)

    def _connect(self, host: str, port: int, ends: float) -> Steps[socket.socket]:
        addresses = yield from self.resolver.look_up(host, port, ends)
        yield from self.guard.prepare(port)
        refusals = {address: self.guard.refusal(address, port) for address in addresses}
        allowed = [address for address, refusal in refusals.items() if not refusal]
        if refusals and not allowed:
            raise _refused(host, *next(iter(refusals.items())))
        return (yield from connect(allowed, port, ends))


def _refused(host: str, address: Address, refusal: str) -> RefusedAddressError:
    named = host if host == str(address) else f"{host}: {address}"
    return RefusedAddressError(f"{named} is refused: {refusal}")


def _open_tunnel(plain: socket.socket, proxy: Proxy, host: str, port: int, ends: float) -> Steps[None]:
    """Open a tunnel by HTTP/1.1 with Host: some proxies refuse what Python 3.11 sends.

    TLS begins on our side, so nothing but the answer's head can come.
    """
    name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    connection = Connection(plain)
    yield from connection.send(write_head(name, "CONNECT", name, b"", proxy.headers), ends)
    answer = yield from connection.read("CONNECT", ends)
    if not 200 <= answer.status < 300:
        raise ProxyRefusalError(Response(answer.status, answer.headers, b""))
