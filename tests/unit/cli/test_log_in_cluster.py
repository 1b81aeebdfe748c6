"""`kubectl sew trace` and `deliveries -w` beside a kubectl that answers as a cluster and its agent do."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from kubectl_sew.cli import waiting
from tests.unit.cli.conftest import Ran
from tests.unit.cli.fake_cluster import FakeCluster, webhook

Sew = Callable[..., Ran]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    made = FakeCluster(tmp_path)
    monkeypatch.setitem(os.environ, "KUBECTL_PATH", str(made.kubectl))
    return made


def known(**fates: str) -> dict[str, Any]:
    rows = [{"webhook": name, "fate": fate, "detail": f"of {name}"} for name, fate in fates.items()]
    return {"event": "e-1", "index": "", "webhooks": rows, "document": None}


def test_the_agent_says_what_it_knows_and_the_cluster_why_the_rest_does_not_get_it(
    sew: Sew, cluster: FakeCluster
) -> None:
    cluster.has(webhook("picky", "severity >= 90"), webhook("done", "severity >= 0"))
    cluster.answers(known(done="delivered", picky="unseen") | {"document": {"id": "e-1", "severity": 70}})
    ran = sew("trace", "e-1")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == (
        "WEBHOOK   FATE           DETAIL\n"
        "done      delivered      of done\n"
        "picky     not selected   severity >= 90: severity is 70\n"
    )
    assert cluster.asked == ["sew-agent trace -o json -- e-1"]


def test_an_event_that_the_agent_has_no_more_comes_from_a_file(sew: Sew, cluster: FakeCluster, tmp_path: Path) -> None:
    cluster.has(webhook("picky", "severity >= 90"))
    cluster.answers(known())
    assert "give it with --event-file" in sew("trace", "e-1").out
    events = tmp_path / "events.ndjson"
    events.write_text('{"id": "e-0", "severity": 99}\nnot JSON\n{"id": "e-1", "severity": 20}\n')
    said = json.loads(sew("trace", "e-1", "--event-file", str(events), "-o", "json").out)
    assert said["document"] == {"id": "e-1", "severity": 20}
    assert [(row["fate"], row["detail"]) for row in said["webhooks"]] == [
        ("not selected", "severity >= 90: severity is 20")
    ]
    missing = sew("trace", "e-2", "--event-file", str(events))
    assert (missing.code, missing.out) == (1, "")
    assert f"no line of {events} is an event with the id e-2" in missing.err


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (("--index", "x"), "--index is for --elasticsearch: give its URL, too"),
        (("--event-file", "f", "--elasticsearch", "u"), "--event-file and --elasticsearch cannot be given together"),
    ],
)
def test_an_event_comes_from_one_place(sew: Sew, cluster: FakeCluster, flags: tuple[str, ...], why: str) -> None:
    ran = sew("trace", "e-1", *flags)
    assert (ran.code, ran.out) == (2, "")
    assert why in ran.err


@pytest.mark.parametrize("answer", ["", "[]", "{}", '{"webhooks": [{}]}', '{"webhooks": [1]}', "null"])
def test_an_agent_that_answers_otherwise_is_of_another_version(sew: Sew, cluster: FakeCluster, answer: str) -> None:
    cluster.answers(answer)
    for command in (("trace", "e-1"), *([] if answer == "[]" else [("deliveries", "hook", "-w")])):
        ran = sew(*command)
        assert (ran.code, ran.out) == (1, "")
        assert "cannot be read: is it of another version than `kubectl sew version`?" in ran.err


def row(number: int, **more: Any) -> dict[str, Any]:
    return {
        "webhook": "hook", "deliveryId": f"{number:032x}", "event": f"e-{number}", "type": "waf", "severity": 80,
        "attempt": 1, "at": f"2026-11-29T10:00:0{number}.000Z", "milliseconds": 9, "outcome": "delivered",
        "receipt": "", "detail": "200 OK", "nextTry": None, **more,
    }  # fmt: skip


def delivery(**more: Any) -> dict[str, Any]:
    document = {"id": "e-1", "type": "waf", "description": "told\u202e by T0KEN-OF-THE-RECEIVER"}
    head = {"webhook": "hook", "deliveryId": f"{1:032x}", "event": "e-1", "index": "", "state": "pending"}
    return {**head, "again": True, "attempts": [row(1)], "document": document, "request": None, **more}


REFERRING = [
    {"name": "url", "valueFrom": {"secretKeyRef": {"name": "receiver", "key": "url"}}},
    {"name": "headers", "valueFrom": {"secretKeyRef": {"name": "receiver", "key": "headers"}}},
]
VALUES = {"url": "https://hooks.example/T0KEN-OF-THE-RECEIVER", "headers": "Authorization: T0KEN-OF-THE-RECEIVER"}


def test_what_is_still_to_be_sent_is_shown_with_its_request_and_without_its_secrets(
    sew: Sew, cluster: FakeCluster
) -> None:
    cluster.has(webhook("hook", "type = waf", consumer="Generic", config=REFERRING), secrets={"receiver": VALUES})
    cluster.answers(delivery())
    ran = sew("deliveries", "hook", "show", "0000")
    assert (ran.code, ran.err) == (0, "")
    assert cluster.asked == ["sew-agent deliveries show --webhook hook -o json -- 0000"]
    request = ran.out.partition("the request, as it would be sent now, without its secrets:\n")[2].splitlines()
    assert request[:2] == ["", "POST https://hooks.example/[secret]"]
    assert {"Authorization: [secret]", f"webhook-id: {1:032x}", "webhook-replay: again"} <= {*request}
    assert '"description": "told\ufffd by [secret]"' in ran.out
    event = ran.out.partition("the request")[0]
    assert "\u202e" not in ran.out
    assert ran.out.count("T0KEN") == event.count("T0KEN") == 1  # of the event itself, which says it


def test_what_may_not_be_read_has_something_in_its_place_that_is_named(sew: Sew, cluster: FakeCluster) -> None:
    cluster.has(webhook("hook", "type = waf", consumer="Generic", config=REFERRING))
    cluster.answers(delivery())
    said = json.loads(sew("deliveries", "hook", "show", "0000", "-o", "json").out)["request"]
    assert said["notes"] == [
        "`url` is in Secret receiver, key url, which cannot be read here: a placeholder stands in its place",
        "`headers` is in Secret receiver, key headers, which cannot be read here: it is left out",
    ]
    assert said["requests"][0].startswith("POST [the URL]\n")
    assert said["why"] == ""


@pytest.mark.parametrize(
    ("webhooks", "document", "why"),
    [
        ((), {"id": "e-1"}, "the request is not shown: "),
        ([webhook("hook", "type = waf")], {"id": "e-1"}, "the webhook cannot be sent with: Slack requires `url`"),
        ([webhook("hook", "type = waf", consumer="Pager")], {"id": "e-1"}, "the webhook's consumer Pager is none"),
        ([webhook("hook", "type = waf")], None, "the event itself is not kept once its delivery has ended"),
    ],
)  # fmt: skip
def test_why_no_request_can_be_shown_is_said(
    sew: Sew, cluster: FakeCluster, webhooks: Sequence[Any], document: Any, why: str
) -> None:
    cluster.has(*webhooks)
    cluster.answers(delivery(document=document))
    ran = sew("deliveries", "hook", "show", "0000")
    assert (ran.code, ran.err) == (0, "")
    assert why in ran.out


@pytest.mark.parametrize("answer", ["", "[]", "null", "{}", json.dumps({"attempts": [], "document": 1})])
def test_a_delivery_that_cannot_be_read_is_of_another_version(sew: Sew, cluster: FakeCluster, answer: str) -> None:
    cluster.answers(answer)
    ran = sew("deliveries", "hook", "show", "0000")
    assert (ran.code, ran.out) == (1, "")
    assert "cannot be read: is it of another version" in ran.err


def test_what_follows_is_printed_once_without_another_heading_until_it_is_interrupted(
    sew: Sew, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "time", Pauses(2))
    cluster.answers([row(1)], [row(1), row(2)], [row(1), row(2), row(3, detail="\u202e\x1b[2J")])
    ran = sew("deliveries", "hook", "-w", "--failed")
    assert [line.split()[:3][-1] for line in ran.out.splitlines()] == ["EVENT", "e-1", "e-2", "e-3"]
    assert "\x1b" not in ran.out
    assert "\u202e" not in ran.out
    assert set(cluster.asked) == {"sew-agent deliveries list --webhook hook --failed -o json"}


class Pauses:
    """Time that ends a wait as a person does, after so many pauses."""

    def __init__(self, count: int) -> None:
        self._left = count

    def sleep(self, _: float) -> None:
        if not self._left:
            raise KeyboardInterrupt
        self._left -= 1
