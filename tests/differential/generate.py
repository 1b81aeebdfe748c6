"""Generate indices, events and queries from one `random.Random`: the same seed gives the same ones everywhere.

Values are drawn from pools where the meanings of Elasticsearch and of a careless reading part: other writings of a
number, letters with odd cases, bounds of types, half of a date. Queries take many of their values from the same pools.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

from kubectl_sew.query import FieldSet, FieldType, Node, QueryError, parse
from kubectl_sew.query.ast import (
    Comparison,
    Empty,
    Key,
    Literal,
    Membership,
    Operator,
    conjunction,
    disjunction,
    negation,
)
from kubectl_sew.query.fields import Field
from kubectl_sew.query.values import read_number
from tests.queries import problems_of

Json = dict[str, Any]

_OBJECTS = ("nested", "object")
NAMES = ("a", "b", "c", "in", "größe", "x y", "o.p", "o.q", "o.r.s", "Ä.*", "d", "e")
VALUES: Mapping[str, list[Any]] = json.loads(Path(__file__).with_name("values.json").read_text("utf-8"))
POOLS: Mapping[FieldType, list[Any]] = {
    FieldType.STRING: VALUES["texts"],
    FieldType.INTEGER: VALUES["numbers"],
    FieldType.FLOAT: VALUES["numbers"],
    FieldType.BOOLEAN: VALUES["booleans"],
    FieldType.IP: VALUES["addresses"],
    FieldType.TIME: VALUES["times"],
    FieldType.ANY: VALUES["texts"],
}
_ELASTICSEARCHS = frozenset(map(json.dumps, VALUES["times_of_elasticsearch"]))
EVERYTHING = [value for pool in POOLS.values() for value in pool]


# Indices: a mapping and the settings that go with it.


def index(rng: Random, *, subobjects: bool = True) -> tuple[Json, Json]:
    """Return the mappings and the settings of one index, with a field for most of NAMES.

    `subobjects`: the server knows that option, by which a mapping is without objects.
    """
    properties = {name: _mapped(rng) for name in NAMES if rng.random() < 0.8}
    lowered = {"type": "custom", "filter": ["lowercase"]}
    settings: Json = {
        "number_of_shards": rng.choice((1, 1, 3)),
        "number_of_replicas": 0,
        "refresh_interval": -1,
        "analysis": {"normalizer": {"lowered": lowered, "same": {"type": "custom", "filter": []}}},
        "mapping": {"ignore_malformed": rng.random() < 0.8, "coerce": rng.random() < 0.9},
    }
    mappings = {"dynamic": rng.choice((False, False, True)), "properties": properties}
    return _flat(rng, mappings) if rng.random() < 0.2 and subobjects else mappings, settings


def _flat(rng: Random, mappings: Json) -> Json:
    """Return mappings without objects below the root, or below `o`."""
    properties = {name: body for name, body in mappings["properties"].items() if body["type"] not in _OBJECTS}
    if rng.random() < 0.5:
        return mappings | {"subobjects": False, "properties": properties}
    inner = {name: properties.pop(name) for name in list(properties) if name.startswith("o.")}
    below = {name.partition(".")[2]: body for name, body in inner.items()}
    return mappings | {"properties": properties | {"o": {"type": "object", "subobjects": False, "properties": below}}}


def _mapped(rng: Random) -> Json:
    return rng.choice((_keyword, _keyword, _text, _number, _number, _boolean, _date, _date, _address, _refused))(rng)


def _sometimes(rng: Random, share: float, **options: Any) -> Json:
    return options if rng.random() < share else {}


def _keyword(rng: Random) -> Json:
    return {
        "type": "keyword",
        **_sometimes(rng, 0.4, normalizer=rng.choice(("lowered", "lowercase"))),
        **_sometimes(rng, 0.2, ignore_above=rng.choice((2, 3, 20))),
        **_sometimes(rng, 0.2, null_value=rng.choice(("a", "None", "WAF"))),
        **_sometimes(rng, 0.1, doc_values=False),
    }


def _text(rng: Random) -> Json:
    below = {name: _keyword(rng) for name in ("keyword", "raw") if rng.random() < 0.7}
    return {"type": "text", "fields": below}


def _number(rng: Random) -> Json:
    kind = rng.choice(("long", "long", "integer", "short", "byte", "double", "float", "half_float"))
    return {
        "type": kind,
        **_sometimes(rng, 0.3, null_value=rng.choice((0, 7))),
        **_sometimes(rng, 0.1, doc_values=False),
        **_sometimes(rng, 0.15, coerce=rng.choice((True, False))),
        **_sometimes(rng, 0.3, ignore_malformed=rng.choice((True, False))),
    }


def _boolean(rng: Random) -> Json:
    return {"type": "boolean", **_sometimes(rng, 0.3, null_value=rng.choice((True, "false")))}


def _date(rng: Random) -> Json:
    formats = ("strict_date_optional_time||epoch_second", "strict_date_optional_time||epoch_millis", "epoch_second")
    more = (
        "epoch_millis",
        "strict_date_optional_time",
        "epoch_millis||strict_date_optional_time",
        "epoch_second||epoch_millis",
    )
    return {
        "type": rng.choice(("date", "date", "date_nanos")),
        **_sometimes(rng, 0.8, format=rng.choice(formats + more)),
        **_sometimes(rng, 0.1, doc_values=False),
    }


def _address(rng: Random) -> Json:
    return {
        "type": "ip",
        **_sometimes(rng, 0.4, null_value=rng.choice(("0.0.0.0", "::1"))),
        **_sometimes(rng, 0.1, doc_values=False),
    }


def _refused(rng: Random) -> Json:
    several: list[Json] = [
        {"type": "keyword", "index": False},
        {"type": "keyword", "copy_to": "copied"},
        {"type": "date", "format": "yyyy/MM/dd"},
        {"type": "nested", "properties": {"in": {"type": "keyword"}}},
        {"type": "object", "enabled": False},
        {"type": "binary"},
        {"type": "integer_range"},
        {"type": "geo_point"},
    ]
    return rng.choice(several)


# Events: what a mapping can be given, and what it cannot.


def event(rng: Random, fields: FieldSet) -> Json:
    """Return one event. About half of its values are what its fields are made for."""
    document: Json = {}
    for field in fields:
        if field.name != "_id" and rng.random() < 0.7:
            _place(rng, document, field.name, _value(rng, POOLS[field.type]))
    if rng.random() < 0.1:
        document["unmapped"] = _value(rng, VALUES["texts"])
    return document


def read_alike(value: Any) -> bool:
    """Return whether OpenSearch reads all of an event as Elasticsearch does, also where it is a time.

    It does not read so some rare forms: fractions before the epoch, years of five digits, zones such as `UTC+1`.
    """
    if isinstance(value, dict):
        return all(map(read_alike, value.values()))
    return all(map(read_alike, value)) if isinstance(value, list) else json.dumps(value) not in _ELASTICSEARCHS


def _value(rng: Random, pool: list[Any], depth: int = 0) -> Any:
    form = rng.random()
    if form < 0.72 or depth > 2:
        return rng.choice(pool)
    if form < 0.84:
        return [_value(rng, pool, depth + 1) for _ in range(rng.choice((0, 1, 2, 2, 3)))]
    if form < 0.93:
        return None
    return rng.choice(EVERYTHING) if form < 0.99 else {"in": rng.choice(pool)}


def _place(rng: Random, document: Json, name: str, value: Any) -> None:
    """Put a value under its dotted name, in objects, or in lists of them, beside what is there already."""
    head, dot, rest = name.partition(".")
    if not dot or rng.random() < 0.3:
        document[name] = value
        return
    inner: Json = {}
    _place(rng, inner, rest, value)
    known = document.get(head)
    if isinstance(known, dict) and rng.random() < 0.8:
        known |= inner
    elif known is not None:
        document[head] = [*(known if isinstance(known, list) else [known]), inner]
    else:
        document[head] = inner if rng.random() < 0.7 else [inner]


# Queries.


def query(rng: Random, fields: FieldSet) -> Node:
    """Return a query that the field set can answer, as its text is parsed."""
    while True:
        try:
            tree = parse(str(_tree(rng, fields, 0)))
        except QueryError:
            continue
        if all(problem.warning for problem in problems_of(tree, fields)):
            return tree


def _tree(rng: Random, fields: FieldSet, depth: int) -> Node:
    form = rng.random()
    if form < 0.55 or depth > 3:
        return _leaf(rng, fields)
    if form < 0.7:
        return negation(_tree(rng, fields, depth + 1))
    join = conjunction if form < 0.85 else disjunction
    return join([_tree(rng, fields, depth + 1) for _ in range(rng.choice((2, 2, 3)))])


def _leaf(rng: Random, fields: FieldSet) -> Node:
    answerable = [field for field in fields if not field.storage.refusal]
    field = rng.choice(answerable)
    form = rng.random()
    if rng.random() < 0.02:
        return Membership(Key("nowhere"), (Literal("a"),), rng.random() < 0.5)
    if form < 0.45:
        operator = rng.choice(tuple(Operator))
        return Comparison(Key(field.name), operator, _literal(rng, field))
    if form < 0.85:
        members = tuple(_member(rng, field) for _ in range(rng.choice((1, 1, 2, 3))))
        return Membership(Key(field.name), members, rng.random() < 0.3)
    return Empty(Key(field.name))


def _literal(rng: Random, field: Field) -> Literal:
    if field.equality_only and rng.random() < 0.8:
        return Literal(f"e{rng.randrange(200)}")
    return _LITERALS.get(field.type, _string)(rng)


def _member(rng: Random, field: Field) -> Literal:
    if field.type is not FieldType.STRING or rng.random() < 0.4:
        return _literal(rng, field)
    return Literal(
        "".join(
            rng.choice(("a", "b", "A", "*", "*", "?", "\\*", "\\?", "\\", "😀", "ß", "i", "\n", ".", "1"))
            for _ in range(rng.randint(1, 6) if rng.random() < 0.95 else rng.randint(10, 60))
        )
    )


def _string(rng: Random) -> Literal:
    return Literal(rng.choice(VALUES["texts"]))


def _whole(rng: Random) -> Literal:
    number = read_number(str(rng.choice(VALUES["numbers"])))
    return Literal(str(number if number is not None else 7), number=rng.random() < 0.7)


def _time(rng: Random) -> Literal:
    text = rng.choice(VALUES["asked_times"])
    return Literal(text, number=read_number(text) is not None)


_LITERALS: Mapping[FieldType, Callable[[Random], Literal]] = {
    FieldType.INTEGER: _whole,
    FieldType.FLOAT: _whole,
    FieldType.TIME: _time,
    FieldType.BOOLEAN: lambda rng: Literal(rng.choice(("true", "false"))),
    FieldType.IP: lambda rng: Literal(str(rng.choice(VALUES["addresses"] + VALUES["asked_networks"]))),
}
