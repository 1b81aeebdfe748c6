"""Warnings name what Kubernetes would take and ignore, so that nothing is green that was not checked."""

import pytest

from kubectl_sew.resource import load_manifests

GOOD = """\
apiVersion: projectcalico.org/v3
kind: SecurityEventWebhook
metadata:
  name: hook
  annotations: {}
spec: {consumer: Slack, state: Enabled, query: type = waf, config: [{name: url, value: https://x}]}
"""


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("name: hook", "name: hook\n  lables: {}", ("SEW007", 5, 3, "did you mean `labels`?")),
        ("name: hook", "name: hook\n  namespace: prod", ("SEW007", 5, 3, "leave it out")),
        (
            "{}",
            "{webhooks.projectcalico.org/label: a:b}",
            ("SEW019", 5, 17, "did you mean `webhooks.projectcalico.org/labels`?"),
        ),
        (
            "{}",
            "{webhook.projectcalico.org/testEvent: waf}",
            ("SEW019", 5, 17, "did you mean `webhooks.projectcalico.org/testEvent`?"),
        ),
    ],
)
def test_what_nobody_reads_is_a_warning_that_names_what_was_meant(old, new, expected):
    (finding,) = load_manifests(GOOD.replace(old, new), "f").findings
    assert (finding.code, finding.line, finding.column, finding.hint) == expected
    assert (finding.severity, finding.resource) == ("warning", "hook")


@pytest.mark.parametrize("kind", ["SecurityEventWebHook", "securityeventwebhook", "SecurityEventWebhooks"])
def test_a_kind_that_is_nearly_ours_is_an_error_beside_good_webhooks(kind):
    near = GOOD.replace("kind: SecurityEventWebhook", f"kind: {kind}").replace("name: hook\n", "name: other\n")
    manifests = load_manifests(f"{GOOD}---\n{near}", "f")
    (finding,) = manifests.findings
    assert (finding.code, finding.severity, finding.line, finding.resource) == ("SEW018", "error", 9, "other")
    assert list(manifests.good) == ["hook"]


@pytest.mark.parametrize(
    "kind", ["ValidatingWebhookConfiguration", "EventSource", "SecurityContextConstraints", "Event"]
)
def test_other_kinds_are_ignored_as_before(kind):
    assert load_manifests(f"{GOOD}---\nkind: {kind}\n", "f").findings == ()


def test_other_annotations_and_all_that_servers_add_are_nobodys_business():
    text = GOOD.replace("{}", "{a8r.io/owner: me, kubectl.kubernetes.io/last-applied-configuration: x}")
    text = text.replace("name: hook", "name: hook\n  uid: u\n  managedFields: []\n  finalizers: []")
    assert load_manifests(text, "f").findings == ()


def test_a_kustomization_without_a_kind_is_no_oversight():
    assert load_manifests("resources: [hook.yaml]\n", "deploy/kustomization.yaml").findings == ()
    assert [finding.code for finding in load_manifests("resources: [hook.yaml]\n", "deploy/x.yaml").findings] == [
        "SEW005"
    ]
