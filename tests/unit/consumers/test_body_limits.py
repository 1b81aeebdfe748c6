"""Generic's variable `limits`: what is longer is cut, and the body stays what it is."""

import json
from typing import Any

import pytest

from kubectl_sew.consumers.base import RenderError
from kubectl_sew.consumers.generic import Generic
from kubectl_sew.event import Event
from kubectl_sew.redaction import Secret
from kubectl_sew.text import utf16_units

URL = "https://hooks.example/x"


def body(document: dict[str, Any], limits: str, **config: str) -> bytes:
    event = Event("i", "id-1", document)
    (request,) = Generic().render(event, {}, {"url": URL, "limits": limits, **config}, now=0.0, delivery_id="d")
    return request.body


def test_a_text_beyond_its_limit_is_cut_with_a_mark_and_the_rest_stays() -> None:
    made = json.loads(body({"a": "x" * 20, "b": ["y" * 20, 7, "z"], "c": "ok"}, "$.a: 10\n$.b[*]: 5\n$.n: 1\n"))
    assert made == {"a": "x" * 9 + "…", "b": ["yyyy…", 7, "z"], "c": "ok", "id": "id-1", "labels": {}}


def test_what_is_within_the_limits_is_the_same_byte_for_byte() -> None:
    template = '{ "a" : "{{ a }}",  "n": 1.50, "n": 2 }'
    assert body({"a": "ü"}, "$.a: 1\n$: 100 bytes", template=template) == '{ "a" : "ü",  "n": 1.50, "n": 2 }'.encode()


def test_characters_are_utf16_units_and_bytes_are_utf8() -> None:
    made = json.loads(body({"a": "😀" * 10, "b": "ü" * 10}, "$.a: 10\n$.b: 10 bytes"))
    assert utf16_units(made["a"]) <= 10
    assert len(made["b"].encode()) <= 10
    assert (made["a"][-1], made["b"][-1]) == ("…", "…")


@pytest.mark.parametrize("most", [1_000, 5_000, 28_000])
@pytest.mark.parametrize("text", ["x" * 100_000, '"\\\n' * 30_000, "\x85\u202e" * 40_000, "😀" * 30_000])
def test_a_whole_body_that_is_too_large_is_cut_at_its_texts_until_it_fits(most: int, text: str) -> None:
    made = body({"long": text, "longer": text * 2, "short": "s" * 100}, f"$: {most} bytes")
    assert most * 0.8 < len(made) <= most
    document = json.loads(made)
    assert document["short"] == "s" * 100
    assert document["long"][-1] == document["longer"][-1] == "…"


def test_a_body_that_cannot_fit_is_refused_with_the_limit() -> None:
    with pytest.raises(RenderError, match="exceeds the limit of 100 bytes"):
        body({"many": ["x" * 50] * 50}, "$: 100 bytes")


def test_a_secret_is_never_cut() -> None:
    key = "k" * 300
    made = body(
        {"d": "x" * 3_000},
        "$.key: 10\n$: 1000 bytes",
        template='{"key": "{{ secret.key }}", "d": "{{ d }}"}',
        key=Secret(key),
    )
    assert json.loads(made)["key"] == key
    assert len(made) <= 1_000


def test_of_a_plain_text_the_whole_is_limited() -> None:
    made = body(
        {"d": "ü" * 100},
        "$.d: 5\n$: 21 bytes",
        template="{{ d }}{% if d %}{% endif %}",
        headers="Content-Type: text/plain",
    )
    assert made.decode() == "ü" * 9 + "…"


def test_a_body_that_is_no_json_is_left_to_the_receivers_judgement() -> None:
    assert body({"d": "x" * 50}, "$.d: 5\n$: 9 bytes", template='{"d": "{{ d }}",}').endswith(b",}")


@pytest.mark.parametrize("limits", ["$.a", "a: 5", "$.a: 0", "$.a: many", "$: 500", "$.a: 5 words", "$.a[x]: 5"])
def test_a_limit_that_cannot_be_read_is_a_problem(limits: str) -> None:
    (problem,) = Generic().validate({"url": URL, "limits": limits})
    assert (problem.variable, problem.warning) == ("limits", False)
    assert problem.message.startswith("line 1: ")
