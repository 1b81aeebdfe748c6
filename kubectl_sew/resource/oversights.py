"""Warnings of what Kubernetes takes and then ignores, although somebody meant something by it: near misses of names."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from kubectl_sew.resource.effective import BEGIN_ANNOTATION, END_ANNOTATION, STATE_ANNOTATION
from kubectl_sew.resource.findings import shown, warning
from kubectl_sew.resource.model import (
    LABELS_ANNOTATION,
    RECIPE_ANNOTATION,
    TEST_EVENT_ANNOTATION,
    TEST_RESULT_ANNOTATION,
)
from kubectl_sew.resource.structure import Located, Path

_METADATA = (
    *("name", "generateName", "namespace", "selfLink", "uid", "resourceVersion", "generation", "creationTimestamp"),
    *("deletionTimestamp", "deletionGracePeriodSeconds", "labels", "annotations", "ownerReferences", "finalizers"),
    *("managedFields",),
)
_ANNOTATIONS = (
    *(LABELS_ANNOTATION, TEST_EVENT_ANNOTATION, TEST_RESULT_ANNOTATION),
    *(STATE_ANNOTATION, BEGIN_ANNOTATION, END_ANNOTATION, RECIPE_ANNOTATION),
)
_PREFIX = LABELS_ANNOTATION.partition("/")[0] + "/"
_NEAR = 0.85


def nearly(kind: str, ours: str) -> bool:
    """Return whether `kind` is another, but so like `ours` that it was meant."""
    return kind != ours and bool(get_close_matches(kind.lower()[:100], [ours.lower()], 1, _NEAR))


def find_oversights(obj: Mapping[str, Any]) -> Iterator[Located]:
    """Find fields and annotations that nobody reads, and a namespace, in an object of our kind."""
    metadata = obj.get("metadata")
    if not isinstance(metadata, Mapping):
        return
    for name in metadata:
        if name not in _METADATA:
            yield _ignored("SEW007", f"the field `metadata.{shown(name)}` is unknown", name, _METADATA, ("metadata",))
    if metadata.get("namespace"):
        message = (
            f"`metadata.namespace` has no effect: the kind {shown(str(obj.get('kind')))} belongs to the whole cluster"
        )
        yield Located(warning("SEW007", message, "leave it out"), ("metadata", "namespace"), at_key=True)
    annotations = metadata.get("annotations")
    for name in annotations if isinstance(annotations, Mapping) else ():
        if name not in _ANNOTATIONS and (
            name.startswith(_PREFIX) or get_close_matches(name[:100], _ANNOTATIONS, 1, _NEAR)
        ):
            message = f"nothing reads the annotation `{shown(name)}`"
            yield _ignored("SEW019", message, name, _ANNOTATIONS, ("metadata", "annotations"))


def _ignored(code: str, message: str, name: str, known: Sequence[str], path: Path) -> Located:
    near = get_close_matches(name[:100], known, 1)
    hint = f"did you mean `{near[0]}`?" if near else "known here: " + ", ".join(f"`{candidate}`" for candidate in known)
    return Located(warning(code, message, hint), (*path, name), at_key=True)
