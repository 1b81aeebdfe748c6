"""Paths into JSON."""

import pytest

from kubectl_sew.consumers.json_path import change_at, parse_path, values_at

DOCUMENT = {"a": [{"b": 1}, {"b": 2}, {"c": 3}], "d-e": {"x.y": "z"}}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$", [DOCUMENT]),
        ("$.a[0].b", [1]),
        ("$.a[*].b", [1, 2]),
        ('$.d-e["x.y"]', ["z"]),
        ("$.a[3]", []),
        ("$.a.b", []),
        ("$.d-e[0]", []),
        ("$.nothing.there", []),
    ],
)
def test_a_path_leads_to_values_or_nowhere(path: str, found: list[object]) -> None:
    assert list(values_at(parse_path(path), DOCUMENT)) == found


@pytest.mark.parametrize("path", ["", "a", ".a", "$a", "$.", "$..a", "$.a[", "$.a[-1]", "$.a[?(@)]", "$.a b", "$[''"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="a path is written as"):
        parse_path(path)


def test_values_are_changed_where_the_path_leads() -> None:
    changed = change_at(parse_path("$.a[*].b"), {"a": [{"b": 1}, {"c": 1}]}, lambda value: value + 1)
    assert changed == {"a": [{"b": 2}, {"c": 1}]}
