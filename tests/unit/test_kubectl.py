"""How kubectl is run, and what becomes of its words. The programs here stand in for kubectl's command line alone."""

import json
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kubectl_sew.cluster.agent import AgentError, find_holder
from kubectl_sew.kubectl import Kubectl, KubectlError, KubectlProblem, explain

Script = Callable[[str], str]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Makes a program of some shell lines; gives its path."""

    def make(lines: str) -> str:
        program = tmp_path / "kubectl"
        program.write_text(f"#!/bin/sh\n{lines}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return str(program)

    return make


@pytest.fixture
def echoing(script: Script) -> str:
    """Prints its arguments as JSON, one text."""
    return script('printf \'["%s"]\' "$*"')


def test_a_run_hands_the_flags_on_and_bounds_the_request(echoing: str) -> None:
    kubectl = Kubectl(("--context", "blue", "--as=jane"), echoing)
    assert kubectl.get("/version") == ["--context blue --as=jane --request-timeout=30s get --raw /version"]


@pytest.mark.parametrize("flags", [("--request-timeout=5s",), ("--request-timeout", "5s"), ("--request-timeout=5",)])
def test_a_given_time_out_is_kept(echoing: str, flags: tuple[str, ...]) -> None:
    assert f"--request-timeout={flags[-1].removeprefix('--request-timeout=')} " in Kubectl(flags, echoing).get("/")[0]


def test_exec_gets_the_flags_without_the_requests_time_out(echoing: str) -> None:
    kubectl = Kubectl(("--request-timeout", "5s", "-s", "https://example.org"), echoing)
    said = kubectl.execute("sew-system", "sew-agent-0", "sew-agent", ["sew-agent", "status"])
    assert json.loads(said) == [
        "-s https://example.org exec --namespace=sew-system --container=sew-agent pod/sew-agent-0 -- sew-agent status"
    ]


def test_a_name_that_looks_like_a_flag_is_still_a_name(echoing: str) -> None:
    kubectl = Kubectl((), echoing)
    assert "--namespace=--filename=x --container=c pod/--filename=y -- z" in kubectl.execute(
        "--filename=x", "--filename=y", "c", ["z"]
    )
    (said,) = kubectl.patch("hooks", "--filename=x", {})
    assert said.endswith(" -- hooks --filename=x")


@pytest.mark.parametrize("holder", ["x/--filename=http://evil", "-n/agent", "x/a;b", "x/a/b", "x\x1b/a", "--as=root/a"])
def test_only_the_names_of_a_namespace_and_a_pod_are_asked_by_what_holds_the_lease(script: Script, holder: str) -> None:
    lease = json.dumps({"spec": {"holderIdentity": holder}}).replace("\\", "\\\\")
    with pytest.raises(AgentError, match="is not NAMESPACE/POD"):
        find_holder(Kubectl((), script(f"printf '{lease}'")), "secrets")


def test_parameters_of_a_path_are_encoded(echoing: str) -> None:
    assert Kubectl((), echoing).get("/x", fieldSelector="a=b&c")[0].endswith("--raw /x?fieldSelector=a%3Db%26c")


def test_kubectl_path_names_the_program(echoing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECTL_PATH", echoing)
    assert Kubectl().get("/version")


def test_an_object_is_created_strictly_and_under_our_name(script: Script) -> None:
    kubectl = Kubectl((), script('read body; printf \'{"body": %s, "arguments": "%s"}\' "$body" "$*"'))
    sent = kubectl.create("/apis/x", {"kind": "Y"}, dryRun="All")
    assert sent["body"] == {"kind": "Y"}
    assert "fieldManager=kubectl-sew&fieldValidation=Strict&dryRun=All -f -" in sent["arguments"]


def test_a_program_that_does_not_answer_is_given_up_at_the_time_out(script: Script) -> None:
    kubectl = Kubectl(("--request-timeout=300ms",), script("exec sleep 60"))
    began = time.monotonic()
    with pytest.raises(KubectlError, match=r"no answer within 0\.3 s: is the API server up") as caught:
        kubectl.get("/version")
    assert caught.value.problem is KubectlProblem.TIMEOUT
    assert time.monotonic() - began < 10


def test_a_missing_kubectl_is_named_with_what_to_do() -> None:
    with pytest.raises(KubectlError, match=r"`/nowhere/kubectl` cannot be run .*: install kubectl"):
        Kubectl((), "/nowhere/kubectl").get("/version")


def test_an_answer_that_is_not_json_is_an_error(script: Script) -> None:
    with pytest.raises(KubectlError, match="is not JSON: is there a proxy"):
        Kubectl((), script("echo '<html>'")).get("/version")


def test_the_flags_do_not_show_in_a_repr() -> None:
    assert "canary" not in repr(Kubectl(("--token=canary",)))


# kubectl's own words (1.32).
WORDS = [
    (
        "The connection to the server localhost:8080 was refused - did you specify the right host or port?",
        KubectlProblem.UNREACHABLE,
        "right host or port? kubectl tries that address if no cluster is configured: set KUBECONFIG",
    ),
    (
        "The connection to the server 10.0.0.1:6443 was refused - did you specify the right host or port?",
        KubectlProblem.UNREACHABLE,
        "did you specify the right host or port? is the cluster up, and the context the right one?",
    ),
    (
        (
            "E1125 15:10:33.1 7 memcache.go:265] couldn't get current server API group list\n"
            "Unable to connect to the server: dial tcp: lookup nosuch.invalid on 10.0.0.1:53: no such host"
        ),
        KubectlProblem.UNREACHABLE,
        "Unable to connect to the server: dial tcp: lookup nosuch.invalid on 10.0.0.1:53: no such host: is the cluster",
    ),
    (
        "Unable to connect to the server: tls: failed to verify: x509: certificate signed by unknown authority",
        KubectlProblem.UNREACHABLE,
        "unknown authority: is this the right server",
    ),
    ("Unable to connect to the server: context deadline exceeded", KubectlProblem.TIMEOUT, "is the API server up"),
    (
        "Unable to connect to the server: net/http: TLS handshake timeout",
        KubectlProblem.TIMEOUT,
        "is the API server up",
    ),
    (
        'error: context "nope" does not exist',
        KubectlProblem.CONFIGURATION,
        'context "nope" does not exist: `kubectl config',
    ),
    ('error: cluster "zz" does not exist', KubectlProblem.CONFIGURATION, "`kubectl config get-contexts`"),
    ("error: stat /tmp/none: no such file or directory", KubectlProblem.CONFIGURATION, "fix the kubeconfig"),
    ('error: error loading config file "x": yaml: line 1', KubectlProblem.CONFIGURATION, "fix the kubeconfig"),
    ("error: You must be logged in to the server (Unauthorized)", KubectlProblem.LOGIN, "log in again"),
    (
        "Please enter Username: \nerror: EOF",
        KubectlProblem.LOGIN,
        "EOF: kubectl asks for a user name: this context has no",
    ),
    (
        (
            "Unable to connect to the server: getting credentials: exec: executable nosuchlogin not found\n\n"
            "It looks like you are trying to use a client-go credential plugin that is not installed."
        ),
        KubectlProblem.LOGIN,
        "the kubeconfig's login helper failed",
    ),
    (
        'Error from server (Forbidden): securityeventwebhooks.projectcalico.org is forbidden: User "x" cannot list',
        KubectlProblem.FORBIDDEN,
        'securityeventwebhooks.projectcalico.org is forbidden: User "x" cannot list: `kubectl sew check`',
    ),
    (
        'Error from server (NotFound): securityeventwebhooks.projectcalico.org "x" not found',
        KubectlProblem.NOT_FOUND,
        'securityeventwebhooks.projectcalico.org "x" not found',
    ),
    (
        'Error from server (AlreadyExists): securityeventwebhooks.projectcalico.org "x" already exists',
        KubectlProblem.EXISTS,
        'securityeventwebhooks.projectcalico.org "x" already exists',
    ),
    ("Error from server (Conflict): the object has been modified", KubectlProblem.CONFLICT, "try again"),
    (
        'The SecurityEventWebhook "x" is invalid: spec.state: Unsupported value',
        KubectlProblem.INVALID,
        "Unsupported value",
    ),
    ("Error from server (ServiceUnavailable): the server is currently unable", KubectlProblem.UNREACHABLE, "try again"),
    (
        "error: there is no state folder /x\ncommand terminated with exit code 1",
        KubectlProblem.COMMAND,
        "there is no state folder /x",
    ),
    ("Usage: x [OPTIONS]\nTry 'x -h'.\nError: no\ncommand terminated with exit code 2", KubectlProblem.COMMAND, "no"),
    ("command terminated with exit code 137", KubectlProblem.COMMAND, "command terminated with exit code 137"),
    ("error: something new\a", KubectlProblem.OTHER, "something new\ufffd"),
    ("", KubectlProblem.OTHER, "kubectl failed without a message"),
]


@pytest.mark.parametrize(("stderr", "problem", "text"), WORDS)
def test_kubectls_errors_are_distinguished_and_come_with_what_to_do(
    stderr: str, problem: KubectlProblem, text: str
) -> None:
    error = explain(stderr)
    assert error.problem is problem
    assert text in str(error)
    assert "\n" not in str(error)
    assert not str(error).startswith("error:")


def test_an_endless_text_is_cut() -> None:
    assert len(str(explain("error: " + "x" * 100_000))) < 2_000


def test_what_a_login_helper_asks_is_shown_where_nobody_answered_it(script: Script) -> None:
    kubectl = Kubectl(
        ("--request-timeout=1s",), script("echo 'open https://login.example, enter ABC123' >&2; exec sleep 60")
    )
    with pytest.raises(KubectlError, match=r"no answer within 1 s; kubectl said meanwhile: open https.*ABC123"):
        kubectl.get("/version")


ASKING = "echo 'E1125 15:10:33.1 7 x.go:2] no' >&2; printf 'open https://login.example, code: ' >&2\n"


def test_what_a_login_helper_asks_is_shown_while_it_waits(script: Script, tmp_path: Path) -> None:
    waits_until_reported = f"until [ -f {tmp_path}/reported ]; do sleep 0.1; done; echo '{{}}'"
    kubectl = Kubectl((), script(ASKING + waits_until_reported), (tmp_path / "reported").write_text)
    assert kubectl.get("/version") == {}
    assert (tmp_path / "reported").read_text() == "open https://login.example, code: "


def test_what_a_quick_run_prints_beside_its_answer_is_not_shown(script: Script) -> None:
    reported: list[str] = []
    assert Kubectl((), script(ASKING + "echo '{}'"), reported.append).get("/version") == {}
    assert reported == []


def test_commands_in_a_hint_have_the_flags_that_choose_a_cluster_and_no_others() -> None:
    flags = ("--context=the prod", "--token=canary", "--user=jane")
    hint = explain("Unable to connect to the server: getting credentials: exec: failed", flags).hint
    assert hint.endswith("run a plain `kubectl '--context=the prod' --user=jane get ns`")
    hint = explain("Error from server (Forbidden): x", flags).hint
    assert hint.startswith("`kubectl sew '--context=the prod' --user=jane check`")
