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
    """One verb on one resource (`pods/exec` for a subresource); in the whole cluster where no namespace is given."""

    verb: str
    group: str
    resource: str
    namespace: str = ""
    name: str = ""

    @property
    def on(self) -> str:
        """All but the verb, for people."""
        where = f" in {self.namespace}" if self.namespace else ""
        one = f" {self.name}" if self.name else ""
        return f"{self.resource}{'.' + self.group if self.group else ''}{one}{where}"

    def attributes(self) -> dict[str, str]:
        """As an access review takes it."""
        resource, _, subresource = self.resource.partition("/")
        found = {"verb": self.verb, "group": self.group, "resource": resource, "subresource": subresource}
        found |= {"namespace": self.namespace, "name": self.name}
        return {key: value for key, value in found.items() if value}


def spell(rights: Iterable[Right]) -> list[str]:
    """A line for each resource, with all verbs: `get, list secrets in x`."""
    verbs: dict[str, list[str]] = {}
    for each in rights:
        verbs.setdefault(each.on, []).append(each.verb)
    return [f"{', '.join(found)} {on}" for on, found in verbs.items()]


def own_rights(group: str, secrets_namespace: str, agent_namespace: str) -> dict[str, tuple[Right, ...]]:
    """What a person needs, by what for."""
    secrets = tuple(Right("get", "", each, secrets_namespace) for each in PLURALS.values())
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
    """What the Roles and ClusterRoles of the manifests grant, for the one `group` that the cluster serves."""
    roles = [each for each in documents if each["kind"] in ("Role", "ClusterRole")]
    found = [right for role in roles for right in _granted(role, secrets_namespace)]
    return [each for each in found if each.resource.partition("/")[0] != PLURAL or each.group == group]


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
    """Whether the person has it. Raises KubectlError."""
    return _allowed(kubectl, "SelfSubjectAccessReview", {"resourceAttributes": right.attributes()})


def has(kubectl: Kubectl, account: Account, right: Right) -> bool:
    """Whether a service account has it. Raises KubectlError."""
    namespace, name = account.namespace, account.name
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]
    user = f"system:serviceaccount:{namespace}:{name}"
    spec = {"resourceAttributes": right.attributes(), "user": user, "groups": groups}
    return _allowed(kubectl, "SubjectAccessReview", spec)


def _allowed(kubectl: Kubectl, kind: str, spec: dict[str, Any]) -> bool:
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
    answer = kubectl.create(f"{_REVIEWS}/{kind.lower()}s", review)
    return bool(answer["status"].get("allowed"))
