"""Contract of all consumers, and the types in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol, runtime_checkable

from kubectl_sew.errors import SewError
from kubectl_sew.event import Event

Config = Mapping[str, str]
"""A webhook's variables with their references resolved: name -> value. The values may be secrets."""

TEMPLATE_LIMIT = 64 * 1024
"""Characters of a template."""


class Verdict(Enum):
    """Meaning of an answer for the delivery."""

    DELIVERED = "delivered"
    RETRY = "retry"
    """Try again with backoff."""
    WAIT = "wait"
    """Try again after `Outcome.retry_after`, as the receiver asked."""
    REJECTED = "rejected"
    """This event is refused for good: a dead letter."""
    PARKED = "parked"
    """The webhook's configuration or credential is refused: no sends until it changes."""


class FailureReason(Enum):
    """Reason why a delivery did not succeed: a closed set, used as a metric's label."""

    NONE = "none"
    NETWORK = "network"
    TIMEOUT = "timeout"
    NAME_NOT_FOUND = "name_not_found"
    NAME_SERVER_SILENT = "name_server_silent"
    PROXY_REFUSED = "proxy_refused"
    EGRESS_REFUSED = "egress_refused"
    CERTIFICATE = "certificate"
    REDIRECT = "redirect"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    UNEXPECTED_ANSWER = "unexpected_answer"
    EVENT_REFUSED = "event_refused"
    CREDENTIAL_REFUSED = "credential_refused"
    CONFIGURATION_REFUSED = "configuration_refused"
    RENDERING = "rendering"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM texts of a webhook's own CA and client certificate; "" where unset."""

    ca: str = ""
    certificate: str = ""
    key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, ready to be sent. URL and headers may be secrets: `repr` shows none of them."""

    method: str
    url: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)
    tls: Tls | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Response:
    """An answer: `headers` with lower-case names, `body` a bounded prefix of what came (64 KiB)."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """An answer's meaning. `detail` is one line for a person, at most 300 characters, and holds no secret.

    `said` is the receiver's whole text, which may repeat our secrets: `classify_response` hides those, cuts the text,
    and puts it into the detail. So does it with `receipt`: cut before, a part of a secret would be left.
    """

    verdict: Verdict
    reason: FailureReason = FailureReason.NONE
    detail: str = ""
    status: int | None = None
    retry_after: float | None = None
    """Seconds from now; only with WAIT."""
    receipt: str = ""
    """Receiver's name for it, e.g. Jira's issue key."""
    said: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Variable:
    """A configuration variable."""

    name: str
    required: bool
    meaning: str
    secret: bool = False
    unless: tuple[str, str] | None = None
    """Another variable, and the value of it that makes this one optional."""
    limit: int = 4_096
    """Characters that its value may have."""
    asked: bool = True
    """True where `kubectl sew create` asks for it: few need the others."""


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """Something wrong with one variable of a configuration (`variable`), with what to do about it."""

    variable: str
    message: str
    hint: str = ""
    warning: bool = False


class RenderError(SewError):
    """This event cannot be rendered for its receiver: it becomes a dead letter. The text holds no secret."""


class Consumer(Protocol):
    """Pure: the same arguments give the same result, and nothing is read or written."""

    @property
    def name(self) -> str:
        """Name in `spec.consumer`."""

    @property
    def variables(self) -> tuple[Variable, ...]:
        """Variables that it reads from a configuration."""

    def validate(self, config: Config) -> list[ConfigProblem]:
        """Return all problems of a resolved configuration."""

    def render(
        self, event: Event, labels: Mapping[str, str], config: Config, *, now: float, delivery_id: str
    ) -> tuple[Request, ...]:
        """Return the requests that deliver an event: one, or one for each peer (delivered when one accepts).

        `now` is in seconds since the epoch. Raises RenderError.
        """

    def classify(self, response: Response, config: Config) -> Outcome:
        """Classify an answer by the receiver's rules, or by the configuration's own (Generic's `expect`).

        `classify_response` adds Retry-After and redirects, which mean the same for all.
        """


@runtime_checkable
class ChecksLabels(Protocol):
    """A consumer whose own labels stand beside the webhook's, so that some may have the same name."""

    def check_labels(self, labels: Mapping[str, str]) -> list[str]:
        """Return a sentence for each label that meets another of its name: which of them is sent."""


@runtime_checkable
class MarksAgain(Protocol):
    """A consumer whose receiver can be told that an event is sent once more, because a person asked for it."""

    def mark_again(self, request: Request) -> Request:
        """Return a rendered request with the mark."""


@runtime_checkable
class ContinuesTraces(Protocol):
    """A consumer whose receiver may go on with the agent's trace: https://www.w3.org/TR/trace-context/."""

    def in_trace(self, request: Request, traceparent: str) -> Request:
        """Return a rendered request with its place in the trace, unless it has one of its own."""


@dataclass(frozen=True, slots=True)
class Found:
    """The receiver has it already, under the name `receipt`: its whole text, as that of an Outcome."""

    receipt: str


@dataclass(frozen=True, slots=True)
class NotFound:
    """The receiver does not have it: send it."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """This receiver has no such search: ask the next request; after the last one send it, and log that."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The search did not answer the question: retry as this outcome says, and send nothing."""

    outcome: Outcome


LookupResult = Found | NotFound | Unavailable | Failed


@runtime_checkable
class FindsEarlier(Protocol):
    """A consumer whose receiver knows no idempotency key, but can be asked whether it has a delivery already.

    Its attempts are on disk before they are sent; one whose outcome is unknown is looked up before it is repeated.
    """

    def lookup(self, config: Config, *, delivery_id: str) -> tuple[Request, ...]:
        """Return the searches to try in order, until one is not Unavailable; empty where the URL names no place."""

    def read_lookup(self, response: Response, *, now: float) -> LookupResult:
        """Classify a search's answer. `now` in seconds since the epoch, for `Retry-After`."""


@runtime_checkable
class JoinsOpen(FindsEarlier, Protocol):
    """A consumer that may write what is gathered into the entry that its receiver has open of the same group.

    `group` is the group's id, of letters and digits; `entry` the receiver's name for what it has, as in `Found`.
    """

    def find_open(self, config: Config, *, group: str) -> tuple[Request, ...]:
        """Return the searches for the open entry, as `lookup` does; empty where the configuration asks for none."""

    def in_group(self, request: Request, *, group: str) -> Request:
        """Return a rendered request whose entry such a search finds."""

    def added(self, request: Request, *, entry: str) -> Request:
        """Return the request that writes into an entry what a rendered one would create."""

    def read_added(self, response: Response, *, entry: str) -> Outcome | None:
        """Classify the answer to that; None where the entry surely takes no more: create another one."""
