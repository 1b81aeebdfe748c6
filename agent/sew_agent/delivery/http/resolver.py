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
"""Seconds after which a lookup counts as silent, and leaves its place to other names."""
PLACES = 64
SILENT_PLACES = 128
"""Lookups at the same time, each in a thread: of names that were answered, and of new ones; of silent ones."""

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


@dataclass(slots=True, eq=False)
class _Places:
    """Places of which each lookup holds one, and the names that wait for one."""

    free: int
    waiting: deque[_Name] = field(default_factory=deque)


@dataclass(slots=True)
class _Lookup:
    """A lookup, and the places of which it holds one, or waits for one."""

    places: _Places
    answer: Future[Sequence[Address]] = field(default_factory=Future)
    wanted_until: float = 0.0
    began: float = 0.0


class Resolver:
    """Resolver with a limit of lookups. Thread-safe. `clock`: seconds as of time.monotonic.

    Names that were answered, new names and silent ones have places of their own, so that none of them waits for another
    kind. A lookup that becomes silent moves to the places of silent names, as far as one is free.

    Requests for a name at the same time share one lookup, so a name that hangs holds one thread. The threads are
    daemons, so they do not keep the process from ending.
    """

    def __init__(
        self,
        lookup: Lookup = system_lookup,
        clock: Callable[[], float] = monotonic,
        *,
        places: int = PLACES,
        silent_places: int = SILENT_PLACES,
    ) -> None:
        self._lookup = lookup
        self._clock = clock
        self._places, self._new_places = _Places(places), _Places(places)
        self._silent_places = _Places(silent_places)
        self._kept_free = silent_places // 2
        """Places of silent names that those known as silent leave to those that become so."""
        self._lock = threading.Lock()
        self._lookups: dict[_Name, _Lookup] = {}
        self._young: dict[_Name, _Lookup] = {}
        """Lookups that began in places of names that are not silent, the oldest first, until they end or move."""
        self._cache: dict[_Name, tuple[float, Sequence[Address]]] = {}
        self._silent: dict[_Name, None] = {}

    def resolve(self, host: str, port: int, timeout: float) -> Sequence[Address]:
        """Return the addresses of a host, and wait for them. Raises OSError (socket.gaierror, NameServerError)."""
        return finish([self.look_up(host, port, self._clock() + timeout)])[0]

    def look_up(self, host: str, port: int, ends: float) -> Steps[Sequence[Address]]:
        """Return the addresses of a host, until `ends` at the latest. Raises as `resolve` does."""
        with suppress(ValueError):
            return [ip_address(host)]
        name = (host, port)
        until, addresses = self._cache.get(name, (0.0, ()))
        if self._clock() < until:
            return addresses
        lookup = self._request(name, ends)
        while not lookup.answer.done():
            self._begin_waiting()
            if (now := self._clock()) >= ends:
                raise NameServerError
            yield Wait(min(ends, now + SLOW), future=lookup.answer)
        return lookup.answer.result()

    def _request(self, name: _Name, ends: float) -> _Lookup:
        """Return the lookup of a name, which others may share; it waits for its place."""
        with self._lock:
            lookup = self._lookups.get(name)
            if lookup is None:
                places = self._places_of(name)
                if places is self._silent_places and places.free <= self._kept_free:
                    raise NameServerError
                lookup = self._lookups[name] = _Lookup(places)
                places.waiting.append(name)
            lookup.wanted_until = max(lookup.wanted_until, ends)
            return lookup

    def _places_of(self, name: _Name) -> _Places:
        if name in self._silent:
            return self._silent_places
        return self._places if name in self._cache else self._new_places

    def _begin_waiting(self) -> None:
        """Begin the lookups that wait, as far as there are places."""
        while name := self._next():
            lookup = self._lookups[name]
            try:
                start_thread(self._ask, "resolver", name, lookup)
            except NoThreadError:
                with self._lock:
                    self._release(name, lookup)
                lookup.answer.set_exception(BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)))

    def _next(self) -> _Name | None:
        """Return a name whose lookup begins now, and drop those that nobody waits for any more."""
        with self._lock:
            now = self._clock()
            self._move_silent(now)
            for places in (self._places, self._new_places, self._silent_places):
                while places.free and places.waiting:
                    name = places.waiting.popleft()
                    lookup = self._lookups[name]
                    if lookup.wanted_until > now:
                        places.free -= 1
                        lookup.began = now
                        if places is not self._silent_places:
                            self._young[name] = lookup
                        return name
                    del self._lookups[name]
        return None

    def _move_silent(self, now: float) -> None:
        """Move lookups that have become silent to the places of silent names. The caller holds the lock."""
        while self._young and self._silent_places.free:
            name, lookup = next(iter(self._young.items()))
            if now - lookup.began < SLOW:
                break
            del self._young[name]
            lookup.places.free += 1
            lookup.places = self._silent_places
            lookup.places.free -= 1

    def _ask(self, name: _Name, lookup: _Lookup) -> None:
        addresses: Sequence[Address] = ()
        failure: BaseException | None = None
        try:
            addresses = [ip_address(address) for address in self._lookup(*name)]
        except BaseException as error:  # noqa: BLE001 - every waiter gets it, or waits for ever
            failure = error
        with self._lock:
            self._release(name, lookup)
            self._learn(name, addresses, self._clock(), lookup.began)
        if failure:
            lookup.answer.set_exception(failure)
        else:
            lookup.answer.set_result(addresses)
        self._begin_waiting()

    def _release(self, name: _Name, lookup: _Lookup) -> None:
        del self._lookups[name]
        self._young.pop(name, None)
        lookup.places.free += 1

    def _learn(self, name: _Name, addresses: Sequence[Address], ended: float, began: float) -> None:
        if ended - began < SLOW:
            self._silent.pop(name, None)
        else:
            _remember(self._silent, name, None)
        if addresses:
            _remember(self._cache, name, (ended + KEPT_FOR, addresses))


def _remember(kept: dict[_Name, _Value], name: _Name, value: _Value) -> None:
    """Keep a value under a name, and drop the oldest where there are too many."""
    kept.pop(name, None)
    while len(kept) >= MOST_NAMES:
        del kept[next(iter(kept))]
    kept[name] = value
