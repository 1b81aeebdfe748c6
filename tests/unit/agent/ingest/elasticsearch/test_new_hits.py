"""New events among hits, and the webhooks that they are new to."""

from dataclasses import replace

import pytest

from sew_agent.ingest.elasticsearch.cursors import Cursor
from sew_agent.ingest.elasticsearch.named_queries import NamedQuery
from sew_agent.ingest.elasticsearch.new_hits import (
    AgeLimits,
    Hit,
    SkippedHits,
    before_start,
    merge,
    read_hit,
    since_start,
    skip_reason,
    unseen,
)

AT = 1_800_000_000.0
HOUR = 3600.0
LIMITS = AgeLimits(most_age=24 * HOUR, known_for=24 * HOUR)
CURSOR = Cursor("events", "history", 0, 0, AT)


def query(webhook: str, start: float | None = None) -> NamedQuery:
    return NamedQuery(webhook, start, {}, {}, 1, 1)


def hit(number: int = 1, *webhooks: str, **more: object) -> Hit:
    return replace(Hit("events", f"e{number}", (number,), tuple(map(query, webhooks or ("w",)))), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("aged", "cursor", "kind"),
    [
        (hit(time=AT), CURSOR, ""),
        (hit(time=AT + 1e6), CURSOR, ""),
        (hit(time=AT - 24 * HOUR), CURSOR, ""),
        (hit(time=AT - 24 * HOUR - 1), CURSOR, "too_old"),
        (hit(time=None), CURSOR, ""),
        (hit(5, time=None), replace(CURSOR, old=5), "no_time"),
        (hit(6, time=None), replace(CURSOR, old=5), ""),
        (hit(time=AT - HOUR, version=2), CURSOR, ""),
        (hit(time=None, version=2), CURSOR, ""),
    ],
)
def test_age_counts_from_the_moment_up_to_which_the_shard_was_read(aged: Hit, cursor: Cursor, kind: str) -> None:
    assert skip_reason(aged, cursor, LIMITS) == kind


def test_an_update_of_what_may_be_forgotten_is_no_new_event() -> None:
    limits = AgeLimits(most_age=100 * HOUR, known_for=24 * HOUR)
    assert skip_reason(hit(time=AT - 25 * HOUR, version=2), CURSOR, limits) == "updated"
    assert skip_reason(hit(time=AT - 24 * HOUR, version=2), CURSOR, limits) == ""
    assert skip_reason(hit(time=AT - 25 * HOUR, version=1), CURSOR, limits) == ""


def test_dismissing_a_delivered_event_a_day_later_does_not_read_like_loss() -> None:
    dismissed = hit(time=AT - 25 * HOUR, version=2)
    kind = skip_reason(dismissed, CURSOR, LIMITS)
    skipped = SkippedHits()
    skipped.add(kind, dismissed)
    (warning,) = skipped.warnings()
    assert warning.kind == "updated"
    assert "changed since and not sent again" in warning.text


def test_an_event_before_the_whole_second_of_a_start_is_not_its_own() -> None:
    early_and_late = Hit("events", "e", (1,), (query("early", AT + 0.9), query("late", AT + 1), query("ever")), time=AT)
    assert since_start(early_and_late).webhooks == ("early", "ever")
    assert before_start(early_and_late).webhooks == ("late",)
    assert since_start(replace(early_and_late, time=None)).webhooks == ("early", "late", "ever")
    assert before_start(replace(early_and_late, time=None)).webhooks == ()


def test_who_has_an_event_is_left_out_and_an_event_that_all_have_too() -> None:
    first, second = hit(1, "a", "b"), hit(2, "a")
    hits = unseen([first, second], lambda _keys: {first.key: {"b"}, second.key: {"a", "c"}})
    assert [(result.id, result.webhooks) for result in hits] == [("e1", ("a",))]


def test_pages_for_different_webhooks_become_one_up_to_the_end_of_the_first_full_one() -> None:
    full = ([hit(1, "a"), hit(2, "a"), hit(3, "a")], True)
    rest = ([hit(1, "b"), hit(2, "b"), hit(4, "b")], False)
    hits, end = merge([full, rest])
    assert [(hit.id, hit.webhooks) for hit in hits] == [("e1", ("a", "b")), ("e2", ("a", "b")), ("e3", ("a",))]
    assert end == (3,)
    assert merge([rest])[1] is None
    assert merge([([], True)]) == ([], None)


def test_a_hit_of_two_searches_has_each_webhook_once_and_all_exceptions_that_select_it() -> None:
    both = hit(1, "a", "b", suppressed_by=("x", "y"))
    other = replace(both, queries=(both.queries[1], query("c")), suppressed_by=("y", "z"))
    ((merged,), _) = merge([([both], False), ([other], False)])
    assert (merged.webhooks, merged.suppressed_by) == (("a", "b", "c"), ("x", "y", "z"))


def test_skipped_hits_are_reported_in_one_warning_for_each_kind() -> None:
    skipped = SkippedHits()
    for number in range(3):
        skipped.add("too_old", hit(number, "a", "b"))
    (warning,) = skipped.warnings()
    assert warning.text.startswith("3 events older than SEW_MAX_EVENT_AGE")
    assert warning.text.endswith("the last one e2")
    assert (warning.count, warning.webhooks) == (3, ("a", "b"))


def test_the_warning_of_one_hit_is_in_the_singular_and_names_100_characters_of_its_id() -> None:
    skipped = SkippedHits()
    skipped.add("deleted", hit(1, "b", id="x" * 101))
    (warning,) = skipped.warnings()
    assert warning.text == f"1 event deleted before reading was complete, the last one {'x' * 100}"


def test_what_is_read_again_by_the_next_page_is_not_reported_yet() -> None:
    skipped = SkippedHits()
    for job, number in ((1, 4), (1, 5), (1, 6), (2, 9)):
        skipped.add("too_old", hit(number, job=job))
    skipped.add("deleted", hit(7, job=1))
    assert [hit.id for hit in skipped.before({1: (5,)}).by_kind["too_old"]] == ["e4", "e9"]
    assert skipped.before({1: (5,), 2: (1,)}).by_kind.keys() == {"too_old"}
    assert skipped.before({}) == skipped


def test_a_hit_is_read_with_the_time_version_and_routing_that_it_has() -> None:
    answer = {"_index": "events", "_id": "e", "sort": ["7", 3]}
    queries = [query("a")]
    bare = Hit("events", "e", (7, 3), tuple(queries), None, 1, None, 5)
    assert read_hit(answer, queries, "time", 5) == bare
    assert read_hit(answer | {"fields": {"other": ["1"]}}, queries, "time", 5) == bare
    full = answer | {"fields": {"time": ["1800000000123.5"]}, "_version": 4, "_routing": "r"}
    assert read_hit(full, queries, "time", 5) == replace(bare, time=1_800_000_000.1235, version=4, routing="r")
    assert read_hit(answer, queries, "time", 5, ("x",)) == replace(bare, suppressed_by=("x",))
