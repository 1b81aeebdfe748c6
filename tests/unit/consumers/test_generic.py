"""Generic's bodies, headers and signatures."""

import json
from base64 import b64encode
from datetime import UTC, datetime
from pathlib import Path

import pytest
import standardwebhooks.webhooks as public
from standardwebhooks.webhooks import Webhook

from kubectl_sew.consumers.base import Tls
from kubectl_sew.consumers.generic import Generic
from kubectl_sew.event import Event
from kubectl_sew.samples import sample
from testbed.raw_server import Authority

NOW = 1_772_450_000.7
URL = "https://hooks.example/x"
OLD, NEW = ("whsec_" + b64encode(bytes([n]) * 32).decode() for n in (1, 2))
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBejCCAR+gAwIBAgIUE4eeCp6lALduEH0S1Tdg63BnvUwwCgYIKoZIzj0EAwIw
ETEPMA0GA1UEAwwGY2xpZW50MCAXDTI2MTEyOTExNDQwN1oYDzIxMjYxMTA1MTE0
NDA3WjARMQ8wDQYDVQQDDAZjbGllbnQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AAQ3pROa2K1dVIt6vJQsRYXXjIIec8c00pMlbdeXbKYxfPauPUsaiVLdnK4TzFgv
UpmasZNG6NXD4idEAby07Moxo1MwUTAdBgNVHQ4EFgQUelj4Mh0ewNKkcMvruGlT
1cbk9R0wHwYDVR0jBBgwFoAUelj4Mh0ewNKkcMvruGlT1cbk9R0wDwYDVR0TAQH/
BAUwAwEB/zAKBggqhkjOPQQDAgNJADBGAiEAtJZ0SZDbGmDwV5nlnKI0Fae9kvv9
ZcyhugtZdIri4MkCIQDPtqC/vqfr5ATbxKfOQXP+bDb48ACFo8ABdT7KGBjEPQ==
-----END CERTIFICATE-----
"""
KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgzssl39kVKscmpjQv
MHLi+n5UVMUKp6NbrnafO22CMXihRANCAAQ3pROa2K1dVIt6vJQsRYXXjIIec8c0
0pMlbdeXbKYxfPauPUsaiVLdnK4TzFgvUpmasZNG6NXD4idEAby07Mox
-----END PRIVATE KEY-----
"""
OTHER_KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgFD7HbZaS2CVNEbkP
YVBUVB3jxjkcRSgyZPExge9AM/+hRANCAASUhgF00gMBg6A0Wh84nIazmvkNRQuK
L3FWZBCQ+26frpiKTBiRA1W2ifGvXjL0KD7Isn5JHyJFBc3hp5t9+gql
-----END PRIVATE KEY-----
"""
FORM = "-----BEGIN CERTIFICATE-----\nTUlJQg==\n-----END CERTIFICATE-----\n"
NO_KEY = "-----BEGIN PRIVATE KEY-----\nTUlJQg==\n-----END PRIVATE KEY-----\n"


def request(document: dict[str, object], labels: dict[str, str] | None = None, **config: str):
    (rendered,) = Generic().render(
        Event("i", "id-1", document), labels or {}, {"url": URL} | config, now=NOW, delivery_id="d-1"
    )
    return rendered


def test_fields_stand_as_they_are_and_ours_replace_the_events_own() -> None:
    document = {
        "_id": "x",
        "_index": "y",
        "id": "own",
        "labels": 7,
        "name": "ü\ud800",
        "n": [1, {"a": None}],
        "f": 1e300,
    }
    assert json.loads(request(document, {"a": "b"}).body) == {
        "id": "id-1", "labels": {"a": "b"}, "name": "ü\ud800", "n": [1, {"a": None}], "f": 1e300,
    }  # fmt: skip


def test_labels_are_an_empty_object_where_there_are_none() -> None:
    assert json.loads(request({}).body) == {"id": "id-1", "labels": {}}


def test_every_request_carries_the_delivery_id_and_a_content_type() -> None:
    assert request({}).headers == (("webhook-id", "d-1"), ("Content-Type", "application/json"))


def test_what_a_replay_sends_again_is_marked_and_no_header_of_ones_own_can_be_such_a_mark() -> None:
    marked = Generic().mark_again(request({}, headers="webhook-replay: mine"))
    assert marked.headers[1:] == (("Content-Type", "application/json"), ("webhook-replay", "again"))


def test_given_headers_are_sent_and_a_given_content_type_replaces_ours() -> None:
    headers = "X-A: 1: 2\r\n\n  content-type : text/x  \n"
    assert request({}, headers=headers).headers == (("webhook-id", "d-1"), ("X-A", "1: 2"), ("content-type", "text/x"))


def test_user_and_password_become_a_header_with_escapes_resolved() -> None:
    rendered = request({}, url="https://us%40er:p%3Aw@hooks.example:8443/x?y=1#z")
    assert rendered.url == "https://hooks.example:8443/x?y=1"
    assert dict(rendered.headers)["Authorization"] == "Basic " + b64encode(b"us@er:p:w").decode()


def test_a_template_makes_the_body() -> None:
    assert request({"a": '<"ä'}, {"c": "d"}, template='{"x": {{.a | tojson}}, "y": "{{.labels.c}}{{.id}}"}').body == (
        b'{"x": "<\\"\\u00e4", "y": "did-1"}'
    )


@pytest.mark.parametrize("receiver", [OLD, NEW])
def test_the_public_library_verifies_a_signature_by_either_of_two_secrets(
    receiver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> "Clock":
            return cls.fromtimestamp(NOW, UTC)

    monkeypatch.setattr(public, "datetime", Clock)
    rendered = request(sample("waf"), signingSecret=f"{NEW} {OLD}")
    assert Webhook(receiver).verify(rendered.body, dict(rendered.headers))["id"] == "id-1"
    with pytest.raises(public.WebhookVerificationError):
        Webhook(receiver).verify(rendered.body + b" ", dict(rendered.headers))


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ("X A: 1", "line 1: this is not a header"),
        (": 1", "line 1: this is not a header"),
        ("X-A: a\rb", "holds characters that a header cannot carry"),
        ("X-A: 中", "holds characters that a header cannot carry"),
    ],
)
def test_a_header_that_cannot_be_sent_is_found_when_the_webhook_is_accepted(headers: str, message: str) -> None:
    (problem,) = Generic().validate({"url": URL, "headers": headers})
    assert (problem.variable, problem.warning) == ("headers", False)
    assert message in problem.message


@pytest.mark.parametrize(
    ("headers", "message", "sent"),
    [
        ("X-A: 1\nnonsense", "line 2 is ignored: it has no colon", [("X-A", "1")]),
        ("X-A: 1\nX-B: 2\nx-a: 3", "line 1 is ignored: the header `X-A` is there again", [("X-B", "2"), ("x-a", "3")]),
        ("X-A: \u4e2d\nX-A: 1", "line 1 is ignored", [("X-A", "1")]),
        ("HOST: x", "line 1 is ignored: the header `HOST` cannot be set", []),
        ("content-length: 1", "cannot be set", []),
        ("Transfer-Encoding: chunked", "cannot be set", []),
        ("Connection: close", "cannot be set", []),
        ("Webhook-Signature: x", "cannot be set", []),
        ("Proxy-Authorization: Basic eA==", "cannot be set", []),
        ("proxy-connection: x", "cannot be set", []),
    ],
)
def test_a_header_that_calico_passes_over_is_not_sent_and_that_is_a_warning(
    headers: str, message: str, sent: list[tuple[str, str]]
) -> None:
    (problem,) = Generic().validate({"url": URL, "headers": headers})
    assert (problem.variable, problem.warning) == ("headers", True)
    assert message in problem.message
    assert request({}, headers=headers).headers[2:] == tuple(sent)


def test_two_authorizations_are_a_problem() -> None:
    config = {"url": "https://u:p@h/", "headers": "authorization: Bearer x"}
    assert [problem.variable for problem in Generic().validate(config)] == ["headers"]


@pytest.mark.parametrize(
    ("secret", "warning"),
    [
        ("secret", False),
        ("whsec_", False),
        ("whsec_%%%", False),
        (f"{OLD} {NEW} {OLD}", False),
        ("whsec_c2hvcnQ=", True),
    ],
)
def test_a_signing_secret_of_another_form_is_a_problem_that_does_not_show_it(secret: str, warning: bool) -> None:
    (problem,) = Generic().validate({"url": URL, "signingSecret": secret})
    assert (problem.variable, problem.warning) == ("signingSecret", warning)
    assert len(secret) < 10 or secret not in problem.message + problem.hint


def test_tls_texts_go_with_the_request() -> None:
    config = {"ca.crt": CERTIFICATE, "tls.crt": CERTIFICATE, "tls.key": KEY}
    assert Generic().validate({"url": URL} | config) == []
    assert request({}, **config).tls == Tls(CERTIFICATE.strip(), CERTIFICATE.strip(), KEY.strip())
    assert request({}).tls is None


@pytest.mark.parametrize(
    ("config", "variable"),
    [
        ({"ca.crt": "nonsense"}, "ca.crt"),
        ({"ca.crt": FORM.replace("TUlJQg", "!!!!")}, "ca.crt"),
        ({"ca.crt": KEY}, "ca.crt"),
        ({"ca.crt": FORM}, "ca.crt"),
        ({"ca.crt": CERTIFICATE + FORM}, "ca.crt"),
        ({"ca.crt": CERTIFICATE.replace("CERTIFICATE", "TRUSTED CERTIFICATE")}, "ca.crt"),
        ({"tls.crt": FORM, "tls.key": KEY}, "tls.crt"),
        ({"tls.crt": CERTIFICATE}, "tls.key"),
        ({"tls.key": KEY}, "tls.crt"),
        ({"tls.crt": CERTIFICATE, "tls.key": CERTIFICATE}, "tls.key"),
        ({"tls.crt": CERTIFICATE, "tls.key": NO_KEY}, "tls.key"),
        ({"tls.crt": CERTIFICATE, "tls.key": OTHER_KEY}, "tls.key"),
        ({"tls.crt": CERTIFICATE, "tls.key": KEY.replace("PRIVATE", "ENCRYPTED PRIVATE")}, "tls.key"),
    ],
)
def test_pem_texts_that_cannot_be_used_are_found_when_the_webhook_is_accepted(
    config: dict[str, str], variable: str
) -> None:
    assert [problem.variable for problem in Generic().validate({"url": URL} | config)] == [variable]


def test_a_key_of_another_certificate_is_named_before_anything_is_sent(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    (certificate, key), (other, _) = (authority.sign(name, kind="clientAuth") for name in ("a.example", "b.example"))
    pair = {"tls.crt": certificate.read_text(), "tls.key": key.read_text()}
    assert Generic().validate({"url": URL} | pair) == []
    assert Generic().validate({"url": URL} | pair | {"tls.crt": pair["tls.crt"] + authority.certificate}) == []
    for wrong in ({"tls.crt": other.read_text()}, {"tls.key": KEY}):
        (problem,) = Generic().validate({"url": URL} | pair | wrong)
        assert problem.message == "`tls.key` is not the key of the certificate in `tls.crt`"


def test_comments_of_any_language_may_stand_in_a_bundle() -> None:
    assert Generic().validate({"url": URL, "ca.crt": f"# Főtanúsítvány\n{CERTIFICATE}"}) == []


def test_a_template_that_fails_its_check_is_a_problem_of_the_configuration() -> None:
    (problem,) = Generic().validate({"url": URL, "template": "a\n{{ x() }}"})
    assert (problem.variable, problem.message) == ("template", "line 2: calls cannot be used in a template")
