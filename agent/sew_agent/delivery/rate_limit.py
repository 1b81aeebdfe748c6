"""A token bucket: later, never lost."""

from dataclasses import dataclass


@dataclass(slots=True)
class TokenBucket:
    """`rate` tokens a second come in; it holds one second's worth, at least one, and starts full."""

    rate: float
    tokens: float = 0.0
    at: float | None = None

    def take(self, now: float) -> float:
        """0.0, and a token is taken; else the seconds until there is one. `now` in seconds, of any clock."""
        room = max(self.rate, 1.0)
        elapsed = max(now - self.at, 0.0) if self.at is not None else room / self.rate
        self.tokens = min(room, self.tokens + elapsed * self.rate)
        self.at = now
        if self.tokens < 1.0 - 1e-9:
            return (1.0 - self.tokens) / self.rate
        self.tokens -= 1.0
        return 0.0
