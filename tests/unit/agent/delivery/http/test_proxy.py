"""SEW_PROXY: what it may be, and for which hosts it is used."""

import pytest

from sew_agent.base.settings import SettingsError
from sew_agent.delivery.http.proxy import Proxy, read_proxy


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
    ("no_proxy", "host", "port", "served"),
    [
        ("", "a.example", 443, True),
        ("a.example", "a.example", 443, False),
        ("a.example", "A.EXAMPLE.", 443, False),
        ("a.example", "b.example", 443, True),
        ("a.example", "ba.example", 443, True),
        ("a.example", "b.a.example", 443, False),
        (".example", "a.example", 443, False),
        ("*.example", "a.example", 443, False),
        ("x, example", "a.example", 443, False),
        ("*", "a.example", 443, False),
        ("a.example:8443", "a.example", 8443, False),
        ("a.example:8443", "a.example", 443, True),
        ("10.0.0.0/8", "10.1.2.3", 443, False),
        ("10.0.0.0/8", "11.1.2.3", 443, True),
        ("10.0.0.5/8", "10.1.2.3", 443, False),
        ("fd00::/8", "fd12::1", 443, False),
        ("10.1.2.3", "10.1.2.3", 443, False),
        ("10.1.2.3:80", "10.1.2.3", 443, True),
        ("10.1.2.3:443", "10.1.2.3", 443, False),
        ("fd12::1", "fd12:0::1", 443, False),
        ("[fd12::1]:443", "fd12::1", 443, False),
        ("10.0.0.0/33, ,:,[", "10.1.2.3", 443, True),
    ],
)
def test_what_no_proxy_names_is_reached_without_the_proxy(no_proxy: str, host: str, port: int, served: bool) -> None:
    assert Proxy("proxy", 80, no_proxy=no_proxy).serves(host, port) is served
