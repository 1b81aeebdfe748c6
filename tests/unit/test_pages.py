"""Every page that a program names is a whole address, and there is such a page with such a heading."""

import re
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import click
import pytest
import yaml

from kubectl_sew.cli.program import PLUGIN
from kubectl_sew.pages import HOMEPAGE, page
from sew_agent.__main__ import cli
from tests.documented import anchors, commands

pytestmark = pytest.mark.documentation
ROOT = Path(__file__).parents[2]
SOURCES = [path for top in ("agent", "kubectl_sew") for path in (ROOT / top).rglob("*.py")]
HELPS = [
    command.get_help(click.Context(command, info_name=path))
    for path, command in [*commands(PLUGIN, "kubectl sew"), *commands(cli, "sew-agent")]
]


@pytest.mark.parametrize("text", HELPS, ids=lambda text: text.partition("\n")[0])
def test_what_a_help_text_names_is_there(text: str) -> None:
    assert re.findall(r"(?<![\w/])docs/|\.md(?=[^#\s])", text) == []
    for name, heading in re.findall(re.escape(HOMEPAGE) + r"/blob/main/docs/(\w+)\.md(?:#(\S+))?", text):
        assert not heading or heading in anchors(ROOT / "docs" / f"{name}.md")


def test_each_command_of_the_plugin_says_where_to_read_more() -> None:
    assert all(HOMEPAGE in text for text in HELPS if text.startswith("Usage: kubectl sew"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_program_names_a_page_of_the_checkout(path: Path) -> None:
    text = path.read_text("utf-8")
    assert re.findall(r"(?<![\w./])docs/\w+\.md", re.sub(r'"""[\s\S]*?"""', "", text)) == []
    for name in re.findall(r"\bpage\(['\"](\w+)['\"]", text):
        assert (ROOT / "docs" / f"{name}.md").exists()


def test_the_address_is_in_the_package_s_description_too() -> None:
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    assert config["metadata"]["url"] == HOMEPAGE
    assert yaml.safe_load((ROOT / "krew/sew.yaml").read_text())["spec"]["homepage"] == "HOMEPAGE"
    assert page("validation", "codes") == f"{HOMEPAGE}/blob/main/docs/validation.md#codes"


def test_an_address_is_on_one_line_however_narrow_the_terminal_is() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "kubectl_sew.cli.main", "preview-payload", "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={"COLUMNS": "40"},
    )
    assert f"  {page('commands', 'kubectl-sew-preview-payload')}\n" in done.stdout
