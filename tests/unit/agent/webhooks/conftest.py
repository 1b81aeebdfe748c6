"""An agent without delivery, for the tests here."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.agent.webhooks.harness import ReconcilerHarness


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[ReconcilerHarness]:
    made = ReconcilerHarness(tmp_path)
    yield made
    made.close()
