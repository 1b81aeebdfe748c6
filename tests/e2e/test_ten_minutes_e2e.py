"""The pages "In ten minutes" are true: a person who types their commands, in order, sees what they show."""

import json
import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Self

import pytest

from kubectl_sew.text import rfc3339
from testbed.servers.indices import connect, index, write
from testbed.servers.running import free_port, slowness
from tests.documented import Example, examples, masked
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
RECEIVER = "python3 examples/receiver.py"
SURICATA, OF_INDEX, IN_ECS = "docs/ten-minutes-suricata.md", "From OpenSearch", "In ECS"
ALONE = {"number_of_replicas": 0}
_DIFFERS = {r'"pid": \d+': '"pid": PID', r" delivered \d+ ": " delivered MS ", r" [0-9a-f]{12} ": " ID "}
"""What differs from one run to the other beside what `masked` knows; ids are made with the index's name."""


class Typist:
    """A person who types a page's commands in a checkout; what runs until Ctrl-C has a terminal of its own."""

    def __init__(self, folder: Path, instead: Mapping[str, str]) -> None:
        """`instead`: what the page names -> what there is here."""
        self._folder, self._instead = folder, instead
        for name in ("docs", "examples"):
            (folder / name).symlink_to(ROOT / name)
        self._others: list[tuple[Example, Path, subprocess.Popen[bytes]]] = []

    def types(self, typed: Example) -> None:
        if typed.line == RECEIVER:
            terminal = self._folder / f"terminal-{len(self._others)}"
            with terminal.open("wb") as file:
                self._others.append((typed, terminal, self._shell(typed, file.fileno())))
            eventually(terminal.read_text, "the receiver listens")
            return
        with self._shell(typed, subprocess.PIPE) as process:
            printed, _ = process.communicate(timeout=60 * slowness())
        assert self._as_the_page_has_it(printed.decode()) == _masked(typed.shown), typed.line

    def looks_at_the_other_terminals(self) -> None:
        for typed, terminal, _ in self._others:
            assert self._as_the_page_has_it(terminal.read_text()) == _masked(typed.shown), typed.line

    def _shell(self, typed: Example, output: int) -> "subprocess.Popen[bytes]":
        line = typed.line if "|" in typed.line else f"exec {typed.line}"  # so that to kill it leaves nothing behind
        for name, here in self._instead.items():
            line = line.replace(name, here)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        where = {"cwd": self._folder, "env": os.environ | {"PATH": path}}
        return subprocess.Popen(line, shell=True, stdout=output, stderr=subprocess.STDOUT, **where)

    def _as_the_page_has_it(self, printed: str) -> str:
        for name, here in self._instead.items():
            printed = printed.replace(here, name)
        return _masked(printed)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for *_, process in self._others:
            process.kill()
            process.wait()


def _masked(text: str) -> str:
    for pattern, name in _DIFFERS.items():
        text = re.sub(pattern, name, masked(text))
    return text


@contextmanager
def typist(folder: Path, instead: Mapping[str, str] = MappingProxyType({})) -> Iterator[Typist]:
    """A typist with a receiver's port of its own. `instead`: as a Typist has it, beside what each page names."""
    port = free_port()
    common = {"kubectl sew": "kubectl-sew", RECEIVER: f"{sys.executable} examples/receiver.py {port}"}
    with Typist(folder, {**common, "127.0.0.1:8080": f"127.0.0.1:{port}", **instead}) as made:
        yield made


def follow(typed: Iterable[Example], person: Typist) -> None:
    for example in typed:
        person.types(example)
    person.looks_at_the_other_terminals()


@contextmanager
def indexed(url: str, path: str, time_field: str, prefix: str) -> Iterator[str]:
    """Yield the name of an index with the events of a file, of the last minutes."""
    lines = (ROOT / path).read_text("utf-8").splitlines()
    now = time.time()
    dated = (
        (number, {**json.loads(line), time_field: rfc3339(now - 300 + number)}) for number, line in enumerate(lines, 1)
    )
    name = f"sew-{uuid.uuid4().hex[:8]}"
    with connect(url) as client, index(client, name=name, mappings={}, settings=ALONE):
        write(client, name, ({**event, "_id": f"{prefix}-{number}"} for number, event in dated))
        yield name


@pytest.mark.server
def test_falco_on_elasticsearch(tmp_path: Path, elasticsearch_8: str) -> None:
    with (
        indexed(elasticsearch_8, "docs/examples/migrating/falco.ndjson", "time", "f") as name,
        typist(tmp_path, {"http://127.0.0.1:9200": elasticsearch_8, "falco-*": name}) as person,
    ):
        follow(examples("docs/ten-minutes-falco.md"), person)


@pytest.mark.server
def test_suricata_on_opensearch(tmp_path: Path, opensearch_url: str) -> None:
    with (
        indexed(opensearch_url, "docs/examples/ten-minutes/eve.json", "timestamp", "s") as name,
        typist(tmp_path, {"http://127.0.0.1:9200": opensearch_url, "suricata-*": name}) as person,
    ):
        person.types(Example(RECEIVER, ""))
        for typed in examples(SURICATA, section=OF_INDEX):
            person.types(typed)


@pytest.mark.server
def test_suricata_in_ecs_on_opensearch(tmp_path: Path, opensearch_url: str) -> None:
    with (
        indexed(opensearch_url, "docs/examples/ten-minutes/filebeat.ndjson", "@timestamp", "f") as name,
        typist(tmp_path, {"http://127.0.0.1:9200": opensearch_url, "filebeat-*": name}) as person,
    ):
        follow(examples(SURICATA, section=IN_ECS), person)


def test_events_in_a_file(tmp_path: Path) -> None:
    with typist(tmp_path) as person:
        follow(examples("docs/ten-minutes-files.md"), person)


def test_suricatas_log(tmp_path: Path) -> None:
    of_indices = examples(SURICATA, section=OF_INDEX) + examples(SURICATA, section=IN_ECS)
    with typist(tmp_path) as person:
        follow([typed for typed in examples(SURICATA) if typed not in of_indices], person)
