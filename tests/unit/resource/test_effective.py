"""The effective state of a webhook, who delivers for it, and what validation says of the annotations."""

import pytest

from kubectl_sew.resource import (
    BEGIN_ANNOTATION,
    CONDITIONS_ANNOTATION,
    END_ANNOTATION,
    STATE_ANNOTATION,
    Condition,
    Deliverer,
    State,
    Webhook,
    check_structure,
    checkpoint,
    events_fetched,
    read_to,
)
from kubectl_sew.resource.conditions import FetchedReason, read_conditions, write_conditions


def obj(spec_state, status=None, /, **annotations):
    spec = {"consumer": "Generic", "state": spec_state, "query": "a = 1", "config": []}
    metadata = {"name": "w", "annotations": {f"kubectl-sew/{name}": text for name, text in annotations.items()}}
    whole = {"apiVersion": "projectcalico.org/v3", "kind": "SecurityEventWebhook", "metadata": metadata, "spec": spec}
    return whole if status is None else whole | {"status": status}


A, C, N = Deliverer.AGENT, Deliverer.CALICO, Deliverer.NOBODY


@pytest.mark.parametrize(
    ("state", "annotation", "effective", "beside", "alone"),
    [
        ("Enabled", "", "Enabled", C, A),
        ("Debug", "", "Debug", C, A),
        ("Test", "", "Test", C, A),
        ("Disabled", "", "Disabled", N, N),
        ("Disabled", "Enabled", "Enabled", A, A),
        ("Disabled", "Debug", "Debug", A, A),
        ("Disabled", "Test", "Test", A, A),
        ("Disabled", "Disabled", "Disabled", N, N),
        ("Disabled", " Enabled ", "Enabled", A, A),
        ("Disabled", "enabled", "Disabled", N, N),
        ("Enabled", "Debug", "Enabled", C, A),
        ("Debug", "Enabled", "Debug", C, A),
    ],
)
def test_the_effective_state_and_who_delivers(state, annotation, effective, beside, alone):
    webhook = Webhook.from_object(obj(state, state=annotation) if annotation else obj(state))
    assert webhook.effective_state is State(effective)
    assert webhook.delivered_by(beside_calico=True) is beside
    assert webhook.delivered_by(beside_calico=False) is alone
    assert webhook.is_taken_over == (state == "Disabled" and bool(annotation))
    assert webhook.is_contested == (state != "Disabled" and bool(annotation))


@pytest.mark.parametrize(
    ("state", "annotations", "found"),
    [
        ("Disabled", {"state": "Enabled"}, []),
        ("Disabled", {"state": "Debug", "begin": "2026-01-02T03:04:05Z"}, []),
        ("Disabled", {"state": ""}, []),
        ("Disabled", {"state": "on"}, [("SEW012", "error", STATE_ANNOTATION)]),
        ("Enabled", {"state": "on"}, [("SEW012", "warning", STATE_ANNOTATION)]),
        ("Enabled", {"state": "Debug"}, [("SEW023", "warning", STATE_ANNOTATION)]),
        ("Disabled", {"state": "Enabled", "begin": "soon"}, [("SEW023", "warning", BEGIN_ANNOTATION)]),
        ("Enabled", {"end": "2026-01-02"}, []),
        ("Enabled", {"end": ""}, [("SEW023", "warning", END_ANNOTATION)]),
    ],
)
def test_what_is_wrong_with_the_annotations_is_found(state, annotations, found):
    issues = check_structure(obj(state, **annotations))
    told = [(issue.finding.code, issue.finding.severity, issue.path[-1]) for issue in issues]
    assert told == found


def test_a_value_that_is_no_state_is_named():
    (issue,) = check_structure(obj("Disabled", state="on"))
    expected = f"the annotation `{STATE_ANNOTATION}` must be Enabled, Disabled, Debug or Test, but is `on`"
    assert issue.finding.message == expected


def test_the_times_of_a_change_of_hands_are_read():
    webhook = Webhook.from_object(obj("Disabled", begin="2026-01-01T00:00:00Z", end="nonsense"))
    assert (webhook.begin, webhook.end) == (1767225600.0, None)


CALICOS = {"type": "Healthy", "status": "True", "reason": "SecurityEventsProcessing", "message": "m"}
OURS = events_fetched("True", FetchedReason.READ, read_to(1767225600.0), 3)


@pytest.mark.parametrize(
    ("status", "kept", "beside", "read"),
    [
        ([], True, None, 1767225600.0),
        ([CALICOS], True, None, 1767225600.0),
        ([CALICOS], False, None, None),
        ([CALICOS], True, True, 1767225600.0),
        ([CALICOS], True, False, None),
        ([OURS.to_object() | {"message": read_to(9.0)}], True, None, 9.0),
        ([OURS.to_object() | {"message": read_to(9.0)}], True, True, 1767225600.0),
    ],
)
def test_the_agents_conditions_are_read_from_where_it_writes_them(status, kept, beside, read):
    whole = obj("Disabled", status, state="Enabled")
    if kept:
        whole["metadata"]["annotations"][CONDITIONS_ANNOTATION] = write_conditions([OURS])
    assert checkpoint(Webhook.from_object(whole, beside_calico=beside).conditions) == read


@pytest.mark.parametrize("text", ["", "{", "null", "7", '{"a": 1}', "[1, null]", "[" * 10_000])
def test_any_other_text_holds_no_condition(text):
    assert read_conditions(text) == ()


def test_conditions_survive_an_annotation():
    conditions = (OURS, Condition("Healthy", "False", "WebhookState", "größer", 2, "2026-01-02T03:04:05Z"))
    assert read_conditions(write_conditions(conditions)) == conditions
