"""The shape of a SecurityEventWebhook, and every way in which an object can miss it.

Works on plain objects, so that it judges manifests (whose places the loader knows) and objects of a cluster alike.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from kubectl_sew.members import alternatives
from kubectl_sew.resource.effective import BEGIN_ANNOTATION, END_ANNOTATION, STATE_ANNOTATION, State, read_state
from kubectl_sew.resource.findings import Finding, error, shown, warning
from kubectl_sew.resource.labels import parse_labels
from kubectl_sew.resource.model import API_VERSIONS, KIND, LABELS_ANNOTATION, REFERENCE_KINDS
from kubectl_sew.text import parse_rfc3339

Path = tuple[str | int, ...]

NAME_RULE = (
    "at most 253 lower-case letters, digits, `-` and `.`, beginning and ending with a letter or digit, as is each part"
)
KEY_RULE = "at most 253 letters, digits, `-`, `_` and `.`, and neither `.` nor `..`"
_PATCH = "it is required; of a patch check the result: `kubectl kustomize FOLDER | kubectl sew validate -f -`"
_PART = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_NAME = re.compile(rf"{_PART}(?:\.{_PART})*")
_KEY = re.compile(r"(?!\.{1,2}$)[-._a-zA-Z0-9]{1,253}")


@dataclass(frozen=True, slots=True)
class Located:
    """A finding and the path in the object that it is about; `at_key` where the key itself is wrong."""

    finding: Finding
    path: Path = ()
    at_key: bool = False


@dataclass(frozen=True, slots=True)
class _Text:
    """Text; `given` where it may not be empty."""

    given: bool = False
    switch: bool = False
    """True where true and false, which YAML makes of `on` and `off`, are judged elsewhere."""
    example: str = ""
    """What to write where it is empty."""


@dataclass(frozen=True, slots=True)
class _BooleanField:
    """true or false."""


@dataclass(frozen=True, slots=True)
class _Each:
    """A list of things of one shape."""

    item: "_Shape"


@dataclass(frozen=True, slots=True)
class _Fields:
    """A map with these fields; any others where it is `open`, which then have the shape `other`."""

    known: Mapping[str, "_Shape"] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    open: bool = False
    other: "_Shape | None" = None


_Shape = _Text | _BooleanField | _Each | _Fields | None
"""None: anything."""

_REFERENCE = _Fields(
    {"name": _Text(given=True), "key": _Text(given=True), "optional": _BooleanField()}, ("name", "key")
)
_VARIABLE = _Fields(
    {
        "name": _Text(given=True),
        "value": _Text(),
        "valueFrom": _Fields(dict.fromkeys(REFERENCE_KINDS, _REFERENCE)),
    },
    ("name",),
)
_SPEC = _Fields(
    {
        "consumer": _Text(given=True),
        "state": _Text(given=True, switch=True),
        "query": _Text(given=True, example="e.g. `type = waf`; for every event: `type EMPTY OR NOT type EMPTY`"),
        "config": _Each(_VARIABLE),
    },
    ("consumer", "state", "query", "config"),
)
_TEXTS = _Fields(open=True, other=_Text())
_WEBHOOK = _Fields(
    {
        "apiVersion": _Text(given=True),
        "kind": _Text(given=True),
        "metadata": _Fields({"name": _Text(given=True), "annotations": _TEXTS, "labels": _TEXTS}, ("name",), open=True),
        "spec": _SPEC,
        "status": _Each(_Fields(open=True)),
    },
    ("apiVersion", "kind", "metadata", "spec"),
)


def check_structure(obj: Mapping[str, Any]) -> list[Located]:
    """Everything wrong with one object of our kind that can be seen without consumers, query language and Secrets."""
    problems = _without_the_rest(obj, [*_check(_WEBHOOK, obj, ())])
    problems += _check_version(obj.get("apiVersion"))
    problems += _check_name(_dig(obj, "metadata", "name"))
    problems += _check_labels(_dig(obj, "metadata", "annotations", LABELS_ANNOTATION))
    problems += _check_state(_dig(obj, "spec", "state"))
    problems += _check_hands(_dig(obj, "metadata", "annotations"), _dig(obj, "spec", "state"))
    problems += _check_variables(_dig(obj, "spec", "config"))
    return problems


def _without_the_rest(obj: Mapping[str, Any], problems: list[Located]) -> list[Located]:
    """Return what is missing, with a hint at the first where the object has so little that it may be a patch."""
    spec = obj.get("spec", {})
    missing = [problem for problem in problems if problem.finding.code == "SEW008" and problem.path in ((), ("spec",))]
    if not isinstance(spec, Mapping) or len(set(_SPEC.required) - set(spec)) < 2 or not missing:
        return problems
    first = missing[0]
    return [
        replace(first, finding=replace(first.finding, hint=_PATCH)) if problem is first else problem
        for problem in problems
    ]


def is_dns_name(text: str) -> bool:
    """Return whether Kubernetes takes it as the name of a webhook, Secret, ConfigMap or pod."""
    return len(text) <= 253 and _NAME.fullmatch(text) is not None


def show_path(path: Path) -> str:
    """`spec.config[2].name`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")


def _check(shape: _Shape, value: Any, path: Path) -> Iterator[Located]:
    match shape:
        case _Fields():
            yield from _check_map(shape, value, path) if isinstance(value, Mapping) else _wrong(path, "a map", value)
        case _Each():
            yield from _check_list(shape, value, path) if isinstance(value, list) else _wrong(path, "a list", value)
        case _Text():
            yield from _check_text(shape, value, path)
        case _BooleanField() if not isinstance(value, bool):
            yield from _wrong(path, "true or false", value)


def _check_map(shape: _Fields, value: Mapping[str, Any], path: Path) -> Iterator[Located]:
    for name in shape.required:
        if name not in value:
            yield Located(error("SEW008", f"`{show_path((*path, name))}` is missing", "it is required"), path)
    for name, child in value.items():
        if name in shape.known:
            yield from _check(shape.known[name], child, (*path, name))
        elif shape.open:
            yield from _check(shape.other, child, (*path, name))
        else:
            yield _unknown(shape, path, name)


def _check_list(shape: _Each, value: list[Any], path: Path) -> Iterator[Located]:
    for index, child in enumerate(value):
        yield from _check(shape.item, child, (*path, index))


def _check_text(shape: _Text, value: Any, path: Path) -> Iterator[Located]:
    if shape.given and (value is None or (isinstance(value, str) and not value.strip())):
        yield Located(error("SEW008", f"`{show_path(path)}` is empty", shape.example or "it is required"), path)
    elif not isinstance(value, str) and not (shape.switch and isinstance(value, bool)):
        yield from _wrong(path, "text", value)


def _wrong(path: Path, wanted: str, value: Any) -> Iterator[Located]:
    is_ = _kind_of(value)
    hint = "put it in quotes" if wanted == "text" and isinstance(value, bool | int | float) else ""
    if wanted == "a list" and isinstance(value, Mapping):
        hint = "begin each item with `- `"
    yield Located(error("SEW006", f"`{show_path(path) or 'the document'}` must be {wanted}, but is {is_}", hint), path)


def _unknown(shape: _Fields, path: Path, name: str) -> Located:
    place = show_path((*path, shown(name)))
    hint = "known here: " + ", ".join(f"`{key}`" for key in shape.known)
    return Located(error("SEW007", f"the field `{place}` is unknown", hint), (*path, name), at_key=True)


def _kind_of(value: Any) -> str:
    names = {
        type(None): "empty",
        bool: "true or false",
        str: "text",
        int: "a number",
        float: "a number",
        list: "a list",
    }
    return names.get(type(value), "a map")


def _check_version(version: Any) -> Iterator[Located]:
    if isinstance(version, str) and version.strip() and version not in API_VERSIONS:
        hint = f"write `{API_VERSIONS[0]}`"
        yield Located(error("SEW009", f"no {KIND} is served at `{shown(version)}`", hint), ("apiVersion",))


def _check_name(name: Any) -> Iterator[Located]:
    if isinstance(name, str) and name.strip() and not is_dns_name(name):
        yield Located(
            error("SEW010", f"Kubernetes does not allow the name `{shown(name)}`", NAME_RULE), ("metadata", "name")
        )


def _check_labels(annotation: Any) -> Iterator[Located]:
    path: Path = ("metadata", "annotations", LABELS_ANNOTATION)
    for problem in parse_labels(annotation)[1] if isinstance(annotation, str) else ():
        yield Located(error("SEW015", f"in the labels annotation {problem}", "write `key:value,key:value`"), path)


def _check_state(state: Any) -> Iterator[Located]:
    known = [allowed.value for allowed in State]
    wanted = f"the state must be {alternatives(known)}, but is"
    if isinstance(state, bool):
        hint = "YAML reads `on`, `off`, `yes` and `no` without quotes as true or false"
        yield Located(error("SEW012", f"{wanted} {str(state).lower()}", hint), ("spec", "state"))
    if isinstance(state, str) and state.strip() and state not in known:
        from difflib import get_close_matches  # noqa: PLC0415  # only a mistake needs it

        near = get_close_matches(state[:64].capitalize(), known, 1)
        hint = f"did you mean `{near[0]}`?" if near else ""
        yield Located(error("SEW012", f"{wanted} `{shown(state)}`", hint), ("spec", "state"))


def _check_hands(annotations: Any, state: Any) -> Iterator[Located]:
    """Find what is wrong with the annotations by which a webhook is taken over from Calico's processor."""
    path: Path = ("metadata", "annotations")
    held = annotations if isinstance(annotations, Mapping) else {}
    text = held.get(STATE_ANNOTATION)
    if isinstance(text, str) and text.strip():
        yield from (Located(found, (*path, STATE_ANNOTATION)) for found in _check_taken_over(text.strip(), state))
    for name in (BEGIN_ANNOTATION, END_ANNOTATION):
        time = held.get(name)
        if isinstance(time, str) and parse_rfc3339(time) is None:
            message = f"the annotation `{name}` is not a time, and has no effect: `{shown(time)}`"
            yield Located(warning("SEW023", message, "write it as `2026-01-02T03:04:05Z`"), (*path, name))


def _check_taken_over(text: str, state: Any) -> Iterator[Finding]:
    is_disabled = state == State.DISABLED.value
    if read_state(text) is None:
        wanted = alternatives([allowed.value for allowed in State])
        say = error if is_disabled else warning
        yield say("SEW012", f"the annotation `{STATE_ANNOTATION}` must be {wanted}, but is `{shown(text)}`")
    elif not is_disabled:
        message = f"the annotation `{STATE_ANNOTATION}` has no effect, since `spec.state` is not Disabled"
        hint = "beside Calico's processor that delivers it; `kubectl sew takeover` sets both, `handback` removes it"
        yield warning("SEW023", message, hint)


def _check_variables(config: Any) -> Iterator[Located]:
    first: dict[str, int] = {}
    for index, variable in enumerate(config if isinstance(config, list) else ()):
        if not isinstance(variable, Mapping):
            continue
        path: Path = ("spec", "config", index)
        name = variable.get("name")
        if isinstance(name, str) and first.setdefault(name, index) != index:
            hint = f"it is set in `{show_path(('spec', 'config', first[name]))}` already; keep one"
            yield Located(error("SEW014", f"the variable `{shown(name)}` is set twice", hint), (*path, "name"))
        yield from _check_source(variable, path)


def _check_source(variable: Mapping[str, Any], path: Path) -> Iterator[Located]:
    given = [key for key in ("value", "valueFrom") if key in variable]
    if len(given) != 1:
        message = (
            f"`{show_path(path)}` has {'both' if given else 'neither'} `value` {'and' if given else 'nor'} `valueFrom`"
        )
        yield Located(error("SEW013", message, "give exactly one of them"), path)
    source = variable.get("valueFrom")
    if isinstance(source, Mapping) and sum(key in source for key in REFERENCE_KINDS) != 1:
        message = f"`{show_path((*path, 'valueFrom'))}` must have exactly one of {' and '.join(REFERENCE_KINDS)}"
        yield Located(error("SEW013", message, "it names the object and its key"), (*path, "valueFrom"))
    for kind in REFERENCE_KINDS:
        yield from _check_reference(_dig(source, kind), (*path, "valueFrom", kind))


def _check_reference(reference: Any, path: Path) -> Iterator[Located]:
    name, key = _dig(reference, "name"), _dig(reference, "key")
    if isinstance(name, str) and name.strip() and not is_dns_name(name):
        yield Located(
            error("SEW045", f"Kubernetes does not allow the name `{shown(name)}`", NAME_RULE), (*path, "name")
        )
    if isinstance(key, str) and key.strip() and not _KEY.fullmatch(key):
        yield Located(error("SEW045", f"no Secret or ConfigMap has the key `{shown(key)}`", KEY_RULE), (*path, "key"))


def _dig(obj: Any, *path: str) -> Any:
    for step in path:
        obj = obj.get(step) if isinstance(obj, Mapping) else None
    return obj
