"""Receivers of a proof: each knows what must come, records all that comes, and fails as it is told to."""

import hashlib
import json
import random
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Self

from standardwebhooks import Webhook

from kubectl_sew.consumers.digest import digest_id
from testbed.raw_server import Connection, RawServer
from tests.proof import digests
from tests.proof.events import Events, numbers_in
from tests.proof.history import NEVER, OTHER_ID, Arrival, Definition

NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
RETRY_AFTER = (2, 4)
"""Seconds that a receiver asks for when it limits."""
FAILS = 0.4
"""Share of the requests that a receiver in trouble answers badly: the others show that it is not gone."""


class ProofReceiver:
    """The receiver of one webhook: `troubles` says what it does now."""

    def __init__(
        self,
        webhook: str,
        events: Events,
        *,
        identify: Callable[[str, int], str],
        clock: Callable[[], float],
        timeout: float,
        chance: random.Random,
        atomic: bool,
    ) -> None:
        """`identify`: delivery id of a webhook's event. `timeout`: seconds that the agent waits for an answer.

        `atomic`: a webhook changes at once with its Secret; else the Secret may be one generation ahead.
        """
        self.webhook = webhook
        self._events, self._identify, self._clock = events, identify, clock
        self._timeout, self._chance, self._atomic = timeout, chance, atomic
        self.troubles: list[str] = []
        """What it fails by, the newest last."""
        self.definitions: dict[int, Definition] = {}
        """Each that was ever written, by its generation."""
        self.token = 0
        """Number of the oldest word in its URL that it takes now."""
        self.arrivals: list[Arrival] = []
        self.newest = -1
        """Highest generation that a request was made by."""
        self.accepted: set[int] = set()
        self._server = RawServer(self._answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.__exit__()

    def url(self, token: int) -> str:
        return f"http://127.0.0.1:{self._server.port}/{self.webhook}/token-{token}"

    def _answer(self, connection: Connection) -> bool:
        began, request = self._clock(), connection.request
        connection.requests.clear()  # a run has more requests than memory for their bodies
        path, headers, body = parse(request)
        document = json.loads(body)
        numbers, generation = numbers_in(document), int(document.get("labels", {}).get("generation", -1))
        self.newest = max(self.newest, generation)
        trouble = self.troubles[-1] if self.troubles and self._chance.random() < FAILS else ""
        status, retry_after, goes_on = 0, 0.0, True
        try:
            status, retry_after = self._status(path, numbers, trouble)
            goes_on = self._send(connection, status, retry_after, trouble)
        finally:
            usable = status if status < 1000 else 0
            arrival = Arrival(
                self.webhook,
                numbers,
                headers.get("webhook-id", ""),
                began,
                self._clock() if usable else NEVER,
                usable,
                retry_after,
                generation,
                self._flaw(path, headers, body, document, generation),
            )
            self.arrivals.append(arrival)
            if arrival.accepted:
                self.accepted.update(numbers)
        return goes_on

    def _status(self, path: str, numbers: Sequence[int], trouble: str) -> tuple[int, float]:
        """Return the status and the seconds of a Retry-After; a status from 1000 on is none that can be used."""
        if int(path.rpartition("-")[2]) < self.token:
            return 401, 0.0
        if any(self._is_bad(number) for number in numbers):
            return 400, 0.0
        if "away" in self.troubles:
            return 503, 0.0
        return _STATUSES.get(trouble, 204), float(self._chance.randint(*RETRY_AFTER)) if trouble == "limits" else 0.0

    def _is_bad(self, number: int) -> bool:
        return 0 <= number < len(self._events.written) and self.webhook in self._events.written[number].bad

    def _send(self, connection: Connection, status: int, retry_after: float, trouble: str) -> bool:
        if status == _HANGS:
            connection.stopped.wait(self._timeout * 2)
            return False
        if status == _DRIPS:
            connection.drip(b"HTTP/1.1 200 OK\r\nx: " + b"y" * int(self._timeout * 2 / 0.02))
            return False
        if status == _CUTS:
            connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
            return False
        if trouble == "late" and status == 204:
            connection.stopped.wait(self._timeout * 1.5)
        if trouble == "slow":
            connection.stopped.wait(self._chance.uniform(0.05, 0.4))
        waits = f"retry-after: {retry_after:.0f}\r\n" if retry_after else ""
        connection.send(
            NO_CONTENT if status == 204 else f"HTTP/1.1 {status} Refused\r\n{waits}content-length: 0\r\n\r\n".encode()
        )
        return True

    def _flaw(
        self, path: str, headers: Mapping[str, str], body: bytes, document: Mapping[str, Any], generation: int
    ) -> str:
        """Return what is wrong with a request: everything in it must be of one generation."""
        if generation not in self.definitions:
            return f"made by generation {generation}, which there never was"
        if headers.get("webhook-id") != self._wanted_id(document):
            return OTHER_ID
        possible = [self.definitions[generation]]
        if not self._atomic and generation + 1 in self.definitions:
            possible.append(self.definitions[generation + 1])
        named = [definition for definition in possible if path.endswith(f"token-{definition.token}")]
        if not named:
            return "its URL is not that of its generation"
        if not any(_signed(definition, headers, body) for definition in possible):
            return "its signature is not that of its generation"
        if "digest" in document:
            return digests.flaw(document, self._events, possible[0])
        return self._events.flaw(document)

    def _wanted_id(self, document: Mapping[str, Any]) -> str:
        """Return the id that a request must have, by the events in it."""
        ids = [self._identify(self.webhook, number) for number in numbers_in(document)]
        return digest_id(self.webhook, ids) if "digest" in document else ids[0]


_HANGS, _DRIPS, _CUTS = 1000, 1001, 1002
_STATUSES = {"refuses": 503, "limits": 429, "hangs": _HANGS, "drips": _DRIPS, "cuts": _CUTS}


def parse(request: bytes) -> tuple[str, dict[str, str], bytes]:
    """Return a request's path, its headers with names in lower case, and its body."""
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return first.split(" ")[1], headers, body


def signing_secret(definition: Definition) -> str:
    """Return the secret that a definition's requests are signed with."""
    key = hashlib.sha256(f"{definition.webhook} {definition.secret}".encode()).digest()
    return f"whsec_{b64encode(key).decode()}"


def _signed(definition: Definition, headers: Mapping[str, str], body: bytes) -> bool:
    """Return whether a request has the signature that the makers of Standard Webhooks compute."""
    try:
        moment = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
    except (KeyError, ValueError):
        return False
    signed = Webhook(signing_secret(definition)).sign(headers["webhook-id"], moment, body.decode())
    return bool(signed == headers.get("webhook-signature"))
