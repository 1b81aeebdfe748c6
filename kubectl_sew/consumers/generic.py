"""Generic: any HTTP receiver that takes JSON, or what a template makes of the event.

Signatures: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import hashlib
import hmac
import json
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kubectl_sew.consumers import settings, words
from kubectl_sew.consumers.base import (
    Config,
    ConfigProblem,
    FailureReason,
    Outcome,
    RenderError,
    Request,
    Response,
    Variable,
    Verdict,
)
from kubectl_sew.consumers.judge import by_status, describe
from kubectl_sew.consumers.tls import TLS_VARIABLES, check_tls, read_tls
from kubectl_sew.event import Event

CONTENT_TYPE = ("Content-Type", "application/json")
SECRET_PREFIX = "whsec_"  # noqa: S105 - how such a secret begins
SECRET_BYTES = range(24, 65)

_FORBIDDEN = {"host", "content-length", "transfer-encoding", "connection"}
_NOT_OF_A_WEBHOOK = ("webhook-", "proxy-")
"""Beginnings of headers that the sender writes: the signature's, and what is between the agent and its proxy."""
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_ENCODE = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class Generic:
    """Renders for any receiver: the event's fields as they are, plus `id` and `labels`."""

    name = "Generic"
    variables = (
        Variable("url", required=True, meaning="where events are posted to", secret=True),
        Variable(
            "headers", required=False, meaning="more headers, one `Name: value` a line", secret=True, limit=16 * 1024
        ),
        Variable("template", required=False, meaning="a Jinja2 template of the body", limit=64 * 1024),
        Variable(
            "signingSecret",
            required=False,
            meaning="one or two Standard Webhooks secrets (`whsec_…`), separated by a blank",
            secret=True,
        ),
        *TLS_VARIABLES,
    )

    def validate(self, config: Config) -> list[ConfigProblem]:
        return settings.too_long(self, config) or [
            *settings.missing(self, config),
            *settings.check_url(config, "url"),
            *_check_headers(config),
            *_check_template(config),
            *_check_secrets(config),
            *check_tls(config),
        ]

    def render(
        self, event: Event, labels: Mapping[str, str], config: Config, *, now: float, delivery_id: str
    ) -> tuple[Request, ...]:
        target = settings.address(settings.text(config, "url"))
        document = event.fields() | {"id": event.id, "labels": dict(labels)}
        body = _body(document, config)
        headers = [("webhook-id", delivery_id), *_own_headers(config)]
        if target.authorization:
            headers.append(("Authorization", target.authorization))
        headers += _signature(config, delivery_id, int(now), body)
        return (Request("POST", target.url, tuple(headers), body, read_tls(config)),)

    def classify(self, response: Response) -> Outcome:
        if 200 <= response.status < 300:
            return Outcome(Verdict.DELIVERED, detail=describe(response.status), status=response.status)
        if response.status == 410:
            detail = describe(410, "the receiver asks to stop")
            said = words.said(response)
            return Outcome(Verdict.PARKED, FailureReason.CONFIGURATION_REFUSED, detail, 410, said=said)
        outcome = by_status(response)
        return replace(outcome, reason=FailureReason.RATE_LIMITED) if response.status in (502, 504) else outcome


def sign(secrets: list[bytes], delivery_id: str, timestamp: int, body: bytes) -> str:
    """The `webhook-signature` header: one `v1` signature for each secret, separated by blanks."""
    signed = f"{delivery_id}.{timestamp}.".encode() + body
    digests = (hmac.new(secret, signed, hashlib.sha256).digest() for secret in secrets)
    return " ".join(f"v1,{b64encode(digest).decode()}" for digest in digests)


def _body(document: dict[str, Any], config: Config) -> bytes:
    template = config.get("template", "")
    if template.strip():
        from kubectl_sew.consumers.template import render_template  # noqa: PLC0415 - jinja2 only where it is needed

        return render_template(template, document)
    try:
        return _ENCODE(document).encode()
    except RecursionError:
        raise RenderError("the event is nested too deeply to be written as JSON") from None
    except ValueError as error:
        raise RenderError(f"the event cannot be written as JSON: {_why(error)}") from None
    except TypeError:
        raise RenderError("the event cannot be written as JSON: it holds what JSON has no form for") from None


def _why(error: ValueError) -> str:
    if "limit" in str(error):  # Python writes no integer of more than 4,300 digits
        return "it holds an integer of thousands of digits"
    return "it holds NaN or Infinity" if "float" in str(error).lower() else "it holds itself"


def _own_headers(config: Config) -> list[tuple[str, str]]:
    headers = [(name.strip(), value.strip()) for _, name, _, value in _header_lines(config)]
    given = any(name.lower() == "content-type" for name, _ in headers)
    return headers if given else [CONTENT_TYPE, *headers]


def _header_lines(config: Config) -> list[tuple[int, str, str, str]]:
    """(line number, name, colon or "", value) of each line that is not empty."""
    lines = enumerate(re.split(r"\r?\n", config.get("headers", "")), 1)
    return [(number, *line.partition(":")) for number, line in lines if line.strip()]


def _check_headers(config: Config) -> list[ConfigProblem]:
    problems: list[ConfigProblem] = []
    seen: set[str] = set()
    for number, name, colon, value in _header_lines(config):
        lower = name.strip().lower()
        if reason := _header_problem(name.strip(), colon, value, lower in seen):
            message, hint = reason
            problems.append(ConfigProblem("headers", f"line {number}: {message}", hint))
        seen.add(lower)
    if "authorization" in seen and settings.address_has_user(settings.text(config, "url")):
        hint = "take the user out of the URL, or the header out of `headers`"
        problems.append(ConfigProblem("headers", "both the URL and `headers` give an Authorization", hint))
    return problems


def _header_problem(name: str, colon: str, value: str, seen: bool) -> tuple[str, str] | None:
    """What is wrong with a header, and what to do; names are no secret, values are."""
    if not colon or not _HEADER_NAME.fullmatch(name):
        return "this is no header", "write one `Name: value` a line"
    if name.lower() in _FORBIDDEN or name.lower().startswith(_NOT_OF_A_WEBHOOK):
        return f"the header `{name}` cannot be set", "leave it out: it is written by the sender"
    if settings.plain_line(name, value.strip()):
        return f"the value of `{name}` holds what a header cannot", "use printable Latin-1 characters"
    return (f"the header `{name}` is there twice", "keep one of them") if seen else None


def _check_template(config: Config) -> list[ConfigProblem]:
    template = config.get("template", "")
    if not template.strip():
        return []
    from kubectl_sew.consumers.template import check_template  # noqa: PLC0415 - jinja2 only where it is needed

    return check_template(template)


def _secrets(config: Config) -> list[str]:
    return config.get("signingSecret", "").replace(",", " ").split()


def _decoded(secret: str) -> bytes | None:
    """The key in a secret; None where it is no such secret."""
    try:
        return (
            b64decode(secret.removeprefix(SECRET_PREFIX), validate=True) if secret.startswith(SECRET_PREFIX) else None
        )
    except ValueError:
        return None


def _check_secrets(config: Config) -> list[ConfigProblem]:
    secrets = _secrets(config)
    keys = [_decoded(each) for each in secrets]
    if not all(keys):
        hint = f"it is `{SECRET_PREFIX}` and 24 to 64 random bytes in Base64"
        return [ConfigProblem("signingSecret", "this is no Standard Webhooks secret", hint)]
    if len(secrets) > 2:
        return [ConfigProblem("signingSecret", "there are more than two secrets", "keep the new and the old one")]
    if any(len(key or b"") not in SECRET_BYTES for key in keys):
        hint = "Standard Webhooks wants 24 to 64 random bytes"
        return [ConfigProblem("signingSecret", "a secret's key is too short or too long", hint, warning=True)]
    return []


def _signature(config: Config, delivery_id: str, timestamp: int, body: bytes) -> list[tuple[str, str]]:
    keys = [key for each in _secrets(config) if (key := _decoded(each))]
    if not keys:
        return []
    signature = sign(keys, delivery_id, timestamp, body)
    return [("webhook-timestamp", str(timestamp)), ("webhook-signature", signature)]
