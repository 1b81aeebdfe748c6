"""Each part that reads text from outside takes about twice the time for a text twice as long: see READERS."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import pytest

from kubectl_sew import ndjson, redaction, text, tls
from kubectl_sew.consumers import body_limits, expectation, headers, jira_fields, severity_words
from kubectl_sew.consumers.base import RenderError, Response
from kubectl_sew.consumers.classification import classify_response
from kubectl_sew.consumers.digest_settings import check_digest
from kubectl_sew.consumers.rate import parse_rate
from kubectl_sew.consumers.registry import CONSUMERS
from kubectl_sew.consumers.template import check_template, render_body
from kubectl_sew.elasticsearch.access import index_pattern, read_url
from kubectl_sew.elasticsearch.client import search_error
from kubectl_sew.errors import SewError
from kubectl_sew.event import Event, read_time
from kubectl_sew.json_text import as_text, block
from kubectl_sew.kubectl import explain
from kubectl_sew.query import ANY, QueryError, bind, compile_matcher, parse, to_dsl
from kubectl_sew.resource import load_manifests
from kubectl_sew.resource.conditions import read_conditions
from kubectl_sew.resource.delivery_tests import read_test_result
from kubectl_sew.resource.labels import parse_labels
from kubectl_sew.samples import sample
from kubectl_sew.validation.manifests import validate_manifests
from sew_agent.kubernetes.lease_position import unpack
from tests.unit.test_time_bounds import REPEATED, seconds

SHORT = 2_000
TIMES_LONGER = 4
ALLOWED = 9.0
"""Times as long, where it is 16 for what is quadratic."""
MEASURABLE = 0.05
"""Seconds of the processor below which it does no harm, however it grows: texts from outside have bounds."""
CONFIGS = {
    "Slack": {"url": "https://hooks.slack.com/services/T0/B0/x"},
    "Jira": {
        "url": "https://jira.example/rest/api/2/issue",
        "project": "A",
        "issueType": "B",
        "username": "u",
        "apiToken": "t",
    },
    "Generic": {"url": "https://r.example/"},
    "AlertManager": {"url": "http://alertmanager.example:9093"},
}


def ask(query: str) -> None:
    bound = bind(parse(query), ANY)
    to_dsl(bound)
    compile_matcher(bound)({"host": query}, 1.8e9)


def wildcards(value: str) -> None:
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    ask(f'host = "*{quoted}"')


def manifests(written: str) -> None:
    validate_manifests(load_manifests(written, "f"), ANY)


def webhook(value: str) -> None:
    """A manifest that is sound, and has the text as its query, its labels, and a value."""
    quoted = "'" + value.replace("'", "''").replace("\n", " ") + "'"
    names = ("url", "digest", "expect", "ca.crt", "rate")
    config = ", ".join(f"{{name: {name}, value: {quoted}}}" for name in names)
    manifests(
        "apiVersion: projectcalico.org/v3\nkind: SecurityEventWebhook\n"
        f"metadata: {{name: a, annotations: {{webhooks.projectcalico.org/labels: {quoted}}}}}\n"
        f"spec: {{consumer: Generic, state: Enabled, query: {quoted}, config: [{config}]}}\n"
    )


def own_template(source: str) -> None:
    if not check_template(source, html=True, as_json=False):
        with suppress(RenderError):
            render_body(source, {"description": source}, as_json=False)


def answers(body: str) -> None:
    for name, consumer in CONSUMERS.items():
        for status in (200, 400, 429):
            answer = Response(status, {"retry-after": body, "content-type": body}, body.encode())
            classify_response(consumer, answer, 1.8e9, CONFIGS[name])


def messages(words: str) -> None:
    document = {**sample("suspicious_flow"), "description": words, "name": words, "record": {words: words}}
    for name, consumer in CONSUMERS.items():
        consumer.render(Event("i", "e", document), {words: words}, CONFIGS[name], now=1.8e9, delivery_id="d")


def event(line: str) -> None:
    document = ndjson.parse_line(line.encode())
    as_text(document)


def shown(words: str) -> None:
    text.printable(text.clean(words))
    text.width(words)
    text.utf16(words, 100)
    block({"a": words}, 1_000)
    redaction.redactor("secret", words)(words)


def times(words: str) -> None:
    read_time(words)
    text.parse_rfc3339(words)
    text.decode_base64(words)
    for read in (text.parse_duration, text.parse_go_duration, parse_rate):
        with suppress(ValueError):
            read(words)


READERS: Mapping[str, Callable[[str], Any]] = {
    "a query": ask,
    "a query's value with wildcards": wildcards,
    "manifests": manifests,
    "a webhook's values": webhook,
    "labels": parse_labels,
    "headers": lambda value: headers.check_headers({"headers": value}),
    "a template": own_template,
    "limits": lambda value: body_limits.check_limits({"limits": value}),
    "Jira's fields": lambda value: jira_fields.check_fields({"fields": value}),
    "what is expected of an answer": lambda value: expectation.check_expect({"expect": value}),
    "digests": lambda value: check_digest({"digest": value, "groupBy": value}),
    "words for severities": severity_words.read_severity_words,
    "certificates": lambda pem: (tls.holds_certificates(pem), tls.why_unusable(pem, pem)),
    "a line of events": event,
    "times and durations": times,
    "an event, for each consumer": messages,
    "a receiver's answer": answers,
    "what is shown": shown,
    "a search's error": lambda reason: search_error({"type": reason, "reason": reason}, 400),
    "the address of Elasticsearch": lambda url: (read_url(url), index_pattern(url)),
    "kubectl's error": explain,
    "conditions in an annotation": read_conditions,
    "a test's result in an annotation": read_test_result,
    "a Lease's position": lambda value: unpack(value, "i"),
}
"""Each part that reads text from outside, as it is used. Answers of receivers byte by byte are `make fuzz`'s."""


@pytest.mark.parametrize("name", READERS)
def test_a_text_twice_as_long_takes_about_twice_the_time(name: str) -> None:
    def read(written: str, enough: float = 0.0) -> float:
        def reading() -> None:
            with suppress(SewError, QueryError, ValueError):
                READERS[name](written)

        return seconds(reading, enough)

    for repeated in REPEATED:
        took = read(repeated * (TIMES_LONGER * SHORT // len(repeated)), MEASURABLE)
        if took >= MEASURABLE:
            assert took < ALLOWED * read(repeated * (SHORT // len(repeated))), f"{repeated!r} again and again"
