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
from tests.documented import Typed, anchors, commands, typed

pytestmark = pytest.mark.documentation
ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
PROGRAMS = dict([*commands(PLUGIN, "kubectl sew"), *commands(cli, "sew-agent")])
FOLDERS = "agent|benchmarks|charts|docs|examples|kubectl_sew|krew|manifests|testbed|tests"

_EXAMPLES = "tests/unit/cli/test_commands_documentation.py"
_CLUSTER = "tests/integration/install/test_installation_page.py"
_ARCHIVE = "tests/integration/install/test_krew_archive.py"
_PLUGIN = "tests/integration/plugin/test_commands_page.py"
_STORE = "tests/unit/agent/cli/test_deliveries_page.py"
_AGENT = "tests/integration/plugin/test_plugin_with_agent.py"
_TEN_MINUTES = "tests/e2e/test_ten_minutes_e2e.py"
RUN = {
    "README.md": {("console", ""): _EXAMPLES},
    "cluster.md": {("console", ""): _AGENT},
    "commands.md": {
        ("console", ""): _EXAMPLES,
        **{("text", f"kubectl sew {name}"): _PLUGIN for name in ("list", "status", "check", "enable", "debug")},
        **{("text", f"kubectl sew {name}"): _CLUSTER for name in ("install", "uninstall")},
        ("text", "kubectl sew completion"): _ARCHIVE,
        ("text", "kubectl sew version"): _AGENT,
        **{("text", f"sew-agent {name}"): _STORE for name in ("status", "backlog", "deliveries", "dead-letters")},
    },
    "deliveries.md": {("console", ""): _STORE},
    "digests.md": {("console", ""): _EXAMPLES},
    "events.md": {("console", ""): _EXAMPLES, ("text", ""): _CLUSTER},
    "gitops.md": {
        ("text", "Flux"): _AGENT,
        ("text", "Checks before a merge"): "tests/integration/gitops/test_rendered.py",
    },
    "install.md": {
        ("console", ""): _CLUSTER,
        ("text", ""): _CLUSTER,
        ("console", "The plugin"): _ARCHIVE,
        ("console", "The first event"): "tests/e2e/test_node_e2e.py",
    },
    "migrating.md": {("console", ""): _EXAMPLES},
    "recipes.md": {("console", ""): _EXAMPLES},
    "replay.md": {("console", ""): "tests/e2e/test_replay_e2e.py"},
    "ten-minutes-calico.md": {
        ("console", ""): "tests/integration/plugin/test_ten_minutes_calico.py",
        ("text", ""): _CLUSTER,
    },
    "ten-minutes-falco.md": {("console", ""): _TEN_MINUTES, ("text", ""): _CLUSTER},
    "ten-minutes-files.md": {("console", ""): _TEN_MINUTES},
    "ten-minutes-suricata.md": {("console", ""): _TEN_MINUTES},
    "upgrade.md": {("console", ""): _ARCHIVE},
}
"""The test that types what a page shows, from its text: by the form of the block, and by the section ("": all)."""
_IN_TROUBLE = "its output is of an agent in trouble: test_plugin_with_agent.py and test_handover.py have their own"
_SHORTENED = "its output is shortened: test_preview_on_elasticsearch.py has another index"
_AGENT_NEEDED = "needs an agent in the cluster: test_ten_minutes_calico.py has one, and types the same"
NOT_RUN = {
    "commands.md": {
        **{
            f"kubectl sew preview-query 'type = waf AND severity >= {least}' --elasticsearch": _SHORTENED
            for least in (50, 60)
        },
        **{
            f"kubectl sew {name}": _IN_TROUBLE
            for name in ("test", "takeover", "handback", "backlog", "trace", "deliveries", "dead-letters", "replay")
        },
        "sew-agent run": "prints nothing, and needs a receiver: the pages of ten minutes run it with one",
        "sew-agent migrate-store": "needs a PostgreSQL and 51,200 events: test_moving_to_postgresql.py moves fewer",
    },
    "helm.md": {"": "test_helm_chart.py and test_helm_in_cluster.py do it with releases of their own"},
    "install.md": {
        "docker ": "needs a container engine and a registry: test_image.py and test_node_e2e.py do without",
        "kubectl create namespace tigera-intrusion-detection": "whoever starts a cluster for tests has made it",
        "kubectl rollout status": "needs a node, where test_node_e2e.py waits for the same by itself",
        "kubectl get pods": "needs a node, where test_node_e2e.py asks for the same",
    },
    "proof.md": {"make prove": "runs for minutes to hours, by hand"},
    "replay.md": {"kubectl sew replay": _IN_TROUBLE},
    "ten-minutes-falco.md": {
        "kubectl sew test": _AGENT_NEEDED,
        "kubectl sew check": _AGENT_NEEDED,
    },
}
"""By the beginning of a line: why no test types it."""

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


def runs(page: str, one: Typed) -> str:
    """Return the test that types the line from the page's text, else ""."""
    forms = RUN.get(page, {})
    return forms.get((one.form, one.section)) or forms.get((one.form, ""), "")


def left_out(page: str, one: Typed) -> str | None:
    """Return the beginning by which NOT_RUN has the line, if it has it."""
    return next((beginning for beginning in NOT_RUN.get(page, {}) if one.line.startswith(beginning)), None)


@each_page
def test_what_a_person_types_is_run_by_a_test_or_is_listed_with_the_reason_why_not(path: Path) -> None:
    not_run = [one for one in typed(path) if not runs(path.name, one)]
    assert [one for one in not_run if left_out(path.name, one) is None] == []


def test_what_is_listed_as_run_and_as_not_run_is_on_the_pages() -> None:
    lines = {path.name: list(typed(path)) for path in PAGES}
    used = {(page, test) for page in RUN for one in lines[page] if (test := runs(page, one))}
    assert used == {(page, test) for page, forms in RUN.items() for test in forms.values()}
    assert [(page, test) for page, test in used if page not in (ROOT / test).read_text("utf-8")] == []
    missing = {page: {left_out(page, one) for one in lines[page]} for page in NOT_RUN}
    assert [(page, start) for page, why in NOT_RUN.items() for start in why if start not in missing[page]] == []


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
