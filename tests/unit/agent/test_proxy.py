"""SEW_PROXY: what it may be, and for which hosts it is used."""

import pytest

from agent.delivery.proxy import Proxy, read_proxy
from agent.settings import SettingsError


@pytest.mark.parametrize(
    ("url", "host", "port", "credential"),
    [
        ("http://proxy:3128", "proxy", 3128, None),
        ("http://proxy", "proxy", 80, None),
        ("http://[::1]:3128/", "::1", 3128, None),
        ("http://me:p%40w@proxy:3128", "proxy", 3128, "Basic bWU6cEB3"),
    ],
)
def test_a_proxy_is_read(url: str, host: str, port: int, credential: str | None) -> None:
    proxy = read_proxy(url, "")
    assert proxy is not None
    assert (proxy.host, proxy.port, proxy.headers.get("Proxy-Authorization")) == (host, port, credential)
    assert "bWU6" not in repr(proxy)


def test_without_one_there_is_none() -> None:
    assert read_proxy("", "host") is None


@pytest.mark.parametrize(
    "url",
    [
        "https://me:SECRET@proxy",
        "socks5://SECRET",
        "SECRET",
        "http://",
        "http://h:SECRET",
        "http://me:1#SECRET@proxy:3128",
        "http://me?SECRET@proxy:3128",
        "http://me:1/SECRET@proxy:3128",
    ],
)
def test_what_is_no_proxy_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^SEW_PROXY is .*http://HOST:PORT") as error:
        read_proxy(url, "")
    assert "SECRET" not in str(error.value)


@pytest.mark.parametrize(
    ("no_proxy", "host", "served"),
    [
        ("", "a.example", True),
        ("a.example", "a.example", False),
        ("a.example", "b.example", True),
        (".example", "a.example", False),
        ("x, example", "a.example", False),
        ("*", "a.example", False),
    ],
)
def test_hosts_of_no_proxy_are_not_served(no_proxy: str, host: str, served: bool) -> None:
    assert Proxy("proxy", 80, no_proxy=no_proxy).serves(host) is served
