"""The HTTP proxy that all requests go through, where one is set."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from urllib.parse import unquote, urlsplit

from kubectl_sew.consumers.settings import basic
from kubectl_sew.members import members
from sew_agent.base.settings import SettingsError

_EXAMPLE = "write it as http://HOST:PORT"


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy. `no_proxy` lists the hosts that are reached without it (the form of NO_PROXY)."""

    host: str
    port: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    no_proxy: str = ""

    def serves(self, host: str, port: int) -> bool:
        """Return whether requests to a host and port go through the proxy."""
        return not any(_names(entry.lower(), host.lower(), port) for entry in members(self.no_proxy))


def _names(entry: str, host: str, port: int) -> bool:
    """Return whether an entry of NO_PROXY names a host.

    An entry is `*`, an address, a network (of hosts written as addresses), or a domain with all below it (`a.example`,
    `.a.example`, `*.a.example`); addresses and domains also with `:PORT`.
    """
    if entry == "*":
        return True
    with suppress(ValueError):
        return ip_address(host) in ip_network(entry, strict=False)
    name, colon, of_port = entry.rpartition(":")
    if colon and of_port.isdecimal():
        entry = name.removeprefix("[").removesuffix("]")
        if int(of_port) != port:
            return False
    domain = entry.removeprefix("*").removeprefix(".").rstrip(".")
    host = host.rstrip(".")
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))


def read_proxy(url: str, no_proxy: str) -> Proxy | None:
    """Return the proxy that SEW_PROXY names; None without one. Raises SettingsError without any of the URL."""
    if not url:
        return None
    try:
        split = urlsplit(url)
        host, port = split.hostname, split.port or 80
    except ValueError:
        raise SettingsError(f"SEW_PROXY is not a URL: {_EXAMPLE}") from None
    if split.scheme != "http" or not host or split.path.strip("/") or split.query or split.fragment:
        raise SettingsError(f"SEW_PROXY is not the URL of an HTTP proxy: {_EXAMPLE}")
    if split.username is None:
        return Proxy(host, port, {}, no_proxy)
    credential = basic(unquote(split.username), unquote(split.password or ""))
    return Proxy(host, port, {"Proxy-Authorization": credential}, no_proxy)
