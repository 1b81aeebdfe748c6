"""From hits to arrivals: whose an event is, where it was first, and in which order events are delivered."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from kubectl_sew.event import Event
from kubectl_sew.query.fields import FieldSet
from kubectl_sew.query.mapping import field_set
from sew_agent.ingest.elasticsearch.arrivals import ArrivalReader, ReadRequest, TimeRules, arrival, oldest_first
from sew_agent.ingest.elasticsearch.named_queries import NamedQuery
from sew_agent.ingest.elasticsearch.new_hits import AgeLimits, Hit
from sew_agent.ingest.source import Arrival

AT = 1_800_000_000.0
RULES = TimeRules("time", AgeLimits(3600.0, 3600.0))


def query(webhook: str, start: float | None = None) -> NamedQuery:
    return NamedQuery(webhook, start, {}, {}, 1, 1)


HIT = Hit("events", "e", (1,), (query("early", AT - 10), query("late", AT + 10), query("ever")), time=AT)


def fields(*types: str) -> FieldSet:
    """Return the fields of indices that store `time` as these types."""
    mappings = {f"i{n}": {"mappings": {"properties": {"time": {"type": of}}}} for n, of in enumerate(types)}
    return field_set("events", mappings, {})


def request(**more: Any) -> ReadRequest:
    return ReadRequest(None, fields(), (), {}, **more)  # type: ignore[arg-type]  # no index is asked


def reader(*having: str) -> ArrivalReader:
    """Return a reader of a store in which these webhooks have every event."""

    def known(keys: Sequence[bytes]) -> Mapping[bytes, Collection[str]]:
        return dict.fromkeys(keys, having)

    return ArrivalReader(RULES, known)


class TwoDocuments:
    """An index whose documents are so large that two of them fill a page."""

    def documents(self, wanted: Sequence[Mapping[str, Any]]) -> tuple[Sequence[Mapping[str, Any]], int]:
        return [{"places": True, "_source": {"id": address["_id"]}} for address in wanted], 8 * 2**20 * len(wanted)


def test_an_event_belongs_to_those_that_had_started_and_neither_have_it_nor_are_refused() -> None:
    assert [hit.webhooks for hit in reader().new([HIT], ())] == [("early", "ever")]
    assert [hit.webhooks for hit in reader("ever").new([HIT], ())] == [("early",)]
    assert [hit.webhooks for hit in reader("ever").new([HIT], {"late"})] == [("early",)]
    assert reader("ever").new([HIT], {"early"}) == []


def test_an_event_came_early_for_those_that_began_after_it_and_neither_have_it_nor_are_refused() -> None:
    assert [hit.webhooks for hit in reader().early([HIT], ())] == [("late",)]
    assert reader("late").early([HIT], ()) == reader().early([HIT], {"late"}) == []
    assert reader().early([replace(HIT, time=None)], ()) == []


def test_a_document_is_read_once_for_all_searches_and_what_is_left_is_named_for_each() -> None:
    places = (("a", 1, 1), ("b", 2, 1), ("a", 1, 2), ("c", 3, 1), ("d", 4, 1), ("c", 3, 2))
    hits = [replace(HIT, id=name, order=(number,), job=job) for name, number, job in places]
    read, skipped = reader().documents(TwoDocuments(), hits)  # type: ignore[arg-type]
    assert sorted((hit.id, hit.job, document["_source"]["id"]) for hit, document in read) == [
        ("a", 1, "a"),
        ("b", 1, "b"),
    ]
    assert skipped == {1: (3,), 2: (3,)}


def test_an_event_of_an_index_that_was_made_of_another_is_that_ones() -> None:
    hits = [HIT, replace(HIT, index="shrunk")]
    there = request(origins={"shrunk": "events"}).with_origins(hits)
    assert [arrival(hit, {}).event for hit in there] == [Event("events", "e", {})] * 2
    assert [arrival(hit, {}).event.index for hit in request().with_origins(hits)] == ["events", "shrunk"]


def test_an_arrival_has_the_document_the_webhooks_and_the_own_time() -> None:
    names = ("early", "late", "ever")
    assert arrival(HIT, {"severity": 9}) == Arrival(Event("events", "e", {"severity": 9}), names, AT)
    assert arrival(replace(HIT, suppressed_by=("x",)), {}).suppressed_by == ("x",)
    timed = reader().with_time(HIT, {"time": "2027-01-15T08:00:01Z", "other": 3})
    assert (timed.time, timed.id) == (AT + 1, "e")
    assert reader().with_time(HIT, {}).time is None


def test_a_search_is_filtered_by_what_holds_everywhere_and_by_its_own_index() -> None:
    everywhere, own = {"exists": {"field": "a"}}, {"exists": {"field": "b"}}
    there = request(everywhere=[everywhere], filters={"events": own})
    assert (there.filters_of("events"), there.filters_of("other")) == ([everywhere, own], [everywhere])
    assert request().filters_of("events") == []


@pytest.mark.parametrize(
    ("types", "timed"),
    [(["date"], True), (["date_nanos"], True), (["keyword"], False), (["date", "keyword"], False), ([], False)],
)
def test_a_search_asks_for_the_own_time_where_it_can_be_asked_for(types: Sequence[str], *, timed: bool) -> None:
    assert RULES.timed(fields(*types)) is timed
    assert RULES.times(fields(*types)) == ([{"field": "time", "format": "epoch_millis"}] if timed else [])


def test_the_oldest_is_delivered_first_and_one_without_time_at_the_end() -> None:
    times = (None, AT + 1, 0.0, AT)
    arrivals = [Arrival(Event("events", str(number), {}), (), time) for number, time in enumerate(times)]
    assert [arrived.time for arrived in oldest_first(arrivals)] == [0.0, AT, AT + 1, None]
