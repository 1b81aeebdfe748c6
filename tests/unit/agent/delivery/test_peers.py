"""Several receivers of one webhook: each gets the event, and one that fails holds up nothing."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from kubectl_sew.consumers.base import FailureReason, Outcome, Request, Response, Verdict
from kubectl_sew.consumers.registry import CONSUMERS
from kubectl_sew.event import Event
from sew_agent.delivery.attempt import MOST_REQUESTS, Route, attempt
from sew_agent.delivery.http.errors import SendError
from sew_agent.delivery.peers import REST, named
from sew_agent.store.records import Delivery

NOW = 1_800_000_000.0
TAKEN = Response(200, {}, b"")


class PeersHarness:
    """Answers by host, and keeps which hosts each sending went to."""

    def __init__(self, **answers: Response | SendError) -> None:
        self.answers = answers
        self.sent: list[list[str]] = []
        self.route = route(*answers)
        self.now = NOW
        self.takes = 0.0
        """Seconds until the answers are there."""

    def send(self, requests: Sequence[Request]) -> list[Response | SendError]:
        hosts = [request.url.split("/")[2].partition(":")[0] for request in requests]
        self.sent.append(hosts)
        self.now += self.takes
        return [self.answers[host] for host in hosts]

    @property
    def requests(self) -> Sequence[Request]:
        """Return the requests of one event, one to each peer."""
        consumer, event = self.route.consumer, Event("", "e", {})
        return consumer.render(event, {}, self.route.config, now=NOW, delivery_id="i")

    def deliver(self, now: float = NOW) -> Outcome:
        self.now = now
        delivery = Delivery(0, "w", "id", Event("", "e", {}), now)
        return attempt(self.route, delivery, self.send, clock=lambda: self.now)


def route(*hosts: str) -> Route:
    url = ",".join(f"http://{host}:9093/api/v2/alerts" for host in hosts)
    return Route("w", CONSUMERS["AlertManager"], {"url": url})


def silent() -> SendError:
    return SendError(FailureReason.TIMEOUT, "http://one:9093: no whole answer within 10 s")


FAILURES = [silent(), Response(401, {}, b""), Response(404, {}, b""), Response(503, {}, b"")]


def test_all_peers_are_sent_to_side_by_side() -> None:
    peers = PeersHarness(one=TAKEN, two=TAKEN)
    assert peers.deliver() == Outcome(Verdict.DELIVERED, detail="200 OK", status=200)
    assert peers.sent == [["one", "two"]]


def test_a_receiver_that_is_the_only_one_is_no_peer_that_fails() -> None:
    peers = PeersHarness(one=silent())
    assert [peers.deliver().detail for _ in range(2)] == [silent().detail] * 2
    assert peers.route.peers.failing == ()


@pytest.mark.parametrize("failure", FAILURES, ids=str)
def test_a_peer_that_fails_rests_while_another_takes_everything(failure: Response | SendError) -> None:
    peers = PeersHarness(one=failure, two=TAKEN)
    for seconds in range(10):
        assert peers.deliver(NOW + seconds).verdict is Verdict.DELIVERED
    assert peers.sent == [["one", "two"]] + [["two"]] * 9


def test_after_its_rest_one_attempt_alone_tries_a_peer_again() -> None:
    peers = PeersHarness(one=silent(), two=TAKEN)
    peers.deliver()
    again = NOW + REST
    assert len(peers.route.peers.awake(peers.requests, again)) == 2
    assert len(peers.route.peers.awake(peers.requests, again)) == 1


def test_a_peer_that_works_again_is_sent_to_again() -> None:
    peers = PeersHarness(one=silent(), two=TAKEN)
    peers.deliver()
    peers.answers["one"] = TAKEN
    peers.route.peers.news()
    for seconds in (REST, REST + 1):
        peers.deliver(NOW + seconds)
    assert peers.sent[1:] == [["one", "two"]] * 2
    assert peers.route.peers.failing == ()
    assert peers.route.peers.news() == [("http://one:9093", "")]


def test_where_all_peers_fail_all_are_tried() -> None:
    peers = PeersHarness(one=silent(), two=silent())
    for seconds in (0, 0.5, 2):
        assert peers.deliver(NOW + seconds) == Outcome(Verdict.RETRY, FailureReason.TIMEOUT, silent().detail)
    assert peers.sent == [["one", "two"]] * 3


def test_a_clock_that_is_set_back_lets_no_peer_rest_for_longer() -> None:
    peers = PeersHarness(one=silent(), two=TAKEN)
    peers.deliver(NOW + 72_000)
    peers.deliver(NOW)
    assert peers.sent[1] == ["one", "two"]


def test_a_peer_that_names_a_time_rests_until_then() -> None:
    peers = PeersHarness(one=Response(429, {"retry-after": "300"}, b""), two=TAKEN)
    for seconds in (0, 299, 300):
        peers.deliver(NOW + seconds)
    assert peers.sent == [["one", "two"], ["two"], ["one", "two"]]


def test_the_time_that_a_peer_names_begins_with_its_answer() -> None:
    peers = PeersHarness(one=busy(300), two=TAKEN)
    peers.takes = 9.0
    peers.deliver()
    peers.deliver(NOW + 308)
    peers.deliver(NOW + 309)
    assert peers.sent == [["one", "two"], ["two"], ["one", "two"]]


def busy(seconds: int) -> Response:
    return Response(429, {"retry-after": str(seconds)}, b"")


def test_a_peer_that_names_a_time_is_not_asked_before_though_all_others_fail() -> None:
    peers = PeersHarness(one=busy(300), two=TAKEN)
    peers.deliver()
    peers.answers |= {"one": silent(), "two": silent()}
    for seconds in (10, 12, 299):
        assert peers.deliver(NOW + seconds).verdict is Verdict.RETRY
    peers.deliver(NOW + 300)
    assert peers.sent == [["one", "two"], ["two"], ["two"], ["two"], ["one"]]


def test_where_all_peers_name_a_time_none_is_asked_before_the_first_of_them() -> None:
    peers = PeersHarness(one=busy(300), two=busy(20))
    assert peers.deliver().retry_after == 20
    waits = Outcome(Verdict.WAIT, FailureReason.RATE_LIMITED, "http://two:9093: 429 Too Many Requests", retry_after=5.0)
    assert peers.deliver(NOW + 15) == waits
    peers.deliver(NOW + 20)
    assert peers.sent == [["one", "two"], ["two"]]
    assert PeersHarness(one=busy(1), two=busy(0)).deliver().retry_after == 0


def test_an_answer_to_an_earlier_request_does_not_cut_short_the_time_that_a_peer_named() -> None:
    peers = PeersHarness(one=busy(300), two=TAKEN)
    peers.deliver()
    taken = Outcome(Verdict.DELIVERED)
    peers.route.peers.record(peers.requests, [taken, taken], NOW)
    for seconds in (299, 300):
        peers.deliver(NOW + seconds)
    assert peers.sent == [["one", "two"], ["two"], ["one", "two"]]


def test_the_longest_time_that_a_peer_named_counts() -> None:
    peers = PeersHarness(one=busy(300), two=busy(300))
    peers.deliver()
    shorter = Outcome(Verdict.WAIT, FailureReason.RATE_LIMITED, "429", retry_after=1.0)
    peers.route.peers.record(peers.requests, [shorter, shorter], NOW)
    assert peers.route.peers.awake(peers.requests, NOW + 299) == []


def test_a_time_more_than_a_day_ahead_was_named_by_a_clock_that_was_set_back() -> None:
    peers = PeersHarness(one=busy(300), two=busy(300))
    peers.deliver(NOW + 172_800)
    assert peers.deliver(NOW).verdict is Verdict.WAIT
    assert peers.sent == [["one", "two"]] * 2


def test_under_new_settings_a_peers_time_still_holds_and_nothing_else() -> None:
    peers = PeersHarness(one=busy(300), two=silent(), three=TAKEN)
    peers.deliver()
    peers.route = replace(peers.route, peers=peers.route.peers.held())
    assert peers.route.peers.failing == (), "it may be no receiver of the webhook any more"
    for seconds in (1, 300):
        peers.deliver(NOW + seconds)
    assert peers.sent == [["one", "two", "three"], ["two", "three"], ["one", "two", "three"]]
    assert peers.route.peers.news()[0][0] == "http://two:9093"


def test_a_time_that_is_named_to_a_request_under_the_settings_before_holds_as_well() -> None:
    peers = PeersHarness(one=busy(300), two=TAKEN)
    before = peers.route
    peers.route = replace(before, peers=before.peers.held())
    before.peers.record(peers.requests[:1], [Outcome(Verdict.WAIT, detail="429", retry_after=300.0)], NOW)
    peers.deliver(NOW + 299)
    peers.deliver(NOW + 300)
    assert peers.sent == [["two"], ["one", "two"]]


def test_a_peer_that_is_the_only_one_under_new_settings_is_not_asked_before_its_time_either() -> None:
    peers = PeersHarness(one=busy(300), two=TAKEN)
    peers.deliver()
    peers.route = replace(route("one"), peers=peers.route.peers.held())
    assert peers.deliver(NOW + 299).retry_after == 1
    peers.deliver(NOW + 300)
    assert peers.sent == [["one", "two"], ["one"]]


def test_a_peer_that_fails_is_named_with_its_reason_once() -> None:
    peers = PeersHarness(one=silent(), two=Response(401, {}, b""), three=TAKEN)
    outcome = peers.deliver()
    assert "not taken by http://one:9093: no whole answer within 10 s; http://two:9093: 401" in outcome.detail
    assert peers.route.peers.failing == (
        "http://one:9093: no whole answer within 10 s",
        "http://two:9093: 401 Unauthorized",
    )
    assert [peer for peer, _ in peers.route.peers.news()] == ["http://one:9093", "http://two:9093"]
    peers.deliver(NOW + REST)
    assert peers.route.peers.news() == []


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:password@am.example.com/SECRET?token=SECRET", "https://am.example.com"),
        ("http://am:9093/SECRET", "http://am:9093"),
        ("http://[fd00::1]:9093/SECRET", "http://[fd00::1]:9093"),
        ("http:///SECRET", "http://"),
        ("http://am:port/SECRET", "a URL that cannot be read"),
    ],
)
def test_of_a_peers_url_only_scheme_and_host_are_shown(url: str, shown: str) -> None:
    assert named(Request("POST", url, (), b"")) == shown


def test_as_many_peers_as_an_attempt_may_ask_are_asked() -> None:
    peers = PeersHarness(**{f"h{number}": TAKEN for number in range(MOST_REQUESTS)})
    assert peers.deliver().verdict is Verdict.DELIVERED
    assert [len(sent) for sent in peers.sent] == [MOST_REQUESTS]


def test_more_peers_than_an_attempt_may_ask_park_unsent() -> None:
    peers = PeersHarness(**{f"h{number}": TAKEN for number in range(MOST_REQUESTS + 1)})
    detail = "an event takes 11 requests, and may take 10"
    assert peers.deliver() == Outcome(Verdict.PARKED, FailureReason.CONFIGURATION_REFUSED, detail)
    assert peers.sent == []


def test_more_peers_than_an_attempt_may_ask_are_refused_by_validation() -> None:
    alertmanager = CONSUMERS["AlertManager"]
    hosts = [f"h{number}" for number in range(MOST_REQUESTS + 1)]
    assert alertmanager.validate(route(*hosts[:-1]).config) == []
    (problem,) = alertmanager.validate(route(*hosts).config)
    assert "at most 10" in problem.hint
