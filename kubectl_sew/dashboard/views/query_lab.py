"""The page on which a query is written: what is wrong with it, what it means, and what it selects."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from kubectl_sew.cli.survey import Part, Survey, Window
from kubectl_sew.cli.survey_index import IndexSurvey
from kubectl_sew.dashboard.history import ChartStep
from kubectl_sew.dashboard.views.chart import Chart, draw
from kubectl_sew.json_text import line
from kubectl_sew.query import FieldSet, QueryError, bind, compile_matcher, explain, parse, to_dsl
from kubectl_sew.query.errors import render
from kubectl_sew.samples import SAMPLE_TYPES, sample
from kubectl_sew.text import spell_exactly

_LONGEST = 2_000
"""Characters of an event that are shown."""


@dataclass(frozen=True, slots=True)
class FileMatches:
    """What a file of events has: how many match, the first of them, and whether it was read to its end."""

    events: int
    matching: int
    bad: int
    lines: tuple[str, ...]
    whole: bool


@dataclass(frozen=True, slots=True)
class SurveyView:
    """What an index has."""

    where: str
    count: int
    total: int
    took: int
    chart: Chart
    parts: tuple[Part, ...]
    events: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class QueryLab:
    """The page. `problem` draws what is wrong; then all that follows is empty. `samples`: Calico's types it selects."""

    text: str
    problem: str = ""
    warning: str = ""
    words: str = ""
    canonical: str = ""
    dsl: str = ""
    samples: tuple[tuple[str, bool], ...] = ()


def query_lab(text: str, fields: FieldSet, now: float) -> QueryLab:
    """Return the page of a query; `now` in epoch seconds."""
    if not text.strip():
        return QueryLab(text)
    try:
        query = bind(parse(text), fields, text)
    except QueryError as error:
        return QueryLab(text, problem=error.render())
    warnings = [replace(problem, warning=False) for problem in query.warnings]
    matches = compile_matcher(query)
    return QueryLab(
        text,
        warning=render(text, warnings) if warnings else "",
        words=explain(query),
        canonical=str(query.node),
        dsl=json.dumps(to_dsl(query), indent=2, ensure_ascii=False),
        samples=tuple((kind, matches(sample(kind), now)) for kind in SAMPLE_TYPES),
    )


def survey_view(asked: IndexSurvey) -> SurveyView:
    """Return what an index has of a query."""
    survey, window = asked.survey, asked.window
    return SurveyView(
        where=asked.where,
        count=survey.count,
        total=survey.total,
        took=survey.took,
        chart=_chart(survey, window),
        parts=tuple(survey.parts),
        events=shown([hit.get("_source", {}) for hit in survey.samples]),
    )


def shown(events: Sequence[object]) -> tuple[str, ...]:
    """Return events as text, each cut where it is long."""
    return tuple(line(event, _LONGEST) for event in events)


def _chart(survey: Survey, window: Window) -> Chart:
    seconds = window.step
    steps = [
        ChartStep(bar.start / 1_000, bar.start / 1_000 + seconds, bar.count, bar.suppressed) for bar in survey.bars
    ]
    words = f"{survey.count:,} of {survey.total:,} events match"
    return replace(draw(steps), words=words, caption=f"Events in each {spell_exactly(seconds)}")
