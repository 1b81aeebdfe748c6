"""`kubectl sew preview-query`: the exact interface that scripts rely on, and what people read."""

import io
import json
import os
import pty

import pytest
import yaml

from kubectl_sew.cli.matching_lines import read_lines
from kubectl_sew.cli.progress import ProgressLine
from kubectl_sew.ndjson import LONGEST_LINE
from tests import cases
from tests.clocks import ManualClock

GOLDEN = [case for case in cases.load("queries.toml") if "mapping" not in case]
SAMPLE = GOLDEN[:: max(1, len(GOLDEN) // 20)]


@pytest.mark.parametrize("case", SAMPLE, ids=lambda case: case["query"].strip() or "(empty)")
@pytest.mark.parametrize(("form", "load"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_the_elasticsearch_query_stands_alone_on_stdout(case, form, load, sew):
    ran = sew("preview-query", case["query"], "-o", form)
    assert ran.code == 0
    assert load(ran.out) == json.loads(case["dsl"])


def test_json_is_the_default(sew):
    assert sew("preview-query", "type = waf").out == '{\n  "term": {\n    "type": "waf"\n  }\n}\n'


def test_the_canonical_text_and_the_explanation_are_printed(sew):
    assert sew("preview-query", "type=waf&&severity>=90", "--format").out == "type = waf AND severity >= 90\n"
    assert sew("preview-query", "type=waf", "--explain").out == "Selects events whose type is waf.\n"


def test_an_invalid_query_is_an_error_with_a_caret_below_what_is_wrong(sew):
    ran = sew("preview-query", "severity >= 90 AND tpye = waf", "-o", "json")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.splitlines() == [
        "error: 1:20: there is no field `tpye`",
        "  severity >= 90 AND tpye = waf",
        "                     ^^^^",
        "  hint: did you mean `type`?",
    ]


def test_every_problem_of_a_query_is_reported_at_once(sew):
    ran = sew("preview-query", "tpye = waf AND severity = high")
    assert ran.err.count("^") == len("tpye") + len("high")


@pytest.mark.parametrize(
    "query",
    [
        "a" * 16_000 + " =",
        " AND ".join(["tpye = waf"] * 900),
        "host = web AND " * 900 + "severity = high",
        "\n" * 3_000 + "severity = high",
        "x = \udcff AND \x1b[31m",
    ],
    ids=["one long word", "many problems", "far right", "far below", "not text"],
)
def test_no_error_is_longer_than_2000_characters_or_harms_a_terminal(query, sew):
    ran = sew("preview-query", query)
    assert ran.code == 1
    assert ran.err.startswith("error: ")
    assert len(ran.err) < 2_010
    assert all(line.isprintable() for line in ran.err.splitlines())


def test_what_works_but_looks_wrong_is_a_warning_beside_the_result(sew):
    ran = sew("preview-query", "foo IN {a}")
    assert ran.code == 0
    assert json.loads(ran.out) == {"terms": {"foo": ["a"]}}
    assert ran.err.startswith("warning: 1:1: there is no field `foo`")


def test_any_key_can_be_asked_with_fields_any(sew):
    assert sew("preview-query", "foo = a").code == 1
    assert json.loads(sew("preview-query", "foo = a", "--fields", "any").out) == {"term": {"foo": "a"}}


def test_a_query_without_quotes_is_an_error_that_names_them(sew):
    ran = sew("preview-query", "type", "=", "waf")
    assert ran.code == 2
    assert "the query is in 3 pieces: put it in quotes, e.g. 'type = waf'" in ran.err


@pytest.mark.parametrize(
    "flags", [("--explain", "--format"), ("--explain", "-o", "json"), ("--events", "-", "-o", "yaml")], ids=" ".join
)
def test_flags_that_contradict_each_other_are_a_usage_error(flags, sew):
    assert sew("preview-query", "type = waf", *flags).code == 2


EVENTS = (
    b'{"type": "waf",  "n": 1}\n'
    b"\n"
    b'{"type": "alert", "n": 2}\r\n'
    b"{not json\n"
    b'{"n": 3, "type": ["waf"]}\r\n'
    b"[1]\n"
    b'{"type": "waf", "text": "\\u00e9\xc3\xa9"}'
)


def test_matching_lines_are_printed_unchanged_and_in_order(tmp_path, sew):
    file = tmp_path / "events.ndjson"
    file.write_bytes(EVENTS)
    ran = sew("preview-query", "type = waf", "--events", str(file))
    lines = EVENTS.splitlines(keepends=True)
    assert ran.code == 0
    assert ran.out.encode() == lines[0] + lines[4] + lines[6]
    assert ran.err.splitlines() == [
        "warning: line 4: not JSON (Expecting property name enclosed in double quotes, column 2)",
        "warning: line 6: it must be a JSON object, but is a list",
        "3 of 4 events match; 2 lines are not events",
    ]


def test_events_are_read_from_standard_input(sew):
    ran = sew("preview-query", "n > 1", "--fields", "any", "--events", "-", stdin='{"n": 1}\n{"n": 2}\n')
    assert (ran.code, ran.out, ran.err) == (0, '{"n": 2}\n', "1 of 2 events match\n")


def test_no_match_is_no_error(sew):
    ran = sew("preview-query", "type = waf", "--events", "-", "-o", "json", stdin="{}\n")
    assert (ran.code, ran.out, ran.err) == (0, "", "0 of 1 event match\n")


def test_a_file_that_cannot_be_read_is_an_error(tmp_path, sew):
    ran = sew("preview-query", "type = waf", "--events", str(tmp_path / "none"))
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == f"error: events cannot be read from {tmp_path / 'none'}: No such file or directory\n"


def test_a_flood_of_bad_lines_is_counted_and_the_first_are_named(sew):
    ran = sew("preview-query", "type = waf", "--events", "-", stdin="x\n" * 1_000)
    assert ran.code == 1
    assert len(ran.err.splitlines()) == 102
    assert ran.err.endswith(
        "0 of 0 events match; 1,000 lines are not events (the first 100 are named above)\n"
        "error: no line of standard input is an event\n"
    )


@pytest.mark.parametrize("size", [1, 2, 7, 1_000])
def test_lines_are_the_same_however_they_come(size):
    file = io.BytesIO(EVENTS)
    lines = [line for some in read_lines(lambda _: file.read(size)) for line in some]
    assert lines == [line + b"\n" for line in EVENTS.split(b"\n")[:-1]] + [EVENTS.split(b"\n")[-1]]


def test_an_endless_line_is_named_and_never_held_whole():
    pieces = iter([b"x" * 2**20] * 200 + [b"\n{}\n", b""])
    lines = [line for some in read_lines(lambda _: next(pieces)) for line in some]
    assert len(lines) == 2
    assert LONGEST_LINE < len(lines[0]) < LONGEST_LINE + 2**21
    assert lines[1] == b"{}\n"


def test_work_of_over_a_second_shows_a_bar_on_a_terminal_and_takes_it_away(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    reader, writer = pty.openpty()
    clock = ManualClock()
    with open(writer, "w", encoding="utf-8") as terminal:  # noqa: PTH123  # a descriptor
        progress = ProgressLine(200, terminal, clock)
        clock.now = 0.9
        progress.show(90, "too early")
        clock.now = 1.1
        progress.show(100, "100 events read, 5 match")
        progress.clear()
        terminal.write("\r\nend")
        terminal.flush()
        shown = ""
        while not shown.endswith("end"):
            shown += os.read(reader, 10_000).decode()
    os.close(reader)
    assert "too early" not in shown
    assert "[############            ]  50%  100 events read, 5 match" in shown
    assert shown.partition("match")[2].startswith("\r\x1b[K\r")


def test_nothing_is_shown_where_no_terminal_is():
    clock, stream = ManualClock(), io.StringIO()
    progress = ProgressLine(200, stream, clock)
    clock.now = 5.0
    progress.show(100, "half")
    progress.clear()
    assert stream.getvalue() == ""


def test_each_part_is_counted_alone_where_nothing_of_a_file_matches(sew, tmp_path):
    events = tmp_path / "events.ndjson"
    events.write_text('{"type": "waf", "severity": 10}\n' * 3)
    ran = sew("preview-query", "type = waf AND severity > 50", "--events", str(events))
    assert ran.err.splitlines() == ["0 of 3 events match", "Each part alone:", "  type = waf: 3", "  severity > 50: 0"]


def test_no_part_is_counted_where_something_matches_or_the_query_is_one_part(sew, tmp_path):
    events = tmp_path / "events.ndjson"
    events.write_text('{"type": "waf", "severity": 10}\n')
    for query in ("type = waf AND severity > 5", "severity > 50"):
        assert "alone" not in sew("preview-query", query, "--events", str(events)).err


@pytest.mark.parametrize("query", ["tpye = waf", "tpye IN {waf}", 'NOT tpye EMPTY OR "record.hots" = a'])
def test_keys_that_no_event_of_a_file_has_are_named_where_nothing_matches(query, sew, tmp_path):
    events = tmp_path / "events.ndjson"
    events.write_text('{"type": "waf", "record": {"host": "a"}}\n{"type": "alert", "tpye": null}\n')
    ran = sew("preview-query", query, "--fields", "any", "--events", str(events))
    assert (ran.code, ran.out) == (0, "")
    missing = "`tpye`, `record.hots`" if "hots" in query else "`tpye`"
    hint = f"No event has {missing}: `kubectl sew fields --events FILE` lists the keys that they have"
    assert ran.err.splitlines()[:2] == ["0 of 2 events match", hint]


@pytest.mark.parametrize("empty", ["", "  ", "// type = waf", "/* type = waf */"])
def test_an_empty_query_selects_everything_and_says_what_a_webhook_takes_instead(sew, empty):
    ran = sew("preview-query", empty)
    assert json.loads(ran.out) == {"match_all": {}}
    assert "no webhook takes it: write `type EMPTY OR NOT type EMPTY`" in ran.err
    assert sew("preview-query", "type EMPTY OR NOT type EMPTY").err == ""


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('{\n  "type": "waf"\n}\n', "jq -c '.'"),
        ('[\n  {"a": 1,\n  "b": 2}\n]\n', "jq -c '.[]'"),
        ('[{"a": 1}]\n', "jq -c '.[]'"),
        ('[\n{"type": "waf", "n": 1},\n{"type": "waf", "n": 2}\n]\n', "jq -c '.[]'"),
        ('\ufeff[{"type": "waf", "n": 1},\n{"type": "waf"}\n,{"n": 2}\n]', "jq -c '.[]'"),
        ('{\n"hits": [\n{"type": "waf"}\n]\n}\n', "jq -c '.'"),
    ],
)
def test_json_that_is_not_one_event_a_line_comes_with_the_command_that_makes_it_so(text, wanted, sew):
    for command in (("preview-query", "type = waf"), ("fields",)):
        ran = sew(*command, "--events", "-", stdin=text)
        assert f"`{wanted}` makes lines of it" in ran.err
        assert (ran.code, ran.out) == (1, ""), "nothing was checked"


def test_a_bad_line_among_events_is_no_reason_to_name_jq(sew):
    assert "jq" not in sew("preview-query", "type = waf", "--events", "-", stdin='{"a": 1}\n{\n').err


@pytest.mark.parametrize("text", ["", "\n \n\r\n"], ids=["empty", "blank lines"])
def test_a_file_without_any_event_is_an_error_since_nothing_was_checked(text, sew):
    for command in (("preview-query", "type = waf"), ("fields",)):
        ran = sew(*command, "--events", "-", stdin=text)
        assert (ran.code, ran.out) == (1, "")
        assert ran.err.endswith(
            "error: there is no event in standard input: it is empty; give a file with one JSON object a line\n"
        )


def test_a_list_on_the_first_line_alone_is_a_line_like_any_other(sew):
    ran = sew("preview-query", "type = waf", "--events", "-", stdin='[1]\n{"type": "waf"}\n')
    assert (ran.code, ran.out) == (0, '{"type": "waf"}\n')
