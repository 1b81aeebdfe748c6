"""Egress rules: every address is checked, and only a checked address is connected to."""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_network
from urllib.parse import urlsplit

from sew_agent.base.settings import Network, Rule
from sew_agent.delivery.http.event_loop import Steps
from sew_agent.delivery.http.resolver import Address, Resolver

_OWN_SECONDS = 1.0
"""Seconds for resolving the agent's own endpoints; after them the last answer counts."""

ALWAYS_REFUSED = tuple(
    ip_network(cidr)
    for cidr in (
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
LOOPBACK = tuple(ip_network(cidr) for cidr in ("127.0.0.0/8", "::1/128"))

_LAST_32_BITS = tuple(ip_network(cidr) for cidr in ("64:ff9b::/96", "::/96", "::ffff:0:0:0/96"))
"""NAT64, IPv4-compatible and IPv4-translated addresses: they end with the IPv4 address."""
_NAT64_LOCAL = ip_network("64:ff9b:1::/48")
"""https://www.rfc-editor.org/rfc/rfc8215: the length of the operator's own prefix is not known."""
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)
"""https://www.rfc-editor.org/rfc/rfc5214#section-6.1"""


KUBELET_PORTS = (10250, 10255)


class OwnEndpoints:
    """Endpoints that the agent itself is connected to: a webhook must not make it write there.

    Thread-safe.
    """

    def __init__(self, urls: Mapping[str, str], resolver: Resolver) -> None:
        """Take the agent's endpoints. `urls`: URL -> its name in messages."""
        self._endpoints = {place: what for url, what in urls.items() if (place := _host_and_port(url))}
        self._resolver = resolver
        self._known: dict[tuple[str, int], Sequence[Address]] = {}

    def name(self, reached: Sequence[Address], port: int) -> str:
        """Return the name of the agent's endpoint at one of these addresses; "" where there is none."""
        for place, what in self._endpoints.items():
            if place[1] == port and not set(self._known.get(place, ())).isdisjoint(reached):
                return what
        return ""

    def look_up(self, port: int) -> Steps[None]:
        """Look up the endpoints with this port. Those of the last answer count where there is none now."""
        for host, of_port in self._endpoints:
            if of_port == port:
                with suppress(OSError):
                    ends = time.monotonic() + _OWN_SECONDS
                    self._known[host, port] = yield from self._resolver.look_up(host, port, ends)


@dataclass(frozen=True, slots=True)
class EgressGuard:
    """Rules in this order: always refused; `deny`; `allow`; refused by default.

    The default refuses loopback, the kubelet, and the agent's own endpoints.
    """

    allow: Sequence[Rule] = ()
    deny: Sequence[Rule] = ()
    own: OwnEndpoints | None = None

    def prepare(self, port: int) -> Steps[None]:
        """Look up what `refusal` needs to know about a port."""
        if self.own:
            yield from self.own.look_up(port)

    def refusal(self, address: Address, port: int) -> str:
        """Return the reason why a connection to an address and port is refused; "" where it is allowed."""
        embedded = _embedded(address)
        reached = (address, *embedded)
        if _any_in(reached, ALWAYS_REFUSED):
            return "link-local, metadata, multicast and unspecified addresses are always refused"
        if any(_matches(address, port, self.deny) for address in reached):
            return "SEW_EGRESS_DENY refuses it"
        if _matches(address, port, self.allow) or (embedded and all(_matches(ip, port, self.allow) for ip in embedded)):
            return ""
        what = "loopback" if _any_in(reached, LOOPBACK) else self._refused_by_default(reached, port)
        return f"{what} is refused unless SEW_EGRESS_ALLOW allows it" if what else ""

    def _refused_by_default(self, reached: Sequence[Address], port: int) -> str:
        if port in KUBELET_PORTS:
            return f"the kubelet's port {port}"
        return self.own.name(reached, port) if self.own else ""


def _host_and_port(url: str) -> tuple[str, int] | None:
    try:
        split = urlsplit(url)
        return (split.hostname, split.port or (80 if split.scheme == "http" else 443)) if split.hostname else None
    except ValueError:
        return None


def _embedded(address: Address) -> tuple[IPv4Address, ...]:
    """Return the IPv4 addresses that an IPv6 address may embed, in every known form."""
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
    """Return the IPv4 addresses for prefixes of 96, 48, 56 and 64 bits. The shorter ones skip bits 64 to 71.

    0.0.0.0/8 is never meant by a shorter prefix.

    https://www.rfc-editor.org/rfc/rfc6052#section-2.2
    """
    without = (number >> 64) << 56 | (number & ((1 << 56) - 1))
    shorter = [without >> (120 - length - 32) & 0xFFFFFFFF for length in (48, 56, 64)]
    return tuple(map(IPv4Address, [number & 0xFFFFFFFF, *(ipv4 for ipv4 in shorter if ipv4 >> 24)]))


def _any_in(addresses: Sequence[Address], networks: Sequence[Network]) -> bool:
    return any(_is_in(address, networks) for address in addresses)


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def _matches(address: Address, port: int, rules: Sequence[Rule]) -> bool:
    return any(rule.port in (None, port) and _is_in(address, [rule.network]) for rule in rules)
