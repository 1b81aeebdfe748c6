"""Field sets of Elasticsearch indices, from their mappings and settings.

Facts: https://www.elastic.co/guide/en/elasticsearch/reference/8.17/mapping-params.html and …/mapping-types.html.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from kubectl_sew.query.fields import Field, FieldSet, FieldType, NumberKind, Storage

Json = Mapping[str, Any]

_NUMBERS = {kind.value[0]: kind for kind in NumberKind if kind is not NumberKind.EXACT}
_FLOATS = {NumberKind.HALF_FLOAT, NumberKind.FLOAT, NumberKind.DOUBLE}
_DATE_FORMATS = {"strict_date_optional_time", "strict_date_optional_time_nanos", "epoch_second", "epoch_millis"}
_KEYWORDS = {"keyword", "wildcard"}
_TEXTS = {"text", "match_only_text"}
_OBJECTS = {"object", "nested", "passthrough"}
_OF_LOGSDB = 8191
"""Default of `ignore_above` in an index of that mode."""
_ID = Field(name="_id", type=FieldType.STRING, meaning="the event's identity", equality_only=True)


def field_set(
    name: str, mappings: Json, settings: Json, *, names_ignored: bool = True, orders_wildcards: bool = True
) -> FieldSet:
    """Return the field set of all indices of a pattern.

    `mappings` is the answer of `GET PATTERN/_mapping`, `settings` that of `GET PATTERN/_settings` (normalisers are
    defined there). `names_ignored`: see Storage; `orders_wildcards`: fields of the type `wildcard` have an order. A
    field that the indices store differently is there with the reason why it cannot be queried.
    """
    server = {"names_ignored": names_ignored, "orders_wildcards": orders_wildcards}
    fields: dict[str, Field] = {}
    unindexed: dict[str, str] = {}
    for index, body in sorted(mappings.items()):
        mapping = body.get("mappings", {})
        of_index = settings.get(index, {}).get("settings", {}).get("index", {})
        for key, field in _fields(mapping, _Defaults.of(of_index, **server)):
            known = fields.get(key)
            fields[key] = field if known is None or known == field else _conflict(known, field)
        for path, why in _unindexed(mapping, ""):
            unindexed[path] = unindexed.get(path) or why
    objects = {path for body in mappings.values() for path in _objects(body.get("mappings", {}), "")}
    return FieldSet(name, {_ID.name: _ID} | _no_objects(fields, objects), unindexed=unindexed)


def _objects(mapping: Json, prefix: str) -> Iterator[str]:
    for name, body in mapping.get("properties", {}).items():
        if "properties" in body or body.get("type") in _OBJECTS:
            yield prefix + name
            yield from _objects(body, f"{prefix}{name}.")


def _no_objects(fields: Mapping[str, Field], objects: Collection[str]) -> dict[str, Field]:
    """Return the fields, refused where another index has an object under their name."""
    return {
        key: _refused(field, f"it is {field.type.value} in one index and an object in another")
        if key in objects and not field.storage.refusal
        else field
        for key, field in fields.items()
    }


def _unindexed(mapping: Json, prefix: str) -> Iterator[tuple[str, str]]:
    """Yield (path, why) of objects that keep what has no mapping and do not index it; why is "" where they index it."""
    name = f"`{prefix[:-1]}`" if prefix else "the mapping"
    if mapping.get("enabled") in (False, "false"):
        yield prefix[:-1], f"{name} is not enabled"
    elif "dynamic" in mapping:
        off = mapping["dynamic"] in (False, "false")
        yield prefix[:-1], f"{name} is not dynamic" if off else ""
    for key, body in mapping.get("properties", {}).items():
        yield from _unindexed(body, f"{prefix}{key}.")


def _conflict(known: Field, other: Field) -> Field:
    if known.storage.refusal:
        return known
    if _unordered(known) == _unordered(other):
        return _unordered(known)
    reason = "its indices store it in different ways"
    if known.type is not other.type:
        reason = f"it is {known.type.value} in one index and {other.type.value} in another"
    return _refused(known, reason)


def _unordered(field: Field) -> Field:
    return replace(field, storage=replace(field.storage, ordered=False))


def _refused(field: Field, reason: str) -> Field:
    return replace(field, storage=replace(field.storage, refusal=reason))


@dataclass(frozen=True)
class _Defaults:
    """What holds for an index's fields by its settings and its server.

    `normalizers`: name -> whether it only lower-cases.
    """

    normalizers: Mapping[str, bool]
    coerce: bool
    ignore_above: int | None
    names_ignored: bool
    orders_wildcards: bool

    @classmethod
    def of(cls, settings: Json, *, names_ignored: bool, orders_wildcards: bool) -> "_Defaults":
        mapping = settings.get("mapping", {})
        longest = mapping.get("ignore_above", _OF_LOGSDB if settings.get("mode") == "logsdb" else None)
        coerce = _truth(mapping.get("coerce", True))
        ignore_above = None if longest is None else int(longest)
        return cls(_normalizers(settings), coerce, ignore_above, names_ignored, orders_wildcards)


def _normalizers(settings: Json) -> Mapping[str, bool]:
    """Return normaliser -> whether it does nothing but lower-casing."""
    defined = settings.get("analysis", {}).get("normalizer", {})
    return {"lowercase": True} | {name: _only_lowers(body) for name, body in defined.items()}


def _only_lowers(normalizer: Json) -> bool:
    if normalizer.get("type", "custom") == "lowercase":
        return True
    filters, characters = normalizer.get("filter", []), normalizer.get("char_filter", [])
    return (filters in ("lowercase", ["lowercase"])) and not characters


def _fields(mapping: Json, defaults: _Defaults) -> Iterator[tuple[str, Field]]:
    """Yield all fields of one index by the keys that name them, those that cannot be queried with the reason."""
    flat = dict(_flatten(mapping.get("properties", {}), "", ""))
    copied = {target for body, _ in flat.values() for target in _as_list(body.get("copy_to"))}
    for name, (body, refusal) in flat.items():
        field = _aliased(name, body, flat, defaults)
        if "." in name:
            field = replace(field, storage=replace(field.storage, flat_from=_flat_from(mapping, name)))
        reason = refusal or ("it is filled by copy_to, not from the event" if name in copied else "")
        reason = reason or ("it is computed by a script, not stored in the event" if "script" in body else "")
        yield name, _refused(field, reason) if reason else field
        if not reason:
            yield from _sub_fields(field, body, defaults)
    for name in mapping.get("runtime", {}):
        unknown = Field(name=name, type=FieldType.ANY)
        yield name, _refused(unknown, "it is a runtime field, not stored in the event")
    for name, target in _passed_through(mapping.get("properties", {})):
        if name not in flat:
            unknown = Field(name=name, type=FieldType.ANY)
            yield name, _refused(unknown, f"it is an alias: use `{target}`")


def _sub_fields(field: Field, body: Json, defaults: _Defaults) -> Iterator[tuple[str, Field]]:
    """Yield sub-fields such as `name.keyword`: the field itself, indexed in another way."""
    for sub, sub_body in body.get("fields", {}).items():
        key = f"{field.name}.{sub}"
        sub_field = _field(key, sub_body, defaults)
        storage = replace(sub_field.storage, path=sub_field.path, flat_from=field.storage.flat_from)
        yield key, replace(sub_field, name=field.name, storage=storage)


def _passed_through(properties: Json) -> Iterator[tuple[str, str]]:
    """Yield (short name, field): a query can name what a passthrough object holds without the object's name."""
    for name, body in properties.items():
        if body.get("type") == "passthrough":
            for full, _ in _flatten(body.get("properties", {}), "", ""):
                yield full, f"{name}.{full}"


def _flat_from(mapping: Json, name: str) -> int | None:
    """Return how many parts of a dotted name stand before the object that has `subobjects` off and is not `dynamic`.

    None where there is none: one that is dynamic makes a field of each object, and takes lists of them apart.
    """
    body, rest, dynamic = mapping, name, mapping.get("dynamic")
    for depth in range(name.count(".") + 1):
        dynamic = body.get("dynamic", dynamic)
        if body.get("subobjects") in (False, "false"):
            return depth if dynamic in (False, "false") else None
        head, _, rest = rest.partition(".")
        body = body.get("properties", {}).get(head, {})
    return None


def _flatten(properties: Json, prefix: str, refusal: str) -> Iterator[tuple[str, tuple[Json, str]]]:
    """Yield full name -> (mapping, why nothing below can be queried or "")."""
    for name, body in properties.items():
        full, reason = prefix + name, refusal
        if body.get("type") == "nested":
            reason = f"`{full}` is mapped as nested: its objects are searched one by one"
        if "properties" in body or body.get("type") in _OBJECTS:
            yield from _flatten(body.get("properties", {}), full + ".", reason)
        else:
            yield full, (body, reason)


def _aliased(name: str, body: Json, flat: Mapping[str, tuple[Json, str]], defaults: _Defaults) -> Field:
    if body.get("type") != "alias":
        return _field(name, body, defaults)
    unknown = Field(name=name, type=FieldType.ANY)
    target = body.get("path", "")
    return _refused(
        unknown,
        f"it is an alias: use `{target}`" if target in flat else "it is an alias of a field that does not exist",
    )


def _field(name: str, body: Json, defaults: _Defaults) -> Field:
    kind = body.get("type", "object")
    if kind in _KEYWORDS:
        field = _keyword(name, "", body, defaults)
    elif kind in _TEXTS:
        return _text(name, body, defaults)
    elif kind in _NUMBERS:
        number = _NUMBERS[kind]
        whole = FieldType.FLOAT if number in _FLOATS else FieldType.INTEGER
        storage = Storage(number=number, coerce=_truth(body.get("coerce", defaults.coerce)))
        field = Field(name=name, type=whole, null_value=body.get("null_value"), storage=storage)
    elif kind in ("date", "date_nanos"):
        field = _date(name, body, nanoseconds=kind == "date_nanos")
    elif kind in ("ip", "boolean"):
        simple = FieldType.IP if kind == "ip" else FieldType.BOOLEAN
        field = Field(name=name, type=simple, null_value=body.get("null_value"))
    else:
        return _refused(Field(name=name, type=FieldType.ANY), f"its type {kind} cannot be queried")
    return _refused(field, "it is stored, but not indexed") if body.get("index") is False else field


def _keyword(name: str, path: str, body: Json, defaults: _Defaults) -> Field:
    normalizer = body.get("normalizer")
    lowercase = normalizer is not None and defaults.normalizers.get(normalizer, False)
    longest = body.get("ignore_above", defaults.ignore_above)
    storage = Storage(
        path=path,
        lowercase=lowercase,
        ignore_above=longest,
        names_ignored=defaults.names_ignored,
        ordered=defaults.orders_wildcards or body.get("type") != "wildcard",
    )
    field = Field(name=name, type=FieldType.STRING, null_value=body.get("null_value"), storage=storage)
    if normalizer is not None and not lowercase:
        return _refused(field, f"its normaliser `{normalizer}` is not plain lower-casing")
    return field


def _text(name: str, body: Json, defaults: _Defaults) -> Field:
    """Return a text field, which is queried through its keyword sub-field: the plainest one, if it has several."""
    below = [(sub, sub_body) for sub, sub_body in body.get("fields", {}).items() if sub_body.get("type") in _KEYWORDS]
    if not below:
        unknown = Field(name=name, type=FieldType.STRING)
        return _refused(unknown, "it is mapped as text without a keyword sub-field, so exact values cannot be queried")
    sub, plainest = min(below, key=_plainness)
    field = _keyword(name, f"{name}.{sub}", plainest, defaults)
    return field if _searchable(plainest) else _refused(field, f"`{field.path}` is stored, but not indexed")


def _plainness(sub_field: tuple[str, Json]) -> tuple[Any, ...]:
    name, body = sub_field
    return not _searchable(body), "normalizer" in body, -body.get("ignore_above", 2**31), name


def _searchable(body: Json) -> bool:
    """Return whether Elasticsearch can search it: it searches doc values where there is no index."""
    return body.get("index") is not False or body.get("doc_values") is not False


def _date(name: str, body: Json, *, nanoseconds: bool) -> Field:
    default = "strict_date_optional_time_nanos" if nanoseconds else "strict_date_optional_time"
    formats = tuple(body.get("format", f"{default}||epoch_millis").split("||"))
    storage = Storage(date_formats=formats, nanoseconds=nanoseconds)
    field = Field(name=name, type=FieldType.TIME, null_value=body.get("null_value"), storage=storage)
    unknown = [form for form in formats if form not in _DATE_FORMATS]
    return _refused(field, f"its date format `{unknown[0]}` cannot be read") if unknown else field


def _truth(setting: Any) -> bool:
    """Read a boolean: text in settings, JSON in mappings."""
    return setting in (True, "true")


def _as_list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])
