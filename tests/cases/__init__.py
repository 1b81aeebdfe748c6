"""Read the golden cases."""

import json
import tomllib
from pathlib import Path
from typing import Any

from kubectl_sew.query import CALICO, FieldSet
from kubectl_sew.query.mapping import field_set

FOLDER = Path(__file__).parent
NOW = 1767225600.0
"""Time at which the cases are judged."""


def load(name: str) -> list[dict[str, Any]]:
    """Return the cases of a file of this folder."""
    cases: list[dict[str, Any]] = tomllib.loads((FOLDER / name).read_text("utf-8"))["case"]
    return cases


def fields_of(case: dict[str, Any]) -> FieldSet:
    """Return the field set of a case."""
    if "mapping" not in case:
        return CALICO
    return field_set("case", {"case": {"mappings": {"properties": json.loads(case["mapping"])}}}, {})


def events_of(case: dict[str, Any], server: str = "") -> list[tuple[dict[str, Any], bool]]:
    """Return a case's events, and whether its query selects them: on `server`, where that reads some otherwise."""
    otherwise = case.get(server, "").splitlines()
    return [
        (json.loads(line), (key == "select") is not (line in otherwise))
        for key in ("select", "skip")
        for line in case[key].strip().splitlines()
    ]


def go_templates() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the event of the cases of templates in Go's language, and those cases."""
    read = tomllib.loads((FOLDER / "go_templates.toml").read_text("utf-8"))
    event: dict[str, Any] = json.loads(read["event"])
    return event, read["case"]
