"""Asks the published schemas of Kubernetes, without a server, whether a version of it knows an object."""

from collections.abc import Iterable, Mapping
from typing import Any

from kubernetes_validate import SchemaNotFoundError, ValidationError, validate

VERSIONS = [f"1.{minor}" for minor in range(29, 38)]
"""From the oldest that the installation asks for to the newest that has schemas."""
OTHERS = "monitoring.coreos.com/"
"""Begins the `apiVersion` of objects that are no part of Kubernetes."""


def objections(objects: Iterable[Mapping[str, Any]], version: str) -> list[str]:
    """Return what a version of Kubernetes does not know of the objects: kinds, fields, and types of their values."""
    return [said for obj in objects if not obj["apiVersion"].startswith(OTHERS) for said in _objection(obj, version)]


def _objection(obj: Mapping[str, Any], version: str) -> list[str]:
    name = f"{obj['kind']} {obj['metadata']['name']}"
    try:
        validate(dict(obj), version, strict=True)
    except SchemaNotFoundError:
        return [f"{name}: no such kind in {obj['apiVersion']}"]
    except ValidationError as error:
        return [f"{name}: {'.'.join(map(str, error.path))}: {error.message}"]
    return []
