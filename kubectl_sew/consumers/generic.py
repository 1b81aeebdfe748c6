"""Generic: any HTTP receiver that takes JSON, or what a template makes of the event.

Signatures: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import hashlib
import hmac
import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kubectl_sew.consumers import response_text, settings
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
from kubectl_sew.consumers.classification import by_status, describe
from kubectl_sew.consumers.headers import HEADERS_VARIABLE, check_headers, is_json, own_headers
from kubectl_sew.consumers.rate import RATE_VARIABLE, check_rate
from kubectl_sew.consumers.templated import template_variable
from kubectl_sew.consumers.tls import TLS_VARIABLES, check_tls, read_tls
from kubectl_sew.event import Event
from kubectl_sew.text import decode_base64

SECRET_PREFIX = "whsec_"  # noqa: S105 - how such a secret begins
SECRET_BYTES = range(24, 65)

_ENCODE = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class Generic:
    """Renderer for any receiver: the event's fields as they are, plus `id` and `labels`."""

    name = "Generic"
    variables = (
        Variable("url", required=True, meaning="the URL that events are posted to", secret=True),
        HEADERS_VARIABLE,
        template_variable("a template of the body, in Calico's language or Jinja2", asked=True),
        Variable(
            "signingSecret",
            required=False,
            meaning="one or two Standard Webhooks secrets (`whsec_…`), separated by a space",
            secret=True,
        ),
        *TLS_VARIABLES,
        RATE_VARIABLE,
    )

    def validate(self, config: Config) -> list[ConfigProblem]:
        return settings.too_long(self, config) or [
            *settings.missing(self, config),
            *settings.check_url(config, "url"),
            *check_headers(config),
            *_check_template(config),
            *_check_secrets(config),
            *check_tls(config),
            *check_rate(config),
        ]

    def render(
        self, event: Event, labels: Mapping[str, str], config: Config, *, now: float, delivery_id: str
    ) -> tuple[Request, ...]:
        target = settings.address(settings.text(config, "url"))
        document = event.fields() | {"id": event.id, "labels": dict(labels)}
        body = _body(document, config)
        headers = [("webhook-id", delivery_id), *own_headers(config)]
        if target.authorization:
            headers.append(("Authorization", target.authorization))
        headers += _signature(config, delivery_id, int(now), body)
        return (Request("POST", target.url, tuple(headers), body, read_tls(config)),)

    def classify(self, response: Response) -> Outcome:
        if 200 <= response.status < 300:
            return Outcome(Verdict.DELIVERED, detail=describe(response.status), status=response.status)
        if response.status == 410:
            detail = describe(410, "the receiver asks to stop")
            text = response_text.said(response)
            return Outcome(Verdict.PARKED, FailureReason.CONFIGURATION_REFUSED, detail, 410, said=text)
        outcome = by_status(response)
        return replace(outcome, reason=FailureReason.RATE_LIMITED) if response.status in (502, 504) else outcome


def sign(secrets: list[bytes], delivery_id: str, timestamp: int, body: bytes) -> str:
    """Return the `webhook-signature` header: one `v1` signature for each secret, separated by blanks."""
    signed = f"{delivery_id}.{timestamp}.".encode() + body
    digests = (hmac.new(secret, signed, hashlib.sha256).digest() for secret in secrets)
    return " ".join(f"v1,{b64encode(digest).decode()}" for digest in digests)


def _body(document: dict[str, Any], config: Config) -> bytes:
    template = config.get("template", "")
    if template.strip():
        from kubectl_sew.consumers.template import render_body  # noqa: PLC0415 - jinja2 only where it is needed

        return render_body(template, document, as_json=is_json(config))
    try:
        return _ENCODE(document).encode()
    except RecursionError:
        raise RenderError("the event is nested too deeply to be written as JSON") from None
    except ValueError as error:
        raise RenderError(f"the event cannot be written as JSON: {_why(error)}") from None
    except TypeError:
        raise RenderError("the event cannot be written as JSON: it holds a value that JSON cannot represent") from None


def _check_template(config: Config) -> list[ConfigProblem]:
    template = config.get("template", "")
    if not template.strip():
        return []
    from kubectl_sew.consumers.template import check_template  # noqa: PLC0415 - as above

    return check_template(template, html=True, as_json=is_json(config))


def _why(error: ValueError) -> str:
    if "limit" in str(error):  # Python writes no integer of more than 4,300 digits
        return "it holds an integer of thousands of digits"
    return "it holds NaN or Infinity" if "float" in str(error).lower() else "it holds itself"


def _secrets(config: Config) -> list[str]:
    return config.get("signingSecret", "").replace(",", " ").split()


def _decoded(secret: str) -> bytes | None:
    """Return the key in a secret; None where it is no such secret."""
    return decode_base64(secret.removeprefix(SECRET_PREFIX)) if secret.startswith(SECRET_PREFIX) else None


def _check_secrets(config: Config) -> list[ConfigProblem]:
    secrets = _secrets(config)
    keys = [_decoded(secret) for secret in secrets]
    if not all(keys):
        hint = f"it is `{SECRET_PREFIX}` and 24 to 64 random bytes in Base64"
        return [ConfigProblem("signingSecret", "this is not a Standard Webhooks secret", hint)]
    if len(secrets) > 2:
        return [ConfigProblem("signingSecret", "there are more than two secrets", "keep the new and the old one")]
    if any(len(key or b"") not in SECRET_BYTES for key in keys):
        hint = "Standard Webhooks wants 24 to 64 random bytes"
        return [ConfigProblem("signingSecret", "a secret's key is too short or too long", hint, warning=True)]
    return []


def _signature(config: Config, delivery_id: str, timestamp: int, body: bytes) -> list[tuple[str, str]]:
    keys = [key for secret in _secrets(config) if (key := _decoded(secret))]
    if not keys:
        return []
    signature = sign(keys, delivery_id, timestamp, body)
    return [("webhook-timestamp", str(timestamp)), ("webhook-signature", signature)]
