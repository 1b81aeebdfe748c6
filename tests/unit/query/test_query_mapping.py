"""Fields that an index's mapping gives to queries, and the reasons why some cannot be queried."""

from typing import Any

import pytest

from kubectl_sew.query import FieldType, bind, parse, to_dsl
from kubectl_sew.query.fields import Field, FieldSet, NumberKind
from kubectl_sew.query.mapping import field_set
from tests.queries import problems_of

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
        (
            {"type": "text", "fields": {"raw": {"type": "keyword", "index": False, "doc_values": False}}},
            "`k.raw` is stored, but not indexed",
        ),
        ({"type": "keyword", "normalizer": "folded"}, "normaliser `folded` is not plain lower-casing"),
        ({"type": "keyword", "script": "emit('a')"}, "computed by a script"),
        ({"type": "date", "format": "yyyy/MM/dd"}, "date format `yyyy/MM/dd` cannot be read"),
        ({"type": "geo_point"}, "type geo_point cannot be queried"),
        ({"type": "alias", "path": "other"}, "alias: use `other`"),
        ({"type": "alias", "path": "gone"}, "alias of a field that does not exist"),
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
    problems = problems_of(parse('"n.in" = x OR all = x OR r = x OR a = x'), fields)
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
    assert to_dsl(bind(parse("k = A"), _fields({"k": {"type": "text", "fields": below}}))) == {"term": {"k.raw": "A"}}


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
    assert problems_of(parse('k = "::1"'), field_set("a,b", mappings, {})) == []


RAW = {"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 256}}}


def _messages(query: str, fields: FieldSet) -> list[str]:
    return [problem.message for problem in problems_of(parse(query), fields)]


@pytest.mark.parametrize(
    "body",
    [
        {"type": "text", "index": False, "fields": {"raw": {"type": "keyword"}}},
        {"type": "match_only_text", "fields": {"raw": {"type": "keyword"}}},
        {"type": "text", "fields": {"raw": {"type": "keyword", "index": False}}},
    ],
)
def test_a_keyword_that_is_searchable_is_asked_however_its_text_is_stored(body: dict[str, Any]) -> None:
    assert to_dsl(bind(parse("k = a"), _fields({"k": body}))) == {"term": {"k.raw": "a"}}


@pytest.mark.parametrize("body", [{"type": "wildcard"}, {"type": "text", "fields": {"raw": {"type": "wildcard"}}}])
def test_a_wildcard_field_has_no_order_where_the_server_does_not_order_it(body: dict[str, Any]) -> None:
    mappings = {"i": {"mappings": {"properties": {"k": body, "plain": {"type": "keyword"}}}}}
    fields = field_set("i", mappings, {}, orders_wildcards=False)
    assert "`k` has no order" in _messages("k < b", fields)[0]
    assert _messages("plain < b", fields) == _messages("plain < b", field_set("i", mappings, {}))
    assert _messages("k < b", field_set("i", mappings, {})) == ["`k` is a string: `<` compares it as text"]


def test_a_keyword_in_one_index_and_a_wildcard_in_another_can_be_asked_for_all_but_an_order() -> None:
    mappings = {
        name: {"mappings": {"properties": {"k": {"type": kind}}}}
        for name, kind in (("a", "wildcard"), ("b", "keyword"), ("c", "wildcard"))
    }
    fields = field_set("a,b,c", mappings, {}, orders_wildcards=False)
    assert _messages("k = b AND k IN {'b*'}", fields) == []
    assert "`k` has no order" in _messages("k < b", fields)[0]


def test_of_several_keywords_below_a_text_one_that_is_searchable_is_asked() -> None:
    below = {"kept": {"type": "keyword", "index": False, "doc_values": False}, "raw": {"type": "keyword"}}
    assert to_dsl(bind(parse("k = a"), _fields({"k": {"type": "text", "fields": below}}))) == {"term": {"k.raw": "a"}}


def test_the_keyword_below_a_field_is_the_field_as_every_user_of_kibana_writes_it() -> None:
    fields = _fields({"name": RAW, "port": {"type": "keyword", "fields": {"number": {"type": "long"}}}})
    assert to_dsl(bind(parse('"name.keyword" IN {x}'), fields)) == {"terms": {"name.keyword": ["x"]}}
    assert to_dsl(bind(parse('"port.number" > 5'), fields)) == {"range": {"port.number": {"gt": 5}}}
    assert _messages('"name.keyword" = x', fields) == []


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("labels.app", "it is a part of `labels`: its type flattened cannot be queried"),
        ("attributes.zone", ""),
        ("zone", "it is an alias: use `attributes.zone`"),
        ("raw.field", "there is no field `raw.field`: its values are not indexed (`raw` is not enabled)"),
        ("record.rule", "there is no field `record.rule`: its values are not indexed (`record` is not dynamic)"),
        ("record.geo.city", "there is no field `record.geo.city`: it has no value in any event"),
        ("other", "there is no field `other`: it has no value in any event"),
    ],
)
def test_what_is_not_in_the_mapping_is_not_said_to_be_in_no_event(key: str, said: str) -> None:
    fields = _fields(
        {
            "labels": {"type": "flattened"},
            "attributes": {"type": "passthrough", "priority": 1, "properties": {"zone": {"type": "keyword"}}},
            "raw": {"type": "object", "enabled": False},
            "record": {"dynamic": "false", "properties": {"geo": {"dynamic": "true", "properties": {}}}},
        }
    )
    messages = _messages(f'"{key}" IN {{x}}', fields)
    assert any(said in message for message in messages) if said else messages == []


def test_a_mapping_that_is_not_dynamic_is_named_as_the_reason_and_a_hint_names_the_index() -> None:
    (problem,) = problems_of(parse('"record.rule" IN {x}'), _fields({"k": {"type": "keyword"}}, dynamic=False))
    assert "its values are not indexed (the mapping is not dynamic)" in problem.message
    assert problem.hint == "see the mapping of i"


@pytest.mark.parametrize(
    ("settings", "limit"),
    [
        ({"mapping": {"ignore_above": "100"}}, 100),
        ({"mode": "logsdb"}, 8191),
        ({"mode": "logsdb", "mapping": {"ignore_above": "9000"}}, 9000),
        ({"mode": "time_series"}, None),
    ],
)
def test_how_long_values_may_be_is_said_by_the_field_else_by_the_index(
    settings: dict[str, Any], limit: int | None
) -> None:
    assert _field({"type": "keyword"}, settings).storage.ignore_above == limit
    assert _field({"type": "keyword", "ignore_above": 5}, settings).storage.ignore_above == 5


@pytest.mark.parametrize("query", ['k IN {"*SCAN*"}', "k < b"])
def test_a_search_that_misses_long_values_says_so_and_names_the_bound(query: str) -> None:
    assert any(
        "more than 256 characters are not indexed" in message for message in _messages(query, _fields({"k": RAW}))
    )


@pytest.mark.parametrize("query", ["k = b", "k IN {a, b}", 'k IN {"a?"}', "k EMPTY"])
def test_a_search_that_misses_no_long_value_is_without_that_word(query: str) -> None:
    assert _messages(query, _fields({"k": RAW})) == []


def test_a_string_in_one_index_and_an_object_in_another_is_a_conflict() -> None:
    inner = {"properties": {"name": {"type": "keyword"}}}
    mappings = {
        name: {"mappings": {"properties": {"host": body}}} for name, body in (("a", {"type": "keyword"}), ("b", inner))
    }
    fields = field_set("a,b", mappings, {})
    assert _messages("host = x", fields) == [
        "`host` cannot be queried: it is string in one index and an object in another"
    ]
    assert _messages('"host.name" = x', fields) == []
