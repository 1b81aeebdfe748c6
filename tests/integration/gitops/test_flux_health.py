"""Flux's health expressions, evaluated by the API server, whose language CEL is the one that Flux has."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.servers.kubernetes import Kubernetes
from tests.health_cases import HealthCase, cases
from tests.integration.gitops.policies import eventually_served, refusal

pytestmark = pytest.mark.server
ROOT = Path(__file__).parents[3]
GROUP = "flux.tests.kubectl-sew"
FLUX = {"Progressing": "InProgress", "Degraded": "Failed", "Healthy": "Current", "Suspended": "Current"}
"""What Argo CD shows -> what Flux is to make of it, which has no word for a webhook that is switched off."""


def sample(obj: Any) -> dict[str, Any]:
    return {"apiVersion": f"{GROUP}/v1", "kind": "Sample", "metadata": {"name": "s"}, "spec": {"object": obj}}


@pytest.fixture(scope="module")
def flux(cluster: Kubernetes) -> Iterator[Kubernetes]:
    """A kind that holds any object, and a policy that refuses each with what Flux's expressions make of it.

    Flux asks inProgress, failed and current in that order. A list of one binds the name that it gives to a field.
    """
    (checks,) = yaml.safe_load((ROOT / "manifests/gitops/flux-kustomization.yaml").read_text("utf-8"))["spec"][
        "healthCheckExprs"
    ]
    order = ("inProgress", "InProgress"), ("failed", "Failed"), ("current", "Current")
    verdict = " : ".join([*(f"({checks[key]}) ? '{word}'" for key, word in order), "'InProgress'"])
    bound = f"[object.spec.object.metadata].map(metadata, [object.spec.object.status].map(status, {verdict}))[0][0]"
    name = f"samples.{GROUP}"
    open_ended = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    cluster.apply(
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": name},
            "spec": {
                "group": GROUP,
                "scope": "Cluster",
                "names": {"kind": "Sample", "plural": "samples"},
                "versions": [
                    {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": open_ended}}
                ],
            },
        },
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": name},
            "spec": {
                "matchConstraints": {
                    "resourceRules": [
                        {
                            "apiGroups": [GROUP],
                            "apiVersions": ["*"],
                            "operations": ["CREATE"],
                            "resources": ["samples"],
                        }
                    ]
                },
                "variables": [{"name": "verdict", "expression": bound}],
                "validations": [
                    {"expression": "variables.verdict == ''", "messageExpression": "'Flux says ' + variables.verdict"}
                ],
            },
        },
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {"policyName": name, "validationActions": ["Deny"]},
        },
    )
    eventually_served(cluster, sample({}))
    yield cluster
    kinds = ("validatingadmissionpolicybinding", "validatingadmissionpolicy", "crd")
    for kind in kinds:
        cluster.kubectl("delete", kind, name)


@pytest.mark.parametrize("case", [*cases()], ids=lambda case: case.name)
def test_flux_takes_a_webhook_for_what_the_agent_reports(flux: Kubernetes, case: HealthCase) -> None:
    said = refusal(flux, sample(case.object))
    if "status" in case.object:
        assert f"Flux says {FLUX[case.argo_cd]}" in said
    else:  # Flux waits on where an expression cannot be evaluated
        assert (case.argo_cd, "no such key: status" in said) == ("Progressing", True)
