"""Reads what the Secrets and ConfigMaps hold under the keys that webhooks refer to. Nothing else of them is kept."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from kubectl_sew.resource.objects import PLURALS, object_values
from sew_agent.kubernetes.client import ForbiddenError, KubernetesClient, NotFoundError
from sew_agent.kubernetes.informer import Informer


@dataclass(frozen=True, slots=True)
class ReferredValues:
    """An object as read at `version`: the values of some `keys`, and of its other keys the names."""

    version: str
    keys: frozenset[str]
    values: Mapping[str, bytes] = field(repr=False)


class SecretReader:
    """Reads objects of one kind in one namespace when `metadata` (name -> resourceVersion) shows another version."""

    def __init__(self, client: KubernetesClient, kind: str, namespace: str, metadata: Informer[str]) -> None:
        self.kind = kind
        self.metadata = metadata
        self._client = client
        self._path = f"/api/v1/namespaces/{namespace}/{PLURALS[kind]}"
        self._kept: dict[str, ReferredValues] = {}
        self.refused: dict[str, ForbiddenError] = {}
        """Object -> why the server does not let this agent read it."""

    def read(
        self, wanted: Mapping[str, Collection[str]], anew: Collection[str], beat: Callable[[], None]
    ) -> Mapping[str, Mapping[str, bytes]]:
        """Return object -> its values, for the `wanted` objects (object -> keys) that exist. Raises ApiError.

        `anew`: objects that may have changed with what refers to them, before the metadata shows it. `beat` is called
        before each object: reading many takes its time.
        """
        versions = self.metadata.objects
        self._kept = {name: kept for name, kept in self._kept.items() if name in wanted and name in versions}
        self.refused = {}
        for name in sorted(wanted.keys() & versions.keys()):
            beat()
            doubted = name in anew and self.metadata.stale
            self._refresh(name, frozenset(wanted[name]), "" if doubted else versions[name])
        return {name: kept.values for name, kept in self._kept.items()}

    def _refresh(self, name: str, keys: frozenset[str], version: str) -> None:
        before = self._kept.get(name)
        if before and before.version == version and keys <= before.keys:
            return
        try:
            obj = self._client.get(f"{self._path}/{name}")
        except NotFoundError:
            self._kept.pop(name, None)
        except ForbiddenError as error:
            self.refused[name] = error
        else:
            values = _values(self.kind, name, keys, obj)
            self._kept[name] = ReferredValues(obj["metadata"]["resourceVersion"], keys, values)


def _values(kind: str, name: str, keys: frozenset[str], obj: Mapping[str, Any]) -> Mapping[str, bytes]:
    held, _ = object_values(kind, name, obj)
    return {key: value if key in keys else b"" for key, value in held.items()}
