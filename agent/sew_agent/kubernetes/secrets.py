"""What the Secrets and ConfigMaps hold under the keys that webhooks refer to. Nothing else of them is kept."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from kubectl_sew.resource.manifests import object_values
from sew_agent.kubernetes.client import ApiError, KubernetesClient
from sew_agent.kubernetes.informer import REFUSED, Informer

_UNKNOWN = 404
PLURALS = {"Secret": "secrets", "ConfigMap": "configmaps"}


@dataclass(frozen=True, slots=True)
class ReferredValues:
    """An object as read at `version`: the values of some `keys`, and of the others that there are the names."""

    version: str
    keys: frozenset[str]
    values: Mapping[str, bytes] = field(repr=False)


class SecretReader:
    """Of one kind in one namespace: reads what `metadata` (name -> resourceVersion) says has changed.

    `beat` is called for each object that is wanted: reading many takes its time.
    """

    def __init__(
        self, api: KubernetesClient, kind: str, namespace: str, metadata: Informer[str], beat: Callable[[], None]
    ) -> None:
        self._beat = beat
        self.kind = kind
        self.metadata = metadata
        self._api = api
        self._path = f"/api/v1/namespaces/{namespace}/{PLURALS[kind]}"
        self._kept: dict[str, ReferredValues] = {}
        self.refused: dict[str, str] = {}
        """Object -> why the server does not let us read it."""

    def read(self, wanted: Mapping[str, Collection[str]]) -> Mapping[str, Mapping[str, bytes]]:
        """Object -> its values, for those of the `wanted` (object -> keys) that there are. Raises ApiError."""
        versions = self.metadata.objects
        self._kept = {name: kept for name, kept in self._kept.items() if name in wanted and name in versions}
        self.refused = {}
        for name in sorted(wanted.keys() & versions.keys()):
            self._beat()
            self._look(name, frozenset(wanted[name]), versions[name])
        return {name: kept.values for name, kept in self._kept.items()}

    def _look(self, name: str, keys: frozenset[str], version: str) -> None:
        before = self._kept.get(name)
        if before and before.version == version and keys <= before.keys:
            return
        try:
            obj = self._api.get(f"{self._path}/{name}")
        except ApiError as error:
            if error.status == _UNKNOWN:
                self._kept.pop(name, None)
            elif error.status in REFUSED:
                self.refused[name] = str(error)
            else:
                raise
        else:
            self._kept[name] = ReferredValues(
                obj["metadata"]["resourceVersion"], keys, _values(self.kind, name, keys, obj)
            )


def _values(kind: str, name: str, keys: frozenset[str], obj: Mapping[str, Any]) -> Mapping[str, bytes]:
    held, _ = object_values(kind, name, obj)
    return {key: value if key in keys else b"" for key, value in held.items()}
