"""Reads the YAML of `manifests/`, which is shipped with the code, the way `kubectl kustomize` does."""

from importlib.resources import files
from posixpath import normpath
from typing import Any

import yaml

Document = dict[str, Any]

_PACKAGE = "kubectl_sew.manifests"


def resources(folder: str) -> list[Document]:
    """All that the kustomization of a folder, e.g. `overlays/standalone`, lists, itself or by other folders."""
    (kustomization,) = documents(f"{folder}/kustomization.yaml")
    objects = []
    for entry in kustomization["resources"]:
        path = normpath(f"{folder}/{entry}")
        objects.extend(documents(path) if path.endswith(".yaml") else resources(path))
    return objects


def documents(path: str) -> list[Document]:
    """The documents of one file, e.g. `overlays/sidecar/agent.yaml`."""
    return list(yaml.safe_load_all(files(_PACKAGE).joinpath(path).read_text(encoding="utf-8")))
