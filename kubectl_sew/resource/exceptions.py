"""An AlertException as frozen data: events that its selector selects are not delivered while it is in force.

Facts: Calico's API (projectcalico.org/v3, cluster-scoped), where description, selector and startTime are required.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kubectl_sew.resource.findings import error, shown
from kubectl_sew.resource.model import API_VERSIONS, as_map
from kubectl_sew.resource.structure import NAME_RULE, Located, Path, is_dns_name
from kubectl_sew.text import parse_rfc3339, plural

EXCEPTION_KIND = "AlertException"
EXCEPTION_PLURAL = "alertexceptions"

_API_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
_RFC3339 = "write it as RFC 3339, in quotes: `2026-01-31T12:00:00Z`"
_PARTS = ("apiVersion", "kind", "metadata", "spec", "status")
_FIELDS = ("description", "selector", "startTime", "endTime")


@dataclass(frozen=True, slots=True)
class AlertException:
    """An exception. `start` and `end` in seconds since the epoch; `end` is None where it never ends."""

    name: str
    selector: str
    start: float = 0.0
    end: float | None = None
    description: str = ""

    def in_force(self, now: float) -> bool:
        """Return whether it suppresses events that are judged at this moment: from `start` on, and before `end`."""
        return self.start <= now and (self.end is None or now < self.end)

    @classmethod
    def from_object(cls, obj: Mapping[str, Any]) -> "AlertException":
        """Reads an object that `check_exception` finds valid; in any other, what cannot be read is left empty."""
        metadata, spec = as_map(obj.get("metadata")), as_map(obj.get("spec"))
        texts = (metadata.get("name"), spec.get("selector"), spec.get("description"))
        name, selector, description = (text if isinstance(text, str) else "" for text in texts)
        start, end = _moment(spec.get("startTime")), _moment(spec.get("endTime"))
        return cls(name, selector, 0.0 if start is None else start, end, description)


def describe_exception(row: Mapping[str, Any]) -> str:
    """Return a line on an exception as the agent reports it (`sew-agent status -o json`)."""
    head = f"AlertException {row['name']}"
    if row["broken"]:
        return f"{head} suppresses nothing: {row['broken']}"
    count = f"has suppressed {row['suppressed']:,} {plural(row['suppressed'], 'event')} since the agent started"
    if row["inForce"]:
        return f"{head} is in force {'until ' + row['end'] if row['end'] else 'without an end'}: it {count}"
    return f"{head} is not in force: it {count}"


def problem_of(obj: Mapping[str, Any]) -> str:
    """Return why an object of the API suppresses nothing, whatever its selector; "" for a good one.

    An item of a list comes without its kind. A field that a newer Calico may know does no harm.
    """
    whole = {"apiVersion": API_VERSIONS[0], "kind": EXCEPTION_KIND, **obj}
    errors = (found.finding for found in check_exception(whole) if found.finding.code != "SEW007")
    wrong = next(errors, None)
    return f"{wrong.message} ({wrong.hint})" if wrong else ""


def check_exception(obj: Mapping[str, Any]) -> list[Located]:
    """Everything wrong with one object of the kind that can be seen without the query language."""
    spec = obj.get("spec")
    if not isinstance(spec, Mapping):
        return [*_check_head(obj), Located(error("SEW008", "`spec` is missing", "it is required"))]
    return [*_check_head(obj), *_check_texts(spec), *_check_names(obj, spec), *_check_times(spec)]


def _check_texts(spec: Mapping[str, Any]) -> Iterator[Located]:
    for name in ("description", "selector", "startTime"):
        if _is_blank(spec.get(name)):
            yield Located(error("SEW008", f"`spec.{name}` is missing", "it is required"), ("spec",))
    for name in ("selector", "description"):
        if spec.get(name) is not None and not isinstance(spec[name], str):
            yield Located(error("SEW006", f"`spec.{name}` must be text", "put it in quotes"), ("spec", name))


def _is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _check_names(obj: Mapping[str, Any], spec: Mapping[str, Any]) -> Iterator[Located]:
    for held, known, path in ((obj, _PARTS, ()), (spec, _FIELDS, ("spec",))):
        for name in held:
            if name not in known:
                place = ".".join((*path, shown(str(name))))
                hint = "known here: " + ", ".join(f"`{candidate}`" for candidate in known)
                finding = error("SEW007", f"the field `{place}` is unknown", hint)
                yield Located(finding, (*path, name), at_key=True)


def _check_head(obj: Mapping[str, Any]) -> Iterator[Located]:
    version, kind, name = obj.get("apiVersion"), obj.get("kind"), as_map(obj.get("metadata")).get("name")
    if kind != EXCEPTION_KIND:
        hint = f"write `{EXCEPTION_KIND}`: upper and lower case differ"
        yield Located(error("SEW018", f"the kind `{shown(str(kind))}` is unknown", hint), ("kind",))
    if version not in API_VERSIONS:
        message = f"no {EXCEPTION_KIND} is served at `{shown(str(version))}`"
        yield Located(error("SEW009", message, f"write `{API_VERSIONS[0]}`"), ("apiVersion",))
    if not isinstance(name, str) or not name:
        yield Located(error("SEW008", "`metadata.name` is missing", "it is required"), ("metadata",))
    elif not is_dns_name(name):
        message = f"Kubernetes does not allow the name `{shown(name)}`"
        yield Located(error("SEW010", message, NAME_RULE), ("metadata", "name"))


def _check_times(spec: Mapping[str, Any]) -> Iterator[Located]:
    times: dict[str, float] = {}
    for name in ("startTime", "endTime"):
        path: Path = ("spec", name)
        if _is_blank(spec.get(name)):
            continue
        if (moment := _moment(spec[name])) is None:
            yield Located(error("SEW061", f"`spec.{name}` is not a time", _RFC3339), path)
        else:
            times[name] = moment
    if len(times) == 2 and times["endTime"] <= times["startTime"]:
        message = "the exception is never in force: `spec.endTime` is not after `spec.startTime`"
        yield Located(error("SEW061", message, "end it later"), ("spec", "endTime"))


def _moment(value: Any) -> float | None:
    """Return seconds since the epoch; None for what is no time to the API, which takes no other form of ISO 8601."""
    return parse_rfc3339(value) if isinstance(value, str) and _API_TIME.fullmatch(value) else None
