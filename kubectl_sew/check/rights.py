"""Rights in a cluster: which are needed, and whether somebody has them. The agent's are those of the manifests."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from kubectl_sew.install.holders import Account
from kubectl_sew.kubectl import Kubectl
from kubectl_sew.resource import PLURAL, SECRETS_NAMESPACE
from kubectl_sew.resource.objects import PLURALS

_REVIEWS = "/apis/authorization.k8s.io/v1"


@dataclass(frozen=True, slots=True)
class Right:
    """A verb on a resource (`pods/exec` for a subresource); in the whole cluster where no namespace is given."""

    verb: str
    group: str
    resource: str
    namespace: str = ""
    name: str = ""

    @property
    def on(self) -> str:
        """Return all but the verb, for people."""
        where = f" in {self.namespace}" if self.namespace else ""
        name = f" {self.name}" if self.name else ""
        return f"{self.resource}{'.' + self.group if self.group else ''}{name}{where}"

    def attributes(self) -> dict[str, str]:
        """Return the right as an access review takes it."""
        resource, _, subresource = self.resource.partition("/")
        attributes = {"verb": self.verb, "group": self.group, "resource": resource, "subresource": subresource}
        attributes |= {"namespace": self.namespace, "name": self.name}
        return {key: value for key, value in attributes.items() if value}


def spell(rights: Iterable[Right]) -> list[str]:
    """A line for each resource, with all verbs: `get, list secrets in x`."""
    verbs: dict[str, list[str]] = {}
    for right in rights:
        verbs.setdefault(right.on, []).append(right.verb)
    return [f"{', '.join(names)} {on}" for on, names in verbs.items()]


def own_rights(group: str, secrets_namespace: str, agent_namespace: str) -> dict[str, tuple[Right, ...]]:
    """Purpose -> the rights that a person needs for it."""
    secrets = tuple(Right("get", "", resource, secrets_namespace) for resource in PLURALS.values())
    return {
        "webhooks": tuple(Right(verb, group, PLURAL) for verb in ("get", "list", "create", "patch")),
        "secrets": secrets,
        "agent": (
            Right("get", "coordination.k8s.io", "leases", secrets_namespace, "sew-agent"),
            Right("list", "", "pods", agent_namespace),
            Right("create", "", "pods/exec", agent_namespace),
        ),
    }


def agent_rights(documents: Sequence[dict[str, Any]], group: str, secrets_namespace: str) -> list[Right]:
    """Return the rights that the manifests grant in Roles and ClusterRoles, for the `group` that the cluster serves."""
    roles = [document for document in documents if document["kind"] in ("Role", "ClusterRole")]
    granted = [right for role in roles for right in _granted(role, secrets_namespace)]
    return [right for right in granted if right.resource.partition("/")[0] != PLURAL or right.group == group]


def _granted(role: dict[str, Any], secrets_namespace: str) -> Iterator[Right]:
    namespace = role["metadata"].get("namespace", "")
    namespace = secrets_namespace if namespace == SECRETS_NAMESPACE else namespace
    for rule in role["rules"]:
        for name in rule.get("resourceNames", [""]):
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    for verb in rule["verbs"]:
                        yield Right(verb, group, resource, namespace, name)


def is_mine(kubectl: Kubectl, right: Right) -> bool:
    """Return whether the person has the right. Raises KubectlError."""
    return _allowed(kubectl, "SelfSubjectAccessReview", {"resourceAttributes": right.attributes()})


def has(kubectl: Kubectl, account: Account, right: Right) -> bool:
    """Return whether a service account has the right. Raises KubectlError."""
    namespace, name = account.namespace, account.name
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]
    user = f"system:serviceaccount:{namespace}:{name}"
    spec = {"resourceAttributes": right.attributes(), "user": user, "groups": groups}
    return _allowed(kubectl, "SubjectAccessReview", spec)


def _allowed(kubectl: Kubectl, kind: str, spec: dict[str, Any]) -> bool:
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
    answer = kubectl.create(f"{_REVIEWS}/{kind.lower()}s", review)
    return bool(answer["status"].get("allowed"))
