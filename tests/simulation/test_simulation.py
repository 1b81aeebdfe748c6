"""Delivery holds its promises over random histories; `make simulate` runs any number of others."""

import pytest

from tests.simulation.histories import run

HISTORIES = 10_000
PARTS = 50


@pytest.mark.parametrize("part", range(PARTS))
def test_random_histories_of_receivers_keep_every_promise(part: int) -> None:
    run(HISTORIES // PARTS, 1 + part * HISTORIES // PARTS)
