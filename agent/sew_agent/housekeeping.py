"""Housekeeping of the store: forget, expire, trim the log of deliveries, free room, and log manual actions."""

from sew_agent.base.log import Log
from sew_agent.ingest.poller import Poller
from sew_agent.store.contract import Store

_EVERY = 1.0
_PASSED_MARGIN = 600.0
"""Seconds that seen events are kept after the last reader has passed: some of its writes may have been seen earlier."""
_TRIM_EVERY = 10.0


class Housekeeping:
    """Housekeeping in the main thread. It frees room, so it goes on while the disk is full."""

    def __init__(self, store: Store, poller: Poller, log: Log, *, dead_letters_for: float, attempts_for: float) -> None:
        """Take the store and its readers. Seconds that a dead letter, and an attempt in the log, are kept."""
        self._store = store
        self._poller = poller
        self._log = log
        self._dead_letters_for = dead_letters_for
        self._attempts_for = attempts_for
        self._next = self._next_trim = 0.0
        self._logged = max((action.number for action in store.manual_actions()), default=0)

    def step(self, now: float, pace: float) -> None:
        """Do a part of the work, once a second; `pace` is monotonic. Raises StoreError."""
        if pace < self._next:
            return
        if pace >= self._next_trim:
            self._store.trim_attempts(now, self._attempts_for)
            self._next_trim = pace + _TRIM_EVERY
        forgotten = self._store.forget(min(now, self._poller.low_watermark() - _PASSED_MARGIN))
        expired = self._store.expire(now - self._dead_letters_for)
        if expired:
            message = "dead letters that nobody replayed or purged are counted as dropped: see SEW_DEAD_LETTERS_FOR"
            self._log.warning("dead_letters_expired", count=expired, message=message)
        self._store.shrink()
        self._log_manual_actions()
        self._next = pace if forgotten or expired else pace + _EVERY

    def _log_manual_actions(self) -> None:
        for action in self._store.manual_actions(self._logged):
            self._log.warning("by_hand", what=action.what, webhook=action.webhook, count=action.count, who=action.who)
            self._logged = action.number
