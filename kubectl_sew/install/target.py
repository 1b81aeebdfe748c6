"""The cluster to install into: what is asked of it first, and what is applied to it, all by kubectl."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from kubectl_sew.errors import SewError
from kubectl_sew.install.manifests import Document
from kubectl_sew.install.plan import (
    API_GROUP,
    CREDENTIAL_VARIABLES,
    EVENT_MAP,
    FALLBACK_API_GROUP,
    NAME,
    STORE_KEY,
    Host,
    UsableCredentials,
)
from kubectl_sew.kubectl import FIELD_MANAGER, Kubectl, KubectlError, KubectlProblem
from kubectl_sew.resource import PLURAL
from kubectl_sew.resource.exceptions import EXCEPTION_PLURAL
from kubectl_sew.resource.serving import API_SERVICE, DEFINITIONS
from kubectl_sew.resource.writing import to_yaml

PROCESSOR = "webhooks-processor"
"""The container in which Calico Enterprise delivers events itself."""


class InstallError(SewError):
    """The cluster is not as an installation needs it."""


def crd_group(kubectl: Kubectl) -> str | None:
    """The group that our definition is to serve, None where Calico serves the API already."""
    service = kubectl.find(API_SERVICE)
    if service and service["spec"].get("service"):
        served = kubectl.get(f"/apis/{API_GROUP}/v3")["resources"]
        return None if PLURAL in {api["name"] for api in served} else FALLBACK_API_GROUP
    definition = kubectl.find(f"{DEFINITIONS}/{PLURAL}.{API_GROUP}")
    return API_GROUP if definition is None or is_ours(definition) else None


def installed_crd_group(kubectl: Kubectl) -> str | None:
    """The group of the definition that an installation of ours put there; None for none."""
    for group in (API_GROUP, FALLBACK_API_GROUP):
        definition = kubectl.find(f"{DEFINITIONS}/{PLURAL}.{group}")
        if definition and is_ours(definition):
            return group
    return None


def may_define_exceptions(kubectl: Kubectl, group: str) -> bool:
    """Whether no other definition than ours serves AlertExceptions in that group."""
    definition = kubectl.find(f"{DEFINITIONS}/{EXCEPTION_PLURAL}.{group}")
    return definition is None or is_ours(definition)


def processor(kubectl: Kubectl, namespace: str) -> str:
    """Return the place of Calico's own processor, e.g. `deployment/NAME`; "" where it does not run."""
    for kind, path in (("deployment", f"/apis/apps/v1/namespaces/{namespace}/deployments"), ("pod", _pods(namespace))):
        for item in kubectl.get(path)["items"]:
            spec = item["spec"] if kind == "pod" else item["spec"]["template"]["spec"]
            if PROCESSOR in {container["name"] for container in spec["containers"]}:
                return f"{kind}/{item['metadata']['name']}"
    return ""


def unconfigured(error: KubectlError) -> bool:
    """Return whether kubectl failed since nothing names a cluster: then it looks for one on this machine."""
    return "localhost:8080" in error.said


def namespace_exists(kubectl: Kubectl, name: str) -> bool:
    return kubectl.find(f"/api/v1/namespaces/{name}") is not None


def deployment(kubectl: Kubectl, namespace: str | None, name: str) -> Document | None:
    """A running Deployment, in the context's namespace for None; None where there is none."""
    where = (f"--namespace={namespace}",) if namespace else ()
    output = kubectl.run("get", "--ignore-not-found", "-o", "json", *where, "--", "deployment", name)
    return json.loads(output) if output.strip() else None


def host_of(workload: Document) -> Host:
    metadata = workload["metadata"]
    return Host(metadata["name"], metadata["namespace"], pod_of(workload).get("serviceAccountName", "default"))


def pod_of(workload: Document) -> Document:
    """The specification of a Deployment's pods."""
    pod: Document = workload["spec"]["template"]["spec"]
    return pod


def credentials(kubectl: Kubectl, namespace: str, secret: str) -> UsableCredentials:
    """Return the keys of a Secret that the agent can use. Raises InstallError where there is none."""
    held = kubectl.find(f"/api/v1/namespaces/{namespace}/secrets/{secret}")
    known = ", ".join(CREDENTIAL_VARIABLES)
    if held is None:
        raise InstallError(
            f"there is no Secret {secret} in the namespace {namespace}: create it with some of the keys {known}, "
            f"e.g. `kubectl create secret generic {secret} -n {namespace} --from-file=api-key=FILE`"
        )
    keys = tuple(key for key in CREDENTIAL_VARIABLES if key in (held.get("data") or ()))
    if not keys:
        raise InstallError(f"the Secret {secret} in the namespace {namespace} has none of the keys {known}")
    return UsableCredentials(secret, keys)


def has_budget(kubectl: Kubectl, namespace: str) -> bool:
    """Return whether our PodDisruptionBudget is there, which only several agents have."""
    return kubectl.find(f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets/{NAME}") is not None


def has_event_map(kubectl: Kubectl, namespace: str) -> bool:
    """Return whether our ConfigMap with maps of events is there."""
    return kubectl.find(f"/api/v1/namespaces/{namespace}/configmaps/{EVENT_MAP}") is not None


def store_secret(kubectl: Kubectl, namespace: str, secret: str) -> str:
    """Return the name of a Secret that holds the URL of the agent's store. Raises InstallError where it does not."""
    held = kubectl.find(f"/api/v1/namespaces/{namespace}/secrets/{secret}")
    if held is None or STORE_KEY not in (held.get("data") or ()):
        what = "has no key" if held else "is not there: create it with the key"
        raise InstallError(
            f"the Secret {secret} in the namespace {namespace} {what} {STORE_KEY}, which holds postgresql://…, "
            f"e.g. `kubectl create secret generic {secret} -n {namespace} --from-file={STORE_KEY}=FILE`"
        )
    return secret


def apply(kubectl: Kubectl, objects: Iterable[Document]) -> str:
    """Applies them on the server, ours where somebody else set the same field; what kubectl prints."""
    return kubectl.run(
        "apply",
        "--server-side",
        "--force-conflicts",
        f"--field-manager={FIELD_MANAGER}",
        "-f",
        "-",
        stdin=text(objects),
    )


def delete(kubectl: Kubectl, objects: Iterable[Document]) -> str:
    """Deletes those that are there; what kubectl prints."""
    return kubectl.run("delete", "--ignore-not-found", "--wait=false", "-f", "-", stdin=text(objects))


def change_pod(kubectl: Kubectl, workload: Document, change: Callable[[Document], Document]) -> bool:
    """Changes a Deployment's pods; whether that made a difference.

    `change` sees it again where it was changed meanwhile, be it by the controller that counts its pods.
    """
    name, namespace = workload["metadata"]["name"], workload["metadata"]["namespace"]
    for _ in range(_TRIES):
        try:
            done = kubectl.patch(
                "deployments.apps", name, _patch(workload, change(workload)), f"--namespace={namespace}"
            )
            return bool(done["metadata"]["generation"] != workload["metadata"]["generation"])
        except KubectlError as error:
            if error.problem is not KubectlProblem.CONFLICT:
                raise
            workload = deployment(kubectl, namespace, name) or workload
    raise InstallError(f"deployment/{name} changes all the time, and was left as it is: try again")


_TRIES = 10


def _patch(before: Document, after: Document) -> Document:
    """Return the patch that turns one pod into the other: the whole lists, and the version that was read."""
    old, new = pod_of(before), pod_of(after)
    pod = {key: new.get(key) for key in old.keys() | new.keys() if old.get(key) != new.get(key)}
    version = before["metadata"]["resourceVersion"]
    return {"metadata": {"resourceVersion": version}, "spec": {"template": {"spec": pod}}}


def manifest_of(workload: Document) -> Document:
    """A running object as one would write it: without what the server and kubectl add."""
    metadata = {key: value for key, value in workload["metadata"].items() if key in ("name", "namespace", "labels")}
    annotations = workload["metadata"].get("annotations", {}).items()
    kept = {key: value for key, value in annotations if not key.startswith(_ADDED)}
    metadata |= {"annotations": kept} if kept else {}
    template = workload["spec"]["template"]
    of_pods = {key: value for key, value in template["metadata"].items() if value}
    spec = workload["spec"] | {"template": template | {"metadata": of_pods}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


_ADDED = ("kubectl.kubernetes.io/last-applied-configuration", "deployment.kubernetes.io/")


def text(objects: Iterable[Document]) -> str:
    return to_yaml(*objects, width=120)


def _pods(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods"


def is_ours(definition: Mapping[str, Any]) -> bool:
    """Return whether the definition is ours, and not Calico's."""
    labels = definition["metadata"].get("labels") or {}
    return bool(labels.get("app.kubernetes.io/part-of") == "kubectl-sew")
