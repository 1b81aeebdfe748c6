"""Receivers that take their time, each on a port of its own, in one process that counts what they meet.

    python -m benchmarks.timed_receivers CONFIG

CONFIG is JSON: `receivers`, a list of {"latency": seconds, "limit": requests a second or 0, "hangs": bool}, and with
TLS `certificate` and `key`, paths. The first line printed is the list of ports; each line read asks for the counts.
"""

import asyncio
import json
import resource
import ssl
import sys
import time
from dataclasses import dataclass, field
from typing import Any

RETRY_AFTER = 1
"""Seconds that a receiver asks for when it is above its limit: requests that come before are early."""
REFUSAL = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\nRetry-After: %d\r\n\r\n" % RETRY_AFTER
UNDER_WAY = 0.1
"""Seconds after such an answer in which what comes was in flight already."""


@dataclass
class Counts:
    """Counts of all receivers together."""

    requests: int = 0
    connections: int = 0
    refused: int = 0
    early: int = 0
    open: int = 0
    most_open: int = 0
    accepted: dict[int, int] = field(default_factory=dict)
    """Second since the first request -> accepted requests."""
    began: float = 0.0
    ended: float = 0.0

    def begin(self, now: float) -> None:
        self.began = self.began or now
        self.requests += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)

    def accept(self, now: float) -> None:
        second = int(now - self.began)
        self.accepted[second] = self.accepted.get(second, 0) + 1
        self.ended = now


@dataclass
class TimedReceiver:
    """A receiver: what it does, and what it has answered lately."""

    latency: float = 0.0
    limit: int = 0
    hangs: bool = False
    second: int = 0
    taken: int = 0
    refused_at: float = 0.0

    def takes(self, now: float) -> bool:
        """Return whether a request is within the limit of this second."""
        if int(now) != self.second:
            self.second, self.taken = int(now), 0
        self.taken += 1
        return not self.limit or self.taken <= self.limit

    def is_early(self, now: float) -> bool:
        return bool(self.refused_at) and UNDER_WAY < now - self.refused_at < RETRY_AFTER


class Peer(asyncio.Protocol):
    """A connection, which answers one request after the other."""

    def __init__(self, receiver: TimedReceiver, counts: Counts) -> None:
        self.receiver, self.counts, self.buffer = receiver, counts, b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.counts.connections += 1

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.buffer[:end].lower()
        at = head.index(b"content-length:") + 15
        if len(self.buffer) < end + 4 + int(head[at:].partition(b"\r")[0]):
            return
        self.buffer = b""
        self._begin(time.monotonic())

    def _begin(self, now: float) -> None:
        self.counts.begin(now)
        self.counts.early += self.receiver.is_early(now)
        if self.receiver.hangs:
            return
        if self.receiver.takes(now):
            asyncio.get_running_loop().call_later(self.receiver.latency, self._accept)
        else:
            self.receiver.refused_at = self.receiver.refused_at if self.receiver.is_early(now) else now
            self.counts.refused += 1
            self._answer(
                b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\nRetry-After: %d\r\n\r\n" % RETRY_AFTER
            )

    def _accept(self) -> None:
        self.counts.accept(time.monotonic())
        self._answer(b"HTTP/1.1 204 No Content\r\n\r\n")

    def _answer(self, answer: bytes) -> None:
        self.counts.open -= 1
        self.transport.write(answer)


async def serve(config: dict[str, Any]) -> None:
    """Serve until the end of the standard input."""
    loop, counts, ports = asyncio.get_running_loop(), Counts(), []
    context = None
    if "certificate" in config:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(config["certificate"], config["key"])
    for given in config["receivers"]:
        receiver = TimedReceiver(**given)
        server = await loop.create_server(
            lambda of=receiver: Peer(of, counts), "127.0.0.1", 0, ssl=context, backlog=1024
        )
        ports.append(server.sockets[0].getsockname()[1])
    print(json.dumps(ports), flush=True)
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(vars(counts)), flush=True)


def main() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(serve(json.loads(sys.argv[1])))


if __name__ == "__main__":
    main()
