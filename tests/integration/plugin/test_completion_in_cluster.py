"""kubectl's completion of webhooks' names from the cluster."""

import subprocess
import sys
from pathlib import Path

import pytest

from testbed.servers.kubernetes import Kubernetes
from tests.integration.plugin.conftest import Make, environment
from tests.waiting import eventually


def complete(server: Kubernetes, *words: str) -> list[str]:
    path = Path(sys.executable).parent / "kubectl_complete-sew"
    done = subprocess.run([path, *words], env=environment(server), capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.mark.parametrize("command", ["status", "test", "enable", "disable", "debug", "backlog", "dead-letters"])
def test_names_are_completed_with_what_they_are(server: Kubernetes, make: Make, command: str) -> None:
    for name, state in (("one", "Enabled"), ("other", "Disabled"), ("third", "Enabled")):
        make(name, state=state)
    lines = ["one\tGeneric, Enabled", "other\tGeneric, Disabled", ":4"]
    eventually(lambda: complete(server, command, "o") == lines, "they are completed")  # it gives up after 3 s


def test_kubectl_itself_completes_them(server: Kubernetes, make: Make) -> None:
    name = make("through-kubectl")
    command = [server.programs.kubectl, "__complete", "sew", "status", "thr"]

    def completed() -> bool:
        done = subprocess.run(command, env=environment(server), capture_output=True, text=True, check=True)
        return f"{name}\tGeneric, Enabled" in done.stdout.splitlines()

    eventually(completed, "it is completed")


@pytest.mark.parametrize("flags", [("--context", "nope"), ("--server", "http://127.0.0.1:1")])
def test_without_a_cluster_nothing_is_offered_and_nothing_is_said(server: Kubernetes, flags: tuple[str, ...]) -> None:
    assert complete(server, *flags, "status", "") == [":4"]
