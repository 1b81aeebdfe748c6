"""Generic: any HTTP receiver that takes JSON, or what a template makes of the event.

Signatures: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import hashlib
import hmac
import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

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
from kubectl_sew.consumers.body_limits import LIMITS_VARIABLE, check_limits, cut_body
from kubectl_sew.consumers.classification import by_status, describe
from kubectl_sew.consumers.digest import Digest
from kubectl_sew.consumers.digest_settings import DIGEST_VARIABLES, check_digest
from kubectl_sew.consumers.expectation import EXPECT_VARIABLE, check_expect, is_expected
from kubectl_sew.consumers.headers import HEADERS_VARIABLE, check_headers, is_json, own_headers
from kubectl_sew.consumers.rate import RATE_VARIABLE, check_rate
from kubectl_sew.consumers.template_output import BesideEvent
from kubectl_sew.consumers.template_secrets import check_secrets, fill_header, secrets_for_template, without_known
from kubectl_sew.consumers.templated import template_document, template_variable
from kubectl_sew.consumers.tls import TLS_VARIABLES, check_tls, read_tls
from kubectl_sew.event import Event
from kubectl_sew.event_maps.readable import EVENT_MAPS, EventMaps
from kubectl_sew.text import decode_base64

SECRET_PREFIX = "whsec_"  # noqa: S105 - how such a secret begins
SECRET_BYTES = range(24, 65)
AGAIN = ("webhook-replay", "again")
"""Header of an event that a replay sends once more: a receiver that keeps ids takes it all the same."""

_ENCODE = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


@dataclass(frozen=True)
class Generic:
    """Renderer for any receiver: the event's fields as they are, plus `id` and `labels`."""

    maps: EventMaps = EVENT_MAPS
    name: ClassVar[str] = "Generic"
    variables: ClassVar[tuple[Variable, ...]] = (
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
        EXPECT_VARIABLE,
        LIMITS_VARIABLE,
        RATE_VARIABLE,
        *DIGEST_VARIABLES,
    )

    def validate(self, config: Config) -> list[ConfigProblem]:
        return settings.too_long(self, config) or [
            *without_known(settings.missing(self, config), config),
            *settings.check_url(config, "url"),
            *check_headers(config),
            *_check_template(config),
            *_check_signing(config),
            *check_secrets(config, [variable.name for variable in self.variables]),
            *check_tls(config),
            *check_expect(config),
            *check_limits(config),
            *check_rate(config),
            *check_digest(config),
        ]

    def render(
        self, event: Event, labels: Mapping[str, str], config: Config, *, now: float, delivery_id: str
    ) -> tuple[Request, ...]:
        target = settings.address(settings.text(config, "url"))
        body = self._body(event, labels, config, int(now), delivery_id)
        own = [(name, fill_header(value, config)) for name, value in own_headers(config)]
        headers = [("webhook-id", delivery_id), *own]
        if target.authorization:
            headers.append(("Authorization", target.authorization))
        headers += _signature(config, delivery_id, int(now), body)
        return (Request("POST", target.url, tuple(headers), body, read_tls(config)),)

    def render_digest(
        self, digest: Digest, labels: Mapping[str, str], config: Config, *, now: float, delivery_id: str
    ) -> tuple[Request, ...]:
        """Render the digest as an event: a template of events makes something of it."""
        return self.render(digest.event(delivery_id), labels, config, now=now, delivery_id=delivery_id)

    def mark_again(self, request: Request) -> Request:
        return replace(request, headers=(*request.headers, AGAIN))

    def in_trace(self, request: Request, traceparent: str) -> Request:
        """Return the request with the header; one that `headers` sets stays."""
        if any(name.lower() == "traceparent" for name, _ in request.headers):
            return request
        return replace(request, headers=(*request.headers, ("traceparent", traceparent)))

    def classify(self, response: Response, config: Config) -> Outcome:
        expected = is_expected(response, config)
        if expected or (expected is None and 200 <= response.status < 300):
            return Outcome(Verdict.DELIVERED, detail=describe(response.status), status=response.status)
        if response.status == 410:
            detail = describe(410, "the receiver asks to stop")
            text = response_text.said(response)
            return Outcome(Verdict.PARKED, FailureReason.CONFIGURATION_REFUSED, detail, 410, said=text)
        outcome = by_status(response, instead="what `expect` asks for")
        return replace(outcome, reason=FailureReason.RATE_LIMITED) if response.status in (502, 504) else outcome

    def _body(self, event: Event, labels: Mapping[str, str], config: Config, now: int, delivery_id: str) -> bytes:
        template, as_json = config.get("template", ""), is_json(config)
        document = template_document(event, labels)
        secrets: Mapping[str, str] = {}
        if template.strip():
            from kubectl_sew.consumers.template import render_body  # noqa: PLC0415 - jinja2 only where it is needed

            secrets = secrets_for_template(config)
            beside = BesideEvent(delivery_id, now, secrets, self.maps.read(event).names)
            body = render_body(template, document, as_json=as_json, beside=beside)
        else:
            body = _plain(document)
        return cut_body(body, config, secrets.values(), as_json=as_json)


def sign(secrets: list[bytes], delivery_id: str, timestamp: int, body: bytes) -> str:
    """Return the `webhook-signature` header: one `v1` signature for each secret, separated by blanks."""
    signed = f"{delivery_id}.{timestamp}.".encode() + body
    digests = (hmac.new(secret, signed, hashlib.sha256).digest() for secret in secrets)
    return " ".join(f"v1,{b64encode(digest).decode()}" for digest in digests)


def _plain(document: dict[str, Any]) -> bytes:
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
    from kubectl_sew.consumers.template import check_secrets_alone, check_template  # noqa: PLC0415 - as above

    return check_template(template, html=True, as_json=is_json(config)) or check_secrets_alone(template)


def _why(error: ValueError) -> str:
    if "limit" in str(error):  # Python writes no integer of more than 4,300 digits
        return "it holds an integer of thousands of digits"
    return "it holds NaN or Infinity" if "float" in str(error).lower() else "it holds itself"


def _signing_secrets(config: Config) -> list[str]:
    return config.get("signingSecret", "").replace(",", " ").split()


def _decoded(secret: str) -> bytes | None:
    """Return the key in a secret; None where it is no such secret."""
    return decode_base64(secret.removeprefix(SECRET_PREFIX)) if secret.startswith(SECRET_PREFIX) else None


def _check_signing(config: Config) -> list[ConfigProblem]:
    secrets = _signing_secrets(config)
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
    keys = [key for secret in _signing_secrets(config) if (key := _decoded(secret))]
    if not keys:
        return []
    signature = sign(keys, delivery_id, timestamp, body)
    return [("webhook-timestamp", str(timestamp)), ("webhook-signature", signature)]
