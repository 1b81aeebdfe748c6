"""The holders of the agent's rights: the bindings name one service account, so a new one takes them from the old."""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

from kubectl_sew.install import target
from kubectl_sew.install.plan import NAME, Host
from kubectl_sew.kubectl import Kubectl
from kubectl_sew.resource import SECRETS_NAMESPACE


@dataclass(frozen=True, slots=True)
class Account:
    """A service account."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def bound_accounts(kubectl: Kubectl, secrets_namespace: str) -> tuple[Account, ...]:
    """The subjects of the agent's RoleBinding; none where there is no such binding. Raises KubectlError."""
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{quote(secrets_namespace)}/rolebindings/{NAME}"
    subjects = (kubectl.find(path) or {}).get("subjects") or ()
    accounts = [subject for subject in subjects if subject.get("kind") == "ServiceAccount"]
    return tuple(Account(account.get("namespace", ""), account.get("name", "")) for account in accounts)


def refuse_another(kubectl: Kubectl, secrets_namespace: str, ours: Host) -> None:
    """Raises InstallError where the rights belong to an agent that acts as another account than `ours` does."""
    for account in bound_accounts(kubectl, secrets_namespace):
        if account == Account(ours.namespace, ours.service_account):
            continue
        for other in _agents(kubectl, account):
            options = _options(other, secrets_namespace)
            raise target.InstallError(
                f"an agent is in deployment/{other.name} (namespace {other.namespace}), and would lose its rights: "
                f"`{options}` means that one, and `kubectl sew uninstall --apply {options}` removes it"
            )


def refuse_helms(kubectl: Kubectl, namespace: str) -> None:
    """Raises InstallError where the agent on its own is of a release of Helm: each undoes what the other one set."""
    agent = kubectl.find(f"/apis/apps/v1/namespaces/{quote(namespace)}/deployments/{NAME}") or {}
    release = agent.get("metadata", {}).get("annotations", {}).get("meta.helm.sh/release-name")
    if release:
        raise target.InstallError(
            f"deployment/{NAME} (namespace {namespace}) belongs to Helm's release {release}: "
            f"`helm upgrade {release} -n {namespace}` changes it, and `helm uninstall {release} -n {namespace}` "
            "removes it; webhooks, and what waits to be sent, stay"
        )


def _options(agent: Host, secrets_namespace: str) -> str:
    """Return the flags that name an agent's place to `install` and `uninstall`."""
    sidecar = f"--sidecar-of deployment/{agent.name} " if agent.name != NAME else ""
    elsewhere = f" --secrets-namespace {secrets_namespace}" if secrets_namespace != SECRETS_NAMESPACE else ""
    return f"{sidecar}-n {agent.namespace}{elsewhere}"


def _agents(kubectl: Kubectl, account: Account) -> Iterator[Host]:
    """The Deployments that act as an account, and have the agent in their pods, alone or as a sidecar."""
    for workload in kubectl.get(f"/apis/apps/v1/namespaces/{quote(account.namespace)}/deployments")["items"]:
        pod, host = target.pod_of(workload), target.host_of(workload)
        containers = [*pod.get("initContainers", ()), *pod["containers"]]
        if host.service_account == account.name and NAME in {container["name"] for container in containers}:
            yield host
