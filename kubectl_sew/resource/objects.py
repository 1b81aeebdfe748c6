"""Secrets and ConfigMaps as the API has them: where they are served, and what they hold, decoded."""

from collections.abc import Mapping
from typing import Any

from kubectl_sew.resource.findings import shown
from kubectl_sew.resource.model import as_map
from kubectl_sew.resource.structure import Path
from kubectl_sew.text import decode_base64

PLURALS = {"Secret": "secrets", "ConfigMap": "configmaps"}
_ENCODED = {"Secret": "data", "ConfigMap": "binaryData"}
_PLAIN = {"Secret": "stringData", "ConfigMap": "data"}


def object_values(kind: str, name: str, obj: Mapping[str, Any]) -> tuple[dict[str, bytes], list[tuple[str, Path]]]:
    """Return the values, plain ones over encoded ones as the API has it; and what is wrong, without any value."""
    values: dict[str, bytes] = {}
    problems: list[tuple[str, Path]] = []
    for part, encoded in ((_ENCODED[kind], True), (_PLAIN[kind], False)):
        held = obj.get(part)
        if held is not None and not isinstance(held, Mapping):
            problems.append((f"`{part}` of {kind} `{shown(name)}` must be a map", (part,)))
        for key, text in as_map(held).items():
            value = _decoded(text) if encoded else _encoded(text)
            if value is None:
                wanted = "Base64" if encoded else "text: put it in quotes"
                problems.append((f"key `{shown(key)}` of {kind} `{shown(name)}` is not {wanted}", (part, key)))
            else:
                values[key] = value
    return values, problems


def _encoded(text: Any) -> bytes | None:
    return text.encode() if isinstance(text, str) else None


def _decoded(text: Any) -> bytes | None:
    return decode_base64(text) if isinstance(text, str) else None
