"""The Secrets and ConfigMaps that webhooks refer to: which keys they hold. Values go no further than `values`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from kubectl_sew.kubectl import Kubectl, KubectlError, KubectlProblem
from kubectl_sew.resource import Reference
from kubectl_sew.resource.objects import PLURALS, object_values

Id = tuple[str, str]
"""Kind and name."""


@dataclass(frozen=True, slots=True)
class Held:
    """The objects that could be read. One that is in neither map does not exist."""

    values: Mapping[Id, Mapping[str, bytes]] = field(default_factory=dict, repr=False)
    unread: Mapping[Id, str] = field(default_factory=dict)
    """Object -> why it could not be read."""

    def of_kind(self, kind: str) -> dict[str, Mapping[str, bytes]]:
        """Name -> key -> value, as `resolve` takes them."""
        return {name: values for (its_kind, name), values in self.values.items() if its_kind == kind}


def read_objects(kubectl: Kubectl, namespace: str, references: Iterable[Reference]) -> Held:
    """The objects that some references name, each read once. Raises KubectlError where the server is out of reach."""
    values: dict[Id, Mapping[str, bytes]] = {}
    unread: dict[Id, str] = {}
    for kind, name in dict.fromkeys((reference.kind, reference.name) for reference in references):
        try:
            obj = kubectl.get(f"/api/v1/namespaces/{quote(namespace)}/{PLURALS[kind]}/{quote(name, safe='')}")
            values[kind, name], _ = object_values(kind, name, obj)
        except KubectlError as error:
            if error.problem in (KubectlProblem.UNREACHABLE, KubectlProblem.TIMEOUT, KubectlProblem.LOGIN):
                raise
            if error.problem is not KubectlProblem.NOT_FOUND:
                unread[kind, name] = error.said
    return Held(values, unread)
