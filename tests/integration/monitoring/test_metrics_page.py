"""The page of metrics, as Prometheus' own promtool reads it."""

import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.server


def test_a_real_agents_page_is_as_prometheus_asks(promtool: Path, scrapes: tuple[str, str]) -> None:
    for page in scrapes:
        checked = subprocess.run(
            [promtool, "check", "metrics"], input=page, capture_output=True, text=True, check=False
        )
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
