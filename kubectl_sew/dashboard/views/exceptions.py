"""The page of AlertExceptions, as `kubectl sew exceptions` lists them."""

from collections.abc import Sequence
from dataclasses import dataclass

from kubectl_sew.cli.commands.exceptions import HEADINGS, row_of
from kubectl_sew.cluster.exceptions import ClusterException
from kubectl_sew.cluster.webhook_details import AgentReport
from kubectl_sew.dashboard.views.webhook import in_words
from kubectl_sew.query import FieldSet


@dataclass(frozen=True, slots=True)
class ExceptionLine:
    """An exception: the cells of `kubectl sew exceptions` by heading, its selector, and that in words."""

    cells: dict[str, str]
    selector: str
    words: str


def exceptions_view(
    held: Sequence[ClusterException], agent: AgentReport, fields: FieldSet, now: float
) -> tuple[ExceptionLine, ...]:
    """Return the lines; `now` in epoch seconds."""
    reported = {row["name"]: row for row in agent.report.get("exceptions") or ()}
    return tuple(
        ExceptionLine(
            dict(zip(HEADINGS, row_of(one, reported.get(one.exception.name), now), strict=True)),
            one.exception.selector,
            in_words(one.exception.selector, fields),
        )
        for one in held
    )
