"""Valid and invalid webhooks, and when they are validated again."""

from dataclasses import replace

import pytest

from kubectl_sew.consumers.registry import CONSUMERS
from kubectl_sew.query import CALICO, FieldSet
from kubectl_sew.resource import LABELS_ANNOTATION, ConfigVar, Reference, State, Webhook
from kubectl_sew.resource.exceptions import AlertException
from kubectl_sew.validation.webhook import Accepted, InvalidWebhook
from sew_agent.webhooks.base import Snapshot
from sew_agent.webhooks.validator import WebhookValidator, content_digest, endpoint_digest, settings_digest

WEBHOOK = Webhook(
    "w",
    "Generic",
    State.ENABLED,
    "type = waf",
    (ConfigVar("url", Reference("Secret", "s", "url")), ConfigVar("template", "{{ id }}")),
)
SNAPSHOT = Snapshot({"w": WEBHOOK}, {"s": {"url": b"https://example.com/1"}}, {})


@pytest.fixture
def validator() -> WebhookValidator:
    return WebhookValidator(lambda: CALICO, CONSUMERS)


def accepted(snapshot: Snapshot) -> Accepted:
    return WebhookValidator(lambda: CALICO, CONSUMERS).validate(snapshot).accepted["w"]


def test_an_unchanged_webhook_stays_the_same_object(validator: WebhookValidator) -> None:
    first = validator.validate(SNAPSHOT).accepted["w"]
    assert validator.validate(replace(SNAPSHOT, problems=("elsewhere",))).accepted["w"] is first


def test_a_changed_secret_is_used(validator: WebhookValidator) -> None:
    validator.validate(SNAPSHOT)
    changed = replace(SNAPSHOT, secrets={"s": {"url": b"https://example.com/2"}})
    assert validator.validate(changed).accepted["w"].config["url"] == "https://example.com/2"


def test_exceptions_are_validated_once_and_broken_ones_are_named(validator: WebhookValidator) -> None:
    exceptions = {name: AlertException(name, text) for name, text in (("good", "type = waf"), ("bad", "typo = waf"))}
    snapshot = replace(SNAPSHOT, exceptions=exceptions, broken_exceptions={"torn": "no selector"})
    first, second = (validator.validate(snapshot).exceptions for _ in range(2))
    assert [accepted.name for accepted in first.accepted] == ["good"]
    assert second.accepted[0] is first.accepted[0]
    assert (list(first.broken), first.broken["torn"]) == (["bad", "torn"], "no selector")
    changed = replace(snapshot, exceptions={"good": AlertException("good", "type = alert")})
    assert str(validator.validate(changed).exceptions.accepted[0].node) == "type = alert"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"query": "type ="}, "QueryParsing"),
        ({"query": "typo = waf"}, "QueryValidation"),
        ({"consumer": "Telegraph"}, "ConsumerDiscovery"),
        ({"config": ()}, "ConsumerConfigurationValidation"),
        ({"config": (ConfigVar("url", Reference("Secret", "other", "url")),)}, "ConfigurationParsing"),
    ],
)
def test_a_webhook_that_cannot_work_is_invalid_with_its_reason(
    validator: WebhookValidator, change: dict[str, object], reason: str
) -> None:
    validated = validator.validate(replace(SNAPSHOT, webhooks={"w": replace(WEBHOOK, **change)}))  # type: ignore[arg-type]
    assert validated.accepted == {}
    assert validated.invalid["w"].reason.value == reason
    assert validated.invalid["w"].message


def test_a_webhook_becomes_valid_when_its_secret_appears(validator: WebhookValidator) -> None:
    assert validator.validate(replace(SNAPSHOT, secrets={})).invalid
    assert validator.validate(SNAPSHOT).accepted


def test_what_the_source_refused_is_invalid_too(validator: WebhookValidator) -> None:
    assert (
        validator.validate(Snapshot({}, {}, {}, refused={"twice": InvalidWebhook("two of them")}))
        .invalid["twice"]
        .message
    )


@pytest.mark.parametrize(
    ("change", "content", "settings", "endpoint"),
    [
        ({}, True, True, True),
        ({"state": State.TEST}, True, False, True),
        ({"query": "type = alert"}, False, False, True),
        ({"annotations": {LABELS_ANNOTATION: "a:b"}}, False, False, True),
        ({"annotations": {"other": "x"}}, True, True, True),
        ({"config": (ConfigVar("url", "https://example.com/9"),)}, False, False, False),
        ({"resource_version": "7"}, True, True, True),
    ],
)
def test_digests_show_what_has_changed(
    change: dict[str, object], content: bool, settings: bool, endpoint: bool
) -> None:
    before = accepted(SNAPSHOT)
    after = accepted(replace(SNAPSHOT, webhooks={"w": replace(WEBHOOK, **change)}))  # type: ignore[arg-type]
    same = [digest(before) == digest(after) for digest in (content_digest, settings_digest, endpoint_digest)]
    assert same == [content, settings, endpoint]


def test_a_template_is_no_part_of_the_endpoint() -> None:
    other = replace(WEBHOOK, config=(WEBHOOK.config[0], ConfigVar("template", "{{ name }}")))
    assert endpoint_digest(accepted(SNAPSHOT)) == endpoint_digest(accepted(replace(SNAPSHOT, webhooks={"w": other})))


def test_other_fields_are_a_reason_to_validate_again_and_the_same_result_stays_the_same_object() -> None:
    fields = [CALICO]
    validator = WebhookValidator(lambda: fields[0], CONSUMERS)
    first = validator.validate(SNAPSHOT)
    assert not validator.stale
    fields[0] = FieldSet("other", {**CALICO.fields, "new": CALICO.fields["host"]})
    assert validator.stale
    assert validator.validate(SNAPSHOT).accepted["w"] is first.accepted["w"]
    fields[0] = FieldSet("few", {"host": CALICO.fields["host"]})
    assert "w" in validator.validate(SNAPSHOT).invalid
