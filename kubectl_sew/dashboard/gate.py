"""Who is let in: one browser, by a link that works once, then by a cookie that no other site can use. Pure.

Facts: RFC 6265bis (cookies know no port, and SameSite no port either), Fetch (Origin, Sec-Fetch-Site), CSP 3. Against
DNS rebinding the Host is checked; against other sites' forms the Origin of everything that changes something, beside
the cookie's SameSite=Strict.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from hmac import compare_digest
from http.cookies import CookieError, SimpleCookie

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with no-referrer, a browser sends no Origin with our own forms either
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Headers of every answer."""

SAFE = ("GET", "HEAD")
_OUR_OWN = ("same-origin", "none")
"""Values of Sec-Fetch-Site for a page of ours, and for an address that a person typed or a program opened."""


@dataclass(frozen=True, slots=True)
class Visit:
    """The parts of a request that say who makes it; "" where one is missing."""

    method: str
    host: str = ""
    origin: str = ""
    fetch_site: str = ""
    cookies: str = ""
    token: str = ""
    """The token in the address."""


@dataclass(frozen=True, slots=True)
class Pass:
    """A decision: `refusal` says why not, and is "" otherwise; `cookie` is the value of Set-Cookie for who comes in."""

    refusal: str = ""
    cookie: str = ""


class Gate:
    """Lets in who has the token of the link, once, and then who has the session's cookie."""

    def __init__(self, port: int, token: str, session: str) -> None:
        """`token` and `session` are secrets of at least 128 random bits each."""
        self.hosts = (f"127.0.0.1:{port}", f"localhost:{port}")
        self._name = f"sew-dashboard-{port}"
        self._token = token
        self._lock = threading.Lock()
        self._session = session

    def judge(self, visit: Visit) -> Pass:
        """Decide about one request, and take the token back once it was used."""
        if visit.host not in self.hosts:
            return Pass("this address is not the dashboard's: open the link that `kubectl sew dashboard` printed")
        if refusal := self._foreign(visit):
            return Pass(refusal)
        if _same(self._cookie(visit.cookies), self._session):
            return Pass()
        if visit.method == "GET" and self._take(visit.token):
            return Pass(cookie=f"{self._name}={self._session}; Path=/; HttpOnly; SameSite=Strict")
        return Pass(_USED if visit.token else _NO_COOKIE)

    def _take(self, token: str) -> bool:
        """Return whether it is the link's token, which works once."""
        with self._lock:
            if not self._token or not _same(token, self._token):
                return False
            self._token = ""
            return True

    def _foreign(self, visit: Visit) -> str:
        """Return why no page of ours asked for this; "" where one did, or where somebody comes by the link."""
        own = visit.fetch_site in ("", *_OUR_OWN)
        if visit.method in SAFE:
            return "" if own or visit.token else _ANOTHER
        return "" if own and visit.origin == f"http://{visit.host}" else _ANOTHER

    def _cookie(self, header: str) -> str:
        try:
            cookies: Mapping[str, object] = SimpleCookie(header)
        except CookieError:
            return ""
        return str(getattr(cookies.get(self._name), "value", ""))


_ANOTHER = "another site asked for this, so nothing was done"
_NO_COOKIE = (
    "open the link that `kubectl sew dashboard` printed; it works once, in one browser. For another link, end the "
    "command by Ctrl-C and start it again"
)
_USED = (
    "this link was used already, or is of an earlier start: end `kubectl sew dashboard` by Ctrl-C and start it again"
)


def _same(given: str, secret: str) -> bool:
    return compare_digest(given.encode("utf-8", "replace"), secret.encode())
