"""A receiver of the proof fails as it is told to, and sees what is wrong with a request."""

import http.client
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks import Webhook

from kubectl_sew.consumers.digest import digest_id, make_digest
from kubectl_sew.consumers.digest_settings import DigestSettings
from kubectl_sew.event import Event
from kubectl_sew.event_maps.readable import EVENT_MAPS
from tests.proof import digests
from tests.proof.events import Events, identity
from tests.proof.history import Definition, State
from tests.proof.receivers import ProofReceiver, signing_secret
from tests.waiting import eventually

ON = Definition("w", 0, State.ENABLED, 0)


@pytest.fixture
def events() -> Events:
    made = Events(1, ("w",), clock=lambda: 5.0, now=lambda: 1000.0)
    for _ in range(3):
        made.next()
    return made


@pytest.fixture
def receiver(events: Events) -> Iterator[ProofReceiver]:
    with ProofReceiver(
        "w",
        events,
        identify=lambda webhook, number: f"{webhook}-{number}",
        clock=lambda: 5.0,
        timeout=0.3,
        chance=random.Random(1),
        atomic=True,
    ) as made:
        made.definitions = {0: ON, 1: Definition("w", 1, State.ENABLED, 0, token=1, secret=1)}
        yield made


def post(
    receiver: ProofReceiver, body: dict[str, object], *, secret: int = 0, token: int = 0, name: str = "w-1"
) -> str:
    """Send a request, and return the status and Retry-After of its answer, or the error."""
    text = json.dumps(body)
    moment = datetime.fromtimestamp(1000, UTC)
    signed = Webhook(signing_secret(receiver.definitions[secret])).sign(name, moment, text)
    headers = {"webhook-id": name, "webhook-timestamp": "1000", "webhook-signature": signed}
    host, _, path = receiver.url(token).removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host, timeout=0.3)
    try:
        connection.request("POST", f"/{path}", text, headers)
        answer = connection.getresponse()
        answer.read()
        return f"{answer.status} {'waits' if answer.headers['retry-after'] else ''}".strip()
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__
    finally:
        connection.close()


def body(events: Events, number: int = 1, generation: int = 0, **changed: object) -> dict[str, object]:
    labels = {"generation": str(generation)}
    return events.document(number) | {"id": identity(number), "labels": labels} | changed


@pytest.mark.parametrize(
    ("trouble", "answers"),
    [
        ("refuses", {"204", "503"}),
        ("limits", {"204", "429 waits"}),
        ("hangs", {"204", "TimeoutError"}),
        ("drips", {"200", "204"}),  # this client has patience for each byte, not for the whole answer
        ("late", {"204", "TimeoutError"}),
        ("cuts", {"204", "IncompleteRead"}),
        ("away", {"503"}),
    ],
)
def test_a_receiver_in_trouble_fails_some_requests(
    receiver: ProofReceiver, events: Events, trouble: str, answers: set[str]
) -> None:
    receiver.troubles.append(trouble)
    got = {post(receiver, body(events)) for _ in range(15)}
    assert answers <= got <= answers | {"TimeoutError"}  # on a busy machine any answer may be late


def test_an_event_that_is_bad_is_refused_for_good_and_an_old_token_too(receiver: ProofReceiver, events: Events) -> None:
    receiver.token = 1
    assert post(receiver, body(events)) == "401"
    receiver.token = 0
    while not events.written[-1].bad:
        events.next()
    assert post(receiver, body(events, events.written[-1].number)) == "400"


@pytest.mark.parametrize(
    ("changed", "sent", "flaw"),
    [
        ({}, {}, ""),
        ({"severity": 1000}, {}, "altered in severity"),
        ({"more": 1}, {}, "altered in more"),
        ({"id": "e99"}, {"name": "w-99"}, "it is none of ours"),
        ({}, {"name": "w-2"}, "its id is that of another delivery"),
        ({}, {"token": 1}, "its URL is not that of its generation"),
        ({}, {"secret": 1}, "its signature is not that of its generation"),
        ({"labels": {"generation": "7"}}, {}, "made by generation 7, which there never was"),
    ],
)
def test_what_is_wrong_with_a_request_is_seen(
    receiver: ProofReceiver, events: Events, changed: dict[str, object], sent: dict[str, object], flaw: str
) -> None:
    post(receiver, body(events, **changed), **sent)  # type: ignore[arg-type]
    eventually(lambda: [arrival.flaw for arrival in receiver.arrivals] == [flaw], f"it sees: {flaw}")


GATHERS = replace(ON, digest=5)
BY_TYPE = replace(GATHERS, group_by="type")
NAME = digest_id("w", [f"w-{number}" for number in range(3)])


def digest_of(events: Events, numbers: Sequence[int], definition: Definition) -> dict[str, Any]:
    """Return a digest as the agent makes it."""
    made = [Event("", identity(number), events.document(number)) for number in numbers]
    grouped = (definition.group_by,) if definition.group_by else ()
    document = make_digest(made, DigestSettings(definition.digest, grouped), EVENT_MAPS).event(NAME).fields()
    return document | {"id": NAME, "labels": {"generation": "0"}}


@pytest.mark.parametrize(
    ("definition", "changed", "numbers", "flaw"),
    [
        (GATHERS, {}, (0, 1, 2), ""),
        (GATHERS, {"count": 4}, (0, 1, 2), "a digest, altered in count"),
        (GATHERS, {"newest": []}, (0, 1, 2), "a digest, altered in newest"),
        (GATHERS, {"types": [{"value": "waf", "count": 3}]}, (0, 1, 2), "a digest, altered in types"),
        (GATHERS, {"first": "1970-01-01T00:00:00Z"}, (0, 1, 2), "a digest, altered in first"),
        (GATHERS, {"more": 1}, (0, 1, 2), "a digest, altered in more"),
        (GATHERS, {"ids": ["e0", "e1"]}, (0, 1, 2), "its id is that of another delivery"),
        (GATHERS, {"ids": ["e0", "e1", "e99"]}, (0, 1, 2), "its id is that of another delivery"),
        (GATHERS, {}, (0, 1), "its id is that of another delivery"),
        (ON, {}, (0, 1, 2), "a digest, although its webhook has none"),
        (BY_TYPE, {}, (0, 1, 2), "a digest of several groups"),
    ],
)
def test_what_is_wrong_with_a_digest_is_seen(
    receiver: ProofReceiver,
    events: Events,
    definition: Definition,
    changed: dict[str, object],
    numbers: Sequence[int],
    flaw: str,
) -> None:
    receiver.definitions[0] = definition
    made = digest_of(events, numbers, definition if definition.digest else GATHERS)
    made["digest"] |= changed
    assert post(receiver, made, name=NAME) == "204"
    eventually(lambda: [arrival.flaw for arrival in receiver.arrivals] == [flaw], f"it sees: {flaw}")


def test_a_digest_is_right_whatever_is_in_it(receiver: ProofReceiver, events: Events) -> None:
    for _ in range(200):
        events.next()
    for definition in (GATHERS, BY_TYPE):
        kinds = {event.kind for event in events.written} if definition.group_by else {""}
        for kind in kinds:
            numbers = [event.number for event in events.written if not kind or event.kind == kind]
            assert digests.flaw(digest_of(events, numbers, definition), events, definition) == ""


def test_a_digest_is_accepted_or_refused_as_a_whole(receiver: ProofReceiver, events: Events) -> None:
    receiver.definitions[0] = GATHERS
    assert post(receiver, digest_of(events, (0, 1, 2), GATHERS), name=NAME) == "204"
    eventually(lambda: receiver.accepted == {0, 1, 2}, "all of it is accepted")
    while not events.written[-1].bad:
        events.next()
    bad = events.written[-1].number
    assert post(receiver, digest_of(events, (0, bad), GATHERS), name=NAME) == "400"
    eventually(lambda: receiver.arrivals[-1].events == (0, bad), "it has been recorded")
    assert receiver.accepted == {0, 1, 2}
