"""Queries that can match at all, by the values of new events."""

from kubectl_sew.query import CALICO, parse
from sew_agent.ingest.elasticsearch.named_queries import NamedQueries
from sew_agent.ingest.elasticsearch.prefilter import can_match
from sew_agent.ingest.source import Subscription

FIELDS = ("type", "host")


def possible(query: str, **seen: set[str]) -> bool:
    ((query,), _) = NamedQueries().of([Subscription("w", parse(query))], CALICO)
    return can_match(query, seen, FIELDS)


def test_a_required_value_must_be_there() -> None:
    assert possible("type = waf", type={"waf", "alert"})
    assert not possible("type = waf", type={"alert"})
    assert not possible("type = waf")
    assert possible("type IN {'waf', 'other'}", type={"waf"})


def test_every_field_with_a_required_value_counts() -> None:
    assert possible("type = waf AND host = a", type={"waf"}, host={"a"})
    assert not possible("type = waf AND host = a", type={"waf"}, host={"b"})


def test_a_field_that_was_not_read_excludes_nothing() -> None:
    assert possible("origin = x AND type = waf", type={"waf"})
    assert possible("severity > 5")
    assert possible("type = waf OR severity > 5", type={"alert"})
