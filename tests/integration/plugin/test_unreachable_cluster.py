"""A cluster that cannot be reached, or that refuses: one line, exit code 1, in time, no traceback, no secret."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubectl_sew import __version__
from testbed.servers.kubernetes import Kubernetes, find, kubernetes
from testbed.servers.required import required
from testbed.servers.running import slowness
from tests.integration.plugin.conftest import Ran, Sew

COMMANDS = [
    ("list",),
    ("status", "x"),
    ("status", "x", "--wait"),
    ("test", "x"),
    ("enable", "x"),
    ("disable", "x"),
    ("debug", "x"),
    ("backlog", "x"),
    ("dead-letters", "x"),
]


def assert_refused(ran: Ran, *texts: str) -> None:
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith("error: ")
    assert ran.stderr.count("\n") == 1
    for text in texts:
        assert text in ran.stderr


@pytest.fixture(scope="module")
def silent() -> Iterator[str]:
    """The address of one that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize("command", COMMANDS)
def test_no_cluster(sew: Sew, command: tuple[str, ...]) -> None:
    ran = sew(*command, "--server", "http://127.0.0.1:1")
    assert_refused(ran, "The connection to the server 127.0.0.1:1 was refused", "`kubectl config get-contexts`")


def test_version_prints_what_it_knows_without_a_cluster(sew: Sew) -> None:
    ran = sew("version", "--server", "http://127.0.0.1:1")
    assert (ran.returncode, ran.stdout) == (1, f"kubectl-sew {__version__}\n")
    assert ran.stderr.startswith("error: The connection to the server 127.0.0.1:1 was refused")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_server_that_hangs(sew: Sew, silent: str, command: tuple[str, ...]) -> None:
    began = time.monotonic()
    ran = sew(*command, "--server", silent, "--request-timeout", "1s")
    assert_refused(ran, "--request-timeout=2m waits longer")
    assert time.monotonic() - began < 10 * slowness()


def test_a_server_that_hangs_is_given_up_after_30_seconds(sew: Sew, silent: str) -> None:
    began = time.monotonic()
    assert_refused(sew("list", "--server", silent), "no answer within 30 s")
    assert 29 < time.monotonic() - began < 30 + 5 * slowness()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_context_that_does_not_exist(sew: Sew, command: tuple[str, ...]) -> None:
    assert_refused(sew(*command, "--context", "nope"), 'context "nope" does not exist', "get-contexts")


def test_a_kubeconfig_that_does_not_exist_or_is_broken(sew: Sew, tmp_path: Path) -> None:
    assert_refused(sew("list", "--kubeconfig", "/nowhere"), "/nowhere", "fix the kubeconfig")
    broken = tmp_path / "config"
    broken.write_text("a: [")
    assert_refused(sew("list", "--kubeconfig", str(broken)), "fix the kubeconfig")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_person_without_rights(sew: Sew, server: Kubernetes, command: tuple[str, ...]) -> None:
    ran = sew(*command, env={"KUBECONFIG": str(server.as_account("nobody"))})
    assert_refused(ran, 'User "system:serviceaccount:default:nobody" cannot', "`kubectl sew check`")


def test_redaction_an_unknown_token_is_not_shown(sew: Sew, server: Kubernetes) -> None:
    config = server.kubeconfig("stranger", "CANARY-token")
    ran = sew("list", env={"KUBECONFIG": str(config)})
    assert_refused(ran, "log in again")
    assert "CANARY" not in ran.stderr


def test_an_unknown_authority(sew: Sew, server: Kubernetes, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(server.admin.read_text().replace('"certificate-authority":', '"ignored":'))
    assert_refused(sew("list", env={"KUBECONFIG": str(config)}), "is this the right server")


def test_kubectls_flags_are_taken_before_and_after_the_command(sew: Sew, server: Kubernetes) -> None:
    server.as_account("nobody")
    account = "system:serviceaccount:default:nobody"
    for command in (("--as", account, "list"), ("list", f"--as={account}")):
        assert_refused(sew(*command), f'User "{account}" cannot list')


def test_a_missing_kubectl(sew: Sew) -> None:
    assert_refused(sew("list", env={"KUBECTL_PATH": "/nowhere/kubectl"}), "install kubectl", "KUBECTL_PATH")


def test_a_cluster_that_does_not_serve_the_kind(sew: Sew) -> None:
    with required(), kubernetes(find()) as empty:
        ran = sew("list", env={"KUBECONFIG": str(empty.admin)})
        assert_refused(ran, "the cluster serves no SecurityEventWebhook", "`kubectl sew install | kubectl apply -f -`")
