"""The examples of docs/migrating.md are delivered by an agent that runs as the page says."""

from pathlib import Path

import pytest

from testbed.receivers import Answer, Receiver
from tests.e2e.sew_agent import Folder

EXAMPLES = Path("docs/examples/migrating")


@pytest.mark.parametrize(
    ("example", "events", "flags", "titles"),
    [
        ("elastalert", "ecs", ["--time-field", "@timestamp"], ["Web shell on web-1"]),
        ("falco", "falco", [], ["prod: Write below etc", "prod: Read sensitive file untrusted"]),
    ],
    ids=["elastalert", "falco"],
)
def test_an_example_is_delivered(
    example: str, events: str, flags: list[str], titles: list[str], tmp_path: Path
) -> None:
    folder = Folder(tmp_path)
    manifest = (EXAMPLES / f"{example}.yaml").read_text("utf-8")
    flags = [*flags, "--fields", "any", "--once"]
    with Receiver(lambda _: Answer(200, b"ok")) as receiver:
        (folder.webhooks / "hook.yaml").write_text(manifest.replace("https://hooks.slack.com", receiver.url))
        agent = folder.start(*flags, events=str(EXAMPLES / f"{events}.ndjson"), SEW_SLACK_URL_PREFIXES=receiver.url)
        assert agent.wait() == 0
        sent = [incoming.json()["blocks"][0]["text"]["text"] for incoming in receiver.accepted]
    assert sorted(sent) == sorted(titles)
