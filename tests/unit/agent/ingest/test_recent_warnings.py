"""Warnings that conditions name: whose they are, and for how long."""

from sew_agent.ingest.recent_warnings import KEPT, RecentWarnings
from sew_agent.ingest.source import SourceWarning

NOW = 1_800_000_000.0


def test_a_warning_is_that_of_its_webhooks_and_one_that_names_none_is_that_of_all() -> None:
    recent = RecentWarnings()
    recent.add([SourceWarning("too_old", "1 was too old", webhooks=("a", "b")), SourceWarning("bad", "no JSON")], NOW)
    assert [recent.of(name, NOW) for name in "abc"] == [["1 was too old", "no JSON"]] * 2 + [["no JSON"]]


def test_the_last_of_each_kind_is_named_for_an_hour_from_when_it_came() -> None:
    recent = RecentWarnings()
    recent.add([SourceWarning("too_old", "1 was too old", webhooks=("a",)), SourceWarning("bad", "no JSON")], NOW)
    recent.add([SourceWarning("too_old", "2 were too old", webhooks=("a",))], NOW + 60)
    assert recent.of("a", NOW + KEPT - 1) == ["2 were too old", "no JSON"]
    assert recent.of("a", NOW + KEPT) == ["2 were too old"]
    assert recent.of("a", NOW + 60 + KEPT) == []
