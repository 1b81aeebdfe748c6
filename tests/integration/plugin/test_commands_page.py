"""docs/commands.md shows what the plugin prints on a cluster in which no agent runs yet."""

import shlex
from collections.abc import Iterator

import pytest

from testbed.servers.kubernetes import Kubernetes
from tests.documented import Example, examples, masked
from tests.integration.plugin.conftest import SECRETS, Sew

PAGE = "docs/commands.md"


@pytest.fixture(autouse=True)
def urgent(sew: Sew, server: Kubernetes) -> Iterator[None]:
    """The webhook that the page creates, with its Secret."""
    server.kubectl("create", "secret", "generic", "slack-hook", "-n", SECRETS, "--from-literal=url=x")
    (typed,) = examples(PAGE, section="kubectl sew create")
    words = [word for word in words_of(typed) if word not in ("--dry-run=client", "-o", "yaml")]
    assert sew(*words).returncode == 0
    yield
    server.kubectl("delete", "securityeventwebhooks.projectcalico.org", "urgent")
    server.kubectl("delete", "secret", "slack-hook", "-n", SECRETS)


def words_of(typed: Example) -> list[str]:
    """Return the words after `kubectl sew`."""
    return shlex.split(typed.line)[2:]


@pytest.mark.parametrize("name", ["list", "status", "enable", "debug"])
def test_a_command_prints_what_the_page_shows(sew: Sew, name: str) -> None:
    for typed in examples(PAGE, form="text", section=f"kubectl sew {name}"):
        ran = sew(*words_of(typed))
        assert masked(ran.stdout + ran.stderr) == masked(typed.shown)


def test_check_begins_as_the_page_shows(sew: Sew) -> None:
    (typed,) = examples(PAGE, form="text", section="kubectl sew check")
    assert sew(*words_of(typed)).stdout.startswith(typed.shown)
