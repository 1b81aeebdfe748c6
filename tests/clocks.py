"""A clock for tests."""


class ManualClock:
    """A clock that the test moves, in seconds."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
