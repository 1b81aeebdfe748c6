"""Which fields an index's mapping gives to queries, and what of it cannot be asked."""

from typing import Any

import pytest

from kubectl_sew.query import FieldType, parse, to_dsl, validate
from kubectl_sew.query.fields import Field, FieldSet, NumberKind
from kubectl_sew.query.mapping import field_set

LOWERED = {"type": "custom", "filter": ["lowercase"]}


def _fields(properties: dict[str, Any], settings: dict[str, Any] | None = None, **mapping: Any) -> FieldSet:
    return field_set(
        "i", {"i": {"mappings": {"properties": properties, **mapping}}}, {"i": {"settings": {"index": settings or {}}}}
    )


def _field(body: dict[str, Any], settings: dict[str, Any] | None = None) -> Field:
    field = _fields({"k": body}, settings).get("k")
    assert field is not None
    return field


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"type": "keyword"}, FieldType.STRING),
        ({"type": "wildcard"}, FieldType.STRING),
        ({"type": "long"}, FieldType.INTEGER),
        ({"type": "half_float"}, FieldType.FLOAT),
        ({"type": "boolean"}, FieldType.BOOLEAN),
        ({"type": "ip"}, FieldType.IP),
        ({"type": "date"}, FieldType.TIME),
        ({"type": "date_nanos"}, FieldType.TIME),
    ],
)
def test_types_are_known(body: dict[str, Any], kind: FieldType) -> None:
    field = _field(body)
    assert (field.type, field.storage.refusal) == (kind, "")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"type": "text"}, "text without a keyword sub-field"),
        ({"type": "keyword", "index": False}, "stored, but not indexed"),
        ({"type": "keyword", "normalizer": "folded"}, "normaliser `folded` is not plain lower-casing"),
        ({"type": "keyword", "script": "emit('a')"}, "computed by a script"),
        ({"type": "date", "format": "yyyy/MM/dd"}, "date format `yyyy/MM/dd` cannot be read"),
        ({"type": "geo_point"}, "type geo_point cannot be asked"),
        ({"type": "alias", "path": "other"}, "alias: ask for `other`"),
        ({"type": "alias", "path": "gone"}, "alias of no field"),
    ],
)
def test_what_cannot_be_asked_is_there_with_its_reason(body: dict[str, Any], reason: str) -> None:
    settings = {"analysis": {"normalizer": {"folded": {"type": "custom", "filter": ["lowercase", "asciifolding"]}}}}
    field = _fields({"k": body, "other": {"type": "keyword"}}, settings).get("k")
    assert field is not None
    assert reason in field.storage.refusal


def test_a_nested_object_a_copy_and_a_runtime_field_are_refused() -> None:
    nested = {"type": "nested", "properties": {"in": {"type": "keyword"}}}
    fields = _fields(
        {"n": nested, "a": {"type": "keyword", "copy_to": "all"}, "all": {"type": "keyword"}},
        runtime={"r": {"type": "keyword"}},
    )
    problems = validate(parse('"n.in" = x OR all = x OR r = x OR a = x'), fields)
    assert [problem.message.partition(": ")[2] for problem in problems] == [
        "`n` is mapped as nested: its objects are searched one by one",
        "it is filled by copy_to, not from the event",
        "it is a runtime field, not stored in the event",
    ]


def test_a_text_field_is_asked_through_the_plainest_of_its_keywords() -> None:
    below = {
        "short": {"type": "keyword", "ignore_above": 10},
        "lower": {"type": "keyword", "normalizer": "lowercase"},
        "raw": {"type": "keyword"},
    }
    assert to_dsl(parse("k = A"), _fields({"k": {"type": "text", "fields": below}})) == {"term": {"k.raw": "A"}}


@pytest.mark.parametrize("defined", [LOWERED, {"type": "lowercase"}, {"filter": "lowercase"}])
def test_a_normaliser_that_only_lower_cases_is_compared_so(defined: dict[str, Any]) -> None:
    field = _field({"type": "keyword", "normalizer": "own"}, {"analysis": {"normalizer": {"own": defined}}})
    assert (field.storage.lowercase, field.storage.refusal) == (True, "")


def test_whether_numbers_are_coerced_is_said_by_the_field_else_by_the_index() -> None:
    off = {"mapping": {"coerce": "false"}}
    assert _field({"type": "byte"}).storage.coerce
    assert not _field({"type": "byte"}, off).storage.coerce
    field = _field({"type": "byte", "coerce": True}, off)
    assert (field.storage.coerce, field.storage.number) == (True, NumberKind.BYTE)


def test_objects_give_dotted_keys() -> None:
    inner = {"properties": {"b": {"properties": {"c": {"type": "ip", "null_value": "::"}}}}}
    assert [field.name for field in _fields({"a": inner, "off": {"type": "object", "enabled": False}})] == [
        "_id",
        "a.b.c",
    ]


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ({"type": "keyword"}, {"type": "long"}, "it is string in one index and integer in another"),
        ({"type": "ip"}, {"type": "ip", "null_value": "::"}, "its indices store it in different ways"),
    ],
)
def test_what_two_indices_store_differently_is_refused(
    first: dict[str, Any], second: dict[str, Any], reason: str
) -> None:
    mappings = {name: {"mappings": {"properties": {"k": body}}} for name, body in (("a", first), ("b", second))}
    field = field_set("a,b", mappings, {}).get("k")
    assert field is not None
    assert field.storage.refusal == reason


def test_what_only_one_index_maps_can_be_asked() -> None:
    mappings = {"a": {"mappings": {"properties": {"k": {"type": "ip"}}}}, "b": {"mappings": {}}}
    assert validate(parse('k = "::1"'), field_set("a,b", mappings, {})) == []
