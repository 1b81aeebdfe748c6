"""docs/install.md, and what other pages install, print what they show as far as no node is needed: else tests/e2e."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.documented import Example, examples
from tests.integration.install.conftest import Person

PAGE = "docs/install.md"
COMMANDS = "docs/commands.md"
ALONE = [*examples(PAGE, section="The agent on its own"), *examples(PAGE, section="Uninstall")]
SIDECAR = [*examples(PAGE, section="The agent as a sidecar"), *examples(PAGE, section="Uninstall")]
OF_SIDECAR = "--sidecar-of"
NAMESPACE = re.compile(r'(?<=" deleted) from \S+ namespace$', re.MULTILINE)
"""What newer versions of kubectl say more of a deletion than the page shows."""


def plugins(typed: list[Example], *, sidecar: bool) -> list[Example]:
    """Return the plugin's own commands, for the one way of installing or for the other."""
    ours = [example for example in typed if example.line.startswith("kubectl sew ")]
    return [item for item in ours if (OF_SIDECAR in item.line) == sidecar]


def follow(person: Person, typed: list[Example]) -> None:
    for example in typed:
        done = person.tries(*shlex.split(example.line)[1:])
        printed = NAMESPACE.sub("", done.stdout + done.stderr)
        assert (done.returncode, printed) == (0, example.shown), example.line


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


CERTIFICATES = "tigera-secure-es-gateway-http-certs-public -n tigera-operator"
BEFORE = (
    "kubectl create namespace tigera-operator",
    f"kubectl create secret generic {CERTIFICATES} --from-literal=tls.crt=x",
    "kubectl delete secret elasticsearch -n sew-system --ignore-not-found",  # of another test
)
IN_A_SHELL = [
    *examples("docs/ten-minutes-calico.md", form="text", section="2. Let the agent read"),
    *examples(PAGE, section="Security"),
    *examples(PAGE, form="text", section="The agent on its own"),
    *examples("docs/events.md", form="text", section="Your own events"),
    *examples("docs/ten-minutes-falco.md", form="text", section="4. In the cluster"),
    *examples(PAGE, section="An agent outside of the cluster"),
    *examples(PAGE, section="Beside Calico's own processor"),
]
OF_AN_AGENT = ("kubectl sew test", "kubectl sew check")
"""They need one that runs."""


def test_what_pages_have_a_person_type_works_in_a_shell(person: Person, tmp_path: Path) -> None:
    """One after the other, as if somebody tried every way to install: to begin anew each time takes minutes."""
    shutil.copy("docs/examples/events/map.yaml", tmp_path)
    for file in ("FILE", "api-key"):  # as the pages call them
        (tmp_path / file).write_text("x")
    tools = (str(Path(sys.executable).parent), str(person.server.programs.kubectl.parent), os.environ["PATH"])
    environment = {**os.environ, **person.server.environment, "PATH": os.pathsep.join(tools)}
    shown = [typed for typed in IN_A_SHELL if not typed.line.startswith(OF_AN_AGENT)]
    assert len(shown) == 13
    for typed in [*(Example(line, "") for line in BEFORE), *shown]:
        done = subprocess.run(
            typed.line, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, typed.line + done.stderr
        assert typed.shown in ("", done.stdout + done.stderr), typed.line
