"""What a power failure leaves of a file is what was synced, and any part of the rest."""

import os
import random
import struct
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from sew_agent.store.sqlite.store import open_store
from testbed.servers.required import required
from tests.proof.power import File, left, replay
from tests.proof.preload import preload


def entry(kind: str, path: str, offset: int = 0, data: bytes = b"") -> bytes:
    return struct.pack("<cHQQ", kind.encode(), len(path), offset, len(data)) + path.encode() + data


def test_what_was_synced_is_there_and_what_was_written_since_may_be() -> None:
    journal = entry("w", "a", 0, b"first") + entry("s", "a") + entry("w", "a", 5, b" second") + entry("t", "b", 3)
    files = replay({"b": b"before"}, journal)
    assert files["a"].synced == b"first"
    found = {left(files["a"], random.Random(seed)) for seed in range(20)}
    assert found == {b"first", b"first second"}
    assert {left(files["b"], random.Random(seed)) for seed in range(20)} == {b"before", b"bef"}


def test_each_sector_of_a_write_may_be_lost_alone() -> None:
    file = File(bytearray(1024), [(0, b"x" * 1024)])
    found = {left(file, random.Random(seed)) for seed in range(50)}
    assert found == {one * 512 + two * 512 for one in (b"\0", b"x") for two in (b"\0", b"x")}


def test_a_renamed_file_has_its_content_and_a_removed_one_is_gone() -> None:
    journal = entry("w", "a", 0, b"new") + entry("s", "a") + entry("r", "a", 0, b"b") + entry("u", "c")
    assert {path: bytes(file.synced) for path, file in replay({"b": b"old", "c": b""}, journal).items()} == {
        "b": b"new"
    }


BEGINS = """
import os, sys
from pathlib import Path
from kubectl_sew.event import Event
from sew_agent.store.records import EnqueueBatch, NewDelivery, WebhookRecord
from sew_agent.store.sqlite.store import open_store

store = open_store(Path(sys.argv[1]))
for number in range(3):
    store.save_webhook(WebhookRecord("hook", "Enabled", float(number)))
    for page in range(2):
        event = Event("", f"{number}.{page}", {})
        store.enqueue(EnqueueBatch([NewDelivery(event, ("hook",))], {"shared": f"{number}.{page}"}, 1.0))
os._exit(0)
"""


def test_where_a_webhook_and_a_reader_began_is_synced_with_the_first_page_after_it(tmp_path: Path) -> None:
    with required():
        library = preload("power", tmp_path)
    state, after, journal = tmp_path / "state", tmp_path / "after", tmp_path / "journal"
    given = {"LD_PRELOAD": str(library), "POWER_FOLDER": str(state), "POWER_JOURNAL": str(journal)}
    subprocess.run([sys.executable, "-c", BEGINS, state], check=True, env=os.environ | given)
    after.mkdir()
    for path, file in replay({}, journal.read_bytes()).items():
        (after / Path(path).name).write_bytes(file.synced)
    with closing(open_store(after)) as store:
        assert store.webhook_records()["hook"].start == 2.0
        assert store.positions() == {"shared": "2.0"}
