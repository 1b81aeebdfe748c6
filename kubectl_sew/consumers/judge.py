"""What an answer means, as far as it means the same for every receiver."""

from collections.abc import Iterable
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import urlsplit

from kubectl_sew.consumers.base import Config, Consumer, FailureReason, Outcome, Response, Verdict
from kubectl_sew.consumers.text import line

LONGEST_WAIT = 24 * 3600.0
DETAIL_LIMIT = 300
SHORTEST_SECRET = 4
"""Shorter values would blank out ordinary words."""
_LIKE_A_TOKEN = 16  # a path's last part is a credential (Slack's has 24 characters), or a word such as `issue`

_MOVED = {301, 308}
_BY_STATUS = {
    **dict.fromkeys((401, 403), (Verdict.PARKED, FailureReason.CREDENTIAL_REFUSED)),
    404: (Verdict.PARKED, FailureReason.CONFIGURATION_REFUSED),
    **dict.fromkeys((400, 413, 415, 422), (Verdict.REJECTED, FailureReason.EVENT_REFUSED)),
    408: (Verdict.RETRY, FailureReason.TIMEOUT),
    429: (Verdict.RETRY, FailureReason.RATE_LIMITED),
}


def judge(consumer: Consumer, response: Response, now: float, config: Config | None = None) -> Outcome:
    """What `response` means for a delivery of `consumer`; `now` in seconds since the epoch, for `Retry-After`.

    Redirects are never followed. With `config`, its secrets are taken out of the detail, should a receiver repeat them.
    A retryable answer with `Retry-After` waits that long, at most 24 h; one that is zero, past or unreadable gives
    WAIT with 0.0 seconds, for which the delivery puts its own shortest pause.
    """
    outcome = _redirect(response) if 300 <= response.status < 400 else consumer.classify(response)
    if outcome.verdict is Verdict.DELIVERED:
        return outcome
    detail = without_secrets(line(outcome.detail, DETAIL_LIMIT), secrets_of(consumer, config or {}))
    return with_retry_after(
        Outcome(outcome.verdict, outcome.reason, detail, response.status, outcome.retry_after, outcome.receipt),
        response,
        now,
    )


def by_status(response: Response, said: str = "") -> Outcome:
    """What a status means where the receiver documents nothing else; `said` is what it said, without secrets."""
    verdict, reason = _BY_STATUS.get(response.status, _other(response.status))
    return Outcome(verdict, reason, describe(response.status, said), response.status)


def describe(status: int, said: str = "") -> str:
    """`400 Bad Request: what it said`, in one line."""
    try:
        name = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        name = str(status)
    return line(f"{name}: {said}" if said else name, DETAIL_LIMIT)


def with_retry_after(outcome: Outcome, response: Response, now: float) -> Outcome:
    """The same outcome, as WAIT where it is a retry and the receiver said when."""
    text = response.headers.get("retry-after")
    if outcome.verdict is not Verdict.RETRY or text is None:
        return outcome
    seconds = _seconds(text.strip(), now)
    return Outcome(Verdict.WAIT, outcome.reason, outcome.detail, outcome.status, seconds, outcome.receipt)


def secrets_of(consumer: Consumer, config: Config) -> list[str]:
    """The texts in a configuration that must not be shown, longest first."""
    found: set[str] = set()
    for variable in consumer.variables:
        if variable.secret and (value := config.get(variable.name, "")):
            found.update(_parts(value))
    return sorted((each for each in found if len(each) >= SHORTEST_SECRET), key=len, reverse=True)


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "[secret]")
    return text


def _parts(value: str) -> list[str]:
    """A secret value, its lines, and of each URL or header in it the part that is the secret."""
    parts = [value.strip()]
    for piece in value.replace(",", "\n").splitlines():
        parts += [piece.strip(), piece.partition(":")[2].strip(), piece.split(" ")[-1].strip()]
        if "://" in piece:
            parts += _of_url(piece.strip())
    return parts


def _of_url(url: str) -> list[str]:
    try:
        split = urlsplit(url)
    except ValueError:
        return [url]
    path = split.path.rstrip("/")
    last = path.rpartition("/")[2]
    return [path, last if len(last) >= _LIKE_A_TOKEN else "", split.query, split.password or ""]


def _other(status: int) -> tuple[Verdict, FailureReason]:
    if 500 <= status < 600:
        return Verdict.RETRY, FailureReason.SERVER_ERROR
    return Verdict.RETRY, FailureReason.UNEXPECTED_ANSWER


def _redirect(response: Response) -> Outcome:
    detail = describe(response.status, "redirects are not followed: give the URL that the receiver really has")
    verdict = Verdict.PARKED if response.status in _MOVED else Verdict.RETRY
    reason = FailureReason.REDIRECT if 301 <= response.status <= 308 else FailureReason.UNEXPECTED_ANSWER
    return Outcome(verdict, reason, detail, response.status)


def _seconds(text: str, now: float) -> float:
    """Seconds from now, between 0 and 24 h; 0 for what cannot be read (RFC 9110, 10.2.3)."""
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), LONGEST_WAIT)
    try:
        moment = parsedate_to_datetime(text)
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now
    except (ValueError, TypeError, OverflowError, IndexError):
        return 0.0
    return min(max(seconds, 0.0), LONGEST_WAIT)
