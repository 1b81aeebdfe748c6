"""How many connections the system's limit of open files allows."""

import resource

import pytest

from sew_agent.base.open_files import deliveries_within


class Limits:
    """The system's limits of open files, as a process without rights finds them."""

    def __init__(self, soft: int, hard: int) -> None:
        self.soft, self.hard = soft, hard

    def get(self, _: int) -> tuple[int, int]:
        return self.soft, self.hard

    def set(self, _: int, limits: tuple[int, int]) -> None:
        assert limits[1] == self.hard
        assert self.hard == resource.RLIM_INFINITY or limits[0] <= self.hard
        self.soft = limits[0]


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "allowed", "then"),
    [
        (1024, 524_288, 1024, 1024, 11_464),
        (1024, resource.RLIM_INFINITY, 1024, 1024, 11_464),
        (1024, 1024, 1024, 74, 1024),
        (1024, 1024, 64, 64, 1024),
        (20_000, 20_000, 1024, 1024, 20_000),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, 1024, 1024, resource.RLIM_INFINITY),
        (64, 64, 16, 1, 64),
    ],
)
def test_the_limit_is_raised_as_far_as_it_may_and_what_is_in_flight_stays_within_it(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, wanted: int, allowed: int, then: int
) -> None:
    limits = Limits(soft, hard)
    monkeypatch.setattr(resource, "getrlimit", limits.get)
    monkeypatch.setattr(resource, "setrlimit", limits.set)
    assert deliveries_within(wanted, 10) == allowed
    assert limits.soft == then
