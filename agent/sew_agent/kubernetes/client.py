"""Talks to the API server.

Of the `kubernetes` client it uses the login (kubeconfig, service account, TLS, proxy). The generated classes cost
memory and know nothing of SecurityEventWebhooks.
"""

import json
import re
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import yaml
from kubernetes.client import Configuration
from kubernetes.client.rest import RESTClientObject
from kubernetes.config import ConfigException, load_incluster_config, load_kube_config
from urllib3 import BaseHTTPResponse, Timeout
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
    SSLError,
)
from urllib3.util.ssl_ import create_urllib3_context

from kubectl_sew.errors import SewError
from kubectl_sew.tls import set_verification

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 10.0
REQUEST_SECONDS = CONNECT_SECONDS + ANSWER_SECONDS
WATCH_SECONDS = 120
"""After so long the server ends a watch; the next one goes on where it ended."""
SILENCE_SECONDS = WATCH_SECONDS + 30.0
"""A watch without a byte for so long is cut."""
_KEEPALIVE = [
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
        if hasattr(socket, name)
    ),
]
"""A watch may be silent for a minute: these notice within 25 s that nobody holds the other end."""
_LONGEST = 500
_NO_HEADER_CHARACTER = re.compile(r"[^\x20-\x7e]")

FIELD_MANAGER = "sew-agent"
MERGE_PATCH = "application/merge-patch+json"
_JSON = "application/json"
_MANAGED = {"fieldManager": FIELD_MANAGER}


UNREADABLE = (KeyError, TypeError, AttributeError, ValueError)
"""The exceptions that an answer of another shape than Kubernetes' own leads to."""


class ApiError(SewError):
    """The API server refused, or was not reached. The text names what was asked for, and no secret."""


class InvalidError(ApiError):
    """The object does not pass the server's schema (400, 422)."""


class ForbiddenError(ApiError):
    """The account has no such right (403); 401: `UnauthorizedError`."""

    @property
    def advice(self) -> str:
        """The error, and what to do."""
        return f"{self}: grant it as manifests/base/rbac.yaml does"


class UnauthorizedError(ForbiddenError):
    """The server does not accept the credential: a token has expired, or its account is gone (401)."""

    @property
    def advice(self) -> str:
        """The error, and what to do."""
        return (
            f"{self}: the API server does not accept this credential. Where --kubeconfig names it, its token has "
            "expired or was revoked: put a new one there (`kubectl create token`), which is used at once. In a pod the "
            "service account was deleted, or made again: restart the pod"
        )


class NotFoundError(ApiError):
    """There is no such object or collection (404)."""


class ConflictError(ApiError):
    """Somebody else wrote the object in between, or created it (409)."""


class GoneError(ApiError):
    """The server's history does not reach back to the resourceVersion (410): list again."""


_BY_STATUS: Mapping[int, type[ApiError]] = {
    400: InvalidError,
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    410: GoneError,
    422: InvalidError,
}


def error_of(message: str, status: int) -> ApiError:
    """Return the error that the server means by an HTTP status."""
    return _BY_STATUS.get(status, ApiError)(message)


class WatchStream:
    """The events of one watch, until the server or `close` ends it."""

    def __init__(self, response: BaseHTTPResponse, server: str) -> None:
        self._response = response
        self._server = server
        self._socket: socket.socket | None = getattr(response.connection, "sock", None)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield the events. Raises ApiError where the connection breaks."""
        try:
            with closing(self._response):
                for line in self._response:
                    if line.strip():
                        yield json.loads(line)
        except (HTTPError, OSError, ValueError) as error:
            raise ApiError(f"the watch at {self._server} was cut ({_why(error)})") from None

    def close(self) -> None:
        """End the iteration, from any thread."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


def _tls_context(configuration: Configuration) -> ssl.SSLContext:
    """Return the TLS settings; urllib3 loads the kubeconfig's certificates into them."""
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED if configuration.verify_ssl else ssl.CERT_NONE)
    if not configuration.ssl_ca_cert:
        context.load_default_certs()
    set_verification(context)
    return context


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    accept: str = _JSON
    body: Mapping[str, Any] | None = None
    content_type: str = _JSON

    @property
    def target(self) -> str:
        return self.path + (f"?{urlencode(self.query)}" if self.query else "")

    @property
    def headers(self) -> dict[str, str]:
        return {"Accept": self.accept} | ({} if self.body is None else {"Content-Type": self.content_type})

    @property
    def content(self) -> bytes | None:
        return None if self.body is None else json.dumps(self.body).encode()


class KubernetesClient:
    """The API server of one cluster, over kept connections. Thread-safe; every request raises ApiError."""

    def __init__(self, log_in: Callable[[], Configuration]) -> None:
        """`log_in` reads the credential, and once more whenever the server refuses it. Raises what `log_in` raises."""
        self._log_in = log_in
        self._configuration = configuration = log_in()
        self._pool = RESTClientObject(configuration).pool_manager
        self._pool.connection_pool_kw["socket_options"] = _KEEPALIVE
        self._pool.connection_pool_kw["ssl_context"] = _tls_context(configuration)
        self._timeout = Timeout(connect=CONNECT_SECONDS, read=ANSWER_SECONDS)
        self._agent = f"{FIELD_MANAGER}/{version('kubectl-sew')}"
        url = urlsplit(configuration.host)
        self.server = f"{url.scheme}://{url.netloc.rpartition('@')[2]}"

    def quick(self, seconds: float) -> "KubernetesClient":
        """Return a client of the same server and connections, where each request has so many seconds in all."""
        client = copy(self)
        client._timeout = Timeout(total=seconds)
        return client

    def get(self, path: str, query: Mapping[str, str] | None = None, *, accept: str = _JSON) -> dict[str, Any]:
        """Return an object, or a page of a list."""
        return self._object(_Request("GET", path, query or {}, accept))

    def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create an object; return it as the server has it."""
        return self._object(_Request("POST", path, _MANAGED, body=body))

    def patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Apply a merge patch; with `metadata.resourceVersion` in it, a change in between raises ConflictError."""
        return self._object(_Request("PATCH", path, _MANAGED, body=body, content_type=MERGE_PATCH))

    def watch(self, path: str, query: Mapping[str, str], *, accept: str = _JSON) -> WatchStream:
        """Begin to watch a collection."""
        options = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(WATCH_SECONDS)}
        timeout = Timeout(connect=CONNECT_SECONDS, read=SILENCE_SECONDS)
        request = _Request("GET", path, {**query, **options}, accept)
        return WatchStream(self._send(request, timeout, whole=False), self.server)

    def close(self) -> None:
        """Close all connections that are idle."""
        self._pool.clear()

    def _object(self, request: _Request) -> dict[str, Any]:
        response = self._send(request, self._timeout, whole=True)
        try:
            obj = json.loads(response.data)
        except ValueError:
            obj = None
        if not isinstance(obj, dict):
            raise ApiError(f"{self.server} does not answer as an API server does ({request.method} {request.path})")
        return obj

    def _send(self, request: _Request, timeout: Timeout, *, whole: bool) -> BaseHTTPResponse:
        try:
            response: BaseHTTPResponse = self._pool.request(
                request.method,
                self._configuration.host + request.target,
                body=request.content,
                headers={"User-Agent": self._agent, **request.headers, **self._login()},
                timeout=timeout,
                retries=False,
                redirect=False,
                preload_content=whole,
            )
        except (HTTPError, OSError) as error:
            raise ApiError(f"the API server at {self.server} cannot be reached ({_why(error)})") from None
        if response.status == HTTPStatus.UNAUTHORIZED:
            self._log_in_again()
        if not 200 <= response.status < 300:
            raise _refusal(response, request)
        return response

    def _log_in_again(self) -> None:
        """Take a new credential of the same server for the next request, where there is one."""
        with suppress(ApiError):  # it is being written: the old one is tried once more
            new, known = self._log_in(), self._configuration
            if new.host == known.host:
                known.api_key, known.refresh_api_key_hook = new.api_key, new.refresh_api_key_hook

    def _login(self) -> dict[str, str]:
        try:
            settings = self._configuration.auth_settings().values()
        except (ConfigException, OSError) as error:
            raise ApiError(f"the credential for {self.server} cannot be read ({_why(error)})") from None
        headers = {
            setting["key"]: setting["value"].strip()
            for setting in settings
            if setting["in"] == "header" and setting["value"]
        }
        if any(_NO_HEADER_CHARACTER.search(value) for value in headers.values()):
            raise ApiError(f"the token for {self.server} holds a line break, or a character that no token has")
        return headers


def connect(kubeconfig: Path | None, context: str) -> KubernetesClient:
    """Return a client by a kubeconfig, else by the service account of the pod that this runs in. Raises ApiError."""
    return KubernetesClient(partial(_log_in, kubeconfig, context))


def _log_in(kubeconfig: Path | None, context: str) -> Configuration:
    configuration = Configuration()
    try:
        if kubeconfig is None:
            load_incluster_config(configuration)
        else:
            load_kube_config(str(kubeconfig), context or None, configuration, persist_config=False)
    except (ConfigException, OSError, yaml.YAMLError, ValueError, TypeError, AttributeError) as error:
        source = f"the kubeconfig {kubeconfig}" if kubeconfig else "the pod's service account"
        raise ApiError(f"{source} cannot be used: {_flaw(error)}") from None
    return configuration


def _flaw(error: Exception) -> str:
    """Return what is wrong with a login's file. YAML's own errors repeat what is written there."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return f"it is not YAML (line {error.problem_mark.line + 1})"
    return str(error).splitlines()[0][:_LONGEST] or _why(error)


def _refusal(response: BaseHTTPResponse, request: _Request) -> ApiError:
    with closing(response):
        try:
            message = json.loads(response.read() if response.data is None else response.data)["message"]
        except (ValueError, TypeError, KeyError, HTTPError):
            message = f"{request.method} {request.path} was answered with {response.status}"
    return error_of(str(message)[:_LONGEST], response.status)


def _why(error: Exception) -> str:
    """Return why a request failed, without the libraries' own words, which hold addresses of objects."""
    for kind, word in _WORDS:
        if isinstance(error, kind):
            return word
    cause = getattr(error, "original_error", error)
    return getattr(cause, "strerror", None) or type(error).__name__


_WORDS: tuple[tuple[type[Exception], str], ...] = (
    (NameResolutionError, "its name is not found"),
    (NewConnectionError, "the connection is refused"),  # before the next, of which urllib3 makes it a kind
    (ConnectTimeoutError, "no connection in time"),
    (ReadTimeoutError, "no answer in time"),
    (SSLError, "its certificate is not trusted"),
    (ConnectionResetError, "the connection was reset"),
    (ConfigException, "no valid credential"),
    (HTTPError, "the connection was cut"),
    (ValueError, "half a line"),
)
