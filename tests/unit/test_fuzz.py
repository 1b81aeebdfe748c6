"""Some random inputs for each part of `make fuzz`, the same ones in every run."""

import pytest

from tests.fuzz.__main__ import PARTS, give


@pytest.mark.parametrize("part", PARTS)
def test_random_inputs_are_judged_and_nothing_worse(part: str) -> None:
    give(part, 200, 1)
