"""The history behind the charts: what was sampled, and no more."""

from kubectl_sew.dashboard.history import BUCKETS, MOST, ChartStep, History
from kubectl_sew.dashboard.views.chart import draw


def filled(*counts: tuple[int, int]) -> History:
    history = History()
    for at, (delivered, dead) in enumerate(counts):
        history.add(float(at), {"w": {"delivered": delivered, "deadLetters": dead}})
    return history


def test_a_step_holds_what_was_counted_between_two_samples() -> None:
    assert filled((10, 1), (15, 1), (15, 3)).steps("w") == [ChartStep(0.0, 1.0, 5, 0), ChartStep(1.0, 2.0, 0, 2)]


def test_one_sample_says_nothing_about_what_happened() -> None:
    assert filled((10, 1)).steps("w") == []
    assert filled((10, 1), (11, 1)).steps("other") == []


def test_a_counter_that_fell_counts_for_nothing() -> None:
    assert filled((10, 5), (0, 0), (3, 0)).steps("w") == [ChartStep(0.0, 1.0, 0, 0), ChartStep(1.0, 2.0, 3, 0)]


def test_however_long_it_runs_the_samples_are_bounded_and_nothing_is_left_out_of_the_sum() -> None:
    many = 20 * MOST
    steps = filled(*((number, 0) for number in range(many))).steps("w")
    assert len(steps) <= BUCKETS
    assert steps[0].start == 0.0
    assert many - 2 * MOST < sum(step.delivered for step in steps) < many


def test_the_smallest_failure_beside_many_deliveries_is_still_drawn() -> None:
    chart = draw([ChartStep(0.0, 5.0, 1_000_000, 0), ChartStep(5.0, 10.0, 0, 1)])
    assert chart.failed.endswith("v-1")
    assert "since 1970-01-01T00:00:00Z" in chart.caption


def test_a_chart_of_nothing_draws_nothing() -> None:
    assert draw([]).empty
    assert draw([ChartStep(0.0, 1.0, 0, 0)]).words == "0 delivered, 0 became dead letters"
