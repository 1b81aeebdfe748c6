"""What `why` says of a query's counts, for people and for programs. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kubectl_sew.cli.selection import MOST_COUNTED, EventVerdict, Selection, asked_field, counted, wanted_texts
from kubectl_sew.event import Event
from kubectl_sew.json_text import line
from kubectl_sew.query.ast import Comparison, Key, Literal, Operator
from kubectl_sew.query.fields import closest
from kubectl_sew.query.parts import Joint, QueryPart
from kubectl_sew.text import MARK, plural, rfc3339

_LONGEST_PART = 150
_SHOWN_VALUES = 5


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose query it is, of what: `where` names the source, `since` the start and why it is that; "" for all events.

    `in_cluster`: whether an agent there may have the webhook.
    """

    webhook: str
    where: str
    since: str = ""
    in_cluster: bool = True


def answer(asked: Asked, selection: Selection, values: Mapping[str, int]) -> Iterator[str]:
    """Yield the lines that answer the question in words. `values`: of the blocking part's field -> events."""
    since = f" {asked.since}" if asked.since else ""
    read = f"{selection.total:,} {plural(selection.total, 'event')}{since} in {asked.where}"
    part, selected = selection.blocking, selection.selected
    if not selection.total:
        yield f"{asked.webhook} gets nothing: there is no event{since} in {asked.where}"
        yield "  Look further back with --since, or find out whether events arrive at all: kubectl sew check"
    elif part:
        yield f"{asked.webhook} gets nothing: its query selects none of {read}"
        yield from (f"  {text}" for text in _blocked(part, selection, values))
    elif selected == selection.suppressed_in_all:
        yield f"{asked.webhook} gets nothing: its query selects {selected:,} of {read}, and all are suppressed"
        yield "  The AlertExceptions are named below; all of them: kubectl sew exceptions"
    else:
        left = selected - selection.suppressed_in_all
        yield f"{asked.webhook}: its query selects {selected:,} of {read}"
        became = f"; what became of them: kubectl sew status {asked.webhook}" if asked.in_cluster else ""
        yield f"  {left:,} {_are(left)} to be delivered{became}"
    if selection.early:
        yield f"  {selection.early:,} more {_are(selection.early)} from before its start, and not sent"
    if selection.without_time:
        yield f"  {selection.without_time:,} of those have no time that can be read, and count as new: see --time-field"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _blocked(part: QueryPart, selection: Selection, values: Mapping[str, int]) -> Iterator[str]:
    """Yield which part lets nothing pass, and what to do."""
    shown = f"`{line(str(part), _LONGEST_PART)}`"
    if part.joint is Joint.ALL:
        yield f"Each part of {shown} selects some, but no event has all of them"
        yield from _apart(part, selection)
    elif part.joint is Joint.ANY:
        yield f"None of the parts of {shown} selects any: see each below"
    elif part.joint is Joint.NOT:
        yield f"{shown} leaves all of them out: what stands behind NOT holds for each event"
    else:
        yield f"{shown} selects none of them"
        yield from _nearest(part, values)


def _apart(part: QueryPart, selection: Selection) -> Iterator[str]:
    """Yield where the parts of an AND at the top come to nothing together."""
    if part is selection.tree and 0 in selection.together:
        at = selection.together.index(0)
        shown = line(str(part.children[at]), _LONGEST_PART)
        yield f"`{shown}` holds for none of the {selection.together[at - 1]:,} that all parts before it select"


def _nearest(part: QueryPart, values: Mapping[str, int]) -> Iterator[str]:
    """Yield what the events have in the field of a single condition."""
    field = asked_field(part)
    if field is None:
        return
    if not values:
        yield f"No value of `{field.name}` can be listed: see which keys the events have with kubectl sew fields"
        return
    near = list(dict.fromkeys(name for text in wanted_texts(part)[:10] for name in _like(text, values)))
    common = sorted(values.keys() - set(near), key=lambda name: (-values[name], name))
    shown = [f"{name} ({values[name]:,})" for name in [*near, *common][:_SHOWN_VALUES]]
    more = len(values) - len(shown)
    yield f"The events have in `{field.name}`: {', '.join(shown)}{f' and {more:,} more' if more else ''}"
    if near:
        query = Comparison(Key(field.name), Operator.EQUAL, Literal(near[0], number=near[0].isdecimal()))
        yield f"Did you mean {query}?"


def _like(text: str, values: Mapping[str, int]) -> list[str]:
    folded = {name.lower(): name for name in values if not {MARK, "\N{REPLACEMENT CHARACTER}"} & {*name}}
    return [folded[name] for name in closest(text.strip("*?"), list(folded))]


def tree_lines(selection: Selection) -> Iterator[str]:
    """Yield the query's tree with the counts; of an AND at the top also how many its parts select so far."""
    so_far = dict(zip(selection.tree.children, selection.together, strict=False))
    yield f"{'EVENTS':>10} {'SO FAR':>10}  PART" if so_far else f"{'EVENTS':>10}  PART"
    for depth, part in _indented(selection.tree, 0):
        if part not in selection.counts:
            continue
        shown = f"{selection.counts[part]:>10,}"
        if so_far:
            shown += f" {so_far[part]:>10,}" if part in so_far else " " * 11
        words = f"{part.joint.value}:" if part.children else line(str(part), _LONGEST_PART) or "every event"
        yield f"{shown}  {'  ' * depth}{words}"
    if (more := sum(1 for _ in selection.tree) - MOST_COUNTED) > 0:
        yield f"… and {more:,} parts further inside, which were not counted"


def _indented(part: QueryPart, depth: int) -> Iterator[tuple[int, QueryPart]]:
    """Yield the parts in the order of the text, with their depth."""
    stack = [(depth, part)]
    while stack:
        depth, part = stack.pop()
        yield depth, part
        stack += [(depth + 1, child) for child in reversed(part.children)]


def suppressed_lines(selection: Selection) -> Iterator[str]:
    """Yield how many of the selected events each exception in force takes away."""
    for name, count in selection.suppressed.items():
        if count:
            yield f"{count:>10,} suppressed by AlertException {name}"


def event_lines(webhook: str, event: Event, verdict: EventVerdict) -> Iterator[str]:
    """Yield why a webhook gets an event or not."""
    of = f" of {event.index}" if event.index else ""
    yield f"event {line(event.id, 200)}{of}: {_facts(event, verdict.time)}"
    if verdict.refusals:
        yield f"  {webhook} does not get it: its query does not select it"
        yield from (f"    {refusal}" for refusal in verdict.refusals)
    else:
        yield f"  its query selects it: {line(verdict.query, _LONGEST_PART)}"
    for name, selector in verdict.by:
        yield f"  AlertException {name} suppresses it: {line(selector, _LONGEST_PART)}"
    if verdict.is_early and verdict.start is not None:
        yield f"  it is from before the webhook's start, {rfc3339(verdict.start)}, by its own time"
    if verdict.is_delivered:
        yield f"  {webhook} is to get it; what became of it: kubectl sew status {webhook}"


def _facts(event: Event, time: float | None) -> str:
    shown = (line(event.document.get(name), 60) for name in ("type", "severity"))
    parts = [f"{name} {text}" for name, text in zip(("type", "severity"), shown, strict=True) if text]
    return ", ".join([*parts, rfc3339(time) if time is not None else "without a time that can be read"])


def as_object(asked: Asked, selection: Selection, values: Mapping[str, int]) -> dict[str, Any]:
    """Return the object for programs."""
    part = selection.blocking
    return {
        "webhook": asked.webhook,
        "source": asked.where,
        "since": asked.since or None,
        "events": selection.total,
        "selected": selection.selected,
        "suppressed": dict(selection.suppressed),
        "suppressedInAll": selection.suppressed_in_all,
        "beforeStart": selection.early,
        "withoutTime": selection.without_time,
        "blocking": None if part is None else str(part),
        "values": dict(list(values.items())[:_SHOWN_VALUES]),
        "parts": [{"query": str(each), "count": selection.counts[each]} for each in counted(selection.tree)],
    }


def event_object(webhook: str, event: Event, verdict: EventVerdict) -> dict[str, Any]:
    """Return the object for programs of one event."""
    return {
        "webhook": webhook,
        "index": event.index or None,
        "id": event.id,
        "time": None if verdict.time is None else rfc3339(verdict.time),
        "delivered": verdict.is_delivered,
        "refusedBy": [{"query": str(each.part), "values": dict(each.values)} for each in verdict.refusals],
        "suppressedBy": [name for name, _ in verdict.by],
        "beforeStart": verdict.is_early,
    }
