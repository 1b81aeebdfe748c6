"""docs/install.md shows what its commands print, as far as no node is needed; the rest is in tests/e2e."""

import shlex
from pathlib import Path
from typing import Any

from tests.documented import Example, examples
from tests.integration.install.conftest import Person

PAGE = "docs/install.md"
COMMANDS = "docs/commands.md"
ALONE = [*examples(PAGE, section="The agent on its own"), *examples(PAGE, section="Uninstall")]
SIDECAR = [*examples(PAGE, section="The agent as a sidecar"), *examples(PAGE, section="Uninstall")]
OF_SIDECAR = "--sidecar-of"


def plugins(typed: list[Example], *, sidecar: bool) -> list[Example]:
    """Return the plugin's own commands, for the one way of installing or for the other."""
    ours = [example for example in typed if example.line.startswith("kubectl sew ")]
    return [item for item in ours if (OF_SIDECAR in item.line) == sidecar]


def follow(person: Person, typed: list[Example]) -> None:
    for example in typed:
        done = person.tries(*shlex.split(example.line)[1:])
        assert (done.returncode, done.stdout + done.stderr) == (0, example.shown), example.line


def test_the_agent_on_its_own_is_installed_and_uninstalled_as_the_page_shows(person: Person, tmp_path: Path) -> None:
    person.runs("create", "namespace", "sew-system")
    (tmp_path / "api-key").write_text("a2V5")
    credentials = examples(PAGE, section="Before the agent")[-1]
    file = ("--from-file", f"api-key={tmp_path / 'api-key'}")
    words = [word for word in shlex.split(credentials.line)[1:] if not word.startswith("--from-file")]
    assert person.runs(*words, *file) == credentials.shown
    typed = plugins(ALONE, sidecar=False)
    assert len(typed) == 3
    follow(person, typed)


def test_a_sidecar_is_installed_and_uninstalled_as_the_page_shows(person: Person, shop: dict[str, Any]) -> None:
    typed = plugins(SIDECAR, sidecar=True)
    assert len(typed) == 2
    follow(person, typed)


def test_by_kustomize_is_installed_what_the_page_shows(person: Person) -> None:
    (typed,) = examples(PAGE, section="By kustomize")
    follow(person, [typed])


def test_the_page_of_all_commands_shows_the_same(person: Person) -> None:
    typed = [
        example
        for page in ("install", "uninstall")
        for example in examples(COMMANDS, form="text", section=f"kubectl sew {page}")
    ]
    assert len(typed) == 2
    follow(person, typed)
