"""Field sets: which keys a query can use, their types and values, and how an index stores them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum


class FieldType(Enum):
    """Type of a field's values."""

    STRING = "string"
    INTEGER = "integer"
    FLOAT = "number"
    BOOLEAN = "boolean"
    TIME = "time"
    IP = "IP address"
    ANY = "any"
    """Each literal that the field is compared with decides the type."""


class NumberKind(Enum):
    """Elasticsearch's number types, with the lowest and highest value of the whole ones."""

    BYTE = ("byte", -(2**7), 2**7 - 1)
    SHORT = ("short", -(2**15), 2**15 - 1)
    INTEGER = ("integer", -(2**31), 2**31 - 1)
    LONG = ("long", -(2**63), 2**63 - 1)
    HALF_FLOAT = ("half_float", 0, 0)
    FLOAT = ("float", 0, 0)
    DOUBLE = ("double", 0, 0)
    EXACT = ("exact", 0, 0)
    """Exact numbers, of no mapping: whole numbers of any size keep all their digits."""


CALICO_TIME = ("strict_date_optional_time", "epoch_second")


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """Storage of a field in an index; the default is a plain `keyword`, `long`, `ip`, `boolean` or `date`.

    `path` is the name in an Elasticsearch query (the keyword of a text field), "" for its own. `ignore_above` counts
    UTF-16 units, as Elasticsearch does; with `names_ignored` an event says where a value was longer. Without `ordered`
    the server knows no `<` of it. Without `coerce` a number field takes neither quoted numbers nor, where it is a whole
    one, fractions. `date_formats` are tried in
    order: strict_date_optional_time (or …_nanos), epoch_second, epoch_millis. Behind `flat_from` parts of its dotted
    name a field is not sought in lists of objects (`subobjects` is off). `refusal` says why the mapping cannot answer
    queries on this field, "" where it can.
    """

    path: str = ""
    number: NumberKind = NumberKind.LONG
    coerce: bool = True
    lowercase: bool = False
    ignore_above: int | None = None
    names_ignored: bool = True
    ordered: bool = True
    date_formats: tuple[str, ...] = CALICO_TIME
    nanoseconds: bool = False
    flat_from: int | None = None
    refusal: str = ""


PLAIN = Storage()


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A key: its type, meaning and allowed values (`values` of strings, `low` to `high` of numbers).

    `null_value` is what an explicit null in an event stands for, as the mapping writes it; None where it stands for
    nothing. `equality_only` fields know no order, emptiness or wildcards. `kubernetes_name` holds names of Kubernetes.
    """

    name: str
    type: FieldType
    meaning: str = ""
    values: tuple[str, ...] = ()
    low: int | None = None
    high: int | None = None
    null_value: str | int | float | bool | None = None
    storage: Storage = PLAIN
    equality_only: bool = False
    kubernetes_name: bool = False

    @property
    def path(self) -> str:
        """Name of the field in an Elasticsearch query."""
        return self.storage.path or self.name

    @property
    def allowed(self) -> str:
        """The allowed values in words; "" where the type says it all."""
        if self.values:
            return ", ".join(self.values)
        return f"{self.low} to {self.high}" if self.low is not None and self.high is not None else ""


class UnlistedKeys(Enum):
    """Meaning of a key outside the field set."""

    IN_SETS = "in sets"
    """Usable in set expressions, with a warning: Calico does not check those. An error elsewhere."""
    ABSENT = "absent"
    """Has no value in any event (an index's mapping): a warning in set expressions, an error elsewhere."""
    ANYTHING = "anything"
    """Usable everywhere."""


@dataclass(frozen=True)
class FieldSet:
    """The fields that queries can use, by name.

    `unindexed`: object ("" for the whole event) -> why an index keeps what has no mapping in it, and does not index it;
    "" where it does.
    """

    name: str
    fields: Mapping[str, Field] = field(repr=False)
    unlisted: UnlistedKeys = UnlistedKeys.ABSENT
    unindexed: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, name: str, fields: "list[Field]", unlisted: UnlistedKeys = UnlistedKeys.ABSENT) -> "FieldSet":
        """A field set of fields with different names."""
        return cls(name, {entry.name: entry for entry in fields}, unlisted)

    def __iter__(self) -> Iterator[Field]:
        return iter(self.fields.values())

    def get(self, name: str) -> Field | None:
        """Return the field of that name; a set that accepts every key has one for every name."""
        known = self.fields.get(name)
        if known is None and self.unlisted is UnlistedKeys.ANYTHING:
            return Field(name=name, type=FieldType.ANY)
        return known or self._inside(name)

    def _inside(self, name: str) -> Field | None:
        """Return a refused field for a name below one that an index takes whole, such as a flattened one."""
        for outer in _outer(name):
            whole = self.fields.get(outer)
            if whole and whole.type is FieldType.ANY and whole.storage.refusal:
                refusal = f"it is a part of `{outer}`: {whole.storage.refusal}"
                return Field(name=name, type=FieldType.ANY, storage=replace(PLAIN, refusal=refusal))
        return None

    def why_absent(self, name: str) -> str:
        """Say why no event has a value in a field that is not known: it may have one that is not indexed."""
        outer = next((path for path in (*_outer(name), "") if path in self.unindexed), "")
        why = self.unindexed.get(outer)
        return f"its values are not indexed ({why})" if why else "it has no value in any event"

    def for_set(self, name: str) -> Field | None:
        """Return the field of that name in a set expression, which may name others too; None where it has no value."""
        known = self.get(name)
        if known is None and self.unlisted is UnlistedKeys.IN_SETS:
            return Field(name=name, type=FieldType.ANY)
        return known

    def closest(self, name: str, count: int = 3) -> list[str]:
        """Return known names like `name`, the closest first."""
        return closest(name, list(self.fields), count)


def _outer(name: str) -> Iterator[str]:
    """Yield the objects around a dotted name, the innermost first."""
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


def closest(word: str, words: list[str], count: int = 3) -> list[str]:
    """Return the words that are like `word`, the closest first."""
    from difflib import get_close_matches  # noqa: PLC0415  # only a mistake needs it, and every start would pay

    return get_close_matches(word[:64].lower(), words, count, 0.6)


def _text(name: str, meaning: str, **more: bool) -> Field:
    return Field(name=name, type=FieldType.STRING, meaning=meaning, kubernetes_name=more.get("kubernetes", False))


def _lower(name: str, meaning: str) -> Field:
    return Field(name=name, type=FieldType.STRING, meaning=meaning, storage=Storage(lowercase=True))


def _address(name: str, meaning: str) -> Field:
    return Field(name=name, type=FieldType.IP, meaning=meaning, null_value="0.0.0.0")  # noqa: S104  # no socket is bound


def _whole(name: str, meaning: str, high: int, null_value: int | None = None) -> Field:
    return Field(name=name, type=FieldType.INTEGER, meaning=meaning, low=0, high=high, null_value=null_value)


_TYPES = (
    "alert",
    "anomaly_detection_job",
    "deep_packet_inspection",
    "global_alert",
    "gtf_suspicious_dns_query",
    "gtf_suspicious_flow",
    "runtime_security",
    "suspicious_dns_query",
    "suspicious_flow",
    "waf",
)

CALICO = FieldSet.of(
    "calico",
    [
        Field(name="_id", type=FieldType.STRING, meaning="the event's identity", equality_only=True),
        _text("attack_vector", "how the attack came in"),
        _lower("description", "what happened, in words"),
        _address("dest_ip", "where the traffic went"),
        _text("dest_name", "the destination's name", kubernetes=True),
        _text("dest_name_aggr", "the destination's name, without what differs between replicas", kubernetes=True),
        _text("dest_namespace", "the destination's namespace", kubernetes=True),
        _whole("dest_port", "the destination's port", 65535, 0),
        Field(name="dismissed", type=FieldType.BOOLEAN, meaning="whether a user has dismissed the event"),
        _text("host", "the node on which it happened"),
        _lower("mitre_tactic", "the tactic in MITRE's ATT&CK"),
        _lower("name", "the event's name"),
        _lower("origin", "what has detected it"),
        _whole("severity", "how bad it is", 100),
        _address("source_ip", "where the traffic came from"),
        _text("source_name", "the source's name", kubernetes=True),
        _text("source_name_aggr", "the source's name, without what differs between replicas", kubernetes=True),
        _text("source_namespace", "the source's namespace", kubernetes=True),
        _whole("source_port", "the source's port", 65535, 0),
        Field(name="time", type=FieldType.TIME, meaning="when it happened"),
        Field(name="type", type=FieldType.STRING, meaning="the kind of event", values=_TYPES),
    ],
    UnlistedKeys.IN_SETS,
)
"""Calico's security events. Description, name, origin and tactic are stored in lower case by Calico's index."""

ANY = FieldSet("any", {}, UnlistedKeys.ANYTHING)
"""Accepts every key."""

FIELD_SETS = {fields.name: fields for fields in (CALICO, ANY)}
"""Field sets that can be named without an index."""
