"""Asks an index what a query would select of it, for `preview-query --elasticsearch`."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kubectl_sew.cli.exception_options import in_force
from kubectl_sew.cli.output import echo, print_json, print_yaml
from kubectl_sew.cli.query_argument import read_query
from kubectl_sew.cli.survey import Survey, Window, as_object, for_people, read, searches
from kubectl_sew.elasticsearch.client import Index
from kubectl_sew.elasticsearch.credentials import VARIABLES, from_files
from kubectl_sew.errors import SewError
from kubectl_sew.members import members
from kubectl_sew.query import FieldSet, FieldType
from kubectl_sew.resource.exceptions import AlertException


@dataclass(frozen=True, slots=True)
class IndexSurvey:
    """What an index has of a query in a window of time; `where` names the index."""

    survey: Survey
    window: Window
    where: str


def print_survey(  # noqa: PLR0913, PLR0917 - one for each flag
    text: str,
    urls: str,
    pattern: str,
    since: float,
    time_field: str,
    output: str | None,
    exceptions: Sequence[AlertException] = (),
) -> None:
    """Print what `survey_index` returns; `output` is "json", "yaml" or None for people."""
    asked = survey_index(text, urls, pattern, since, time_field, exceptions)
    if output:
        (print_yaml if output == "yaml" else print_json)(as_object(asked.survey, asked.window))
    else:
        echo(for_people(asked.survey, asked.window, asked.where))


def survey_index(
    text: str,
    urls: str,
    pattern: str,
    since: float,
    time_field: str,
    exceptions: Sequence[AlertException] = (),
) -> IndexSurvey:
    """Ask an index. `since` in seconds, at least one, and not before 1970. What `exceptions` in force select is not
    counted. Raises ElasticsearchError, QueryError."""
    files = {name: Path(path) for name, variable in VARIABLES.items() if (path := os.environ.get(variable))}
    access = from_files(members(urls), files)()
    index = Index(access, pattern)
    try:
        fields = fields_of(index)
        end = int(time.time() * 1_000)
        start = max(0, end - max(1_000, int(since * 1_000)))
        window = Window(time_path(fields, time_field, index), start, end)
        query = read_query(text, fields)
        header = {**index.everywhere, "request_cache": False}
        selectors = in_force(exceptions, fields)
        bodies = searches(query, window, selectors)
        survey = read(query, index.search_many([(header, body) for body in bodies]), selectors)
    finally:
        index.close()
    return IndexSurvey(survey, window, f"{index.pattern} at {index.place}")


def fields_of(index: Index) -> FieldSet:
    """Return the fields of an index's mapping. Raises SewError where there is no such index."""
    fields = index.fields()
    if not list(fields)[1:]:  # each has an `_id`
        raise SewError(f"no index of {index.place} has a name like {index.pattern} and a field: see --index")
    return fields


def time_path(fields: FieldSet, name: str, index: Index) -> str:
    """Return the path of the field of time in a search. Raises SewError where there is none that is a time."""
    field = fields.get(name)
    if field is None or field.type is not FieldType.TIME or field.storage.refusal:
        why = "there is no such field"
        if field:
            why = field.storage.refusal or f"it must be a time, but is {field.type.value}"
        raise SewError(f"the events of {index.pattern} have no time in `{name}`: {why}; name it by --time-field")
    return field.path
