"""The annotation with the result of state Test: JSON as Calico's console reads it, with our line as its description."""

import json
import re
from collections.abc import Mapping
from typing import Any

_DELIVERED = re.compile(r"(?:(?!not )\S+ )?delivered\b")
_STATUS, _DESCRIPTION, _TIME = "httpResponseCode", "httpResponseDescription", "timestamp"


def write_test_result(text: str, status: int) -> str:
    """Return the annotation for our line, `TIME delivered: …` or the like; `status` is 0 where no answer came."""
    report = {_STATUS: status, _DESCRIPTION: text, _TIME: text.partition(" ")[0]}
    return json.dumps(report, ensure_ascii=False, separators=(",", ":"))


def read_test_result(annotation: str) -> str:
    """Return our line, from either form that our agent has written, or made of what Calico's processor has written."""
    report = _report(annotation)
    if report is None:
        return annotation
    said, status, at = str(report.get(_DESCRIPTION, "")), report[_STATUS], str(report.get(_TIME, ""))
    if at and said.startswith(f"{at} "):
        return said
    outcome = "delivered" if 200 <= status < 300 else "not delivered"
    return f"{at} {outcome}: {status} {said}".strip()


def was_delivered(annotation: str) -> bool:
    """Return whether a result is a success: `TIME delivered: …`, and not `TIME not delivered (REASON): …`."""
    return _DELIVERED.match(read_test_result(annotation)) is not None


def _report(annotation: str) -> Mapping[str, Any] | None:
    """Return the JSON of a result; None for anything else."""
    if not annotation.startswith("{"):
        return None
    try:
        report = json.loads(annotation)
    except (ValueError, RecursionError):
        return None
    status = report.get(_STATUS) if isinstance(report, dict) else None
    return report if isinstance(status, int) else None
