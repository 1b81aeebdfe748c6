"""The budget that all work in a template is charged to, before it is done, in both languages."""

from collections.abc import Callable
from time import thread_time

from kubectl_sew.consumers.base import RenderError

STEPS = 1_000_000
"""Nodes of the template that one rendering may evaluate; work on long texts costs more. Well under a second."""

SECONDS = 2.0
"""Processor time of one rendering: other threads do not count, so that a busy machine refuses no event."""

TEXT_LIMIT = 1024 * 1024
"""Characters of a text that a template makes on its way."""

CHARACTERS_A_STEP = 64
JSON_A_STEP = 8
"""Characters of JSON: lists of lists cost most to write."""

_STEPS_BETWEEN_LOOKS = 256
"""Steps between two looks at the clock: a look costs as much as a step."""

Clock = Callable[[], float]


class SpentError(Exception):
    """The rendering's budget is used up."""


class Budget:
    """Remaining steps and time of a rendering; `clock`: seconds of the processor for this thread."""

    def __init__(self, clock: Clock = thread_time, *, steps: int = STEPS, seconds: float = SECONDS) -> None:
        self.left = steps
        self._clock = clock
        self._end = clock() + seconds
        self._look_at = steps

    @property
    def is_spent(self) -> bool:
        """Return whether nothing more can be rendered with it."""
        return self.left < 0 or self._clock() > self._end

    def spend(self, amount: int) -> None:
        """Charge for steps that are about to be taken. Raises SpentError."""
        self.left -= amount
        if self.left < self._look_at:
            self.check_time()

    def check_time(self) -> None:
        """Raise SpentError where the time is over, or the steps are."""
        if self.is_spent:
            raise SpentError
        self._look_at = max(0, self.left - _STEPS_BETWEEN_LOOKS)

    def spend_on_text(self, length: int) -> None:
        """Charge for work on a text."""
        self.spend(1 + length // CHARACTERS_A_STEP)

    def spend_on_new_text(self, length: int) -> None:
        """Charge for a text that is about to be made. Raises RenderError where it would be longer than any may be."""
        self.spend_on_text(length)
        if length > TEXT_LIMIT:
            raise RenderError("a text that the template makes exceeds 1 MiB")
