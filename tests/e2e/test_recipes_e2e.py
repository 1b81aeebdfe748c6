"""The real process delivers by recipes to receivers that are strict, and takes no 200 for a success that is none."""

import json
from collections import Counter
from collections.abc import Callable

import jsonschema
import pytest

from testbed.receivers import Answer, Incoming, Receiver
from tests.e2e.receivers import delivery_ids
from tests.e2e.recipes import KEY, write_recipe
from tests.e2e.sew_agent import Folder
from tests.unit.recipes.contracts import CONTRACTS
from tests.waiting import eventually


def strict(name: str, good: Answer, bad: Answer, fits: Callable[[Incoming], bool], failures: int = 0) -> Receiver:
    """Return a receiver that holds bodies to a contract; the first `failures` good requests get the bad answer."""
    left = [failures]

    def answer(incoming: Incoming) -> Answer:
        if not fits(incoming):
            return Answer(401, b"wrong credentials: " + KEY.encode())
        try:
            jsonschema.validate(incoming.json(), CONTRACTS[name])
        except jsonschema.ValidationError as error:
            return Answer(400, error.message.encode())
        left[0] -= 1
        return bad if left[0] >= 0 else good

    return Receiver(answer)


def test_pagerduty_gets_each_event_once_with_its_key_and_the_deliverys_id(folder: Folder) -> None:
    good = Answer(202, b'{"status": "success", "message": "Event processed"}')
    bad = Answer(202, b'{"status": "throttled"}', takes=False)
    with strict("pagerduty", good, bad, lambda each: each.json()["routing_key"] == KEY, 5) as receiver:
        write_recipe(folder, "pagerduty", url=receiver.url, secrets={"routingKey": KEY + "\n"})
        folder.write(range(40), name='a "quote" \u202e', description="x" * 2_000, time=1772442845)
        agent = folder.start("--once")
        assert agent.wait() == 0
        assert receiver.refused == []
        assert receiver.ids(lambda each: each.json()["dedup_key"]) == Counter(delivery_ids("pagerduty", 40))
    assert KEY not in agent.text()


def test_opsgenie_gets_its_key_in_a_header_and_the_deliverys_id_as_alias(folder: Folder) -> None:
    good = Answer(202, b'{"result": "Request will be processed", "requestId": "1"}')

    def fits(incoming: Incoming) -> bool:
        return incoming.headers["authorization"] == f"GenieKey {KEY}"

    with strict("opsgenie", good, good, fits) as receiver:
        write_recipe(folder, "opsgenie", url=receiver.url, secrets={"apiKey": KEY})
        folder.write(range(20), severity=95)
        assert folder.start("--once").wait() == 0
        assert receiver.ids(lambda each: each.json()["alias"]) == Counter(delivery_ids("opsgenie", 20))
        assert {each.json()["priority"] for each in receiver.accepted} == {"P1"}


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("mattermost", b"ok", b'{"id": "web.incoming_webhook.channel.app_error", "message": "no such channel"}'),
        ("telegram", b'{"ok": true, "result": {}}', b'{"ok": false, "description": "chat not found"}'),
        ("splunk", b'{"text": "Success", "code": 0}', b'{"text": "Server is busy", "code": 9}'),
    ],
)
def test_a_200_with_an_error_in_its_body_is_no_delivery(folder: Folder, name: str, good: bytes, bad: bytes) -> None:
    plain = {"chatId": "-100123"} if name == "telegram" else {}
    secrets = {"token": KEY} if name == "splunk" else {}
    path = {
        "mattermost": "/hooks/abc123",
        "telegram": f"/bot123:{KEY}/sendMessage",
        "splunk": "/services/collector/event",
    }[name]
    with strict(name, Answer(200, good), Answer(200, bad, takes=False), lambda each: each.path == path, 4) as receiver:
        write_recipe(folder, name, url=receiver.url + path, secrets=secrets, rate="1000/s", **plain)
        folder.write(range(10), time=1772442845)
        assert folder.start("--once").wait() == 0
        sent = receiver.ids(lambda each: each.headers["webhook-id"])
        assert sent == Counter(delivery_ids(name, 10))


def test_what_the_receiver_says_instead_is_shown_and_no_secret_is(folder: Folder) -> None:
    said = Answer(200, json.dumps({"ok": False, "description": f"bot {KEY} was blocked"}).encode())
    path = f"/bot123:{KEY}/sendMessage"
    with Receiver(lambda _: said) as receiver:
        write_recipe(folder, "telegram", url=receiver.url + path, secrets={}, chatId="-100123")
        folder.write(range(3))
        agent = folder.start()
        eventually(lambda: "was blocked" in agent.text(), "the log has the receiver's words")
        status = folder.command("status").stdout
        dead = folder.command("dead-letters", "list", "telegram").stdout
    assert "200 OK, but not what `expect` asks for" in status
    assert KEY not in agent.text() + status + dead + agent.scrape()


def test_a_wrong_key_parks_the_webhook_and_is_not_shown_where_it_is_repeated(folder: Folder) -> None:
    with strict("pagerduty", Answer(202), Answer(202), lambda _: False) as receiver:
        write_recipe(folder, "pagerduty", url=receiver.url, secrets={"routingKey": KEY})
        folder.write(range(20))
        agent = folder.start()
        eventually(lambda: "wrong credentials" in agent.text(), "the log has the receiver's words")
        assert KEY not in agent.text() + folder.command("status").stdout + agent.scrape()
