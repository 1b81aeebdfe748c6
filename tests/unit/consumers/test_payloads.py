"""Payloads of every consumer for every sample, kept in files for people to review.

After an intended change: `python -m tests.unit.consumers.test_payloads` writes them anew.
"""

import json
from pathlib import Path

import pytest

from kubectl_sew.consumers.registry import CONSUMERS
from kubectl_sew.event import Event
from kubectl_sew.samples import SAMPLE_TYPES, sample

FOLDER = Path(__file__).parents[2] / "cases" / "payloads"
CONFIG = {
    "url": "https://receiver.example/api/v2/alerts",
    "project": "SEC",
    "issueType": "Bug",
    "username": "sew@example.com",
    "apiToken": "token",
    "generatorURL": "https://calico.example/events",
}


def payload(consumer: str, event_type: str) -> str:
    document = sample(event_type)
    event = Event(document["_index"], document["_id"], document)
    (request,) = CONSUMERS[consumer].render(
        event, {"cluster": "prod-eu"}, CONFIG, now=1_772_450_000.0, delivery_id="0123456789abcdef0123456789abcdef"
    )
    return json.dumps(json.loads(request.body), indent=2, ensure_ascii=False) + "\n"


def path(consumer: str, event_type: str) -> Path:
    return FOLDER / f"{consumer.lower()}.{event_type}.json"


@pytest.mark.parametrize("event_type", SAMPLE_TYPES)
@pytest.mark.parametrize("consumer", CONSUMERS)
def test_the_payload_is_the_reviewed_one(consumer: str, event_type: str) -> None:
    assert payload(consumer, event_type) == path(consumer, event_type).read_text("utf-8")


def test_there_is_a_sample_of_each_type_and_it_is_of_that_type() -> None:
    assert [sample(kind)["type"] for kind in SAMPLE_TYPES] == list(SAMPLE_TYPES)
    assert len(set(SAMPLE_TYPES)) == 10


def test_there_is_no_sample_of_another_type() -> None:
    with pytest.raises(KeyError):
        sample("../samples/waf")


if __name__ == "__main__":
    for consumer in CONSUMERS:
        for event_type in SAMPLE_TYPES:
            path(consumer, event_type).write_text(payload(consumer, event_type), "utf-8")
