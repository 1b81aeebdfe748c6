"""Name lookups with a deadline: each runs in a thread of its own, since getaddrinfo has none."""

import errno
import os
import socket
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from time import monotonic
from typing import TypeVar

from sew_agent.base.threads import NoThreadError, start_thread
from sew_agent.delivery.http.event_loop import Steps, Wait, finish

KEPT_FOR = 5.0
"""Seconds that addresses are used again without a lookup."""
MOST_NAMES = 1024
"""Names whose addresses are kept, and names that are remembered as silent."""
SLOW = 1.0
"""Seconds after which a lookup no longer holds a place that other names wait for."""
PLACES = 16
SILENT_PLACES = 32
"""Lookups at the same time, each in a thread: of new and answered names, and of those that were not answered."""

Address = IPv4Address | IPv6Address
Lookup = Callable[[str, int], Sequence[str]]
"""Host name and port -> addresses, in the order of preference. Raises OSError."""
_Name = tuple[str, int]
_Value = TypeVar("_Value")


class NameServerError(TimeoutError):
    """Missing answer of the name server."""


def system_lookup(host: str, port: int) -> Sequence[str]:
    """Look a name up by the operating system."""
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise socket.gaierror(socket.EAI_NONAME, "no name that can be asked for") from None
    return list(dict.fromkeys(str(sockaddr[0]).partition("%")[0] for *_, sockaddr in answers))


@dataclass(slots=True)
class _Lookup:
    """A lookup, and the places of which it holds one."""

    places: threading.Semaphore
    answer: Future[Sequence[Address]] = field(default_factory=Future)
    begun: bool = False


class Resolver:
    """Resolver with a limit of lookups. Thread-safe. Silent names have places of their own, and delay no other name.

    Requests for a name at the same time share one lookup, so a name that hangs holds one thread. The threads are
    daemons, so they do not keep the process from ending.
    """

    def __init__(self, lookup: Lookup = system_lookup, *, places: int = PLACES, silent_places: int = SILENT_PLACES):
        self._lookup = lookup
        self._places = threading.Semaphore(places)
        self._silent_places = threading.Semaphore(silent_places)
        self._lock = threading.Lock()
        self._lookups: dict[_Name, _Lookup] = {}
        self._waiting: deque[_Name] = deque()
        """Names whose lookups wait for a place."""
        self._cache: dict[_Name, tuple[float, Sequence[Address]]] = {}
        self._silent: dict[_Name, None] = {}

    def resolve(self, host: str, port: int, timeout: float) -> Sequence[Address]:
        """Return the addresses of a host, and wait for them. Raises OSError (socket.gaierror, NameServerError)."""
        return finish([self.look_up(host, port, monotonic() + timeout)])[0]

    def look_up(self, host: str, port: int, ends: float) -> Steps[Sequence[Address]]:
        """Return the addresses of a host, until `ends` at the latest. Raises as `resolve` does."""
        with suppress(ValueError):
            return [ip_address(host)]
        name = (host, port)
        until, addresses = self._cache.get(name, (0.0, ()))
        if monotonic() < until:
            return addresses
        lookup = self._request(name)
        if ends - monotonic() > SLOW:
            yield Wait(monotonic() + SLOW, future=lookup.answer)
            if not lookup.answer.done():
                self._mark_silent(name, lookup)
        if not lookup.answer.done():
            yield Wait(ends, future=lookup.answer)
        if not lookup.answer.done():
            raise NameServerError
        return lookup.answer.result()

    def _request(self, name: _Name) -> _Lookup:
        """Return the lookup of a name, which others may share; it waits for its place."""
        with self._lock:
            if shared := self._lookups.get(name):
                return shared
            silent = name in self._silent
            if silent and not self._silent_places.acquire(blocking=False):
                raise NameServerError
            lookup = self._lookups[name] = _Lookup(self._silent_places if silent else self._places)
            if not silent:
                self._waiting.append(name)
        if silent:
            self._begin(name, lookup)
        else:
            self._begin_waiting()
        return lookup

    def _begin_waiting(self) -> None:
        """Begin the lookups that wait, as far as there are places."""
        while True:
            with self._lock:
                if not self._waiting or not self._places.acquire(blocking=False):
                    return
                name = self._waiting.popleft()
                lookup = self._lookups[name]
            self._begin(name, lookup)

    def _begin(self, name: _Name, lookup: _Lookup) -> None:
        lookup.begun = True
        try:
            start_thread(self._ask, "resolver", name, lookup)
        except NoThreadError:
            self._release(name, lookup)
            lookup.answer.set_exception(BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)))

    def _mark_silent(self, name: _Name, lookup: _Lookup) -> None:
        """Mark a name as silent; move its lookup to the places of silent names where one is free."""
        with self._lock:
            if self._lookups.get(name) is lookup and lookup.begun and lookup.places is self._places:
                _remember(self._silent, name, None)
                if self._silent_places.acquire(blocking=False):
                    lookup.places.release()
                    lookup.places = self._silent_places
        self._begin_waiting()

    def _ask(self, name: _Name, lookup: _Lookup) -> None:
        addresses: Sequence[Address] = ()
        failure: BaseException | None = None
        began = monotonic()
        try:
            addresses = [ip_address(address) for address in self._lookup(*name)]
        except BaseException as error:  # noqa: BLE001 - every waiter gets it, or waits for ever
            failure = error
        ended = monotonic()
        self._release(name, lookup)
        self._begin_waiting()
        with self._lock:
            if ended - began < SLOW:
                self._silent.pop(name, None)
            if addresses:
                _remember(self._cache, name, (ended + KEPT_FOR, addresses))
        if failure:
            lookup.answer.set_exception(failure)
        else:
            lookup.answer.set_result(addresses)

    def _release(self, name: _Name, lookup: _Lookup) -> None:
        with self._lock:
            del self._lookups[name]
            lookup.places.release()


def _remember(kept: dict[_Name, _Value], name: _Name, value: _Value) -> None:
    """Keep a value under a name, and drop the oldest where there are too many."""
    kept.pop(name, None)
    while len(kept) >= MOST_NAMES:
        del kept[next(iter(kept))]
    kept[name] = value
