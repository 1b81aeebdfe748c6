"""What the documentation names is there: files, headings, paths, commands with their flags, and targets of make."""

import re
import shlex
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import click
import pytest

from kubectl_sew.cli.program import PLUGIN
from sew_agent.__main__ import cli
from tests.documented import anchors, commands

pytestmark = pytest.mark.documentation
ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
PROGRAMS = dict([*commands(PLUGIN, "kubectl sew"), *commands(cli, "sew-agent")])
FOLDERS = "agent|benchmarks|charts|docs|examples|kubectl_sew|krew|manifests|testbed|tests"

each_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)


def shown(text: str) -> Iterator[str]:
    """Return what a reader may type: each line of the blocks of code, and each span of code in the text."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    for line in "\n".join(blocks).splitlines():
        yield line.removeprefix("$ ")
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    yield from re.findall(r"^    (\S.*)$", prose, re.MULTILINE)
    yield from (" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose))


@each_page
def test_a_link_leads_to_a_file_and_to_a_heading_in_it(path: Path) -> None:
    text = re.sub(r"^```.*?^```", "", path.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    for link in re.findall(r"\]\(([^)]+)\)", text):
        target, _, heading = link.partition("#")
        if not target.startswith("https://"):
            page = path.parent / target if target else path
            assert page.exists(), link
            assert not heading or heading in anchors(page), link


@each_page
def test_a_path_that_is_named_exists(path: Path) -> None:
    spans = re.findall(rf"`((?:{FOLDERS})/[\w./-]+|[\w./-]+\.(?:py|toml))`", path.read_text("utf-8"))
    assert [span for span in spans if "NAME" not in span and not (ROOT / span).exists()] == []


@each_page
def test_a_command_that_is_shown_exists_with_its_flags(path: Path) -> None:
    for line in shown(path.read_text("utf-8")):
        if re.match(r"(kubectl sew|sew-agent)( [a-z]|$)", line):
            assert unknown(line) == [], line


def unknown(line: str) -> list[str]:
    """Return the flags of a command line that the command has not, and its name where there is no such command."""
    words = words_of(line)
    name = " ".join(words[:2]) if words[0] == "kubectl" else words[0]
    rest = words[len(name.split()) :]
    while isinstance(PROGRAMS[name], click.Group) and rest and not rest[0].startswith("-"):
        name = f"{name} {rest.pop(0)}"
        if name not in PROGRAMS:
            return [name]
    known = {flag for option in PROGRAMS[name].params for flag in (*option.opts, *option.secondary_opts)}
    general = {flag for option in PLUGIN.params for flag in option.opts} if name.startswith("kubectl") else set()
    flags = [word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)]
    return [flag for flag in flags if flag not in known | general | {"--help", "-h", "--version"}]


def words_of(line: str) -> list[str]:
    """Return the words of the first command of a line, without what a pipe or a redirection adds."""
    lexer = shlex.shlex(line.replace("\\|", "|"), posix=True, punctuation_chars="|>")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in lexer:
        if word in ("|", ">"):
            break
        words.append(word.strip("[]"))
    return words


@each_page
def test_a_target_of_make_and_a_module_that_are_shown_exist(path: Path) -> None:
    targets = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for line in shown(path.read_text("utf-8")):
        if line.startswith("make "):
            named = {word for word in line.split()[1:] if re.fullmatch(r"[a-z-]+", word)}
            servers = {word for word in named if find_spec(f"testbed.servers.{word.removeprefix('server-')}")}
            assert named - servers <= targets, line
        if module := re.match(r"python -m ((?:benchmarks|testbed|tests|examples)[\w.]*)", line):
            assert find_spec(module[1]), line


@each_page
def test_what_a_person_types_is_run_by_a_test(path: Path) -> None:
    """The tests that run them: test_commands_documentation.py, test_installation_page.py, test_node_e2e.py, for
    replay.md test_replay_e2e.py, for deliveries.md test_deliveries_page.py, and for ten-minutes-*.md
    test_ten_minutes_e2e.py and test_ten_minutes_calico.py."""
    run = {"README.md", "commands.md", "events.md", "install.md", "migrating.md", "recipes.md", "replay.md"}
    run |= {
        "deliveries.md",
        "digests.md",
        *(f"ten-minutes-{name}.md" for name in ("calico", "falco", "files", "suricata")),
    }
    blocks = re.findall(r"^```console\n(.*?)^```", path.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    ours = [block for block in blocks if "$ kubectl sew" in block or "$ sew-agent" in block]
    assert not ours or path.name in run


def test_make_help_names_every_target() -> None:
    """A target that is a file is made by the others."""
    rules = re.findall(r"^([a-z][\w%-]*):(?!=)(.*)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert [target for target, rest in rules if " ## " not in rest] == []


def test_the_table_of_threads_names_every_thread_that_the_agent_starts() -> None:
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "agent").rglob("*.py"))
    started = re.findall(r"start_thread\([\w.]+, \"([\w-]+)", sources)
    numbered = ["watch-"]
    table = re.findall(r"^\| (`.*?) \|", (ROOT / "docs/design.md").read_text("utf-8"), re.MULTILINE)
    named = " ".join(table)
    calls = re.findall(r"start_thread\((?!target)", sources)
    assert len(calls) == len(started) + len(numbered)
    assert [name for name in [*started, *numbered] if f"`{name}" not in named] == []
