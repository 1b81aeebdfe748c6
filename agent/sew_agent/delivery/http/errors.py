"""Errors of sending: one of a closed set of reasons, in words of our own, which hold no secret."""

import os
import re
import socket
import ssl

from kubectl_sew.consumers.base import FailureReason, Response
from kubectl_sew.errors import SewError
from sew_agent.delivery.http.answer import NoAnswerError
from sew_agent.delivery.http.resolver import NameServerError
from sew_agent.delivery.http.sockets import NoConnectionError

_CLIENT_REFUSED = re.compile("ALERT_.*(CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED)")


class SendError(SewError):
    """Failure to get an answer: a reason, and words without a secret. `parked`: a retry would not help.

    `answer`: the answer of a proxy instead of the receiver's.
    """

    def __init__(
        self, reason: FailureReason, detail: str, *, parked: bool = False, answer: Response | None = None
    ) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.parked = parked
        self.answer = answer


def explained(error: BaseException, place: str, deadline: float) -> SendError:
    """Return the reason of an exception, in words of our own."""
    if isinstance(error, ssl.SSLCertVerificationError):
        detail = f"{place}: its certificate is refused: {error.verify_message}"
        return SendError(FailureReason.CERTIFICATE, detail, parked=True)
    if isinstance(error, TimeoutError):
        return _too_late(error, place, deadline)
    if isinstance(error, socket.gaierror):
        return SendError(FailureReason.NAME_NOT_FOUND, f"{place}: the name cannot be resolved")
    if isinstance(error, ssl.SSLError) and _CLIENT_REFUSED.search(error.reason or ""):
        detail = f"{place}: it refuses the client certificate, or asks for one ({_words(error)})"
        return SendError(FailureReason.CREDENTIAL_REFUSED, detail, parked=True)
    return SendError(FailureReason.NETWORK, f"{place}: {_what_failed(error)}")


def _too_late(error: BaseException, place: str, deadline: float) -> SendError:
    if isinstance(error, NameServerError):
        detail = f"{place}: the name server does not answer within {deadline:g} s"
        return SendError(FailureReason.NAME_SERVER_SILENT, detail)
    missing = "no connection" if isinstance(error, NoConnectionError) else "no whole answer"
    return SendError(FailureReason.TIMEOUT, f"{place}: {missing} within {deadline:g} s")


def _what_failed(error: BaseException) -> str:
    if isinstance(error, ssl.SSLError):
        return f"TLS fails ({_words(error)})"
    if isinstance(error, NoAnswerError):
        return "the connection was closed without an answer"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    return "the answer is cut off, or is not HTTP"


def _words(error: ssl.SSLError) -> str:
    return (error.reason or "unknown").lower().replace("_", " ")
