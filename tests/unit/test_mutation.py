"""The mutants that change nothing: how the list of them is read."""

import pytest

from tests.mutation.equivalents import Change, equivalents, is_same_sql

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


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('db.execute("REPLACE INTO readers VALUES (?, ?)")', 'db.execute("replace into readers values (?, ?)")'),
        ('with self._transaction("BEGIN") as db:', 'with self._transaction("begin") as db:'),
        ('" ORDER BY name"', '" ORDER BY NAME"'),
        ('pending = "FROM deliveries d"', 'pending = "from deliveries d"'),
        ('" AND NOT EXISTS (SELECT 1 FROM attempts)"', '" and not exists (select 1 from attempts)"'),
        ('" last_error_at FROM webhooks w"', '" LAST_ERROR_AT FROM WEBHOOKS W"'),
        ('" last_error_at = ?"', '" LAST_ERROR_AT = ?"'),
        (
            'execute(f"PRAGMA {name}") for name in ("page_count",)',
            'execute(f"PRAGMA {name}") for name in ("PAGE_COUNT",)',
        ),
        ("\"SELECT at FROM moments WHERE name = 'first'\"", "\"select at from moments where name = 'first'\""),
    ],
)
def test_sql_is_the_same_in_either_case(before: str, after: str) -> None:
    assert is_same_sql("sew_agent.store.sqlite.rows.seen", ["     db = 1", f"-    {before}", f"+    {after}"])


@pytest.mark.parametrize(
    ("function", "before", "after"),
    [
        ("store.sqlite.rows.seen", '"SELECT at FROM moments"', '"XXSELECT at FROM momentsXX"'),
        ("store.sqlite.rows.seen", "\" AND json_extract(k, '$.state')\"", "\" AND JSON_EXTRACT(K, '$.STATE')\""),
        ("store.sqlite.rows.seen", 'drop(db, rows, "dead")', 'drop(db, rows, "DEAD")'),
        ("delivery.http.pool.ask", 'request("DELETE", url)', 'request("delete", url)'),
    ],
)
def test_a_text_within_sql_or_beside_it_is_not_the_same_in_another_case(function: str, before: str, after: str) -> None:
    assert not is_same_sql(f"sew_agent.{function}", [f"-    {before}", f"+    {after}"])
