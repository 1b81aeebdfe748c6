"""The contract of every consumer, whatever an event holds and a receiver answers."""

import json
import math
from base64 import b64encode
from dataclasses import asdict
from email.utils import formatdate
from urllib.parse import quote

import pytest

from kubectl_sew.consumers.base import (
    Config,
    Consumer,
    FailureReason,
    FindsEarlier,
    Outcome,
    RenderError,
    Response,
    Verdict,
)
from kubectl_sew.consumers.classification import classify_response
from kubectl_sew.consumers.rate import rate_of
from kubectl_sew.consumers.registry import CONSUMERS, consumers, find
from kubectl_sew.event import Event, delivery_id
from kubectl_sew.redaction import Secret
from kubectl_sew.samples import SAMPLE_TYPES, sample

NOW = 1_772_450_000.0
SECRET = "hunter2-T0K3N-of-the-receiver"  # in every secret variable, so that one search finds every leak
CONFIGS: dict[str, Config] = {
    "Slack": {"url": f"https://hooks.slack.com/services/T0/B0/{SECRET}"},
    "Jira": {
        "url": f"https://jira.example/{SECRET}/rest/api/2/issue/",
        "project": "SEC",
        "issueType": "Bug",
        "username": "sew@example.com",
        "apiToken": SECRET,
    },
    "Generic": {
        "url": f"https://user:{SECRET}@hooks.example/{SECRET}?key={SECRET}",
        "headers": f"X-Key: {SECRET}",
        "signingSecret": "whsec_aHVudGVyMi1UMEszTi1vZi10aGUtcmVjZWl2ZXI=",
    },
    "AlertManager": {
        "url": f"https://a.example/{SECRET}/api/v2/alerts,https://b.example/{SECRET}/api/v2/alerts",
        "basicAuth": f"user:{SECRET}",
    },
}
SUCCESS = {
    "Slack": (200, b"ok"),
    "Jira": (201, b'{"id":"1","key":"SEC-1","self":"x"}'),
    "Generic": (200, b""),
    "AlertManager": (200, b""),
}

REJECTED = (400, 413, 415, 422)
PARKED = (401, 403, 404)
OWN_STATUSES: dict[str, dict[int, Verdict]] = {
    "Slack": {},
    "Jira": {},
    "Generic": {410: Verdict.PARKED, **dict.fromkeys(range(200, 300), Verdict.DELIVERED)},
    "AlertManager": {200: Verdict.DELIVERED, 405: Verdict.PARKED, 415: Verdict.PARKED},
}
"""Statuses whose empty answer means something else than for the other consumers."""

names = pytest.mark.parametrize("name", CONSUMERS)


def expected(name: str, status: int) -> Verdict:
    common = {
        **dict.fromkeys(range(100, 600), Verdict.RETRY),
        **dict.fromkeys(REJECTED, Verdict.REJECTED),
        **dict.fromkeys((*PARKED, 301, 308), Verdict.PARKED),
    }
    return (common | OWN_STATUSES[name])[status]


def answered(name: str, status: int, body: bytes = b"", **headers: str) -> Outcome:
    given = {key.replace("_", "-"): value for key, value in headers.items()}
    return classify_response(CONSUMERS[name], Response(status, given, body), NOW, CONFIGS[name])


def rendered(name: str, document: dict[str, object], labels: dict[str, str] | None = None, event_id: str = "e-1"):
    event = Event("calico_events", event_id, document)
    return CONSUMERS[name].render(
        event, labels or {}, CONFIGS[name], now=NOW, delivery_id=delivery_id("webhook", event)
    )


def nested(depth: int) -> list[object]:
    value: list[object] = []
    for _ in range(depth):
        value = [value]
    return value


def test_every_consumer_is_covered() -> None:
    assert set(CONSUMERS) == set(CONFIGS) == set(SUCCESS) == set(OWN_STATUSES)


@names
def test_a_consumer_keeps_the_protocol_and_is_found_by_its_name(name: str) -> None:
    consumer: Consumer | None = find(name)
    assert consumer is CONSUMERS[name]
    assert consumer.name == name


def test_the_other_spelling_of_alertmanager_is_found_and_no_other_name_is() -> None:
    assert find("Alertmanager") is CONSUMERS["AlertManager"]
    assert find("alertmanager") is find("") is find("Teams") is None


def test_only_jira_searches_for_earlier_deliveries_against_duplicates() -> None:
    assert [name for name, consumer in CONSUMERS.items() if isinstance(consumer, FindsEarlier)] == ["Jira"]


@names
def test_the_contracts_configuration_is_valid(name: str) -> None:
    assert CONSUMERS[name].validate(CONFIGS[name]) == []


@names
def test_each_missing_or_blank_required_variable_is_named_with_the_consumer(name: str) -> None:
    for variable in CONSUMERS[name].variables:
        if not variable.required:
            continue
        config = {**CONFIGS[name], variable.name: " "}
        problems = [problem for problem in CONSUMERS[name].validate(config) if problem.variable == variable.name]
        assert [name in problem.message and variable.name in problem.message for problem in problems] == [True]


@names
def test_an_unknown_variable_is_a_warning(name: str) -> None:
    (problem,) = CONSUMERS[name].validate({**CONFIGS[name], "chanel": SECRET})
    assert (problem.variable, problem.warning) == ("chanel", True)


@names
@pytest.mark.parametrize(
    "url", ["", "ftp://x/", "http:///", "http://[::1", "http://h:99999/", "http://h/a b", "http://h/\n/", "http://ä/"]
)
def test_a_url_that_cannot_be_sent_to_is_a_problem_that_does_not_repeat_it(name: str, url: str) -> None:
    url = url and url + SECRET
    problems = CONSUMERS[name].validate({**CONFIGS[name], "url": url})
    assert "url" in {problem.variable for problem in problems if not problem.warning}
    assert SECRET not in str(problems)


@names
@pytest.mark.parametrize("status", range(100, 600))
def test_every_status_has_its_meaning(name: str, status: int) -> None:
    outcome = answered(name, status)
    assert outcome.verdict is expected(name, status)
    assert outcome.status == status
    assert (outcome.reason is FailureReason.NONE) is (outcome.verdict is Verdict.DELIVERED)
    assert outcome.detail.startswith(str(status))


@names
def test_the_documented_success_is_a_delivery(name: str) -> None:
    status, body = SUCCESS[name]
    assert answered(name, status, body).verdict is Verdict.DELIVERED


@names
@pytest.mark.parametrize("status", [302, 408, 429, 500, 502, 503, 504, 599])
@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("7", 7.0),
        (" 120 ", 120.0),
        ("86400", 86400.0),
        ("86401", 86400.0),
        ("9" * 5000, 86400.0),
        (formatdate(NOW + 90, usegmt=True), 90.0),
        (formatdate(NOW + 900_000, usegmt=True), 86400.0),
        ("0", 0.0),
        (formatdate(NOW - 90, usegmt=True), 0.0),
        ("-5", 0.0),
        ("1.5", 0.0),
        ("soon", 0.0),
        ("", 0.0),
        ("²", 0.0),
        ("Mon, 99 Foo 2026 99:99:99 GMT", 0.0),
    ],
)
def test_retry_after_makes_any_retry_wait(name: str, status: int, given: str, seconds: float) -> None:
    outcome = answered(name, status, retry_after=given)
    assert (outcome.verdict, outcome.retry_after) == (Verdict.WAIT, pytest.approx(seconds))


@names
@pytest.mark.parametrize("status", [301, 308, 400, 401, 403, 404, 422])
def test_retry_after_does_not_soften_a_refusal(name: str, status: int) -> None:
    assert answered(name, status, retry_after="7").verdict is expected(name, status)


@names
@pytest.mark.parametrize(
    ("status", "verdict"),
    [(301, Verdict.PARKED), (308, Verdict.PARKED), (302, Verdict.RETRY), (303, Verdict.RETRY), (307, Verdict.RETRY)],
)
def test_a_redirect_is_a_failure_and_its_target_is_not_shown(name: str, status: int, verdict: Verdict) -> None:
    outcome = answered(name, status, SUCCESS[name][1], location=f"https://elsewhere.example/{SECRET}")
    assert (outcome.verdict, outcome.reason) == (verdict, FailureReason.REDIRECT)
    assert "elsewhere" not in outcome.detail


ECHO = json.dumps(
    {"errorMessages": [f"no: {SECRET}"], "errors": {SECRET: SECRET}, "message": f"https://h/{SECRET} {SECRET}"}
)


@names
@pytest.mark.parametrize("status", [200, 201, 302, 400, 401, 403, 404, 422, 429, 500])
@pytest.mark.parametrize("body", [ECHO, f"invalid_payload {SECRET}", json.dumps(SECRET), f"<html>{SECRET}</html>"])
def test_redaction_hides_secrets_that_a_receiver_repeats(name: str, status: int, body: str) -> None:
    assert SECRET not in str(asdict(answered(name, status, body.encode(), location=SECRET)))


def percent(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode())


REPEATED = {
    "plain": SECRET,
    "percent-encoded": quote(SECRET, safe=""),
    "every character percent-encoded": percent(SECRET),
    "Base64": b64encode(SECRET.encode()).decode(),
    "Basic": b64encode(f"user:{SECRET}".encode()).decode(),
    "Basic of another user": b64encode(f"sew@example.com:{SECRET}".encode()).decode(),
}


@names
@pytest.mark.parametrize("form", REPEATED)
@pytest.mark.parametrize("before", range(140, 210, 7))
def test_redaction_hides_a_secret_before_the_text_is_cut(name: str, form: str, before: int) -> None:
    said = "x " * (before // 2) + REPEATED[form]
    detail = answered(name, 500, said.encode()).detail
    own = REPEATED[form][-32:]
    assert not any(own[n : n + 8] in detail for n in range(24))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"url": "https://us%40er:p%2Fss%20word@h.example/x"}, "no p/ss word, us@er:p/ss word"),
        ({"url": "https://h.example/x?key=p%2Fss%20word"}, "no p/ss word, p%2fss%20word, p%2Fss+word"),
        ({"url": "https://h.example/", "headers": "X-Key: p/ss word"}, r'{"no": "p\/ss word"}'),
        ({"url": "https://h.example/", "headers": 'X-Key: p/ss"word'}, r'{"no": "p\u002fss\u0022word"}'),
        ({"url": "https://h.example/", "headers": "X-Key: p/ss<word"}, "<p>p/ss&lt;word</p>"),
        (
            {"url": "https://h.example/", "headers": "Authorization: Basic dXNlcjpwL3NzIHdvcmQ="},
            "user `user`, password `p/ss word`",
        ),
    ],
)
def test_redaction_hides_a_secret_in_every_form_in_which_a_receiver_repeats_it(config: Config, said: str) -> None:
    detail = classify_response(CONSUMERS["Generic"], Response(400, {}, said.encode()), NOW, config).detail
    assert "word" not in detail.replace("password", "")
    assert "[secret]" in detail


def test_redaction_hides_the_secret_half_of_a_token_in_a_path() -> None:
    config = {"url": f"https://api.telegram.org/bot123:{SECRET}/sendMessage"}
    said = f"the bot of {SECRET} was blocked".encode()
    assert SECRET not in classify_response(CONSUMERS["Generic"], Response(200, {}, said), NOW, config).detail
    assert SECRET not in classify_response(CONSUMERS["Generic"], Response(403, {}, said), NOW, config).detail


def test_redaction_hides_every_value_that_came_from_a_secret() -> None:
    config = {**CONFIGS["Jira"], "project": Secret("KEY-77"), "labels": Secret("blue,greenish")}
    said = json.dumps({"errorMessages": ["KEY-77 has no greenish"]}).encode()
    detail = classify_response(CONSUMERS["Jira"], Response(400, {}, said), NOW, config).detail
    assert detail == "400 Bad Request: [secret] has no [secret]"


def test_redaction_hides_each_of_two_signing_secrets() -> None:
    first, second = (f"whsec_{b64encode(bytes([n]) * 32).decode()}" for n in (1, 2))
    config = {"url": "https://h.example/", "signingSecret": f"{first} {second}"}
    detail = classify_response(
        CONSUMERS["Generic"], Response(400, {}, f"{second}, {first}".encode()), NOW, config
    ).detail
    assert detail == "400 Bad Request: [secret], [secret]"


def test_redaction_drops_an_answer_that_may_repeat_a_secret_template() -> None:
    config = {**CONFIGS["Generic"], "template": Secret('{"routing_key": "R0UT1NG"}')}
    detail = classify_response(CONSUMERS["Generic"], Response(400, {}, b"bad key R0UT1NG"), NOW, config).detail
    assert detail == "400 Bad Request: [secret]"


@names
@pytest.mark.parametrize(
    ("status", "body", "shown"),
    [
        (400, b'{"error": "field `x` is missing"}', "400 Bad Request: "),
        (403, b"XSRF check failed", "403 Forbidden: XSRF check failed"),
        (500, b"<html><head><title>Oh no</title><script>x</script></head>it broke &amp; fell", "Oh no it broke & fell"),
        (302, b"<html>login", "302 Found: redirects are not followed"),
    ],
)
def test_the_receivers_own_error_text_is_reported(name: str, status: int, body: bytes, shown: str) -> None:
    assert shown in answered(name, status, body).detail


@names
def test_a_receivers_error_text_is_cut_at_200_characters(name: str) -> None:
    detail = answered(name, 500, b"word " * 10_000).detail
    assert detail.endswith("…")
    assert 190 <= len(detail.partition(": ")[2]) <= 200


@pytest.mark.parametrize(
    ("name", "status", "detail"),
    [
        ("Slack", 200, "200 OK, but not Slack's `ok`: <login>"),
        ("Jira", 200, "200 OK, but not Jira's 201 with the new issue's key: <login>"),
        ("AlertManager", 200, "200 OK, but not Alertmanager's empty answer: <login>"),
        ("AlertManager", 204, "204 No Content, but not Alertmanager's empty answer: <login>"),
    ],
)
def test_a_false_success_is_reported_with_the_documented_answer(name: str, status: int, detail: str) -> None:
    assert answered(name, status, b"Log in").detail == detail.replace("<login>", "Log in")


WRONG_PORT = [
    b"<html><head><title>400 The plain HTTP request was sent to HTTPS port</title></head><body>nginx</body></html>",
    b"<html><body><h1>400 Bad Request</h1><center>No required SSL certificate was sent</center></body>",
    b"<html><head><title>400 No required SSL certificate was sent</title></head></html>",
    b"Client sent an HTTP request to an HTTPS server.\n",
]


@names
@pytest.mark.parametrize("body", WRONG_PORT)
def test_a_server_in_front_that_wants_tls_or_a_certificate_parks_the_webhook(name: str, body: bytes) -> None:
    outcome = answered(name, 400, body)
    assert (outcome.verdict, outcome.reason) == (Verdict.PARKED, FailureReason.CONFIGURATION_REFUSED)
    assert "HTTP" in outcome.detail or "certificate" in outcome.detail


@names
def test_an_application_that_repeats_such_text_of_an_event_rejects_the_event(name: str) -> None:
    said = json.dumps({"message": "bad: The plain HTTP request was sent to HTTPS port"}).encode()
    assert answered(name, 400, said).verdict is Verdict.REJECTED


@names
@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xfe\x00",
        b"[" * 60_000,
        b"null",
        b"7",
        b'{"errors": 7, "issues": {}}',
        b"x" * 65_536,
        b'"\\ud800"',
        b"<&#" + b"9" * 9_000,
        b"<" * 60_000,
    ],
)
@pytest.mark.parametrize("status", [200, 201, 400, 500])
def test_any_answer_can_be_read_and_gives_one_short_line(name: str, status: int, body: bytes) -> None:
    detail = answered(name, status, body).detail
    assert len(detail) <= 300
    assert detail.isprintable()


@names
def test_redaction_the_repr_of_a_request_shows_no_secret(name: str) -> None:
    shown = repr(rendered(name, sample("waf")))
    assert SECRET not in shown
    assert "example" not in shown


@names
def test_secrets_do_not_get_into_a_body(name: str) -> None:
    assert all(SECRET.encode() not in request.body for request in rendered(name, sample("waf"), {"cluster": "prod"}))


@names
def test_user_and_password_leave_the_url(name: str) -> None:
    assert all("@" not in request.url for request in rendered(name, sample("waf")))


@names
@pytest.mark.parametrize("event_type", SAMPLE_TYPES)
def test_every_sample_is_rendered_as_a_post_of_json_that_holds_its_labels(name: str, event_type: str) -> None:
    for request in rendered(name, sample(event_type), {"cluster": "prod-eu"}):
        assert request.method == "POST"
        assert ("Content-Type", "application/json") in request.headers
        assert "prod-eu" in json.dumps(json.loads(request.body))


@names
def test_rendering_twice_gives_the_same(name: str) -> None:
    assert rendered(name, sample("waf")) == rendered(name, sample("waf"))


@names
def test_what_identifies_an_event_in_elasticsearch_is_not_sent_as_fields(name: str) -> None:
    for request in rendered(name, sample("waf")):
        assert b"_index" not in request.body
        assert b'"_id"' not in request.body


@names
@pytest.mark.parametrize("document", [{}, {"_id": "e-1"}])
def test_an_event_with_only_an_id_is_rendered(name: str, document: dict[str, object]) -> None:
    assert all(json.loads(request.body) for request in rendered(name, document))


HOSTILE_TEXT = [
    "<!channel> <@U1> &",
    "\ud800 lone",
    "\x00\x1b[31m\u202e\u2028",
    "{noformat} {code} ```",
    "a\r\nB: c",
    "=" * 50_000,
    "{{ 7 }}",
]


@names
@pytest.mark.parametrize("text", HOSTILE_TEXT)
def test_hostile_text_in_every_field_and_label_and_the_id_is_rendered_as_json(name: str, text: str) -> None:
    document: dict[str, object] = dict.fromkeys([*sample("waf"), text], text)
    document |= {"mitre_ids": [text] * 300, "mitigations": [text], "record": {text: [text]}}
    for request in rendered(name, document, {text: text, "b": text}, text):
        json.loads(request.body.decode())


@names
def test_an_event_of_5_megabytes_is_rendered(name: str) -> None:
    text = "x&<{" * 1_250_000
    for request in rendered(name, {"type": text, "description": text, "record": {"payload": text, text: 1}}):
        json.loads(request.body)


def number_of_digits(digits: int) -> int:
    return 10**digits


HOSTILE_SHAPES = {
    "100,000 deep": nested(100_000),
    "5,000 digits": number_of_digits(5_000),
    "NaN": math.nan,
    "Infinity": -math.inf,
    "a million members": list(range(1_000_000)),
    "an object of lists": {str(n): [[n]] for n in range(10_000)},
    "lists that widen": [[[list(range(30))] * 30] * 30] * 30,
}


@names
@pytest.mark.parametrize(
    "field", ["record", "description", "severity", "mitre_ids", "time", "source_ip", "mitigations", "type"]
)
@pytest.mark.parametrize("shape", HOSTILE_SHAPES)
def test_hostile_shapes_are_rendered_or_refused_by_name(name: str, field: str, shape: str) -> None:
    if name == "Generic" and shape in {"100,000 deep", "5,000 digits", "NaN", "Infinity"}:
        with pytest.raises(RenderError, match="the event"):
            rendered(name, {field: HOSTILE_SHAPES[shape]})
    else:
        for request in rendered(name, {field: HOSTILE_SHAPES[shape]}):
            json.loads(request.body, parse_constant=pytest.fail)


def test_slacks_url_prefixes_can_be_others_than_slacks() -> None:
    local = consumers(slack_url_prefixes=("http://127.0.0.1:",))["Slack"]
    assert local.validate({"url": "http://127.0.0.1:9/services/x"}) == []
    assert [problem.variable for problem in local.validate(CONFIGS["Slack"])] == ["url"]
    assert [problem.variable for problem in CONSUMERS["Slack"].validate({"url": "http://127.0.0.1:9/x"})] == ["url"]


@names
def test_every_variable_has_a_bound_and_what_is_longer_is_named_without_its_value(name: str) -> None:
    for variable in CONSUMERS[name].variables:
        long = SECRET + "x" * variable.limit
        (problem,) = CONSUMERS[name].validate({**CONFIGS[name], variable.name: long})
        assert (problem.variable, problem.warning) == (variable.name, False)
        assert SECRET not in problem.message + problem.hint


SLOW_TO_READ = {
    "blanks": "-----BEGIN A-----" + " " * 300_000 + "x",
    "beginnings": "-----BEGIN A-----" * 20_000,
    "ends": "-----BEGIN A-----" + "-----END " * 30_000,
    "half ends": "-----BEGIN A-----\n-----END B-----\n" * 8_000,
    "braces": "{" * 300_000,
    "tags": "<" * 300_000,
    "colons": ":\r" * 150_000,
    "commas": "," * 300_000,
    "proc-types": "Proc-Type:" + " " * 300_000,
}


@names
@pytest.mark.parametrize("shape", SLOW_TO_READ)
def test_no_value_takes_long_to_judge(name: str, shape: str) -> None:
    """Judge values over which a cubic pattern would run for hours: the test's own end is the limit."""
    for variable in CONSUMERS[name].variables:
        value = SLOW_TO_READ[shape][: variable.limit]
        CONSUMERS[name].validate({**CONFIGS[name], variable.name: value})


@names
@pytest.mark.parametrize("rate", ["1/s", "10/min", "0.5/h", " 2/s\n"])
def test_every_consumer_takes_a_rate_limit(name: str, rate: str) -> None:
    assert CONSUMERS[name].validate({**CONFIGS[name], "rate": rate}) == []


@names
@pytest.mark.parametrize("rate", ["0/s", "1", "-1/s", "fast", "1/s/s", "1/d"])
def test_an_invalid_rate_limit_is_a_problem(name: str, rate: str) -> None:
    assert [problem.variable for problem in CONSUMERS[name].validate({**CONFIGS[name], "rate": rate})] == ["rate"]


@pytest.mark.parametrize(("asked", "given"), [("", 10.0), ("1/s", 1.0), ("6/min", 0.1), ("11/s", 10.0)])
def test_a_webhooks_rate_limit_is_bounded_by_the_consumers(asked: str, given: float) -> None:
    assert rate_of({"rate": asked}, 10.0) == pytest.approx(given)
