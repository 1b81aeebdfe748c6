"""What `make test-matrix` says at its end."""

import pytest

from testbed.run_matrix import Result, counted, main

RAN = {
    "helm_3": Result("helm_3", 0, "12 passed, 1 skipped", 30.4),
    "kubernetes_1.36": Result("kubernetes_1.36", 2, "1 failed, 90 passed", 100),
    "python_3.12": Result("python_3.12", 2, "", 0.2),
    "opensearch_2": Result("opensearch_2", 0, "80 skipped", 3),
}


def test_each_part_is_named_with_what_came_of_it_and_a_failure_does_not_end_the_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(list(RAN), RAN.__getitem__) == 1
    assert capsys.readouterr().out.splitlines() == [
        "",
        "helm_3           passed       30 s  12 passed, 1 skipped",
        "kubernetes_1.36  FAILED      100 s  1 failed, 90 passed",
        "python_3.12      NOT RUN       0 s",
        "opensearch_2     NOT RUN       3 s  80 skipped",
    ]


def test_all_parts_passed_is_a_success() -> None:
    assert main(["helm_3"], RAN.__getitem__) == 0


@pytest.mark.parametrize(
    ("line", "counts"),
    [
        ("== 3 passed in 0.50s ==\n", "3 passed"),
        ("1 failed, 2 passed, 4 skipped in 71.00s (0:01:11)\n", "1 failed, 2 passed, 4 skipped"),
        ("============ 5 passed, 1 error in 12.34s ============\n", "5 passed, 1 error"),
        ("no tests ran in 0.01s\n", ""),
        ("the agent ended in 0.01s\n", ""),
    ],
)
def test_the_counts_are_those_of_pytests_last_line(line: str, counts: str) -> None:
    assert counted(line) == counts
