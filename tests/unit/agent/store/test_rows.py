"""What all stores make of their rows."""

import pytest

from sew_agent.store.rows import bounded

MIB = 2**20


@pytest.mark.parametrize(
    ("sizes", "given"),
    [([2 * MIB] * 3, 2), ([4 * MIB - 1, 1, 1], 2), ([1, 4 * MIB], 1), ([5 * MIB, 1], 1), ([1, 1], 2)],
)
def test_a_page_holds_what_fits_into_4_mib_and_one_in_any_case(sizes: list[int], given: int) -> None:
    rows = [(number, bytes(size)) for number, size in enumerate(sizes)]
    assert bounded(rows) == (rows[:given], given < len(rows))
    assert bounded([]) == ([], False)
