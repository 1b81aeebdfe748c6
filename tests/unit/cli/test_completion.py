"""kubectl's completion of `kubectl sew`: the lines and the directive that it reads."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kubectl_sew.cli.command_list import SECTIONS
from kubectl_sew.cli.complete import complete
from kubectl_sew.cli.connection import connection_options

BIN = Path(sys.executable).parent
FILES, NO_FILES = ":0", ":4"


def values(*words: str) -> tuple[list[str], str]:
    """Return the completions, without the descriptions, and the directive."""
    *lines, directive = complete(words).splitlines()
    return [line.partition("\t")[0] for line in lines], directive


def test_every_command_is_offered_with_what_it_does():
    lines = [f"{entry.name}\t{entry.summary}" for entries in SECTIONS.values() for entry in entries]
    assert complete([""]).splitlines() == [*lines, NO_FILES]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["prev"], ["preview-query", "preview-payload"]),
        (["--context", "x", "vers"], ["version"]),
        (["completion", ""], ["install"]),
        (["preview-query", "--fields", ""], ["calico", "any"]),
        (["create", "--consumer", "s"], ["Slack"]),
        (["create", "--state=", ""], []),
        (["validate", "--str"], ["--strict"]),
        (["list", "--cont"], ["--context"]),
    ],
    ids=lambda given: " ".join(given) or "-",
)
def test_what_can_stand_there_is_offered(words, offered):
    assert values(*words) == (offered, NO_FILES)


@pytest.mark.parametrize("name", [entry.name for entries in SECTIONS.values() for entry in entries])
def test_every_command_takes_kubectls_flags(name):
    offered, _ = values(name, "--")
    own = {"--namespace"} if name in ("install", "uninstall") else set()
    assert {max(option.opts, key=len) for option in connection_options()} - set(offered) <= own


@pytest.mark.parametrize(
    "words", [["validate", "-f", ""], ["preview-query", "q", "--events", "ev"], ["--kubeconfig", ""]]
)
def test_where_a_file_is_wanted_the_shell_offers_files(words):
    assert values(*words) == ([], FILES)


KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{name: blue-cluster, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: jane, user: {token: x}}]
contexts:
- {name: prod, context: {cluster: blue-cluster, user: jane}}
- {name: test, context: {cluster: blue-cluster, user: jane}}
"""


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl on PATH")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["list", "--context", ""], ["prod", "test"]),
        (["--context", "pr"], ["prod"]),
        (["list", "--cluster", ""], ["blue-cluster"]),
        (["list", "--user", "j"], ["jane"]),
        (["list", "-n", ""], []),  # the cluster cannot be asked
    ],
    ids=lambda given: " ".join(given) or "-",
)
def test_what_the_kubeconfig_has_is_offered(words, offered, tmp_path, monkeypatch):
    (tmp_path / "config").write_text(KUBECONFIG)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    assert values(*words) == (offered, NO_FILES)
    monkeypatch.setenv("KUBECONFIG", "")
    assert values("--kubeconfig", str(tmp_path / "config"), *words) == (offered, NO_FILES)


@pytest.mark.parametrize("words", [["list", "-n"], ["install", "-n"], ["check", "--secrets-namespace"]])
def test_namespaces_are_offered_as_kubectl_lists_them(words, tmp_path, monkeypatch):
    (tmp_path / "kubectl").write_text("#!/bin/sh\nprintf 'namespace/default\\nnamespace/sew-system\\n'\n")
    (tmp_path / "kubectl").chmod(0o755)
    monkeypatch.setenv("KUBECTL_PATH", str(tmp_path / "kubectl"))
    assert values(*words, "") == (["default", "sew-system"], NO_FILES)
    assert values(*words, "se") == (["sew-system"], NO_FILES)


def kubectl_completes(*words: str, path: str) -> list[str]:
    environment = os.environ | {"PATH": path}
    command = ["kubectl", "__complete", "sew", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()


needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl on PATH")


@needs_kubectl
def test_kubectl_completes_the_plugin():
    lines = kubectl_completes("preview-p", path=f"{BIN}{os.pathsep}{os.environ['PATH']}")
    assert lines == ["preview-payload\tPrint the request that a webhook would send, without its secrets.", NO_FILES]


@needs_kubectl
def test_the_installed_script_lets_kubectl_complete_a_plugin_that_krew_has_linked(tmp_path):
    (tmp_path / "kubectl-sew").symlink_to(BIN / "kubectl-sew")
    kubectl = str(Path(str(shutil.which("kubectl"))).parent)
    path = os.pathsep.join((str(tmp_path), kubectl, "/bin", "/usr/bin"))
    command = ["kubectl", "sew", "completion", "install"]
    for expected in ("written", "is there already"):
        done = subprocess.run(command, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=True)
        assert (done.stdout, done.stderr) == (f"{tmp_path / 'kubectl_complete-sew'} {expected}\n", "")
    assert kubectl_completes("vali", path=path)[0].startswith("validate\t")


def test_a_place_that_cannot_be_written_to_is_an_error_that_says_what_to_do(tmp_path, monkeypatch, sew):
    (tmp_path / "kubectl-sew").symlink_to(BIN / "kubectl-sew")
    (tmp_path / "kubectl_complete-sew").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path))
    ran = sew("completion", "install")
    assert ran.code == 1
    assert ran.err.startswith(f"error: {tmp_path / 'kubectl_complete-sew'} cannot be written: ")
