"""What a webhook's condition EventsFetched says, and that the checkpoint in it can be read back."""

import pytest

from kubectl_sew.resource import Condition, FetchedReason, checkpoint
from sew_agent.ingest.progress import Fetched, Progress, tell

MOMENT = 1_800_000_000.0


@pytest.mark.parametrize(
    ("progress", "status", "reason", "named"),
    [
        (Progress(MOMENT), "True", FetchedReason.READ, ""),
        (Progress(MOMENT, begun=False), "Unknown", FetchedReason.READ, "not been read"),
        (Progress(MOMENT, full=True), "False", FetchedReason.BACKLOG_FULL, "SEW_STORE_MAX"),
        (Progress(MOMENT, full=True, trouble="it is down"), "False", FetchedReason.SOURCE_UNAVAILABLE, "it is down"),
        (Progress(MOMENT, trouble="down", refused="no such field"), "False", FetchedReason.UNANSWERABLE, "no such"),
        (Progress(MOMENT, remarks=["3 were too old"]), "True", FetchedReason.READ, "3 were too old"),
    ],
)
def test_the_worst_is_told_and_the_checkpoint_always(
    progress: Progress, status: str, reason: FetchedReason, named: str
) -> None:
    told = tell(progress)
    assert (told.status, told.reason) == (status, reason)
    assert named in told.message
    assert checkpoint([Condition("EventsFetched", told.status, told.reason.value, told.message)]) == MOMENT


def test_a_checkpoint_that_moves_on_makes_no_other_standing() -> None:
    assert tell(Progress(MOMENT)) == tell(Progress(MOMENT + 60))
    assert tell(Progress(MOMENT)).message != tell(Progress(MOMENT + 60)).message
    assert tell(Progress(MOMENT)) != tell(Progress(MOMENT, trouble="down"))


def test_a_source_that_cannot_tell_has_no_checkpoint() -> None:
    told = tell(Progress(None))
    assert told == Fetched("True", FetchedReason.READ, "all that the source holds has been read")
    assert checkpoint([Condition("EventsFetched", "True", "", told.message)]) is None


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
