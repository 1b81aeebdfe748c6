"""The position in the Lease, for a successor without a store."""

import random

import pytest

from kubectl_sew.resource import FetchedReason
from sew_agent.ingest.progress import Progress
from sew_agent.kubernetes.lease_position import LONGEST, covered, pack, unpack


def progress(read_to: float | None) -> Progress:
    return Progress("True", FetchedReason.READ, "", read_to)


def test_a_position_is_the_same_after_it_was_packed_and_is_for_the_same_indices_alone() -> None:
    assert unpack(pack("events.*", "position"), "events.*") == "position"
    assert unpack(pack("events.*", "position"), "others.*") == ""


@pytest.mark.parametrize("strange", ["", "x", "eA==", "eJyLVjJUitVRMlIAUrEAFpkDIg=="])
def test_text_that_no_agent_wrote_is_no_position(strange: str) -> None:
    assert unpack(strange, "events.*") == ""


def test_a_position_that_is_too_long_is_not_kept() -> None:
    assert pack("events.*", random.Random(1).randbytes(LONGEST).hex()) == ""


@pytest.mark.parametrize(
    ("read_to", "written", "is_covered"),
    [(100.0, 90.0, True), (100.0, 100.0, True), (80.0, 90.0, False), (None, 90.0, False), (80.0, None, True)],
)
def test_pending_deliveries_are_found_again_from_a_checkpoint_that_is_not_after_them(
    read_to: float | None, written: float | None, is_covered: bool
) -> None:
    assert covered({"w": progress(read_to)}, {"w": written, "another": 1e9}) is is_covered
