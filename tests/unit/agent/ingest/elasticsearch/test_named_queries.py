"""Many queries in few searches, within what Elasticsearch takes."""

import pytest

from kubectl_sew.query import ANY, CALICO, BoundQuery, FieldSet, Node, bind, parse, to_dsl
from sew_agent.ingest.elasticsearch.named_queries import (
    MOST_LEAVES,
    NamedQueries,
    NamedQuery,
    NamedSelector,
    combined,
    count_leaves,
    exact_fields,
    halves,
    matched_exceptions,
    matched_queries,
    pack,
    pack_with,
    required_values,
)
from sew_agent.ingest.source import Subscription, Suppression


def subscribe(*queries: str) -> list[Subscription]:
    return [Subscription(f"w{number}", parse(query)) for number, query in enumerate(queries)]


@pytest.mark.parametrize(
    ("query", "leaves"),
    [
        ("type = waf", 1),
        ("NOT type = waf AND severity > 5", 2),
        ("(type = waf OR host EMPTY) AND NOT (severity > 5 OR origin = x)", 4),
        ("type IN {'waf', 'alert'} OR host IN {'a*', 'b'}", 3),
    ],
)
def test_leaves_are_counted_as_elasticsearch_does(query: str, leaves: int) -> None:
    assert count_leaves(to_dsl(bind(parse(query), CALICO))) == leaves


def test_a_query_is_made_again_where_text_start_or_fields_are_others() -> None:
    queries, query = NamedQueries(), parse("type = waf")

    def made(subscription: Subscription, fields: FieldSet = CALICO) -> NamedQuery:
        return queries.of([subscription], fields)[0][0]

    first = made(Subscription("w", query, 1.0))
    assert made(Subscription("w", query, 1.0)) is first
    assert made(Subscription("w", query, 2.0)).start == 2.0
    assert made(Subscription("w", parse("severity > 5"))).dsl == {"range": {"severity": {"gt": 5}}}
    again = made(Subscription("w", query))
    assert made(Subscription("w", query), FieldSet("same", CALICO.fields)) is not again


@pytest.mark.parametrize(
    ("query", "needed"),
    [
        ("type = waf", {"type": {"waf"}}),
        ("type IN {'waf', 'alert'} AND severity > 5", {"type": {"waf", "alert"}}),
        ("origin = 'A Name' AND type = waf", {"origin": {"a name"}, "type": {"waf"}}),
        ("host = a AND host = b", {"host": {"a"}}),
        ("host = 'ä' AND type IN {'waf', 'ä'} AND origin = a", {"origin": {"a"}}),
        ("type = waf OR host = a", {}),
        ("host IN {'a', 'b*'}", {}),
        ("type != waf AND NOT host = a AND host NOTIN {b}", {}),
        ("_id = a AND severity = 5 AND source_ip = '10.0.0.1'", {}),
        ("", {}),
    ],
)
def test_a_query_requires_the_values_that_it_asks_of_every_event_in_string_fields(
    query: str, needed: dict[str, set[str]]
) -> None:
    assert required_values(to_dsl(bind(parse(query), CALICO)), exact_fields(CALICO)) == needed


def test_groups_stay_within_the_leaves_and_keep_every_query() -> None:
    many = " OR ".join(["severity > 1"] * 100)
    queries, refused = NamedQueries().of(subscribe(*[many] * 25), CALICO)
    groups = pack(queries)
    assert refused == {}
    assert [query.webhook for group in groups for query in group] == [query.webhook for query in queries]
    assert all(sum(query.leaves for query in group) <= MOST_LEAVES for group in groups)
    assert len(groups) == 3


def test_a_query_above_the_limit_is_alone_in_its_group() -> None:
    queries, _ = NamedQueries().of(subscribe("type = waf", " OR ".join(["severity > 1"] * 900), "type = waf"), CALICO)
    assert [len(group) for group in pack(queries, most_leaves=500)] == [1, 1, 1]


def test_a_hit_names_the_queries_that_it_matched() -> None:
    queries, _ = NamedQueries().of(subscribe("type = waf", "type = alert", "severity > 1"), CALICO)
    query = combined(queries, [{"term": {"cluster": "c"}}])
    names = [clause["bool"]["_name"] for clause in query["bool"]["should"]]
    assert len(set(names)) == 3
    assert [matched.webhook for matched in matched_queries(queries, [names[2], names[0]])] == ["w2", "w0"]


def test_halves_hold_every_query_once() -> None:
    queries, _ = NamedQueries().of(subscribe(*["type = waf"] * 7), CALICO)
    first, second = halves(queries)
    assert [*first, *second] == queries
    assert first


def test_a_query_that_the_mapping_cannot_answer_is_refused_and_the_others_are_asked() -> None:
    fields = FieldSet("few", {"type": CALICO.fields["type"]})
    queries, refused = NamedQueries().of(subscribe("type = waf", "severity > 1"), fields)
    assert [query.webhook for query in queries] == ["w0"]
    assert "severity" in refused["w1"]


def test_a_query_is_translated_again_only_when_it_or_the_fields_are_others(monkeypatch: pytest.MonkeyPatch) -> None:
    translated: list[str] = []

    def counting(node: Node, fields: FieldSet) -> BoundQuery:
        translated.append(fields.name)
        return bind(node, fields)

    monkeypatch.setattr("sew_agent.ingest.elasticsearch.named_queries.bind", counting)
    queries, some = NamedQueries(), subscribe("type = waf")
    for fields in (CALICO, CALICO, FieldSet("other", CALICO.fields)):
        queries.of(some, fields)
    assert translated == ["calico", "other"]


def test_what_was_made_for_a_name_that_is_gone_is_let_go() -> None:
    queries, (kept, gone), quiet = (
        NamedQueries(),
        subscribe("type = waf", "host = a"),
        Suppression("x", parse("host = b")),
    )

    def made() -> list[object]:
        return [*queries.of([kept, gone], CALICO)[0], *queries.of_exceptions([quiet], CALICO)[0]]

    before = made()
    queries.keep({"w0", "w1"}, {"x"})
    assert [one is other for one, other in zip(before, made(), strict=True)] == [True, True, True]
    queries.keep({"w0"}, ())
    assert [one is other for one, other in zip(before, made(), strict=True)] == [True, False, False]


def test_without_any_query_the_filters_are_asked_alone() -> None:
    ours = [{"range": {"_seq_no": {"gt": 5}}}, {"term": {"cluster": "c"}}]
    assert combined([], ours) == {"bool": {"must": ours}}


def named(subscription: Subscription, fields: FieldSet = CALICO) -> NamedQuery:
    return NamedQueries().of([subscription], fields)[0][0]


def selector(name: str, text: str, fields: FieldSet = CALICO) -> NamedSelector:
    ((made,), broken) = NamedQueries().of_exceptions([Suppression(name, parse(text))], fields)
    assert broken == {}
    return made


def test_selectors_are_named_beside_the_queries_and_select_nothing() -> None:
    query = combined([named(Subscription("w", parse("type = waf")))], [{"f": 1}], [selector("x", "host = a")])
    assert query == {
        "bool": {
            "must": [{"f": 1}],
            "filter": [
                {
                    "bool": {
                        "should": [{"bool": {"filter": [{"term": {"type": "waf"}}], "_name": "0"}}],
                        "minimum_should_match": 1,
                    }
                }
            ],
            "should": [{"bool": {"filter": [{"term": {"host": "a"}}], "_name": "x0"}}],
            "minimum_should_match": 0,
        }
    }


def test_a_hits_names_are_parted_into_queries_and_exceptions() -> None:
    group = [named(Subscription("w", parse("type = waf")))]
    selectors = [selector("a", "a = 1", ANY), selector("b", "b = 1", ANY)]
    assert matched_queries(group, ["x1", "0", "x0"]) == group
    assert matched_exceptions(selectors, ["x1", "0", "x0"]) == ("a", "b")
    assert matched_exceptions(selectors, ["0"]) == ()


def test_a_selector_that_the_fields_cannot_answer_is_named() -> None:
    suppressions = [Suppression("bad", parse("nowhere = 1")), Suppression("good", parse("host = a"))]
    selectors, broken = NamedQueries().of_exceptions(suppressions, CALICO)
    assert [one.exception for one in selectors] == ["good"]
    assert "nowhere" in broken["bad"]


def test_the_wildcards_of_a_selector_are_counted() -> None:
    assert selector("x", 'host IN {"*a*", b, "c*"}').wildcards == 2


def test_an_unchanged_selector_is_translated_once() -> None:
    queries, suppression = NamedQueries(), Suppression("x", parse("host = a"))
    ((first,), _), ((second,), _) = (queries.of_exceptions([suppression], CALICO) for _ in range(2))
    ((other,), _) = queries.of_exceptions([Suppression("x", parse("host = b"))], CALICO)
    assert first is second
    assert other is not first


def test_every_query_is_asked_with_every_selector_within_the_limit_of_leaves() -> None:
    def leaves(text: str, count: int) -> str:
        return " OR ".join(f"{text} = {number}" for number in range(count))

    selectors = [selector(f"x{number}", leaves("a", 30), ANY) for number in range(4)]
    queries = [named(Subscription(f"w{number}", parse(leaves("b", 20))), ANY) for number in range(6)]
    packed = pack_with(selectors, queries, 100)
    assert {(query.webhook, one.exception) for group, part in packed for query in group for one in part} == {
        (query.webhook, one.exception) for query in queries for one in selectors
    }
    sizes = [sum(one.leaves for one in [*group, *part]) for group, part in packed]
    assert max(sizes) <= 100
    assert pack_with([], queries, 60) == [(queries[:3], []), (queries[3:], [])]
