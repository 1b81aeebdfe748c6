"""Faults on the way to Elasticsearch: each is reported, loses and duplicates nothing, and ends with its cause."""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import Elasticsearch

from kubectl_sew.elasticsearch.access import IndexProblem
from kubectl_sew.elasticsearch.credentials import from_files
from kubectl_sew.exceptions import AcceptedException, ValidatedExceptions
from kubectl_sew.query import parse
from kubectl_sew.resource import FetchedReason
from kubectl_sew.resource.exceptions import AlertException
from sew_agent.ingest.source import SourceError
from testbed.servers.elasticsearch import Version
from tests.integration.elasticsearch.faults import Answer, Fault, Proxy, proxy, refuse
from tests.integration.elasticsearch.harness import NOW, IngestHarness, ids

pytestmark = pytest.mark.server


@pytest.fixture
def harness(client: Elasticsearch, between: Proxy, tmp_path: Path) -> Iterator[IngestHarness]:
    made = IngestHarness(client, between.url, tmp_path / "state")
    made.index(shards=2)
    made.serve()
    made.record_results()
    yield made
    between.fault = None
    made.close()


def on(part: str, change: Callable[[Callable[[], Answer]], Answer]) -> Fault:
    """A fault of requests whose path has this part."""
    return lambda path, _body, real: change(real) if part in path else real()


def in_searches(change: Callable[[int, dict[str, Any]], dict[str, Any]]) -> Fault:
    """A fault of single searches of an `_msearch`, by their number."""

    def changed(body: dict[str, Any]) -> dict[str, Any]:
        return {**body, "responses": [change(number, response) for number, response in enumerate(body["responses"])]}

    return on("_msearch", lambda real: real().change(changed))


def failed_poll(harness: IngestHarness) -> str:
    """Return what a poll failed with, checked against its webhook's condition."""
    with pytest.raises(SourceError) as error:
        harness.poll()
    progress = harness.poller.progress(harness.now)["w"]
    assert (progress.status, progress.reason) == ("False", FetchedReason.SOURCE_UNAVAILABLE)
    assert str(error.value) in progress.message
    return str(error.value)


def recovers(harness: IngestHarness, between: Proxy, *more: str) -> None:
    """Everything arrives once when the fault is over, what was written meanwhile too."""
    harness.write(["meanwhile"])
    between.fault = None
    harness.record_results()
    assert harness.got() == ids(*range(20), "meanwhile", *more)
    assert harness.poller.problems == ()
    assert harness.poller.progress(harness.now)["w"].status == "True"


@pytest.mark.parametrize("part", ["_stats", "_msearch", "_mget"])
@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (refuse(429), "has too much to do (429)"),
        (refuse(503, "unavailable"), "answers 503: unavailable"),
        (Answer(502, b"<html>bad gateway"), "not JSON"),
        (Answer(200, b"<html>hello"), "not JSON"),
    ],
    ids=["429", "503", "502", "html"],
)
def test_a_refused_request_is_tried_again(
    harness: IngestHarness, between: Proxy, part: str, answer: Answer, message: str
) -> None:
    harness.write(range(20))
    between.fault = on(part, lambda _real: answer)
    assert message in failed_poll(harness)
    recovers(harness, between)


@pytest.mark.parametrize(
    ("part", "answer"),
    [
        ("_stats", b'{"indices": {"a": 5}}'),
        ("_stats", b'{"indices": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        ("_msearch", b'{"responses": [{"hits": {"hits": [{"_index": "a", "_id": "1", "sort": ["SECRET"]}]}}]}'),
        ("_msearch", b'{"responses": [{"hits": {}}]}'),
        ("_msearch", b'{"responses": []}'),
        ("_mget", b'{"docs": ["SECRET"]}'),
    ],
    ids=["no-object", "deep", "no-number", "no-hits", "too-few", "no-document"],
)
def test_an_answer_of_another_shape_is_reported_and_tried_again(
    harness: IngestHarness, between: Proxy, part: str, answer: bytes
) -> None:
    harness.write(range(20))
    between.fault = on(part, lambda _real: Answer(200, answer))
    message = failed_poll(harness)
    assert "Elasticsearch's answer cannot be read" in message
    assert "SECRET" not in message
    recovers(harness, between)


def test_where_every_search_fails_there_is_a_pause_and_where_one_does_not_there_is_none(
    harness: IngestHarness, between: Proxy
) -> None:
    harness.write(range(20))
    busy = {"error": {"type": "es_rejected_execution_exception", "reason": "queue"}, "status": 429}
    between.fault = in_searches(lambda _number, _each: busy)
    assert harness.poll().failed
    between.fault = in_searches(lambda number, response: response if number else busy)
    assert not harness.poll().failed
    recovers(harness, between)


def test_every_request_is_a_sign_of_life_since_a_poll_of_a_slow_server_takes_minutes(
    harness: IngestHarness, between: Proxy
) -> None:
    signs: list[float] = []
    harness.beat = lambda: signs.append(harness.now)
    harness.restart()
    harness.write(range(20))
    beats_at: list[int] = []

    def slow(_path: str, _body: bytes, real: Callable[[], Answer]) -> Answer:
        beats_at.append(len(signs))
        return real()

    between.fault = slow
    harness.poll()
    assert len(beats_at) >= 4
    assert all(later > earlier for earlier, later in pairwise(beats_at))


def test_large_events_come_in_bounded_answers_from_the_first_on(harness: IngestHarness, between: Proxy) -> None:
    sizes: list[tuple[int, int]] = []

    def measured(path: str, body: bytes, real: Callable[[], Answer]) -> Answer:
        answer = real()
        if "_mget" in path:
            sizes.append((len(json.loads(body)["docs"]), len(answer.body)))
        return answer

    between.fault = measured
    harness.serve("type = waf", "past", start=NOW - 3600)
    harness.write(range(15), time=int(NOW) - 60, padding="x" * 1_200_000)
    harness.write(range(15, 30), padding="x" * 1_200_000)
    harness.record_results()
    assert harness.got("w") == ids(*range(15, 30))
    assert harness.got("past") == ids(*range(30))
    assert sizes[0][0] == 1
    assert max(size for _, size in sizes) < 9 * 2**20
    assert harness.observer.largest_page < 25 * 2**20


@pytest.mark.parametrize("part", ["_stats", "_msearch", "_mget"])
def test_an_answer_that_is_cut_off_is_tried_again(harness: IngestHarness, between: Proxy, part: str) -> None:
    harness.write(range(20))
    between.fault = on(part, lambda real: Answer(200, real().body, cut=True))
    failed_poll(harness)
    recovers(harness, between)


@pytest.mark.parametrize(
    "lost",
    [
        {"timed_out": True},
        {"terminated_early": True},
        {"_shards": {"total": 1, "successful": 0, "failed": 1, "failures": [{"reason": {"type": "x", "reason": "y"}}]}},
        {"error": {"type": "search_phase_execution_exception", "reason": "all shards failed"}, "status": 503},
    ],
    ids=["timed out", "ended early", "shards failed", "error"],
)
def test_a_search_that_did_not_see_all_counts_for_nothing_and_the_other_shard_goes_on(
    harness: IngestHarness, between: Proxy, lost: dict[str, Any], search_version: Version
) -> None:
    if "terminated_early" in lost and search_version.product == "OpenSearch":
        pytest.skip("OpenSearch says so of searches that saw all")
    harness.write(range(20))
    hidden = {"hits": {"hits": []}}
    between.fault = in_searches(lambda number, response: response if number else {**response, **hidden, **lost})
    harness.poll(0.1)
    some = harness.count()
    assert 0 < some < 20
    assert harness.poller.progress(harness.now)["w"].reason is FetchedReason.SOURCE_UNAVAILABLE
    for _ in range(3):
        harness.poll(11)
    recovers(harness, between)


@pytest.mark.parametrize(
    ("part", "privilege"), [("_stats", "monitor"), ("_settings", "view_index_metadata"), ("_msearch", "read")]
)
def test_a_missing_privilege_is_named(harness: IngestHarness, between: Proxy, part: str, privilege: str) -> None:
    refused = refuse(403, "security_exception", f"action is unauthorized: `{privilege}`")
    harness.write(range(20))
    harness.poll()
    between.fault = on(part, lambda _real: refused)
    harness.write(["later"])
    for _ in range(3):
        harness.now += 11
        with suppress(SourceError):
            harness.poll(0)
    (problem,) = harness.poller.problems
    assert privilege in problem.message
    assert problem.problem is IndexProblem.PRIVILEGE
    recovers(harness, between, "later")


NO_SHARDS = b'{"_shards": {"total": 0, "successful": 0, "failed": 0}}'


@pytest.mark.parametrize(
    ("part", "hidden", "privilege"),
    [("_stats", NO_SHARDS, "monitor"), ("_settings", b"{}", "view_index_metadata")],
)
def test_a_missing_privilege_by_which_indices_are_hidden_is_named(
    harness: IngestHarness, between: Proxy, part: str, hidden: bytes, privilege: str
) -> None:
    """Elasticsearch answers so to a pattern with a wildcard, where the privilege is there for other indices."""
    harness.write(range(20))
    harness.poll()
    between.fault = on(part, lambda _real: Answer(200, hidden))
    harness.write(["later"])
    for _ in range(3):
        harness.poll(11)
    (problem,) = harness.poller.problems
    assert f"the privilege `{privilege}` is missing" in problem.message
    assert problem.problem is IndexProblem.PRIVILEGE
    recovers(harness, between, "later")


def test_indices_that_are_out_of_our_sight_are_not_given_up(harness: IngestHarness, between: Proxy) -> None:
    harness.write(range(20))
    between.fault = lambda path, _body, real: (
        Answer(200, b'{"_shards":{"total":0,"successful":0,"failed":0},"indices":{}}')
        if "_stats" in path
        else Answer(200, b"{}")
        if "_settings" in path or "_mapping" in path
        else real()
    )
    assert "privileges" in failed_poll(harness)
    recovers(harness, between)


def test_the_server_away_for_a_minute_loses_nothing(harness: IngestHarness, between: Proxy) -> None:
    harness.write(range(20))
    between.fault = lambda _path, _body, _real: Answer(200, b"", cut=True)
    for _ in range(6):
        failed_poll(harness)
        harness.now += 10
    recovers(harness, between)


def test_a_server_that_is_no_elasticsearch_is_reported(harness: IngestHarness, between: Proxy) -> None:
    between.headers.clear()
    between.fault = lambda path, _body, real: Answer(200, b'{"version": {"number": "7"}}') if path == "/" else real()
    harness.restart()
    assert "does not say that it is Elasticsearch" in failed_poll(harness)


def test_a_wrong_password_is_reported_and_a_corrected_one_is_used_without_restart(
    harness: IngestHarness, between: Proxy, tmp_path: Path
) -> None:
    user, password = tmp_path / "user", tmp_path / "password"
    user.write_text("sew\n")
    password.write_text("WRONG\n")
    between.password = "sew:right"
    harness.access = from_files((between.url,), {"username": user, "password": password})
    harness.restart()
    harness.write(range(20))
    message = failed_poll(harness)
    assert "refuses our credentials (401)" in message
    assert "WRONG" not in message
    password.write_text("right\n")
    recovers(harness, between)


def test_an_unknown_ca_is_reported_and_a_corrected_one_is_used_without_restart(
    harness: IngestHarness, search_url: str, tmp_path: Path
) -> None:
    right, wrong, ca = (tmp_path / name for name in ("right.pem", "wrong.pem", "ca.pem"))
    for path in (right, wrong):
        make_certificate(path)
    ca.write_bytes(wrong.read_bytes())
    with proxy(search_url, (right, right.with_suffix(".key"))) as tls:
        harness.access = from_files((tls.url,), {"ca": ca})
        harness.restart()
        harness.write(range(20))
        assert "cannot be trusted (self-signed certificate)" in failed_poll(harness)
        ca.unlink()
        assert "ca.pem" in failed_poll(harness)
        ca.write_text("no certificate")
        assert "ca.pem" in failed_poll(harness)
        ca.write_bytes(right.read_bytes())
        recovers(harness, tls)


def make_certificate(path: Path) -> None:
    """Make a self-signed certificate, and its key beside it."""
    subprocess.run(
        f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=es"
        f" -addext subjectAltName=IP:127.0.0.1 -keyout {path.with_suffix('.key')} -out {path}".split(),
        check=True,
        capture_output=True,
    )


def choking_on(text: bytes) -> Fault:
    """Refuses each search of an `_msearch` that has this in it."""

    def choke(path: str, body: bytes, real: Callable[[], Answer]) -> Answer:
        if "_msearch" not in path:
            return real()
        asked = body.splitlines()[1::2]
        error = {"error": {"type": "query_shard_exception", "reason": "failed to create query"}, "status": 400}
        return real().change(
            lambda answered: {
                "responses": [
                    error if text in query else answer
                    for query, answer in zip(asked, answered["responses"], strict=True)
                ]
            }
        )

    return choke


def test_a_query_that_a_shard_refuses_waits_alone_and_the_others_go_on(harness: IngestHarness, between: Proxy) -> None:
    for number in range(9):
        harness.serve("type = waf", f"w{number}")
    harness.serve("source_ip = '10.0.0.1' OR type = waf", "bad")
    harness.record_results()
    between.fault = choking_on(b"10.0.0.1")
    harness.write(range(20))
    harness.poll()
    progress = harness.poller.progress(harness.now)
    assert progress["bad"].reason is FetchedReason.UNANSWERABLE
    assert "failed to create query" in progress["bad"].message
    assert (progress["w3"].status, harness.count("w3"), harness.count("bad")) == ("True", 20, 0)
    between.fault = None
    harness.record_results()
    harness.record_results()
    assert harness.got("bad") == harness.got("w3") == ids(*range(20))
    assert harness.poller.progress(harness.now)["bad"].status == "True"


def test_a_selector_that_a_shard_refuses_is_found_out_suppresses_nothing_and_is_tried_again(
    harness: IngestHarness, between: Proxy
) -> None:
    def exception(name: str, selector: str) -> AcceptedException:
        return AcceptedException(AlertException(name, selector), parse(selector))

    for number in range(4):
        harness.serve("type = waf", f"w{number}")
    harness.record_results()
    bad = exception("bad", "source_ip = '10.0.0.1' OR host = h1")
    validated = ValidatedExceptions((exception("a", "host = h2"), bad, exception("b", "host = h3")))
    harness.poller.serve(harness.subscriptions, (), validated)
    between.fault = choking_on(b"10.0.0.1")
    for host in ("h0", "h1", "h2", "h3"):
        harness.write([host], host=host)
    harness.poll()
    harness.record_results()
    assert harness.got("w3") == harness.got("w0") == ids("h0", "h1")
    assert dict(harness.observer.suppressed) == {"a": 1, "b": 1}
    progress = harness.poller.progress(harness.now)["w1"]
    assert "AlertException bad suppresses nothing: " in progress.message
    assert (progress.status, list(harness.poller.broken_exceptions)) == ("True", ["bad"])
    between.fault = None
    harness.poll(200)
    harness.write(["later"], host="h1")
    harness.record_results()
    assert (harness.got("w0"), harness.poller.broken_exceptions) == (ids("h0", "h1"), {})


def test_a_query_whose_wildcards_are_slow_is_asked_after_the_others_and_says_so(
    harness: IngestHarness, between: Proxy
) -> None:
    members = ", ".join(f'"*a{number}*"' for number in range(50))
    harness.serve(f'host IN {{{members}, "*web*"}}', "costly", "costlier")
    harness.record_results()
    together: list[set[int]] = []

    def slow(_path: str, body: bytes, real: Callable[[], Answer]) -> Answer:
        if "_msearch" not in _path:
            return real()
        bodies = [json.loads(line) for line in body.splitlines()[1::2]]
        wildcards = [json.dumps(query).count("wildcard") for query in bodies]
        together.append(set(wildcards))
        return real().change(
            lambda answered: {
                **answered,
                "responses": [
                    {**response, "took": 4_000 if count else 1}
                    for response, count in zip(answered["responses"], wildcards, strict=True)
                ],
            }
        )

    between.fault = slow
    harness.write(range(20), host="web-1")
    harness.poll()
    together.clear()
    harness.write(["meanwhile"], host="web-1")
    harness.poll()
    assert together[0] == {0}
    assert "102 wildcards" not in harness.message("w")
    assert "the query's 51 wildcards take Elasticsearch about 2.0 s" in harness.message("costly")
    between.fault = None
    harness.record_results()
    harness.record_results()
    for name in ("w", "costly", "costlier"):
        assert harness.got(name) == ids(*range(20), "meanwhile")
    assert harness.poller.problems == ()


def test_a_search_that_is_refused_without_any_query_is_no_webhooks_fault(
    harness: IngestHarness, between: Proxy
) -> None:
    harness.write(range(20))
    between.fault = choking_on(b"_seq_no")
    harness.poll()
    progress = harness.poller.progress(harness.now)["w"]
    assert progress.reason is FetchedReason.SOURCE_UNAVAILABLE
    recovers(harness, between)


def test_a_field_that_two_indices_store_differently_is_refused_until_it_is_one_again(harness: IngestHarness) -> None:
    harness.serve("source_ip = '10.0.0.1' OR type = waf", "bad")
    harness.record_results()
    mappings = {"type": {"type": "keyword"}, "time": {"type": "date"}, "source_ip": {"type": "long"}}
    harness.index("b", properties=mappings)
    harness.write(["b"], index="b", time=int(harness.now * 1000))
    harness.write(range(20))
    harness.poll()
    progress = harness.poller.progress(harness.now)
    assert progress["bad"].reason is FetchedReason.UNANSWERABLE
    assert "source_ip" in progress["bad"].message
    assert harness.got("w") == ids(*range(20), "b")
    harness.client.indices.delete(index=f"{harness.prefix}.b")
    harness.poll(31)
    harness.record_results()
    harness.record_results()
    assert harness.got("bad") == ids(*range(20))
    assert harness.poller.progress(harness.now)["bad"].status == "True"


def test_a_resting_agent_asks_for_the_stats_alone(harness: IngestHarness, between: Proxy) -> None:
    harness.write(range(20))
    harness.record_results()
    harness.poll(31)
    before = len(between.asked)
    for _ in range(5):
        harness.poll()
    assert [path.partition("?")[0].rpartition("/")[2] for path in between.asked[before:]] == ["docs,refresh"] * 5
