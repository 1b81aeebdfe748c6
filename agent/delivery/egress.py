"""Where a request may go: every address is judged, and what was judged is what is connected to."""

import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from agent.settings import Network

Address = IPv4Address | IPv6Address

ALWAYS_REFUSED = tuple(
    ip_network(each)
    for each in (
        "169.254.0.0/16",  # link-local, with the metadata service of most clouds
        "fe80::/10",
        "fd00:ec2::254/128",  # metadata at AWS
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

_NAT64 = ip_network("64:ff9b::/96")
_COMPATIBLE = ip_network("::/96")


@dataclass(frozen=True, slots=True)
class Guard:
    """Refuses addresses in this order: always, `deny`, then `allow` lets through, then loopback is refused."""

    allow: Sequence[Network] = ()
    deny: Sequence[Network] = ()

    def refusal(self, address: Address) -> str:
        """Why an address may not be connected to; "" where it may."""
        reached = reaches(address)
        if _among(reached, ALWAYS_REFUSED) or _among(address, ALWAYS_REFUSED):
            return "link-local, metadata, multicast and unspecified addresses are always refused"
        if _among(reached, self.deny) or _among(address, self.deny):
            return "SEW_EGRESS_DENY refuses it"
        if _among(reached, self.allow) or _among(address, self.allow):
            return ""
        return "loopback is refused unless SEW_EGRESS_ALLOW allows it" if _among(reached, LOOPBACK) else ""


def reaches(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for (mapped, compatible, NAT64, 6to4), else itself."""
    if isinstance(address, IPv4Address):
        return address
    embedded = address.ipv4_mapped or address.sixtofour
    if embedded is None and (address in _NAT64 or (address in _COMPATIBLE and int(address) > 1)):
        embedded = IPv4Address(int(address) & 0xFFFFFFFF)
    return embedded or address


def _among(address: Address, networks: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


Lookup = Callable[[str, int], Sequence[str]]
"""Host name and port -> addresses, in the order of preference. Raises OSError."""


def system_lookup(host: str, port: int) -> Sequence[str]:
    """The operating system's."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]).partition("%")[0] for *_, sockaddr in found))


class Resolver:
    """Looks names up in a small pool of threads: a look-up cannot be given a deadline in one's own."""

    def __init__(self, lookup: Lookup = system_lookup, threads: int = 4) -> None:
        self._lookup = lookup
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="resolver")

    def resolve(self, host: str, port: int, timeout: float) -> Sequence[Address]:
        """Raises OSError (socket.gaierror, TimeoutError)."""
        try:
            return [ip_address(host)]
        except ValueError:
            found = self._pool.submit(self._lookup, host, port)
        try:
            return [ip_address(each) for each in found.result(max(timeout, 0.0))]
        except TimeoutError:
            found.cancel()
            raise

    def close(self) -> None:
        """Does not wait for look-ups that hang."""
        self._pool.shutdown(wait=False, cancel_futures=True)
