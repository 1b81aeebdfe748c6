"""The webhook as data: from and to the API's object, its labels, its references; no secret shows."""

import pytest

from kubectl_sew.resource import (
    ConfigVar,
    Reference,
    State,
    Webhook,
    check_structure,
    parse_labels,
    resolve,
    to_object,
)

SECRET = Reference("Secret", "keys", "token")
OPTIONAL = Reference("ConfigMap", "extra", "k", optional=True)
HOOK = Webhook(
    "hook",
    "Generic",
    State.ENABLED,
    "type = waf",
    (ConfigVar("url", "https://canary.example"), ConfigVar("signingSecret", SECRET), ConfigVar("template", OPTIONAL)),
    {"webhooks.projectcalico.org/labels": "a:b"},
)


def test_a_webhook_survives_the_way_to_an_object_and_back() -> None:
    assert Webhook.from_object(to_object(HOOK)) == HOOK
    assert check_structure(to_object(HOOK)) == []


def test_the_other_group_serves_the_same_shape() -> None:
    assert check_structure(to_object(HOOK, "crd.projectcalico.org/v1")) == []


def test_what_the_server_adds_is_read() -> None:
    obj = to_object(HOOK)
    obj["metadata"] |= {
        "generation": 3,
        "uid": "u",
        "resourceVersion": "12",
        "creationTimestamp": "1970-01-01T00:01:00Z",
    }
    obj["status"] = [{"type": "Healthy", "status": "True", "reason": "WebhookValidation", "observedGeneration": 2}]
    webhook = Webhook.from_object(obj)
    assert (webhook.generation, webhook.uid, webhook.resource_version, webhook.created) == (3, "u", "12", 60.0)
    assert (webhook.conditions[0].type, webhook.conditions[0].observed_generation) == ("Healthy", 2)


def test_repr_shows_no_value() -> None:
    assert "canary" not in repr(HOOK)


def test_an_unreadable_state_is_disabled() -> None:
    obj = to_object(HOOK)
    obj["spec"]["state"] = "Sometimes"
    assert Webhook.from_object(obj).state is State.DISABLED


def test_calico_lets_the_reference_win_over_the_value() -> None:
    obj = to_object(HOOK)
    obj["spec"]["config"][1]["value"] = "x"
    assert Webhook.from_object(obj).config[1].value == SECRET


@pytest.mark.parametrize("obj", [{}, {"metadata": 1, "spec": [], "status": {}}, {"spec": {"config": [1, {}]}}])
def test_an_object_of_another_shape_is_read_as_far_as_it_goes(obj: dict[str, object]) -> None:
    assert Webhook.from_object(obj).name == ""


@pytest.mark.parametrize(
    ("annotation", "event"),
    [
        ({}, "waf"),
        ("", "waf"),
        ("nothing", "waf"),
        (" global_alert ", "global_alert"),
        ("gtf_suspicious_*", "gtf_suspicious_dns_query"),
        ("gtf", "gtf_suspicious_dns_query"),
        ("ga", "global_alert"),
        ("dpi", "deep_packet_inspection"),
    ],
)
def test_the_test_event_has_calicos_names_and_a_default(annotation: object, event: str) -> None:
    annotations = {"webhooks.projectcalico.org/testEvent": annotation} if isinstance(annotation, str) else {}
    assert Webhook("n", "Slack", State.TEST, "a = b", annotations=annotations).test_event == event


@pytest.mark.parametrize(
    ("text", "labels", "problems"),
    [
        ("", {}, 0),
        ("Cluster name:Calico Enterprise", {"Cluster name": "Calico Enterprise"}, 0),
        (" a:b , c:d ,", {"a": "b", "c": "d"}, 0),
        ("url:https://x:8080/y", {"url": "https://x:8080/y"}, 0),
        ("a:", {"a": ""}, 0),
        ("a:b,c", {"a": "b"}, 1),
        (":b,c,d:e", {"d": "e"}, 2),
        ("a:1,a:2", {"a": "2"}, 0),
    ],
)
def test_labels_are_pairs_and_the_rest_is_named(text: str, labels: dict[str, str], problems: int) -> None:
    parsed, said = parse_labels(text)
    assert (parsed, len(said)) == (labels, problems)


def test_references_are_resolved() -> None:
    config, problems = resolve(HOOK, {"keys": {"token": b"s3cret"}}, {"extra": {"k": "ü".encode()}})
    assert config == {"url": "https://canary.example", "signingSecret": "s3cret", "template": "ü"}
    assert problems == []


@pytest.mark.parametrize(
    ("secrets", "code", "hint"),
    [
        ({}, "SEW040", "create it in the Secrets' namespace, by default tigera-intrusion-detection"),
        ({"keys": {}}, "SEW041", "it holds no key at all"),
        ({"keys": {"b": b"canary", "a": b"canary"}}, "SEW041", "it holds `a`, `b`"),
        ({"keys": {"token": b"canary\xff"}}, "SEW042", "store text there"),
    ],
)
def test_a_reference_that_leads_nowhere_is_named_and_an_optional_one_is_unset(
    secrets: dict[str, dict[str, bytes]], code: str, hint: str
) -> None:
    config, problems = resolve(HOOK, secrets, {})
    assert config == {"url": "https://canary.example"}
    assert [(problem.variable, problem.finding.code, problem.finding.hint) for problem in problems] == [
        ("signingSecret", code, hint)
    ]
    assert "canary" not in str(problems)
