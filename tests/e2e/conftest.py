"""A folder with an agent, and receivers, for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.receivers import Receiver, generic
from tests.e2e.sew_agent import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    made = Folder(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with generic() as made:
        yield made
