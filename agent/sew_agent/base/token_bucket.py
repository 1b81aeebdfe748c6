"""Token bucket: a rate limit that delays and never drops."""

from dataclasses import dataclass


@dataclass(slots=True)
class TokenBucket:
    """Bucket that gains `rate` tokens a second, holds `burst` of them, and starts full.

    Without a `burst` it holds those of one second, at least one.
    """

    rate: float
    burst: float = 0.0
    tokens: float = 0.0
    at: float | None = None

    def take(self, now: float) -> float:
        """Take a token and return 0.0, or return the seconds until there is one. `now` in seconds of any clock."""
        delay = self.delay(now)
        if not delay:
            self.tokens -= 1.0
        return delay

    def delay(self, now: float) -> float:
        """Return the seconds until there is a token."""
        room = self.burst or max(self.rate, 1.0)
        elapsed = max(now - self.at, 0.0) if self.at is not None else room / self.rate
        self.tokens = min(room, self.tokens + elapsed * self.rate)
        self.at = now
        if self.tokens < 1.0 - 1e-9:
            return (1.0 - self.tokens) / self.rate
        return 0.0
