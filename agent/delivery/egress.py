"""Where a request may go: every address is judged, and what was judged is what is connected to."""

import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from time import monotonic

from agent.settings import Network

Address = IPv4Address | IPv6Address

ALWAYS_REFUSED = tuple(
    ip_network(each)
    for each in (
        "169.254.0.0/16",  # link-local, with the metadata service of most clouds
        "fe80::/10",
        "fd00:ec2::/64",  # metadata, time, names and credentials of pods at AWS
        "fd20:ce::254/128",  # metadata at Google
        "fd00:42::42/128",  # metadata at Scaleway
        "192.0.0.192/32",  # metadata at Oracle
        "100.100.100.200/32",  # metadata at Alibaba
        "168.63.129.16/32",  # metadata at Azure
        "0.0.0.0/8",
        "::/128",
        "224.0.0.0/4",
        "255.255.255.255/32",
        "ff00::/8",
    )
)
LOOPBACK = tuple(ip_network(each) for each in ("127.0.0.0/8", "::1/128"))

_LAST_32_BITS = tuple(ip_network(each) for each in ("64:ff9b::/96", "::/96", "::ffff:0:0:0/96"))
"""NAT64, IPv4-compatible and IPv4-translated addresses: they end with the IPv4 address."""
_NAT64_LOCAL = ip_network("64:ff9b:1::/48")
"""https://www.rfc-editor.org/rfc/rfc8215: how long the operator's own prefix is cannot be seen."""
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)
"""https://www.rfc-editor.org/rfc/rfc5214#section-6.1"""


@dataclass(frozen=True, slots=True)
class Guard:
    """Refuses addresses in this order: always, `deny`, then `allow` lets through, then loopback is refused."""

    allow: Sequence[Network] = ()
    deny: Sequence[Network] = ()

    def refusal(self, address: Address) -> str:
        """Why an address may not be connected to; "" where it may."""
        embedded = _embedded(address)
        reached = (address, *embedded)
        if _any_among(reached, ALWAYS_REFUSED):
            return "link-local, metadata, multicast and unspecified addresses are always refused"
        if _any_among(reached, self.deny):
            return "SEW_EGRESS_DENY refuses it"
        if _among(address, self.allow) or (embedded and all(_among(each, self.allow) for each in embedded)):
            return ""
        return "loopback is refused unless SEW_EGRESS_ALLOW allows it" if _any_among(reached, LOOPBACK) else ""


def _embedded(address: Address) -> tuple[IPv4Address, ...]:
    """IPv4 addresses that an IPv6 one may stand for, by all ways in which one is written into the other."""
    if isinstance(address, IPv4Address) or int(address) <= 1:
        return ()
    number = int(address)
    if address.ipv4_mapped:
        return (address.ipv4_mapped,)
    if address.sixtofour:
        return (address.sixtofour,)
    if address.teredo:
        return address.teredo
    if any(address in network for network in _LAST_32_BITS) or (number >> 32) & 0xFFFFFFFF in _ISATAP:
        return (IPv4Address(number & 0xFFFFFFFF),)
    return _nat64_local(number) if address in _NAT64_LOCAL else ()


def _nat64_local(number: int) -> tuple[IPv4Address, ...]:
    """For prefixes of 96 bits, and of 48, 56 and 64, which leave out bits 64 to 71; nobody has 0.0.0.0/8 by these.

    https://www.rfc-editor.org/rfc/rfc6052#section-2.2
    """
    without = (number >> 64) << 56 | (number & ((1 << 56) - 1))
    shorter = [without >> (120 - length - 32) & 0xFFFFFFFF for length in (48, 56, 64)]
    return tuple(map(IPv4Address, [number & 0xFFFFFFFF, *(each for each in shorter if each >> 24)]))


def _any_among(addresses: Sequence[Address], networks: Sequence[Network]) -> bool:
    return any(_among(each, networks) for each in addresses)


def _among(address: Address, networks: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


Lookup = Callable[[str, int], Sequence[str]]
"""Host name and port -> addresses, in the order of preference. Raises OSError."""


def system_lookup(host: str, port: int) -> Sequence[str]:
    """The operating system's."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise socket.gaierror(socket.EAI_NONAME, "no name that can be asked for") from None
    return list(dict.fromkeys(str(sockaddr[0]).partition("%")[0] for *_, sockaddr in found))


class Resolver:
    """Looks names up in a few threads of its own: a look-up cannot be given a deadline in one's own thread.

    All who ask for a name at the same time share one look-up, so a name that hangs holds one thread, however often it
    is asked for; and the threads are daemons, so it does not keep the process from ending.
    """

    def __init__(self, lookup: Lookup = system_lookup, threads: int = 8) -> None:
        self._lookup = lookup
        self._free = threading.Semaphore(threads)
        self._lock = threading.Lock()
        self._running: dict[tuple[str, int], Future[Sequence[str]]] = {}

    def resolve(self, host: str, port: int, timeout: float) -> Sequence[Address]:
        """Raises OSError (socket.gaierror, TimeoutError)."""
        try:
            return [ip_address(host)]
        except ValueError:
            ends = monotonic() + timeout
        answer = self._asked(host, port, timeout)
        return [ip_address(each) for each in answer.result(max(ends - monotonic(), 0.0))]

    def _asked(self, host: str, port: int, timeout: float) -> Future[Sequence[str]]:
        with self._lock:
            shared = self._running.get((host, port))
        if shared:
            return shared
        if not self._free.acquire(timeout=max(timeout, 0.0)):
            raise TimeoutError("all threads are waiting for other names")
        with self._lock:
            shared = self._running.get((host, port))
            answer = shared or self._running.setdefault((host, port), Future())
        if shared:
            self._free.release()
        else:
            threading.Thread(target=self._look_up, args=(host, port, answer), name="resolver", daemon=True).start()
        return answer

    def _look_up(self, host: str, port: int, answer: Future[Sequence[str]]) -> None:
        found: Sequence[str] = ()
        failure: BaseException | None = None
        try:
            found = self._lookup(host, port)
        except BaseException as error:  # noqa: BLE001 - whoever waits for the answer gets it, or waits for ever
            failure = error
        with self._lock:
            del self._running[host, port]
        self._free.release()
        if failure:
            answer.set_exception(failure)
        else:
            answer.set_result(found)
