"""Names from kubectl, for completion: contexts, clusters and users of the kubeconfig, and namespaces of the cluster."""

from collections.abc import Sequence

from click.shell_completion import CompletionItem

from kubectl_sew.kubectl import Kubectl

_LISTS = {
    "--context": ("config", "get-contexts", "-o", "name"),
    "--cluster": ("config", "get-clusters"),
    "--user": ("config", "get-users"),
    "--namespace": ("get", "namespaces", "-o", "name"),
}
_HEADING = "NAME"


def names(given: Sequence[str], flag: str, incomplete: str) -> list[CompletionItem]:
    """Return the values that a flag of kubectl's can have; `given`: its other flags.

    Raises KubectlError, soon: a shell that waits is of no use.
    """
    quick = Kubectl((*given, "--request-timeout=3s"))
    listed = [name.removeprefix("namespace/") for name in quick.run(*_LISTS[flag]).splitlines()]
    return [CompletionItem(name) for name in listed if name.startswith(incomplete) and name not in ("", _HEADING)]
