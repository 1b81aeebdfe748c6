"""Slack's messages, by its own model of blocks and by the limits that it documents; its words."""

import json

import pytest
from slack_sdk.models.blocks import Block

from kubectl_sew.consumers.base import FailureReason, Response, Verdict
from kubectl_sew.consumers.classification import classify_response
from kubectl_sew.consumers.slack import WORDS, Slack, escape, message
from kubectl_sew.event import Event
from kubectl_sew.event_maps.readable import EVENT_MAPS, ReadableEvent
from kubectl_sew.samples import SAMPLE_TYPES, sample

LONG = "<!here> & ``` " * 400_000
HOSTILE = {
    **dict.fromkeys(sample("waf"), LONG),
    "mitre_ids": [f"T{1000 + n}.001" for n in range(500)],
    "mitigations": [LONG] * 200,
    "record": {f"<{n}>": ["```", LONG] for n in range(500)},
}
MANY_LABELS = {f"<label {n}>": LONG for n in range(60)}


def read(document: dict[str, object]) -> ReadableEvent:
    return EVENT_MAPS.read(Event("i", "1", document))


MESSAGES = {
    **{kind: message(read(sample(kind)), {"cluster": "prod"}, "d" * 32) for kind in SAMPLE_TYPES},
    "hostile": message(read(HOSTILE), MANY_LABELS, "d" * 32),
    "empty": message(read({}), {}, "d" * 32),
}

messages = pytest.mark.parametrize("name", MESSAGES)


@messages
def test_slacks_own_model_accepts_every_block(name: str) -> None:
    for block in Block.parse_all(MESSAGES[name]["blocks"]):
        block.validate_json()


@messages
def test_every_documented_limit_is_kept(name: str) -> None:
    shown = MESSAGES[name]
    assert 1 <= len(shown["text"]) <= 4_000
    assert len(shown["blocks"]) <= 50
    for block in shown["blocks"]:
        texts = [block["text"]] if "text" in block else []
        limit = {"header": 150, "section": 3_000}.get(block["type"], 2_000)
        assert all(1 <= len(text["text"]) <= limit for text in texts)
        assert 1 <= len(block.get("fields", [1])) <= 10
        assert all(1 <= len(field["text"]) <= 2_000 for field in block.get("fields", []))
        assert 1 <= len(block.get("elements", [1])) <= 10


def test_no_mention_no_open_block_and_no_half_entity_is_left_in_hostile_text() -> None:
    texts = json.dumps(MESSAGES["hostile"], ensure_ascii=False)
    assert "<!" not in texts
    assert MESSAGES["hostile"]["blocks"][-1]["text"]["text"].count("```") == 2
    assert "&l…" not in texts
    assert "…" in texts


@pytest.mark.parametrize(
    ("given", "limit", "shown"),
    [
        ("a & <b>", 99, "a &amp; &lt;b&gt;"),
        ("abcdef", 6, "abcdef"),
        ("abcdefg", 6, "abcde…"),
        ("abc&", 6, "abc…"),
        ("a&", 6, "a&amp;"),
        ("&&", 6, "&amp;…"),
        ("", 6, ""),
    ],
)
def test_text_is_escaped_and_cut_between_characters(given: str, limit: int, shown: str) -> None:
    assert escape(given, limit) == shown


def test_a_message_shows_what_a_person_needs() -> None:
    shown = json.dumps(MESSAGES["waf"], ensure_ascii=False)
    for part in (
        "waf · severity 80",
        "2026-03-02 09:14:05 UTC",
        "shop/frontend-5d4f7c9b8-x2x7k (10.244.1.17:48722)",
        "<https://attack.mitre.org/techniques/T1190/|T1190>",
        "Initial Access",
        "*Mitigations*",
        "cluster: prod",
        "event 1",
        "942100",
    ):
        assert part in shown


@pytest.mark.parametrize(
    ("status", "body", "verdict", "reason"),
    [
        (200, b"ok", Verdict.DELIVERED, FailureReason.NONE),
        (200, b"ok\n", Verdict.DELIVERED, FailureReason.NONE),
        (200, b"okay", Verdict.RETRY, FailureReason.UNEXPECTED_ANSWER),
        (200, b"<html>ok</html>", Verdict.RETRY, FailureReason.UNEXPECTED_ANSWER),
        (201, b"ok", Verdict.RETRY, FailureReason.UNEXPECTED_ANSWER),
        (404, b"no_service", Verdict.PARKED, FailureReason.CREDENTIAL_REFUSED),
        (403, b"action_prohibited", Verdict.PARKED, FailureReason.CONFIGURATION_REFUSED),
        (410, b"channel_is_archived", Verdict.PARKED, FailureReason.CONFIGURATION_REFUSED),
        (500, b"rollup_error", Verdict.RETRY, FailureReason.SERVER_ERROR),
        (400, b"invalid_payload", Verdict.REJECTED, FailureReason.EVENT_REFUSED),
        (429, b"rate_limited", Verdict.RETRY, FailureReason.RATE_LIMITED),
        (400, b"invalid_token_of_a_new_kind", Verdict.REJECTED, FailureReason.EVENT_REFUSED),
    ],
)
def test_an_answer_is_judged_by_its_word_and_then_its_status(
    status: int, body: bytes, verdict: Verdict, reason: FailureReason
) -> None:
    outcome = classify_response(Slack(), Response(status, {}, body), 0.0)
    assert (outcome.verdict, outcome.reason) == (verdict, reason)


@pytest.mark.parametrize("status", [200, 400, 403, 404, 500])
@pytest.mark.parametrize("word", WORDS)
def test_a_word_means_the_same_under_every_status(word: str, status: int) -> None:
    outcome = classify_response(Slack(), Response(status, {}, word.encode()), 0.0)
    assert (outcome.verdict, outcome.reason) == WORDS[word]
    assert word in outcome.detail


@messages
def test_a_repeated_message_has_the_same_first_blocks_id(name: str) -> None:
    assert MESSAGES[name]["blocks"][0]["block_id"] == "d" * 32


@messages
def test_slack_makes_no_links_or_mentions_of_what_an_event_says(name: str) -> None:
    def texts(value: object) -> list[dict[str, object]]:
        if isinstance(value, list):
            return [text for member in value for text in texts(member)]
        if not isinstance(value, dict):
            return []
        return [*texts(list(value.values())), *([value] if value.get("type") == "mrkdwn" else [])]

    assert all(text["verbatim"] is True for text in texts(MESSAGES[name]["blocks"]))


@pytest.mark.parametrize("path", ["workflows/T0/A0/1/x", "triggers/T0/1/x", "x"])
@pytest.mark.parametrize("host", ["hooks.slack.com", "hooks.slack-gov.com"])
def test_a_url_that_is_no_incoming_webhooks_is_a_problem_with_what_to_do(host: str, path: str) -> None:
    (problem,) = Slack().validate({"url": f"https://{host}/{path}"})
    assert (problem.variable, problem.warning) == ("url", False)
    assert "/services/" in problem.hint
    assert ("run again at every retry" in problem.hint) is (path != "x")


@pytest.mark.parametrize(
    "rest",
    [
        *("", "T", "T/B", "T/B/", "T//X", "T/B/X/Y", "T/B/X?y", "T/B/X#y"),
        *("../workflows/T/B/X", "%2e%2E/triggers/x", "T/B/../../workflows", "..%2fworkflows/T/B", "..\\T/B/X", "./T/B"),
    ],
)
def test_a_url_has_three_parts_that_lead_nowhere_else(rest: str) -> None:
    (problem,) = Slack().validate({"url": f"https://hooks.slack.com/services/{rest}"})
    assert (problem.variable, problem.warning) == ("url", False)
    assert "three parts, `T…/B…/…`" in problem.hint


@pytest.mark.parametrize("rest", ["T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX", "T0/B0/a-b_c", "T/B/X/"])
def test_the_url_that_slack_gives_is_taken(rest: str) -> None:
    assert Slack().validate({"url": f"https://hooks.slack-gov.com/services/{rest}"}) == []


@pytest.mark.parametrize(
    ("rest", "fits"),
    [
        *(("T/B/X", True), ("x", True), ("a.b/..c/%2e%2ed?/../", True)),
        *(("../x", False), ("a/%2E%2e/x", False), ("a/.", False), ("a%2f..%2Fx", False), ("a\\..\\x", False)),
    ],
)
def test_a_url_of_another_prefix_has_any_path_that_stays_below_it(rest: str, fits: bool) -> None:
    problems = Slack(("https://slack.proxy.example/in/",)).validate({"url": f"https://slack.proxy.example/in/{rest}"})
    assert (not problems) is fits
