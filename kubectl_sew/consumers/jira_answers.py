"""What Jira's answers mean: to the creation of an issue, to a comment and to a search."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kubectl_sew.consumers import response_text
from kubectl_sew.consumers.base import (
    Failed,
    FailureReason,
    Found,
    LookupResult,
    NotFound,
    Outcome,
    Response,
    Unavailable,
    Verdict,
)
from kubectl_sew.consumers.classification import by_status, describe, with_retry_after

_ANONYMOUS = re.compile(r"\banonymous\b", re.IGNORECASE)
_SAME_FOR_ALL = re.compile(
    r"project|pid|issuetype|priority|labels|components|assignee|reporter|versions|fixVersions|security|parent|duedate"
    r"|customfield_\w+"
)
"""The fields that a webhook's issues have in common, or that its project demands of all of them."""
_NO_SUCH_SEARCH = {404, 405, 410}
_TAKES_NO_COMMENT = {404, 413}
"""The issue was deleted since it was found, or has as many comments as Jira keeps of one."""


def created(response: Response) -> Outcome:
    """Classify the answer to the creation of an issue."""
    answer = _json_object(response.body)
    if response.status == 201 and isinstance(key := answer.get("key"), str) and key:
        return Outcome(Verdict.DELIVERED, detail=describe(201), status=201, receipt=key)
    return _not_done(response, answer, "Jira's 201 with the new issue's key")


def commented(response: Response, issue: str) -> Outcome | None:
    """Classify the answer to a comment on `issue`; None where that takes none, and something new is to be created."""
    answer = _json_object(response.body)
    if response.status == 201 and isinstance(number := answer.get("id"), str) and number:
        return Outcome(Verdict.DELIVERED, detail=f"{describe(201)}, as a comment", status=201, receipt=issue)
    return None if response.status in _TAKES_NO_COMMENT else _not_done(response, answer, "Jira's 201 with a comment")


def searched(response: Response, now: float) -> LookupResult:
    """Classify the answer to a search: the key of the first issue that it found."""
    if response.status in _NO_SUCH_SEARCH:
        return Unavailable()
    answer = _json_object(response.body)
    issues = answer.get("issues")
    if response.status != 200 or not isinstance(issues, list):
        return Failed(_failed_search(response, answer, now))
    if not issues:
        return Failed(_unknown_caller(response, now)) if _is_anonymous(response) else NotFound()
    key = issues[0].get("key") if isinstance(issues[0], dict) else None
    return Found(key) if isinstance(key, str) and key else Failed(_failed_search(response, answer, now))


def _not_done(response: Response, answer: Mapping[str, Any], instead: str) -> Outcome:
    outcome = by_status(response, _said(answer), instead)
    if response.status == 400 and (reason := _refused(response, answer)):
        outcome = replace(outcome, verdict=Verdict.PARKED, reason=reason)
    return replace(outcome, detail=outcome.detail + _denied(response))


def _failed_search(response: Response, answer: Mapping[str, Any], now: float) -> Outcome:
    """Retry a failed search whatever its status, since nothing may be created before it has answered."""
    outcome = by_status(response, _said(answer))
    reason = FailureReason.UNEXPECTED_ANSWER if outcome.verdict is Verdict.REJECTED else outcome.reason
    return with_retry_after(replace(outcome, verdict=Verdict.RETRY, reason=reason), response, now)


def _json_object(body: bytes) -> Mapping[str, Any]:
    """Read a JSON object, an empty one from anything else: gateways answer in HTML."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _said(answer: Mapping[str, Any]) -> str:
    """Return Jira's own messages: `{"errorMessages": [text], "errors": {field: text}}`."""
    messages, errors = answer.get("errorMessages"), answer.get("errors")
    texts = [response_text.plain(message) for message in messages] if isinstance(messages, list) else []
    if isinstance(errors, dict):
        texts += [f"{name}: {response_text.plain(message)}" for name, message in errors.items()]
    return "; ".join(texts)


def _refused(response: Response, answer: Mapping[str, Any]) -> FailureReason | None:
    """Return why a 400 concerns every issue; None where it concerns this event alone."""
    errors = answer.get("errors")
    if _is_anonymous(response) or _ANONYMOUS.search(_said(answer)):
        return FailureReason.CREDENTIAL_REFUSED
    if isinstance(errors, dict) and errors and all(map(_SAME_FOR_ALL.fullmatch, errors)):
        return FailureReason.CONFIGURATION_REFUSED
    return None


def _is_anonymous(response: Response) -> bool:
    """Return whether Jira refused the credentials and answered as it answers anybody."""
    login = response.headers.get("x-seraph-loginreason", "OK").upper().replace(",", " ").split()
    user = response.headers.get("x-ausername", "").strip().lower()
    return "OK" not in login or user == "anonymous" or response_text.DENIED in response.headers


def _unknown_caller(response: Response, now: float) -> Outcome:
    detail = describe(response.status, "Jira did not accept the credentials, so its search says nothing")
    reason, denied = FailureReason.CREDENTIAL_REFUSED, response.headers.get(response_text.DENIED, "")
    return with_retry_after(Outcome(Verdict.RETRY, reason, detail, response.status, said=denied), response, now)


def _denied(response: Response) -> str:
    wanted = "CAPTCHA" in response.headers.get(response_text.DENIED, "").upper()
    return ", Jira asks for a CAPTCHA: log in once as this user in a browser" if wanted else ""
