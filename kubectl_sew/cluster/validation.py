"""Manifests judged with a cluster: by the Secrets that it holds, and by its API server."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace

from kubectl_sew.cluster.objects import Held, read_objects
from kubectl_sew.consumers.base import Consumer
from kubectl_sew.kubectl import FIELD_MANAGER, Kubectl, KubectlError, KubectlProblem
from kubectl_sew.query import FieldSet
from kubectl_sew.resource import Finding, Reference
from kubectl_sew.resource.findings import error
from kubectl_sew.resource.manifests import LocatedWebhook, Manifests
from kubectl_sew.validation.manifests import validate_manifests

_DRY = (
    "--server-side",
    "--dry-run=server",
    "--force-conflicts",
    "--validate=false",
    f"--field-manager={FIELD_MANAGER}",
)
"""The arguments of the dry run. Without validation: there is a finding already for each unknown field."""


def against(
    kubectl: Kubectl,
    manifests: Manifests,
    secrets_namespace: str,
    fields: FieldSet,
    *,
    consumers: Mapping[str, Consumer],
    calico: bool = False,
) -> list[Finding]:
    """Return every finding, in the order of the files. Raises KubectlError where the cluster cannot be asked.

    `calico` as for `validate_manifests`.
    """
    held = read_objects(kubectl, secrets_namespace, _missing(manifests))
    joined = _joined(manifests, held)
    findings = validate_manifests(joined, fields, consumers=consumers, unread=held.unread, calico=calico)
    broken = {finding.resource for finding in findings if finding.is_error}
    for webhook in manifests.webhooks:
        if webhook.name not in broken:
            findings += _ask(kubectl, webhook)
    return sorted(findings, key=lambda finding: (finding.file, finding.line, finding.column, finding.code))


def _missing(manifests: Manifests) -> Iterator[Reference]:
    """References to objects that are not among the manifests."""
    known = {"Secret": manifests.secrets, "ConfigMap": manifests.config_maps}
    for webhook in manifests.webhooks:
        yield from (
            reference
            for reference in webhook.webhook.references
            if reference.name and reference.name not in known[reference.kind]
        )


def _joined(manifests: Manifests, held: Held) -> Manifests:
    return replace(
        manifests,
        secrets={**held.of_kind("Secret"), **manifests.secrets},
        config_maps={**held.of_kind("ConfigMap"), **manifests.config_maps},
    )


def _ask(kubectl: Kubectl, located: LocatedWebhook) -> Iterator[Finding]:
    """Return what the server says to a dry run of applying it, whether it is there already or not."""
    try:
        kubectl.run("apply", *_DRY, "-f", "-", stdin=json.dumps(located.node.plain()))
    except KubectlError as refused:
        if refused.problem is not KubectlProblem.INVALID:
            raise
        yield located.locate(error("SEW050", f"the API server refuses it: {refused.said}"), ("metadata", "name"))
