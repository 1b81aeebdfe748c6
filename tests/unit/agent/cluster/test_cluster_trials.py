"""What an annotation says of a test that another agent began."""

import pytest

from agent.cluster.trials import Step, next_step

AT = "2026-11-25T15:00:00Z"


@pytest.mark.parametrize(
    ("journal", "step"),
    [
        ("", Step.SEND),
        (f"{AT} delivered: 204", Step.SEND),
        ("whatever a person wrote", Step.SEND),
        (f"{AT} the sample is being sent", Step.SEND_AGAIN),
        (f"{AT} the sample is being sent again", Step.GIVE_UP),
        (f"{AT} not known: the agent ended twice while the sample was being sent", Step.SEND),
    ],
)
def test_a_sample_is_sent_once_more_at_most(journal: str, step: Step) -> None:
    assert next_step(journal) is step
