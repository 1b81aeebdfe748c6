"""Delivery holds its promises over random histories; `make simulate` runs any number of others."""

import os
import subprocess
import sys

import pytest

from tests.simulation.histories import run

HISTORIES = 10_000
PARTS = 50


@pytest.mark.parametrize("part", range(PARTS))
def test_random_histories_of_receivers_keep_every_promise(part: int) -> None:
    run(HISTORIES // PARTS, 1 + part * HISTORIES // PARTS)


def test_a_seed_shows_the_same_history_in_each_process() -> None:
    command = [sys.executable, "-m", "tests.simulation", "20", "1"]
    printed = {
        subprocess.run(command, env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=True).stdout
        for seed in "012"
    }
    assert len(printed) == 1
