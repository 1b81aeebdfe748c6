"""The objects of an installation, in the order in which they can be applied. Pure."""

from collections.abc import Iterable
from hashlib import sha256

from kubectl_sew.install.manifests import Document, documents, resources
from kubectl_sew.install.plan import (
    CREDENTIAL_VARIABLES,
    EVENT_MAP,
    FALLBACK_API_GROUP,
    NAME,
    NAMESPACE,
    STORE_KEY,
    InstallPlan,
)
from kubectl_sew.resource import SECRETS_NAMESPACE
from kubectl_sew.resource.exceptions import EXCEPTION_PLURAL

_CREDENTIALS = "/etc/sew/credentials"
_STORE = "/etc/sew/store"
_EVENT_MAP = "/etc/sew/event-map"
_BUDGET = "overlays/standalone/disruption_budget.yaml"
_FIRST = ("Namespace", "CustomResourceDefinition")
_LISTS = ("initContainers", "volumes")
"""The lists of a pod to which a sidecar adds, by names that begin with `sew-`."""


def render(plan: InstallPlan) -> list[Document]:
    """All that is ours. As a sidecar the agent itself is not among it: `with_agent` puts that into its host."""
    rendered = resources("overlays/sidecar" if plan.host else "overlays/standalone")
    if plan.replicas > 1:
        rendered += documents(_BUDGET)
    objects = [_adapted(document, plan) for document in rendered if not _left_out(document, plan)]
    if plan.event_map and "agent" in plan.parts:
        objects.insert(0, _event_map(plan))
    if plan.create_secrets_namespace and plan.secrets_namespace not in _names(objects, "Namespace"):
        objects.append(_namespace(plan.secrets_namespace))
    return sorted(objects, key=lambda document: document["kind"] not in _FIRST)


def removable(plan: InstallPlan, *, data: bool) -> list[Document]:
    """Return what is deleted, in the order for that; the claim with what waits to be sent only where `data` is set.

    Namespaces stay, since they hold what others put there.
    """
    kept = {"Namespace"} if data else {"Namespace", "PersistentVolumeClaim"}
    return [obj for obj in reversed(render(plan)) if obj["kind"] not in kept]


def with_agent(deployment: Document, plan: InstallPlan) -> Document:
    """A Deployment with the agent as a sidecar: what it had stays in its place, but for an older agent."""
    (patch,) = documents("overlays/sidecar/agent.yaml")
    ours = patch["spec"]["template"]["spec"]
    _configure(ours, ours["initContainers"][0], plan)
    return _with_pod(deployment, {key: _replaced(_pod(deployment).get(key, ()), ours[key]) for key in _LISTS})


def without_agent(deployment: Document) -> Document:
    """Return the deployment as it was before `with_agent`."""
    pod = _pod(deployment)
    return _with_pod(deployment, {key: [item for item in pod.get(key, ()) if not _is_ours(item)] for key in _LISTS})


def _pod(deployment: Document) -> Document:
    pod: Document = deployment["spec"]["template"]["spec"]
    return pod


def _with_pod(deployment: Document, lists: Document) -> Document:
    pod = {key: value for key, value in (_pod(deployment) | lists).items() if key not in _LISTS or value}
    template = deployment["spec"]["template"] | {"spec": pod}
    return deployment | {"spec": deployment["spec"] | {"template": template}}


def _replaced(theirs: Iterable[Document], ours: Iterable[Document]) -> list[Document]:
    new = {item["name"]: item for item in ours}
    kept = [new.pop(item["name"], item) for item in theirs if item["name"] in new or not _is_ours(item)]
    return [*kept, *new.values()]


def _is_ours(part: Document) -> bool:
    return str(part["name"]).startswith("sew-")


_PART_OF = {"CustomResourceDefinition": "api", "Deployment": "agent", "PersistentVolumeClaim": "agent"}
_PART_OF |= {"NetworkPolicy": "agent", "PodDisruptionBudget": "agent"}
"""By kind; all else is needed for the agent's rights: whoever acts as it, here or outside, is the service account."""


def _left_out(document: Document, plan: InstallPlan) -> bool:
    part = _PART_OF.get(document["kind"], "rights")
    if part not in plan.parts and not (document["kind"] == "Namespace" and "agent" in plan.parts):
        return True
    if document["kind"] == "CustomResourceDefinition":
        is_of_exceptions = document["spec"]["names"]["plural"] == EXCEPTION_PLURAL
        return not plan.crd_group or (is_of_exceptions and not plan.defines_exceptions)
    return document["kind"] == "PersistentVolumeClaim" and bool(plan.claim or plan.store_secret)


def _adapted(document: Document, plan: InstallPlan) -> Document:
    kind, metadata = document["kind"], document["metadata"]
    namespaces = {NAMESPACE: plan.namespace, SECRETS_NAMESPACE: plan.secrets_namespace}
    if "namespace" in metadata:
        metadata["namespace"] = namespaces.get(metadata["namespace"], metadata["namespace"])
    if kind == "Namespace":
        metadata["name"] = namespaces[metadata["name"]]
    for subject in document.get("subjects", ()):
        subject["name"] = plan.host.service_account if plan.host else NAME
        subject["namespace"] = plan.host.namespace if plan.host else plan.namespace
    if kind == "CustomResourceDefinition" and plan.crd_group == FALLBACK_API_GROUP:
        _serve_fallback(document)
    if kind == "Deployment":
        pod = document["spec"]["template"]["spec"]
        _configure(pod, pod["containers"][0], plan)
        if plan.store_secret:
            _replicate(document["spec"], plan.replicas)
    return document


def _replicate(deployment: Document, replicas: int) -> None:
    """Let several agents run beside each other, on different nodes where there are some."""
    spread = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}
    deployment["replicas"] = replicas
    deployment["strategy"] = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    deployment["template"]["spec"]["topologySpreadConstraints"] = [spread | {"labelSelector": deployment["selector"]}]


def _serve_fallback(definition: Document) -> None:
    names = definition["spec"]["names"]
    definition["metadata"]["name"] = f"{names['plural']}.{FALLBACK_API_GROUP}"
    definition["spec"]["group"] = FALLBACK_API_GROUP
    definition["spec"]["versions"][0]["name"] = "v1"


def _event_map(plan: InstallPlan) -> Document:
    """The ConfigMap with the maps. Its key differs with the text, so that a changed map starts the agent anew."""
    (like,) = documents("overlays/standalone/namespace.yaml")
    metadata = {"name": EVENT_MAP, "namespace": plan.namespace, "labels": like["metadata"]["labels"]}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {_map_key(plan): plan.event_map}}


def _map_key(plan: InstallPlan) -> str:
    return f"map-{sha256(plan.event_map.encode()).hexdigest()[:8]}.yaml"


def _names(objects: Iterable[Document], kind: str) -> list[str]:
    return [obj["metadata"]["name"] for obj in objects if obj["kind"] == kind]


def _namespace(name: str) -> Document:
    (namespace,) = documents("overlays/standalone/namespace.yaml")
    namespace["metadata"]["name"] = name
    return namespace


def _configure(pod: Document, container: Document, plan: InstallPlan) -> None:
    """The agent's container and its volumes, the same alone and as a sidecar."""
    if plan.image:
        container["image"] = plan.image
    state = next(volume for volume in pod["volumes"] if volume["name"] == "sew-state")
    if plan.claim:
        state.pop("emptyDir", None)
        state["persistentVolumeClaim"] = {"claimName": plan.claim}
    if plan.store_secret:
        state.pop("persistentVolumeClaim", None)
        state["emptyDir"] = {}
        _mount(pod, container, {"name": "sew-store", "secret": {"secretName": plan.store_secret}}, _STORE)
    given = dict(_settings(plan))
    container["env"] = [variable for variable in container["env"] if variable["name"] not in given]
    container["env"] += [{"name": name, "value": value} for name, value in given.items()]
    if plan.credentials:
        secret = {"secretName": plan.credentials.secret}
        _mount(pod, container, {"name": "sew-credentials", "secret": secret}, _CREDENTIALS)
    if plan.event_map:
        _mount(pod, container, {"name": "sew-event-map", "configMap": {"name": EVENT_MAP}}, _EVENT_MAP)


def _mount(pod: Document, container: Document, volume: Document, path: str) -> None:
    pod["volumes"].append(volume)
    container["volumeMounts"].append({"name": volume["name"], "mountPath": path, "readOnly": True})


def _settings(plan: InstallPlan) -> Iterable[tuple[str, str]]:
    yield from plan.settings.items()
    if plan.secrets_namespace != SECRETS_NAMESPACE:
        yield "SEW_SECRETS_NAMESPACE", plan.secrets_namespace
    if plan.store_secret:
        yield "SEW_STORE_FILE", f"{_STORE}/{STORE_KEY}"
    if plan.event_map:
        yield "SEW_EVENT_MAP", f"{_EVENT_MAP}/{_map_key(plan)}"
    if plan.credentials:
        for key in plan.credentials.keys:
            yield CREDENTIAL_VARIABLES[key], f"{_CREDENTIALS}/{key}"
