"""AlertExceptions of manifests and their selectors, as `validate` reports them and the agent takes them."""

import pytest

from kubectl_sew.exceptions import AcceptedException, accept_exception, usable
from kubectl_sew.query import CALICO
from kubectl_sew.resource.exceptions import AlertException
from kubectl_sew.resource.manifests import load_manifests, load_many
from kubectl_sew.validation.manifests import validate_manifests

QUIET = """\
apiVersion: projectcalico.org/v3
kind: AlertException
metadata: {name: quiet}
spec:
  description: known scanner
  selector: source_ip = "10.0.0.0/8" AND type = waf
  startTime: 2026-01-01T00:00:00Z
  endTime: "2026-02-01T00:00:00Z"
"""
HOOK = """\
---
apiVersion: projectcalico.org/v3
kind: SecurityEventWebhook
metadata: {name: quiet}
spec: {consumer: Generic, state: Enabled, query: type = waf, config: [{name: url, value: "https://r.example/"}]}
"""


def found(text: str) -> list[tuple[str, str, int, int]]:
    findings = validate_manifests(load_manifests(text, "f"), CALICO)
    return [(finding.code, finding.resource, finding.line, finding.column) for finding in findings]


def test_manifests_of_exceptions_alone_are_validated() -> None:
    assert found(QUIET) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("type = waf", "tpye = waf", ("SEW031", "quiet", 6, 13)),
        ("type = waf", "type =", ("SEW030", "quiet", 6, 13)),
        ("type = waf", "tpye IN {waf}", ("SEW032", "quiet", 6, 13)),
        ('"2026-02-01', '"2025-02-01', ("SEW061", "quiet", 8, 12)),
        ("2026-01-01T00:00:00Z", "soon", ("SEW061", "quiet", 7, 14)),
        ("endTime", "until", ("SEW007", "quiet", 8, 3)),
        ("{name: quiet}", "{name: Quiet}", ("SEW010", "Quiet", 3, 18)),
        ("{name: quiet}", "{name: quiet, namespace: x}", ("SEW007", "quiet", 3, 25)),
        ("kind: AlertException", "kind: alertExeption", ("SEW018", "quiet", 2, 7)),
        ("apiVersion", "status: {}\nselector: x\napiVersion", ("SEW007", "quiet", 2, 1)),
        ('source_ip = "10.0.0.0/8" AND type = waf', "'  '", ("SEW008", "quiet", 5, 3)),
    ],
)
def test_each_problem_of_an_exception_has_its_place(old: str, new: str, expected: tuple[str, str, int, int]) -> None:
    assert old in QUIET
    assert found(QUIET.replace(old, new, 1)) == [expected]


@pytest.mark.parametrize("selector", ["! type = waf", "!type = waf"])
def test_a_tag_before_a_selector_is_an_error_since_the_opposite_would_be_suppressed(selector: str) -> None:
    text = QUIET.replace('source_ip = "10.0.0.0/8" AND type = waf', selector)
    manifests = load_manifests(text, "f")
    finding = next(iter(validate_manifests(manifests, CALICO)))
    assert (finding.code, finding.severity, finding.line, finding.resource) == ("SEW001", "error", 6, "quiet")
    assert finding.message.endswith("before the selector as a tag, and drops it")
    assert finding.hint == "write `selector: 'NOT type = waf'`"
    assert usable(manifests.exceptions)[0] == {}


def test_two_of_one_name_are_both_named_and_neither_is_used() -> None:
    manifests = load_many([("f", QUIET), ("g", QUIET)])
    assert [finding.code for finding in validate_manifests(manifests, CALICO)] == ["SEW060", "SEW060"]
    good, broken = usable(manifests.exceptions)
    assert (good, list(broken)) == ({}, ["quiet"])


def test_a_kind_that_is_nearly_the_one_of_exceptions_suppresses_nothing_and_refuses_no_webhook() -> None:
    manifests = load_manifests(QUIET.replace("AlertException", "AlertExeption") + HOOK, "f")
    assert list(manifests.good) == ["quiet"]
    good, broken = usable(manifests.exceptions)
    assert (good, list(broken)) == ({}, ["quiet"])
    assert "write `AlertException`" in broken["quiet"]


def test_an_exception_that_is_broken_refuses_no_webhook_of_its_name() -> None:
    manifests = load_manifests(QUIET.replace("endTime", "until") + HOOK, "f")
    assert list(manifests.good) == ["quiet"]
    good, broken = usable(manifests.exceptions)
    assert (good, list(broken)) == ({}, ["quiet"])
    assert "`spec.until` is unknown" in broken["quiet"]


@pytest.mark.parametrize(
    ("selector", "why"),
    [
        ("", "the query is empty"),
        ("// everything", "the query is empty"),
        ("type =", "query: the query ends where a value is expected"),
        ("severty > 5", "query: there is no field `severty`: did you mean `severity`?"),
    ],
)
def test_a_selector_that_cannot_be_asked_says_why(selector: str, why: str) -> None:
    refused = accept_exception(AlertException("x", selector), CALICO)
    assert isinstance(refused, str)
    assert refused.startswith(why)


def test_an_accepted_exception_has_its_selector_as_a_tree() -> None:
    accepted = accept_exception(AlertException("x", "type=waf"), CALICO)
    assert isinstance(accepted, AcceptedException)
    assert (accepted.name, str(accepted.node)) == ("x", "type = waf")
