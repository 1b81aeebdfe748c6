"""Generic's variable `expect`: what an answer must be."""

import pytest

from kubectl_sew.consumers.base import FailureReason, Outcome, Response, Verdict
from kubectl_sew.consumers.classification import classify_response
from kubectl_sew.consumers.registry import CONSUMERS

GENERIC = CONSUMERS["Generic"]
URL = "https://hooks.example/T0K3N-of-the-receiver"


def answered(expect: str, status: int, body: bytes = b"") -> Outcome:
    return classify_response(GENERIC, Response(status, {}, body), 0.0, {"url": URL, "expect": expect})


@pytest.mark.parametrize(
    ("expect", "status", "body"),
    [
        ("204", 204, b""),
        ("2xx", 299, b"anything"),
        ("200,202", 202, b"{"),
        ("200 ok", 200, b"ok\n"),
        ("202 $.status = success", 202, b'{"status": "success"}'),
        ("200 $.code = 0", 200, b'{"text": "Success", "code": 0}'),
        ("200 $.ok = true", 200, b'{"ok": true}'),
        ("200 $.errors = false\n200 $.items[0].create.status = 409", 200, b'{"items": [{"create": {"status": 409}}]}'),
        ('200 $.items[*].result = "created"', 200, b'{"items": [{"result": "x"}, {"result": "created"}]}'),
        ("\n  201  \n409\n", 409, b""),
        ("200 $ = null", 200, b"null"),
    ],
)
def test_an_answer_that_meets_a_rule_is_a_delivery(expect: str, status: int, body: bytes) -> None:
    assert answered(expect, status, body).verdict is Verdict.DELIVERED


@pytest.mark.parametrize(
    ("expect", "status", "body"),
    [
        ("200 ok", 200, b"invalid_token"),
        ("200 ok", 200, b"<html>ok</html>"),
        ("204", 200, b""),
        ("202 $.status = success", 200, b'{"status": "success"}'),
        ("200 $.ok = true", 200, b'{"ok": 1}'),
        ("200 $.code = 0", 200, b'{"code": false}'),
        ("200 $.ok = true", 200, b"[" * 60_000),
        ("200 $.ok = true", 200, b"\xff"),
        ("200 $.errors = false", 200, b'{"errors": true}'),
    ],
)
def test_another_success_is_a_failure_that_is_retried_with_the_receivers_words(
    expect: str, status: int, body: bytes
) -> None:
    outcome = answered(expect, status, body)
    assert (outcome.verdict, outcome.reason) == (Verdict.RETRY, FailureReason.UNEXPECTED_ANSWER)
    assert outcome.detail.startswith("200 OK, but not what `expect` asks for")


def test_what_the_receiver_says_is_shown_without_what_is_secret() -> None:
    outcome = answered("200 ok", 200, b"no such hook: /T0K3N-of-the-receiver")
    assert outcome.detail == "200 OK, but not what `expect` asks for: no such hook: [secret]"


@pytest.mark.parametrize(
    ("status", "verdict"),
    [(400, Verdict.REJECTED), (401, Verdict.PARKED), (410, Verdict.PARKED), (429, Verdict.RETRY), (503, Verdict.RETRY)],
)
def test_other_answers_mean_what_they_mean_without_it(status: int, verdict: Verdict) -> None:
    assert answered("200 ok", status, b"ok").verdict is verdict


def test_no_redirect_is_ever_a_success() -> None:
    assert answered("2xx", 302).reason is FailureReason.REDIRECT


@pytest.mark.parametrize(
    "expect", ["ok", "20", "302", "3xx", "200; ok", "200 $.a", "200 $.a =", "200 $a = 1", "200\n\nSECRET-T0K3N"]
)
def test_a_rule_that_cannot_be_read_is_a_problem_that_repeats_nothing_of_it(expect: str) -> None:
    (problem,) = GENERIC.validate({"url": URL, "expect": expect})
    assert (problem.variable, problem.warning) == ("expect", False)
    assert problem.message.startswith("line ")
    assert "T0K3N" not in problem.message + problem.hint
