"""The HTTP proxy that all requests go through, where one is set."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # typeshed does not list it

from agent.settings import SettingsError
from kubectl_sew.consumers.settings import basic

_EXAMPLE = "write it as http://HOST:PORT"


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where it is; `no_proxy` lists hosts that are reached without it (the form of NO_PROXY)."""

    host: str
    port: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    no_proxy: str = ""

    def serves(self, host: str) -> bool:
        """Whether requests to a host go through it."""
        return not (self.no_proxy and proxy_bypass_environment(host, {"no": self.no_proxy}))


def read_proxy(url: str, no_proxy: str) -> Proxy | None:
    """The proxy that SEW_PROXY names; None without one. Raises SettingsError, which repeats nothing of the URL."""
    if not url:
        return None
    try:
        split = urlsplit(url)
        host, port = split.hostname, split.port or 80
    except ValueError:
        raise SettingsError(f"SEW_PROXY is no URL: {_EXAMPLE}") from None
    if split.scheme != "http" or not host or split.path.strip("/") or split.query or split.fragment:
        raise SettingsError(f"SEW_PROXY is not the URL of an HTTP proxy: {_EXAMPLE}")
    if split.username is None:
        return Proxy(host, port, {}, no_proxy)
    credential = basic(unquote(split.username), unquote(split.password or ""))
    return Proxy(host, port, {"Proxy-Authorization": credential}, no_proxy)
