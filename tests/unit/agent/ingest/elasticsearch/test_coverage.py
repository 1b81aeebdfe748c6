"""When a login is asked what it may see, and how long an answer holds."""

from collections.abc import Iterator
from typing import cast

from kubectl_sew.elasticsearch.access import ElasticsearchError
from kubectl_sew.elasticsearch.client import Index
from sew_agent.ingest.elasticsearch.coverage import ASKED_EVERY, Coverage

READ = "`read` on all of `events.*`"


class ScriptedIndex:
    """Answers one after the other; an error is raised."""

    def __init__(self, *answers: str | ElasticsearchError) -> None:
        self._answers: Iterator[str | ElasticsearchError] = iter(answers)

    def uncovered(self) -> str:
        answer = next(self._answers)
        if isinstance(answer, ElasticsearchError):
            raise answer
        return answer


class Asking:
    """Coverage with a clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self._coverage = Coverage(lambda: self.now)

    def said(self, index: ScriptedIndex) -> str:
        self._coverage.update(cast("Index", index))
        return " ".join(self._coverage.caveats)


def test_what_is_missing_is_said_with_what_it_means_and_what_to_do_until_it_is_granted() -> None:
    asking, index = Asking(), ScriptedIndex(READ, "")
    said = asking.said(index)
    assert said.startswith(f"events may be missing without any error: the login does not have {READ}, and ")
    assert said.endswith("grant that, or name in SEW_INDEX (--index) only what the role covers")
    asking.now += ASKED_EVERY - 1
    assert asking.said(index) == said
    asking.now += 1
    assert asking.said(index) == ""


def test_another_login_is_asked_at_once() -> None:
    asking = Asking()
    assert READ in asking.said(ScriptedIndex(READ))
    assert asking.said(ScriptedIndex("")) == ""


def test_without_an_answer_the_last_one_holds_until_it_is_asked_again() -> None:
    asking, index = Asking(), ScriptedIndex(READ, ElasticsearchError("it is away", 503), "")
    said = asking.said(index)
    asking.now += ASKED_EVERY
    assert asking.said(index) == said
    asking.now += ASKED_EVERY
    assert asking.said(index) == ""
