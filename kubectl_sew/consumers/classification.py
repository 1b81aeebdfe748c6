"""Classification of answers, as far as they mean the same for every receiver, and redaction of what they repeat."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote, urlsplit

from kubectl_sew.consumers import response_text
from kubectl_sew.consumers.base import Config, Consumer, FailureReason, Outcome, Request, Response, Verdict
from kubectl_sew.consumers.own_lines import LINE_VARIABLES
from kubectl_sew.json_text import line
from kubectl_sew.redaction import HIDDEN, Secret, redactor

LONGEST_WAIT = 24 * 3600.0
DETAIL_LIMIT = 300
SAID_LIMIT = 200
"""Characters of the receiver's own text."""
_LIKE_A_TOKEN = 16
"""Characters from which a word of a value, or a part of a path, is taken for a credential (Slack's has 24)."""
_TEMPLATES = ("template", "fields", *LINE_VARIABLES)
"""Variables that a body is made of: if one is secret, so are the body and an answer that may repeat it."""
_WRONG_PORT = (
    "plain HTTP request was sent to HTTPS port",  # nginx
    "No required SSL certificate was sent",
    "The SSL certificate error",
    "Client sent an HTTP request to an HTTPS server",  # Go
    "speaking plain HTTP to an SSL-enabled server port",  # Apache
    "This combination of host and port requires TLS",  # Tomcat
)

_MOVED = {301, 308}
_BY_STATUS = {
    **dict.fromkeys((401, 403), (Verdict.PARKED, FailureReason.CREDENTIAL_REFUSED)),
    404: (Verdict.PARKED, FailureReason.CONFIGURATION_REFUSED),
    **dict.fromkeys((400, 413, 415, 422), (Verdict.REJECTED, FailureReason.EVENT_REFUSED)),
    408: (Verdict.RETRY, FailureReason.TIMEOUT),
    429: (Verdict.RETRY, FailureReason.RATE_LIMITED),
}


def classify_response(consumer: Consumer, response: Response, now: float, config: Config | None = None) -> Outcome:
    """Return the outcome of a delivery by `consumer` that got `response`.

    `now` is in seconds since the epoch, for `Retry-After`. Redirects are never followed. With `config`, its secrets are
    hidden in the detail, should a receiver repeat them. A retryable answer with `Retry-After` waits that long, at most
    24 h; one that is zero, past or unreadable gives WAIT with 0.0 seconds, in place of which the delivery takes its own
    shortest pause.
    """
    return completed(consumer.classify(response, config or {}), consumer, response, now, config or {})


def completed(outcome: Outcome, consumer: Consumer, response: Response, now: float, config: Config) -> Outcome:
    """Return what a consumer makes of `response` with what means the same for all, as `classify_response` says."""
    outcome = _redirect(response) if 300 <= response.status < 400 else outcome
    return with_retry_after(redact_outcome(outcome, consumer, config), response, now)


def redact_outcome(outcome: Outcome, consumer: Consumer, config: Config) -> Outcome:
    """Return the outcome with the receiver's text in its detail: secrets in it are hidden first, then it is cut."""
    if not outcome.said and not outcome.receipt:
        return outcome
    redact = redactor(*secrets_of(consumer, config))
    text = HIDDEN if outcome.said and _has_secret_body(config) else line(redact(outcome.said), SAID_LIMIT)
    detail = line(f"{outcome.detail}: {text}" if text else outcome.detail, DETAIL_LIMIT)
    return replace(outcome, detail=detail, said="", receipt=line(redact(outcome.receipt), 100))


def by_status(response: Response, text: str = "", instead: str = "") -> Outcome:
    """Classify by the status alone, where the receiver documents nothing else.

    `text`: the receiver's text, if other than the body's; `instead`: what a success would have been.
    """
    verdict, reason = _BY_STATUS.get(response.status, _other(response.status))
    text = text or response_text.said(response)
    if (
        response.status == 400
        and response_text.is_page(response)
        and any(phrase in text[:300] for phrase in _WRONG_PORT)
    ):
        verdict, reason = Verdict.PARKED, FailureReason.CONFIGURATION_REFUSED
    missing = f", but not {instead}" if instead and 200 <= response.status < 300 else ""
    return Outcome(verdict, reason, describe(response.status) + missing, response.status, said=text)


def describe(status: int, text: str = "") -> str:
    """Return `400 Bad Request: DETAIL` in one line."""
    return line(f"{_name(status)}: {text}", DETAIL_LIMIT) if text else _name(status)


@lru_cache(maxsize=1024)
def _name(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def with_retry_after(outcome: Outcome, response: Response, now: float) -> Outcome:
    """Return the outcome, as WAIT where it is a retry and the receiver said when."""
    text = response.headers.get("retry-after")
    if outcome.verdict is not Verdict.RETRY or text is None:
        return outcome
    return replace(outcome, verdict=Verdict.WAIT, retry_after=_seconds(text.strip(), now))


def secrets_of(consumer: Consumer, config: Config) -> list[str]:
    """Return the texts in a configuration that must not be shown: secret variables, and whatever came from a Secret.

    Secret are also variables that the consumer does not know by itself: a template may ask for them as secrets.
    """
    known = {variable.name: variable for variable in consumer.variables}
    secret = {name for name in config if name not in known or known[name].secret}
    texts: set[str] = set()
    for name, value in config.items():
        if value and (name in secret or isinstance(value, Secret)) and name not in _TEMPLATES:
            texts.update(_parts(value))
            texts.add(f"{config.get('username', '').strip()}:{value.strip()}")
    return sorted(texts - {""})


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    return redactor(*secrets)(text)


def shown_body(request: Request, consumer: Consumer, config: Config) -> str:
    """Return a request's body for people: nothing of it where its template is a secret."""
    if _has_secret_body(config):
        return f"{HIDDEN}: the template is in a Secret; in a ConfigMap it could be shown"
    return without_secrets(request.body.decode("utf-8", "replace"), secrets_of(consumer, config))


def _has_secret_body(config: Config) -> bool:
    return any(isinstance(config.get(name), Secret) for name in _TEMPLATES)


def _parts(value: str) -> Iterator[str]:
    """Yield a secret value, its lines, and the secret part of each URL or header in it."""
    yield value.strip()
    if "-----BEGIN " in value:  # no receiver gets it
        return
    for piece in map(str.strip, value.replace(",", "\n").splitlines()):
        yield from (piece, piece.partition(":")[2].strip(), piece.split(" ")[-1])
        yield from (word for word in piece.split() if len(word) >= _LIKE_A_TOKEN)
        if "://" in piece:
            yield from _of_url(piece)


def _of_url(url: str) -> Iterator[str]:
    try:
        split = urlsplit(url)
    except ValueError:
        return
    yield from (split.path.rstrip("/"), split.query, *(value for _, value in parse_qsl(split.query)))
    for part in split.path.split("/"):
        yield from (piece for piece in (part, *part.split(":")) if len(piece) >= _LIKE_A_TOKEN)
    user = split.netloc.rpartition("@")[0]
    yield from (user, unquote(user), split.password or "", unquote(split.password or ""))


def _other(status: int) -> tuple[Verdict, FailureReason]:
    if 500 <= status < 600:
        return Verdict.RETRY, FailureReason.SERVER_ERROR
    return Verdict.RETRY, FailureReason.UNEXPECTED_ANSWER


def _redirect(response: Response) -> Outcome:
    detail = describe(response.status, "redirects are not followed: give the URL that it redirects to")
    verdict = Verdict.PARKED if response.status in _MOVED else Verdict.RETRY
    reason = FailureReason.REDIRECT if 301 <= response.status <= 308 else FailureReason.UNEXPECTED_ANSWER
    return Outcome(verdict, reason, detail, response.status)


def _seconds(text: str, now: float) -> float:
    """Return seconds from now, between 0 and 24 h; 0 for what cannot be read (RFC 9110, 10.2.3)."""
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), LONGEST_WAIT)
    try:
        moment = parsedate_to_datetime(text)
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now
    except (ValueError, TypeError, OverflowError, IndexError):
        return 0.0
    return min(max(seconds, 0.0), LONGEST_WAIT)
