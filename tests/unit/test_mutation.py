"""The mutants that change nothing: how the list of them is read."""

import pytest

from tests.mutation.equivalents import Change, equivalents

LIST = """
# How to read it.

sew_agent.store.rows.seen: no time is second 1
     before = 0
-    return time or 0
+    return time or 1

sew_agent.store.rows.forget: the amount itself alone
-    if (
-        used > room
-    ):
+    if (
+        used >= room
+    ):
"""


def test_a_mutant_is_known_by_its_function_and_what_it_changes_however_it_is_indented_and_whatever_stands_around() -> (
    None
):
    changed = ["     earlier = 1", "-        return  time or 0", "+        return  time or 1"]
    assert equivalents(LIST)[Change.of_diff("sew_agent.store.rows.seen", changed)] == "no time is second 1"
    over_lines = ["-if (used > room):", "+if (used >= room):"]
    assert equivalents(LIST)[Change.of_diff("sew_agent.store.rows.forget", over_lines)] == "the amount itself alone"


@pytest.mark.parametrize(
    ("function", "diff"),
    [
        ("sew_agent.store.rows.forget", ["-    return time or 0", "+    return time or 1"]),
        ("sew_agent.store.rows.seen", ["-    return time or 0", "+    return time or 2"]),
        ("sew_agent.store.rows.seen", ["-    return time or 1", "+    return time or 0"]),
    ],
)
def test_another_function_or_another_change_is_another_mutant(function: str, diff: list[str]) -> None:
    assert Change.of_diff(function, diff) not in equivalents(LIST)


@pytest.mark.parametrize("entry", ["a.b.c\n-x\n+y", "a.b.c: \n-x\n+y", "a.b.c: no change below it"])
def test_an_entry_says_why_and_what(entry: str) -> None:
    with pytest.raises(ValueError, match=r"a\.b\.c.*expected FUNCTION: REASON, and below it lines"):
        equivalents(entry)
