"""Asks what the query lab may be asked about: the file and the index that the command line names, and no other."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kubectl_sew.cli.matching_lines import Selector, check_events, read_event_lines
from kubectl_sew.cli.survey_index import IndexSurvey, survey_index
from kubectl_sew.dashboard.views.query_lab import FileMatches
from kubectl_sew.errors import SewError
from kubectl_sew.json_text import line
from kubectl_sew.query import FieldSet, bind, compile_matcher, parse

SINCE = 24 * 3600.0
_SHOWN = 5
_SECONDS = 20.0
_LONGEST = 2_000


@dataclass(frozen=True, slots=True)
class LabSources:
    """The file of events, and the index (its URLs and pattern); "" where none was named."""

    events: str = ""
    elasticsearch: str = ""
    index: str = ""

    def search(self, text: str) -> IndexSurvey:
        """Ask the index for the last 24 h. Raises SewError."""
        return survey_index(text, self.elasticsearch, self.index, SINCE, "time")

    def read(self, text: str, fields: FieldSet, clock: Callable[[], float] = time.monotonic) -> FileMatches:
        """Read the file, for 20 s at most. Raises SewError."""
        selector = Selector(compile_matcher(bind(parse(text), fields, text)))
        found: list[str] = []
        ends, now = clock() + _SECONDS, time.time()
        whole = True
        try:
            with Path(self.events).open("rb") as file:
                for lines in read_event_lines(file.read1, self.events):
                    matching, _ = selector.take(lines, now)
                    found += [line(raw.decode("utf-8", "replace"), _LONGEST) for raw in matching[: _SHOWN - len(found)]]
                    if clock() > ends:
                        whole = False
                        break
        except OSError as error:
            raise SewError(f"events cannot be read from {self.events}: {error.strerror or error}") from None
        if whole:
            check_events(selector, self.events)
        return FileMatches(selector.events, selector.matching, selector.bad, tuple(found), whole)
