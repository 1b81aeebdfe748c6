"""How many events each part of a webhook's query selects, for `why`: counted by the matcher, or by one search. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kubectl_sew.json_text import as_text, line
from kubectl_sew.query import BoundQuery, FieldType, compile_matcher, to_dsl
from kubectl_sew.query.ast import MOST_PARTS, Membership, leaves
from kubectl_sew.query.binding import BoundComparison, BoundEmptiness, BoundMembership
from kubectl_sew.query.event_values import walker
from kubectl_sew.query.fields import Field
from kubectl_sew.query.parts import Joint, QueryPart, blocking, first_together, parts_of
from kubectl_sew.query.refusal import Refusal, refusals

Json = dict[str, Any]

MOST_COUNTED = 100
"""Parts that are counted; the outermost come first."""
_MOST_VALUES = 1_000
_LONGEST_VALUE = 60


@dataclass(frozen=True, slots=True)
class Question:
    """A webhook's query, and the selectors of the exceptions in force, by name."""

    query: BoundQuery
    exceptions: Sequence[tuple[str, BoundQuery]] = ()

    @property
    def tree(self) -> QueryPart:
        return parts_of(self.query)


@dataclass(frozen=True)
class Selection:
    """Counts of events: `total` read, by each part of `tree`, suppressed, and left out by their own time."""

    tree: QueryPart
    total: int
    counts: Mapping[QueryPart, int]
    together: Sequence[int] = ()
    """Of an AND at the top: how many its first, its first two parts and so on select together."""
    suppressed: Mapping[str, int] = field(default_factory=dict)
    """Exception -> events that the query selects and it takes away; one may count for several."""
    suppressed_in_all: int = 0
    early: int = 0
    """Events that the query selects, from before the start."""
    without_time: int = 0
    """Events that the query selects and that have no time: they are taken as of now."""

    @property
    def selected(self) -> int:
        return self.counts[self.tree]

    @property
    def blocking(self) -> QueryPart | None:
        """The part that lets nothing pass; None where some events pass, or there are none."""
        return blocking(self.tree, self.counts.get) if self.total and not self.selected else None


def counted(tree: QueryPart) -> list[QueryPart]:
    """Return the parts that are counted."""
    return list(tree)[:MOST_COUNTED]


def _joined(tree: QueryPart) -> int:
    """Return how many parts of an AND at the top are counted together."""
    return min(len(tree.children), MOST_PARTS) if tree.joint is Joint.ALL else 0


def asked_field(part: QueryPart) -> Field | None:
    """Return the field whose values say what a part could ask for instead; None where there is none."""
    root = part.query.root
    if isinstance(root, BoundComparison):
        return root.readings[0].field
    if isinstance(root, BoundMembership) and root.members:
        return root.members[0].field
    return None


def wanted_texts(part: QueryPart) -> list[str]:
    """Return the values that a part asks for, as they are written."""
    found: list[str] = []
    for leaf in leaves(part.query.node):
        if isinstance(leaf, Membership):
            found += [member.text for member in leaf.members]
        elif not isinstance(part.query.root, BoundEmptiness) and hasattr(leaf, "value"):
            found.append(leaf.value.text)
    return found


@dataclass(frozen=True, slots=True)
class EventVerdict:
    """Why one event is a webhook's or not. `by`: name and selector of the exceptions that suppress it.

    `time`: the event's own, `start`: the webhook's, both in seconds since the epoch, None where nobody knows.
    """

    query: str
    refusals: Sequence[Refusal]
    by: Sequence[tuple[str, str]]
    time: float | None
    start: float | None

    @property
    def is_early(self) -> bool:
        return self.time is not None and self.start is not None and self.time < int(self.start)

    @property
    def is_delivered(self) -> bool:
        return not (self.refusals or self.by or self.is_early)


Times = tuple[float | None, float | None]
"""An event's own time, and the webhook's start."""


def judge(question: Question, event: Mapping[str, Any], times: Times, now: float) -> EventVerdict:
    """Judge one event by the matcher."""
    selecting = [(name, one) for name, one in question.exceptions if compile_matcher(one)(event, now)]
    by = [(name, str(one.node)) for name, one in selecting]
    return EventVerdict(str(question.query.node), refusals(question.query, event, now), by, *times)


class Counting:
    """Counts events of a file, one after the other."""

    def __init__(self, question: Question, start: float | None = None) -> None:
        """`start` in seconds since the epoch: events from before it are left out; None leaves out none."""
        self._tree = question.tree
        self._start = start
        self._parts = [(part, compile_matcher(part.query)) for part in counted(self._tree)]
        self._together = [compile_matcher(first_together(self._tree, n + 1)) for n in range(_joined(self._tree))]
        self._exceptions = [(name, compile_matcher(selector)) for name, selector in question.exceptions]
        self._counts = {part: 0 for part, _ in self._parts}
        self._sums = [0] * len(self._together)
        self._suppressed: Counter[str] = Counter()
        self._values: dict[str, Counter[str]] = {}
        self._fields = _fields_of(self._tree)
        self.total = self._suppressed_in_all = self._early = self._without_time = 0

    def add(self, event: Mapping[str, Any], time: float | None, now: float) -> None:
        """Count an event; `time`: its own, in seconds since the epoch."""
        matches = {part: match(event, now) for part, match in self._parts}
        if self._start is not None and time is not None and time < int(self._start):
            self._early += matches[self._tree]
            return
        self.total += 1
        for part, matched in matches.items():
            self._counts[part] += matched
        for number, match in enumerate(self._together):
            self._sums[number] += match(event, now)
        if matches[self._tree]:
            self._without_time += time is None
            by = [name for name, selects in self._exceptions if selects(event, now)]
            self._suppressed.update(by)
            self._suppressed_in_all += bool(by)
        for name, flat_from in self._fields:
            _keep(self._values.setdefault(name, Counter()), walker(name, flat_from)(event))

    def values(self, part: QueryPart) -> Mapping[str, int]:
        """Return the values of the field that a part asks for -> in how many events."""
        asked = asked_field(part)
        return self._values.get(asked.name, {}) if asked else {}

    def selection(self) -> Selection:
        suppressed = {name: self._suppressed[name] for name, _ in self._exceptions}
        return Selection(
            self._tree,
            self.total,
            self._counts,
            self._sums,
            suppressed,
            self._suppressed_in_all,
            self._early,
            self._without_time,
        )


def _fields_of(tree: QueryPart) -> list[tuple[str, int | None]]:
    fields = (asked_field(part) for part in counted(tree))
    return list({(each.name, each.storage.flat_from): None for each in fields if each})


def _keep(values: Counter[str], found: Iterable[Any]) -> None:
    for text in {line(as_text(value), _LONGEST_VALUE) for value in found if value is not None and value != ""}:
        if text in values or len(values) < _MOST_VALUES:
            values[text] += 1


@dataclass(frozen=True, slots=True)
class ReadWindow:
    """What is asked of an index: its field of time, the start and how far before it events are counted too.

    Both in milliseconds since the epoch.
    """

    field: str
    start: int
    before: int

    @property
    def _no_time(self) -> Json:
        return {"bool": {"must_not": [{"exists": {"field": self.field}}]}}

    def _from(self, moment: int) -> Json:
        return {"range": {self.field: {"gte": moment, "format": "epoch_millis"}}}

    @property
    def whole(self) -> Json:
        return _any(self._from(self.before), self._no_time)

    @property
    def read(self) -> Json:
        """What a webhook reads that began at the start: an event without time is new."""
        return _any(self._from(self.start), self._no_time)

    @property
    def early(self) -> Json:
        return {"range": {self.field: {"lt": self.start, "format": "epoch_millis"}}}

    @property
    def without_time(self) -> Json:
        return self._no_time


def search(question: Question, window: ReadWindow) -> Json:
    """Return the body of the search whose answer `read` takes."""
    tree, selected = question.tree, to_dsl(question.query)
    filters = {f"part{n}": to_dsl(part.query) for n, part in enumerate(counted(tree))}
    filters |= {f"together{n}": to_dsl(first_together(tree, n + 1)) for n in range(_joined(tree))}
    exceptions = [to_dsl(selector) for _, selector in question.exceptions]
    filters |= {f"exception{n}": _all(selected, selector) for n, selector in enumerate(exceptions)}
    if exceptions:
        filters["suppressed"] = _all(selected, _any(*exceptions))
    filters["without_time"] = _all(selected, window.without_time)
    counts = {name: {"filter": dsl} for name, dsl in filters.items()}
    aggregations = {"read": {"filter": window.read, "aggs": counts}}
    return {
        "size": 0,
        "query": {"bool": {"filter": [window.whole]}},
        "aggs": aggregations | {"early": {"filter": _all(selected, window.early)}},
    }


def read(question: Question, answer: Mapping[str, Any]) -> Selection:
    """Return the counts of a search's answer."""
    tree, found = question.tree, answer["aggregations"]
    counts = {
        name: body["doc_count"]
        for name, body in found["read"].items()
        if isinstance(body, Mapping) and "doc_count" in body  # OpenSearch may add a `meta`
    }
    return Selection(
        tree,
        found["read"]["doc_count"],
        {part: counts[f"part{n}"] for n, part in enumerate(counted(tree))},
        [counts[f"together{n}"] for n in range(_joined(tree))],
        {name: counts[f"exception{n}"] for n, (name, _) in enumerate(question.exceptions)},
        counts.get("suppressed", 0),
        found["early"]["doc_count"],
        counts["without_time"],
    )


def values_search(part: QueryPart, window: ReadWindow) -> Json | None:
    """Return the body of the search for the values that the field of a part has; None where it has no list of them."""
    asked = asked_field(part)
    if asked is None or asked.name == "_id" or asked.type is FieldType.TIME:
        return None
    values = {"terms": {"field": asked.path, "size": _MOST_VALUES}}
    return {"size": 0, "query": {"bool": {"filter": [window.read]}}, "aggs": {"values": values}}


def read_values(answer: Mapping[str, Any]) -> Mapping[str, int]:
    """Return value -> in how many events, as `values_search` asked."""
    buckets = answer["aggregations"]["values"]["buckets"]
    return {line(each.get("key_as_string", each["key"]), _LONGEST_VALUE): each["doc_count"] for each in buckets}


def _all(*filters: Json) -> Json:
    return {"bool": {"filter": list(filters)}}


def _any(*filters: Json) -> Json:
    return {"bool": {"should": list(filters), "minimum_should_match": 1}}
