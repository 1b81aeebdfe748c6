"""What all stores make of their rows."""

import pytest

from sew_agent.store.rows import bounded

MIB = 2**20


@pytest.mark.parametrize(
    ("sizes", "given"), [([2 * MIB] * 3, 2), ([4 * MIB - 1, 1, 1], 2), ([5 * MIB, 1], 1), ([1, 1], 2), ([], 0)]
)
def test_a_page_ends_with_the_payload_that_fills_4_mib(sizes: list[int], given: int) -> None:
    rows = [(number, bytes(size)) for number, size in enumerate(sizes)]
    assert list(bounded(rows)) == rows[:given]
