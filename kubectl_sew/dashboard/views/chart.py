"""A chart of what was delivered and what failed, as the numbers that a drawing needs."""

from collections.abc import Sequence
from dataclasses import dataclass

from kubectl_sew.dashboard.history import ChartStep
from kubectl_sew.text import plural, rfc3339, spell_seconds

WIDTH, HEIGHT = 300, 60
SMALL_WIDTH, SMALL_HEIGHT = 60, 16


@dataclass(frozen=True, slots=True)
class Chart:
    """Two paths of vertical strokes in a box, and the same in words. `caption` says what it is drawn from."""

    width: int
    height: int
    stroke: float
    delivered: str
    failed: str
    words: str
    caption: str

    @property
    def empty(self) -> bool:
        """Return whether there is nothing to draw."""
        return not (self.delivered or self.failed)


def draw(steps: Sequence[ChartStep], *, small: bool = False) -> Chart:
    """Return the chart of some steps: bars of what was delivered, and on top of each what failed."""
    width, height = (SMALL_WIDTH, SMALL_HEIGHT) if small else (WIDTH, HEIGHT)
    most = max((step.delivered + step.failed for step in steps), default=0)
    delivered, failed = sum(step.delivered for step in steps), sum(step.failed for step in steps)
    words = f"{delivered:,} delivered, {failed:,} became dead letters"
    stroke = round(width / max(len(steps), 1) * 0.8, 1)
    if not most:
        return Chart(width, height, stroke, "", "", words, _caption(steps))
    good, bad = [], []
    for at, step in enumerate(steps):
        middle = round((at + 0.5) * width / len(steps), 1)
        top = _scaled(step.delivered, most, height)
        if step.delivered:
            good.append(f"M{middle:g} {height}v-{top:g}")
        if step.failed:
            bad.append(f"M{middle:g} {round(height - top, 1):g}v-{_scaled(step.failed, most, height):g}")
    return Chart(width, height, stroke, "".join(good), "".join(bad), words, _caption(steps))


def _scaled(count: int, most: int, height: int) -> float:
    """Return the length of a bar, so that even one event can be seen."""
    return max(1.0, round(count / most * (height - 1), 1)) if count else 0.0


def _caption(steps: Sequence[ChartStep]) -> str:
    """Say where the figures come from: there is no history but what was sampled here."""
    if not steps:
        return "The chart begins when the counters were read twice; nothing is sampled while no page is open."
    seconds = steps[-1].end - steps[0].start
    bars = f"{len(steps)} {plural(len(steps), 'bar')}"
    return (
        f"Sampled by this dashboard since {rfc3339(steps[0].start)} ({spell_seconds(seconds)}, {bars}); "
        "before that, and while no page is open, nothing is known."
    )
