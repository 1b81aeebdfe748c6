"""Some random inputs for each part of `make fuzz`, the same ones in every run."""

from importlib import import_module

import pytest

from tests.fuzz.__main__ import PARTS


@pytest.mark.parametrize("part", PARTS)
def test_random_inputs_are_judged_and_nothing_worse(part: str) -> None:
    import_module(f"tests.fuzz.{part}").fuzz(200, 1)
