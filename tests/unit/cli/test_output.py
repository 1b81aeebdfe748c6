"""Nothing that is printed can steer the terminal of who reads it."""

import ast
import io
import json
import sys
from pathlib import Path

import pytest

from kubectl_sew.cli.output import echo, pass_through, shade
from kubectl_sew.cli.program import run
from kubectl_sew.columns import table
from kubectl_sew.terminal import harmless, harmless_json
from tests.fuzz.alphabet import HOSTILE

ROOT = Path(__file__).parents[3]
EVIL = "\x1b]0;owned\x07\x9b31m\x7f\u202e\u2066\ufeff"
WEBHOOK = """
apiVersion: projectcalico.org/v3
kind: SecurityEventWebhook
metadata: {name: hook}
spec: {consumer: Generic, state: Enabled, query: type = waf, config: [{name: url, value: "https://a.example/x"}]}
"""


class Terminal(io.TextIOWrapper):
    """Takes what is written, and says that somebody looks at it."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), "utf-8", write_through=True)

    def isatty(self) -> bool:
        return True

    @property
    def text(self) -> str:
        return self.buffer.getvalue().decode()  # type: ignore[attr-defined]


@pytest.fixture
def terminal(monkeypatch):
    for name in ("NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")

    def begin():  # in the test itself: before it begins, pytest puts a stream of its own there
        screen = Terminal()
        monkeypatch.setattr(sys, "stdout", screen)
        return screen

    return begin


def steers(text: str) -> bool:
    return not text.translate({ord(letter): None for letter in "\n\t"}).isprintable()


@pytest.mark.parametrize("piece", [text for text in HOSTILE if not text.isspace()] + [EVIL])
def test_what_could_steer_a_terminal_is_replaced_in_text_and_escaped_in_json(piece):
    assert not steers(harmless(f"a{piece}b"))
    shown = harmless_json(json.dumps({"a": piece}, ensure_ascii=False))
    assert not steers(shown)
    assert json.loads(shown) == {"a": piece}


def test_all_text_that_can_be_read_is_left_as_it_is():
    for text in ("Zoë, 日本\u3000語", "a\u00a0b", "column\tcolumn\nline", "\U0001f600"):
        assert harmless(text) == text


def test_colours_are_ours_alone(terminal):
    screen = terminal()
    echo(f"{shade('error:', 'red', bold=True)} {EVIL}\x1b[32mgood")
    assert screen.text.startswith("\x1b[31m\x1b[1merror:\x1b[0m ")
    assert not steers(screen.text.partition(" ")[2])


@pytest.mark.parametrize(
    ("variables", "coloured"),
    [
        ({}, True),
        ({"NO_COLOR": "1"}, False),
        ({"CLICOLOR": "0"}, False),
        ({"TERM": "dumb"}, False),
        ({"TERM": "dumb", "CLICOLOR_FORCE": "1"}, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ({"FORCE_COLOR": "0", "CLICOLOR": "0"}, False),
    ],
)
def test_variables_say_whether_there_are_colours(variables, coloured, terminal, monkeypatch):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    screen = terminal()
    echo(shade("x", "red"))
    assert ("\x1b" in screen.text) == coloured


def test_colours_can_be_had_without_a_terminal(sew, monkeypatch):
    assert "\x1b" not in sew("validate", "-f", "none.yaml").out
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[31m" in sew("validate", "-f", "none.yaml").out


def test_what_another_program_printed_is_harmless_on_a_terminal(terminal):
    screen = terminal()
    pass_through(json.dumps({"a": EVIL}, ensure_ascii=False))
    pass_through(f"\n{EVIL}\n")
    assert not steers(screen.text)
    assert json.loads(screen.text.partition("\n")[0]) == {"a": EVIL}


def test_what_another_program_printed_is_not_touched_for_a_program(capsys):
    pass_through(EVIL)
    assert capsys.readouterr().out == EVIL


@pytest.mark.parametrize("output", ["text", "json", "junit"])
def test_names_of_files_and_what_manifests_say_are_harmless(output, tmp_path, sew):
    for name, text in (
        ("bad\x1b]0;x\x07.yaml", WEBHOOK.replace("Generic", json.dumps(f"Gen{EVIL}"))),
        ("\u202e.yaml", "{"),
    ):
        (tmp_path / name).write_text(text)
    ran = sew("validate", "-f", str(tmp_path), "-o", output)
    assert ran.code == 1
    assert not steers(ran.out + ran.err)


def test_events_are_harmless_on_a_terminal_and_stay_the_same(tmp_path, terminal, monkeypatch):
    screen = terminal()
    monkeypatch.setattr(sys, "stderr", Terminal())
    event = {"type": "waf", "description": "\x7f\x9b31m\u202e"}
    (tmp_path / "events").write_text(json.dumps(event, ensure_ascii=False) + "\n")
    assert run(["preview-query", "type = waf", "--events", str(tmp_path / "events")]) == 0
    assert not steers(screen.text)
    assert json.loads(screen.text) == event


@pytest.mark.parametrize("form", [("--format",), ("--explain",), (), ("-o", "yaml")])
def test_a_query_is_shown_harmless(form, sew):
    query = '"record.x" IN {"\u202e\x7f\x9b"}'
    shown = sew("preview-query", query, *form).out
    assert not steers(shown)
    if form == ("--format",):
        assert sew("preview-query", shown).out == sew("preview-query", query).out


def test_all_that_is_printed_goes_through_the_one_gate():
    past = ("click.echo", "click.secho", "click.confirm", "click.prompt", "click.style", "print", "sys.stdout.write")
    for path in (ROOT / "kubectl_sew").rglob("*.py"):
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        names = [name for call in calls if (name := ast.unparse(call.func)) in past]
        assert not names or path.name in ("output.py", "complete.py"), path


def test_columns_stand_one_below_the_other_whatever_width_characters_have():
    rows = [("警報", "x"), ("cafe\u0301", "x"), ("ascii", "x")]
    assert table(("NAME", "Y"), rows).splitlines() == ["NAME    Y", "警報    x", "cafe\u0301    x", "ascii   x"]
