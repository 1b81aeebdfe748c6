"""Runs kubectl, the plugin's only way to a cluster: every login, proxy, impersonation and kubeconfig works as with it.

Requests are `--raw` where they can be: one exchange with the server, no discovery, and the answer as it is. What
kubectl prints where it fails is read here, and said again with what to do.
"""

import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from urllib.parse import urlencode

from kubectl_sew.errors import SewError
from kubectl_sew.process import finish
from kubectl_sew.text import cut, parse_go_duration, printable

FIELD_MANAGER = "kubectl-sew"

TIMEOUT = "30s"
"""Seconds for one run without `--request-timeout`: kubectl itself would wait for ever."""

_LONGEST = 1_500
"""Characters of kubectl's own words in an error."""


class KubectlProblem(Enum):
    """Reasons of a failure that callers act upon."""

    NO_KUBECTL = "no kubectl"
    CONFIGURATION = "kubeconfig"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    LOGIN = "login"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not found"
    EXISTS = "exists"
    CONFLICT = "conflict"
    INVALID = "invalid"
    COMMAND = "command in the container"
    OTHER = "other"


class KubectlError(SewError):
    """kubectl, or the server behind it, refused. `said` is kubectl's own text in one line, without advice."""

    def __init__(self, problem: KubectlProblem, said: str, hint: str = "") -> None:
        super().__init__(f"{said}{'' if said.endswith('?') else ':'} {hint}" if hint else said)
        self.problem = problem
        self.said = said
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Kubectl:
    """kubectl with a person's connection flags (`--context x`, `-s …`), which may hold a token and are never shown."""

    flags: tuple[str, ...] = field(default=(), repr=False)
    program: str = ""
    """"" for `KUBECTL_PATH`, else the one on PATH."""
    report: Callable[[str], object] | None = None
    """Takes what kubectl says while it still runs: a login helper may ask a person for something."""

    def get(self, path: str, **parameters: str) -> Any:
        """The JSON that the server gives for a path, e.g. `/apis/projectcalico.org/v3`."""
        return _json(self.run("get", "--raw", _with(path, parameters)))

    def find(self, path: str) -> Any | None:
        """Return an object as `get` does; None where the path holds none."""
        try:
            return self.get(path)
        except KubectlError as error:
            if error.problem is KubectlProblem.NOT_FOUND:
                return None
            raise

    def create(self, path: str, obj: Mapping[str, Any], **parameters: str) -> Any:
        """POSTs an object, strictly: the server refuses fields that it does not know."""
        parameters = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict", **parameters}
        return _json(self.run("create", "--raw", _with(path, parameters), "-f", "-", stdin=json.dumps(obj)))

    def patch(self, resource: str, name: str, patch: Mapping[str, Any], *more: str) -> Any:
        """Merges a patch into an object of a fully named resource; `more` are further arguments of kubectl's."""
        fixed = ("--type=merge", f"--field-manager={FIELD_MANAGER}", "-o", "json")
        return _json(self.run("patch", *fixed, "--patch", json.dumps(patch), *more, "--", resource, name))

    def execute(self, namespace: str, pod: str, container: str, command: Sequence[str]) -> str:
        """Return the output of a command in a container. Where it fails, the error is its stderr.

        No name can be taken for a flag: before the command kubectl knows no `--`.
        """
        timeout, flags = _take_timeout(self.flags)  # as a request's time-out it would cut the stream
        where = (f"--namespace={namespace}", f"--container={container}", f"pod/{pod}")
        return self._run([*flags, "exec", *where, "--", *command], "", timeout)

    def run(self, *arguments: str, stdin: str = "") -> str:
        """Return kubectl's stdout for some arguments. Raises KubectlError."""
        timeout, flags = _take_timeout(self.flags)
        return self._run([*flags, f"--request-timeout={timeout}", *arguments], stdin, timeout)

    def _run(self, arguments: Sequence[str], stdin: str, timeout: str) -> str:
        program, deadline = self.program or os.environ.get("KUBECTL_PATH") or "kubectl", _seconds(timeout)
        try:
            done = finish([program, *arguments], stdin, deadline, self.report and self._report)
        except subprocess.TimeoutExpired as late:
            message = f"no answer within {deadline:g} s{_meanwhile(late.stderr)}"
            raise KubectlError(KubectlProblem.TIMEOUT, message, _in_context(_SLOW, self.flags)) from None
        except OSError as error:
            message = f"`{program}` cannot be run ({(error.strerror or str(error)).lower()})"
            raise KubectlError(KubectlProblem.NO_KUBECTL, message, _NO_KUBECTL) from None
        if done.returncode != 0:
            raise explain(done.stderr, self.flags)
        return done.stdout

    def _report(self, stderr: str) -> None:
        """Print stderr without kubectl's own log lines, which are shown if it fails."""
        text = "".join(line for line in stderr.splitlines(keepends=True) if not _LOG_LINE.match(line))
        if text and self.report:
            self.report(text)


_NO_KUBECTL = "install kubectl, put it on PATH, or name it in KUBECTL_PATH"
_SLOW = (
    "is the API server up, and the network to it? --request-timeout=2m waits longer; "
    "if the login asks for something, do it before: `kubectl get ns`"
)
_CONTEXTS = "`kubectl config get-contexts` lists those of your kubeconfig; --context, --kubeconfig choose"
_UP = f"is the cluster up, and the context the right one? {_CONTEXTS}"
_NOWHERE = "kubectl tries that address if no cluster is configured: set KUBECONFIG, or give --kubeconfig"
_LOGIN = "log in again, or use another --context or --token"

_RULES: tuple[tuple[KubectlProblem, str, str], ...] = (
    (KubectlProblem.COMMAND, r"command terminated with exit code", ""),
    (
        KubectlProblem.FORBIDDEN,
        r"^Error from server \(Forbidden\)",
        "`kubectl sew check` lists the rights that are needed",
    ),
    (KubectlProblem.NOT_FOUND, r"^Error from server \(NotFound\)", ""),
    (KubectlProblem.EXISTS, r"^Error from server \(AlreadyExists\)", ""),
    (KubectlProblem.CONFLICT, r"^Error from server \(Conflict\)", "it was changed meanwhile: try again"),
    (
        KubectlProblem.INVALID,
        r"^Error from server \((Invalid|BadRequest)\)|^The .* is invalid:|no matches for kind",
        "",
    ),
    (
        KubectlProblem.TIMEOUT,
        r"^Error from server \(Timeout\)|deadline exceeded|Client\.Timeout|(i/o|handshake) timeout|timed out",
        _SLOW,
    ),
    (
        KubectlProblem.UNREACHABLE,
        r"^Error from server \((ServiceUnavailable|TooManyRequests|InternalError)\)",
        "try again",
    ),
    (
        KubectlProblem.LOGIN,
        r"getting credentials:",
        "the kubeconfig's login helper failed: run a plain `kubectl get ns`",
    ),
    (KubectlProblem.LOGIN, r"must be logged in|Unauthorized|provide credentials", _LOGIN),
    (KubectlProblem.LOGIN, r"^error: EOF", "kubectl asks for a user name: this context has no user; " + _CONTEXTS),
    (
        KubectlProblem.UNREACHABLE,
        r"x509:|tls:",
        "is this the right server, and certificate-authority its CA?",
    ),
    (KubectlProblem.UNREACHABLE, r"^The connection to the server localhost:8080", _NOWHERE),
    (KubectlProblem.UNREACHABLE, r"^The connection to the server|connection refused|no such host", _UP),
    (
        KubectlProblem.UNREACHABLE,
        r"^Unable to connect to the server",
        _UP,
    ),
    (KubectlProblem.CONFIGURATION, r"(context|cluster|auth info) \S* ?does not exist|context was not found", _CONTEXTS),
    (
        KubectlProblem.CONFIGURATION,
        r"error loading config file|^error: stat |invalid configuration",
        "fix the kubeconfig",
    ),
)
"""Patterns of kubectl's errors (1.32) -> the reason and what to do; the first that fits counts."""


def explain(stderr: str, flags: Sequence[str] = ()) -> KubectlError:
    """kubectl's words for a failure, as our error. Commands in it reach what these flags name."""
    text = _telling(stderr)
    for problem, pattern, hint in _RULES:
        if re.search(pattern, text, re.MULTILINE):
            return KubectlError(problem, _said(text), _in_context(hint, flags))
    return KubectlError(KubectlProblem.OTHER, _said(text) or "kubectl failed without a message", "")


_CHOOSING = ("--kubeconfig=", "--context=", "--cluster=", "--user=")


def chosen_by(flags: Sequence[str]) -> list[str]:
    """Return the flags that choose a cluster and a user, none of which is a secret."""
    return [flag for flag in flags if flag.startswith(_CHOOSING)]


def _in_context(hint: str, flags: Sequence[str]) -> str:
    """A hint whose commands have the flags that choose a cluster and a user; a person's others may be secret."""
    given = shlex.join(chosen_by(flags))
    return re.sub(r"`kubectl (sew )?(?=get|check)", lambda hit: f"{hit[0]}{given} ", hint) if given else hint


_LOG_LINE = re.compile(r"^[EWI]\d{4} [\d:.]+ ")
_WORDLESS = re.compile(r"^command terminated with exit code|^Please enter |^Usage: |^Try '|^See '")
_LEAD = re.compile(r"^(error: |Error: |Error from server \((Forbidden|NotFound|AlreadyExists|Invalid)\): )")


def _telling(stderr: str) -> str:
    """Return a text without kubectl's log lines, unless it has nothing else."""
    lines = [line for line in stderr.splitlines() if line.strip()]
    return "\n".join([line for line in lines if not _LOG_LINE.match(line)] or lines)


def _said(text: str) -> str:
    """Return an error in one line, without kubectl's lead, its prompts, and its note on a container's command."""
    lines = text.splitlines()
    message = " ".join(_LEAD.sub("", line).strip() for line in lines if not _WORDLESS.match(line)) or " ".join(lines)
    return cut(printable(message), _LONGEST)


def _meanwhile(stderr: bytes | str | None) -> str:
    """Return the words of kubectl, or of its login helper, before it was stopped: it may wait for a person."""
    text = stderr.decode("utf-8", "replace") if isinstance(stderr, bytes) else stderr or ""
    words = " ".join(text.split())[-_LONGEST:]
    return f"; kubectl said meanwhile: {words}" if words else ""


def _with(path: str, parameters: Mapping[str, str]) -> str:
    return f"{path}?{urlencode(parameters)}" if parameters else path


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise KubectlError(
            KubectlProblem.OTHER,
            "the API server's answer is not JSON",
            "is there a proxy or a login page in front of it?",
        ) from None


def _take_timeout(flags: Sequence[str]) -> tuple[str, list[str]]:
    """The value of the last `--request-timeout`, else ours; and the flags without it."""
    timeout, rest, waiting = TIMEOUT, [], False
    for flag in flags:
        name, equals, value = flag.partition("=")
        if waiting:
            timeout, waiting = flag, False
        elif name != "--request-timeout":
            rest.append(flag)
        elif equals:
            timeout = value
        else:
            waiting = True
    return timeout, rest


def _seconds(timeout: str) -> float | None:
    """A `--request-timeout` in seconds; None where 0 asks to wait for ever, and where kubectl will refuse it."""
    if timeout.isascii() and timeout.isdigit():
        return float(timeout) or None
    return parse_go_duration(timeout) or None
