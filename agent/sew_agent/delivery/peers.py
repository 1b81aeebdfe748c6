"""Health of the several receivers of one webhook: a peer that fails rests, and is named."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from kubectl_sew.consumers.base import Outcome, Request, Verdict
from kubectl_sew.consumers.classification import LONGEST_WAIT
from sew_agent.delivery.retry import remaining

REST = 30.0
"""Seconds between two attempts at a peer that fails, as long as another one delivers."""
_FAILS = (Verdict.RETRY, Verdict.WAIT, Verdict.PARKED)


@dataclass(slots=True)
class _Failing:
    peer: str
    why: str
    until: float


@dataclass(frozen=True, slots=True)
class _RetryAfter:
    """What a peer asked for by Retry-After: until then it is not asked, whatever the others do."""

    until: float
    answer: str


class Peers:
    """Failing peers of one webhook. Thread-safe; times in seconds since the epoch."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failing: dict[str, _Failing] = {}
        self._waits: dict[str, _RetryAfter] = {}
        self._news: list[tuple[str, str]] = []

    @property
    def failing(self) -> tuple[str, ...]:
        """Return the peers that fail, with reasons, without a secret."""
        with self._lock:
            return tuple(f"{failing.peer}: {failing.why}" for failing in self._failing.values())

    def awake(self, requests: Sequence[Request], now: float) -> list[Request]:
        """Return the requests to peers that do not rest; where every peer rests, to all that named no time to wait for.

        Only one of several attempts tries a peer again after its rest: the others would hang with it.
        """
        with self._lock:
            free = [request for request in requests if not self._held(request, now)]
            awake = [request for request in free if not self._rests(request, now)] or free
            for request in awake:
                if failing := self._failing.get(request.url):
                    failing.until = now + REST
            return awake

    def next_free(self, requests: Sequence[Request], now: float) -> tuple[float, str]:
        """Return the seconds until the first of these may be asked, where all have named a time, with its answer."""
        with self._lock:
            first = min(requests, key=lambda request: self._held(request, now))
            return self._held(first, now), self._waits[first.url].answer

    def held(self) -> "Peers":
        """Return what holds under other settings, too: times that were named, or are by answers on their way."""
        peers = Peers()
        peers._lock, peers._waits = self._lock, self._waits
        return peers

    def record(self, requests: Sequence[Request], outcomes: Sequence[Outcome], now: float) -> None:
        """Record the outcome of each request."""
        with self._lock:
            for request, outcome in zip(requests, outcomes, strict=True):
                if outcome.verdict in _FAILS:
                    self._fails(request, outcome, now)
                elif failing := self._failing.pop(request.url, None):
                    self._news.append((failing.peer, ""))

    def shift(self, seconds: float) -> None:
        """Move its moments with a clock that was set."""
        with self._lock:
            for failing in self._failing.values():
                failing.until += seconds
            for url, wait in self._waits.items():
                self._waits[url] = replace(wait, until=wait.until + seconds)

    def news(self) -> list[tuple[str, str]]:
        """Return the peers that began to fail since the last call, with reasons; "" for one that works again."""
        with self._lock:
            news, self._news = self._news, []
        return news

    def _rests(self, request: Request, now: float) -> bool:
        """Return whether a peer rests. An end further ahead than one rest comes from a clock that was set back."""
        failing = self._failing.get(request.url)
        return failing is not None and remaining(failing.until, REST, now) > 0

    def _held(self, request: Request, now: float) -> float:
        """Return the seconds until a peer may be asked by its own word; 0.0 for now."""
        wait = self._waits.get(request.url)
        return remaining(wait.until, LONGEST_WAIT, now) if wait else 0.0

    def _fails(self, request: Request, outcome: Outcome, now: float) -> None:
        peer, why = named(request), outcome.detail.removeprefix(f"{named(request)}: ")
        if request.url not in self._failing:
            self._news.append((peer, why))
        self._failing[request.url] = _Failing(peer, why, now + REST)
        if wait := max(outcome.retry_after or 0.0, self._held(request, now)):
            self._waits[request.url] = _RetryAfter(now + wait, f"{peer}: {why}")


def named(request: Request) -> str:
    """Return scheme and host, the only parts of a URL that may be shown."""
    return address(request.url)


def address(url: str) -> str:
    """Return scheme and host of a URL."""
    try:
        split = urlsplit(url)
        port = f":{split.port}" if split.port else ""
    except ValueError:
        return "a URL that cannot be read"
    host = split.hostname or ""
    return f"{split.scheme}://" + (f"[{host}]" if ":" in host else host) + port
