"""Stand-ins for receivers that cannot be had, strict to their documented contracts; for tests and the demonstration.

Each runs on loopback in threads of this process, answers what the real one documents, refuses what the real one
refuses, and keeps the requests that it accepted.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True)
class Answer:
    """A receiver's answer to one request."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    takes: bool = True
    """True where a good answer means that something was delivered: a search delivers nothing."""


@dataclass(frozen=True)
class Incoming:
    """A request as it came, with the names of its headers in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """An HTTP server on loopback: `answer` decides, accepted requests are kept in order of arrival."""

    def __init__(self, answer: Callable[[Incoming], Answer]) -> None:
        self._answer = answer
        self._lock = threading.Lock()
        self.accepted: list[Incoming] = []
        self.refused: list[tuple[Incoming, Answer]] = []
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def receive(self, incoming: Incoming) -> Answer:
        with self._lock:
            answer = self._answer(incoming)
            if answer.status < 300 and answer.takes:
                self.accepted.append(incoming)
            elif answer.status >= 300:
                self.refused.append((incoming, answer))
            return answer

    def ids(self, identify: Callable[[Incoming], str]) -> Counter[str]:
        """Return how often each delivery was accepted."""
        with self._lock:
            return Counter(identify(incoming) for incoming in self.accepted)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """Print nothing: a client may be killed in the middle of a request."""


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _serve(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = receiver.receive(Incoming(self.command, self.path, headers, self.rfile.read(length)))
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        do_POST = do_GET = _serve  # noqa: N815 - the names that http.server calls

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server gives
            pass

    return Handler


def generic() -> Receiver:
    """Return a receiver that accepts any JSON object with a webhook-id."""

    def answer(incoming: Incoming) -> Answer:
        if incoming.headers.get("content-type") != "application/json" or not incoming.headers.get("webhook-id"):
            return Answer(400, b"content-type and webhook-id are required")
        return Answer(204) if isinstance(_parse(incoming), dict) else Answer(400, b"not a JSON object")

    return Receiver(answer)


def slack(path: str, *, clock: Callable[[], float] = time.monotonic, burst: int = 4) -> Receiver:
    """Return an Incoming Webhook at `path`, with Slack's rate limit of one message a second and its error texts."""
    allowance = _RateLimit(clock, burst)

    def answer(incoming: Incoming) -> Answer:
        if incoming.path != path:
            return Answer(404, b"no_service")
        if not allowance.take():
            return Answer(429, b"rate_limited", {"retry-after": "1"})
        return _slack_payload(_parse(incoming))

    return Receiver(answer)


def _slack_payload(payload: Any) -> Answer:
    if not isinstance(payload, dict):
        return Answer(400, b"invalid_payload")
    text = payload.get("text")
    if not (text and isinstance(text, str)) and not payload.get("attachments"):
        return Answer(400, b"no_text")
    blocks = payload.get("blocks", [])
    fits = isinstance(blocks, list) and len(blocks) <= 50 and all(_slack_block(block) for block in blocks)
    return Answer(200, b"ok") if fits else Answer(400, b"invalid_blocks")


def _slack_block(block: Any) -> bool:
    texts = {"header": 150, "section": 3000}
    limit = texts.get(block.get("type"))
    if limit and "text" in block and not 1 <= len(block["text"]["text"]) <= limit:
        return False
    fields = block.get("fields", [])
    return (
        len(fields) <= 10
        and all(1 <= len(field["text"]) <= 2000 for field in fields)
        and len(block.get("elements", [])) <= 10
    )


def _parse(incoming: Incoming) -> Any:
    try:
        return incoming.json()
    except ValueError:
        return None


class _RateLimit:
    """A token bucket: one token a second, at most `burst` of them saved up."""

    def __init__(self, clock: Callable[[], float], burst: int) -> None:
        self._clock, self._burst = clock, burst
        self._tokens, self._at = float(burst), clock()

    def take(self) -> bool:
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + now - self._at)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
