"""What a login is asked about a pattern, and what its answer says is missing."""

from typing import Any

import pytest

from kubectl_sew.elasticsearch.coverage import question, uncovered
from kubectl_sew.elasticsearch.dialect import ELASTICSEARCH, OPENSEARCH

NEEDED = ELASTICSEARCH.unnoticed
ALL = dict.fromkeys(NEEDED, True)
NONE = dict.fromkeys([*NEEDED, *NEEDED.values()], False)


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("events.*", ["events.*"]),
        ("events.*,-events.old*,other", ["events.*", "other"]),
        ("<events-{now/d}>,events.*", ["events.*"]),
        (".ds-events-*,events.*", ["events.*"]),
    ],
)
def test_each_name_is_asked_about_but_for_those_that_no_role_is_compared_with(pattern: str, names: list[str]) -> None:
    asked = question(pattern, NEEDED)
    assert asked is not None
    (index,) = asked["index"]
    assert index["names"] == names
    assert index["privileges"] == [
        *("read", "view_index_metadata", "monitor"),
        *("indices:data/read/search", "indices:admin/mappings/get", "indices:monitor/stats"),
    ]


@pytest.mark.parametrize("pattern", ["<events-{now/d}>", ".ds-events-*"])
def test_where_there_is_no_such_name_nothing_is_asked(pattern: str) -> None:
    assert question(pattern, NEEDED) is None


def test_a_server_that_refuses_what_a_role_leaves_out_is_not_asked() -> None:
    assert question("events.*", OPENSEARCH.unnoticed) is None


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"a*": ALL, "b": ALL}, ""),
        ({"a*": NONE}, "`read`, `view_index_metadata` and `monitor` on all of `a*`"),
        ({"a*": {**NONE, **ALL, "monitor": False}}, "`monitor` on all of `a*`"),
        ({"a*": {**NONE, **dict.fromkeys(NEEDED.values(), True)}}, ""),
        (
            {"a*": NONE, "b": {**ALL, "read": False}, "c": NONE},
            "`read`, `view_index_metadata` and `monitor` on all of `a*`, `c`; `read` on all of `b`",
        ),
        ("", ""),
        ({"a*": "nothing that we know"}, ""),
    ],
    ids=["all", "nothing", "all but one", "by actions", "several", "no object", "no privileges"],
)
def test_what_is_missing_is_said_by_privilege_and_name(answer: Any, said: str) -> None:
    assert uncovered(answer, NEEDED) == said
