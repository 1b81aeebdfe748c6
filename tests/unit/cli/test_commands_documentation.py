"""docs/commands.md names every command and flag of both programs; the examples of all pages are what they print."""

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from kubectl_sew.cli.program import PLUGIN
from sew_agent.__main__ import cli
from tests.documented import commands, examples

pytestmark = pytest.mark.documentation

PAGE = Path("docs/commands.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^#+ (.+)\n((?:(?!^#).*\n)*)", PAGE, re.MULTILINE))
EXAMPLES = [
    *examples("docs/commands.md"),
    *examples("docs/digests.md"),
    *examples("docs/events.md"),
    *examples("docs/migrating.md"),
    *examples("docs/recipes.md"),
    *examples("README.md"),
]
ENVIRONMENT = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


ALL = dict([*commands(PLUGIN, "kubectl sew"), *commands(cli, "sew-agent")])


@pytest.mark.parametrize("path", [command for command in ALL if command != "sew-agent"])
def test_every_command_has_its_section_with_every_flag_as_its_help_has_it(path):
    section = SECTIONS[path]
    if path == "sew-agent run":  # its flags are the settings, which docs/settings.md describes
        flags = [f"`{option.opts[0]}`" for option in ALL[path].params]
        assert [flag for flag in flags if flag not in section] == []
    else:
        assert [row for row in rows(ALL[path]) if row not in section] == []


@pytest.mark.parametrize("path", [command for command in ALL if command not in ("sew-agent", "sew-agent run")])
def test_no_flag_is_described_that_there_is_not(path):
    described = re.findall(r"^\| `.*$", SECTIONS[path], re.MULTILINE)
    assert [row for row in described if row not in rows(ALL[path])] == []


def rows(command: click.Command) -> list[str]:
    context = click.Context(command)
    records = [option.get_help_record(context) for option in command.params if isinstance(option, click.Option)]
    shown = [(flag, " ".join(meaning.split())) for flag, meaning in filter(None, records)]
    return [
        f"| `{flag.replace('|', chr(92) + '|')}` | {meaning.replace('|', chr(92) + '|')} |" for flag, meaning in shown
    ]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.line[:60])
def test_an_example_prints_what_the_page_shows(example):
    command = example.line.replace("kubectl sew", "kubectl-sew")
    done = subprocess.run(
        command, shell=True, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.stdout == example.shown


@pytest.mark.parametrize("path", ALL)
def test_every_command_explains_itself(path):
    text = ALL[path].help or ""
    assert text.partition("\n")[0].rstrip().endswith((".", ":"))
