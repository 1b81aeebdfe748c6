"""The page of metrics, as Prometheus' own promtool reads it."""

import subprocess
from pathlib import Path

import pytest

from tests.integration.monitoring.conftest import Scrapes

pytestmark = pytest.mark.server


def test_a_real_agents_page_is_as_prometheus_asks(promtool: Path, scrapes: Scrapes) -> None:
    for page in (scrapes.healthy[0], scrapes.faulty[-1], scrapes.standing_by):
        checked = subprocess.run(
            [promtool, "check", "metrics"], input=page, capture_output=True, text=True, check=False
        )
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
