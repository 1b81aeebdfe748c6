"""The condition EventsFetched of a webhook; the checkpoint in it can be read back."""

import pytest

from kubectl_sew.resource import Condition, FetchedReason, checkpoint
from sew_agent.ingest.progress import Progress, ReaderState, progress_of

MOMENT = 1_800_000_000.0


@pytest.mark.parametrize(
    ("reader_state", "status", "reason", "named"),
    [
        (ReaderState(MOMENT), "True", FetchedReason.READ, ""),
        (ReaderState(MOMENT, begun=False), "Unknown", FetchedReason.READ, "not been read"),
        (ReaderState(MOMENT, full=True), "False", FetchedReason.BACKLOG_FULL, "SEW_STORE_MAX"),
        (ReaderState(MOMENT, full=True, problem="it is down"), "False", FetchedReason.SOURCE_UNAVAILABLE, "it is down"),
        (ReaderState(MOMENT, problem="down", refused="no such field"), "False", FetchedReason.UNANSWERABLE, "no such"),
        (ReaderState(MOMENT, warnings=["3 were too old"]), "True", FetchedReason.READ, "3 were too old"),
    ],
)
def test_the_worst_is_reported_and_the_checkpoint_always(
    reader_state: ReaderState, status: str, reason: FetchedReason, named: str
) -> None:
    progress = progress_of(reader_state)
    assert (progress.status, progress.reason) == (status, reason)
    assert named in progress.message
    assert checkpoint([Condition("EventsFetched", progress.status, progress.reason.value, progress.message)]) == MOMENT


@pytest.mark.parametrize(
    ("problem", "warnings", "message"),
    [
        ("", [], "read to 2027-01-15T08:00:00Z"),
        ("", ["3 were too old", "1 was no JSON"], "read to 2027-01-15T08:00:00Z; 3 were too old; 1 was no JSON"),
        ("it is down", ["3 were too old"], "read to 2027-01-15T08:00:00Z; it is down; 3 were too old"),
    ],
)
def test_a_message_is_the_checkpoint_what_is_wrong_and_what_was_left_out(
    problem: str, warnings: list[str], message: str
) -> None:
    assert progress_of(ReaderState(MOMENT, problem=problem, warnings=warnings)).message == message


def test_a_checkpoint_that_moves_on_makes_no_other_status() -> None:
    assert progress_of(ReaderState(MOMENT)) == progress_of(ReaderState(MOMENT + 60))
    assert progress_of(ReaderState(MOMENT)).message != progress_of(ReaderState(MOMENT + 60)).message
    assert progress_of(ReaderState(MOMENT)) != progress_of(ReaderState(MOMENT, problem="down"))


def test_a_source_without_moments_has_no_checkpoint() -> None:
    progress = progress_of(ReaderState(None))
    assert progress == Progress("True", FetchedReason.READ, "all that the source holds has been read")
    assert checkpoint([Condition("EventsFetched", "True", "", progress.message)]) is None


@pytest.mark.parametrize(
    "condition",
    [
        Condition("Healthy", "True", "", "read to 2026-01-01T00:00:00Z"),
        Condition("EventsFetched", "True", "", "read to the end"),
        Condition("EventsFetched", "True", "", "could not be read to 2026-01-01T00:00:00Z"),
    ],
)
def test_what_is_no_checkpoint_is_none(condition: Condition) -> None:
    assert checkpoint([condition]) is None
