"""The API server. Of the `kubernetes` client it uses the login (kubeconfig, service account, TLS, proxy) and none of
the generated classes, which cost memory and know nothing of SecurityEventWebhooks."""

import json
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from copy import copy
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
"""The server ends a watch after so long; the next one goes on where it ended."""
SILENCE_SECONDS = WATCH_SECONDS + 30.0
_KEEPALIVE = [
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
        if hasattr(socket, name)
    ),
]
"""A watch may be silent for a minute: a connection that nobody holds at the other end is found within 25 s."""
_LONGEST = 500
_NOT_OF_A_HEADER = re.compile(r"[^\x20-\x7e]")

FIELD_MANAGER = "sew-agent"
MERGE_PATCH = "application/merge-patch+json"
_JSON = "application/json"
_MANAGED = {"fieldManager": FIELD_MANAGER}


UNREADABLE = (KeyError, TypeError, AttributeError, ValueError)
"""What an answer of another shape than Kubernetes' own leads to."""


class ApiError(SewError):
    """The API server refused, or was not reached. The text names what was asked for, and no secret."""


class InvalidError(ApiError):
    """The object does not pass the server's schema (400, 422)."""


class ForbiddenError(ApiError):
    """The server does not accept the credential, or the account has no such right (401, 403)."""

    @property
    def advice(self) -> str:
        """The error, and what to do."""
        return f"{self}: grant it as manifests/base/rbac.yaml does"


class NotFoundError(ApiError):
    """There is no such object or collection (404)."""


class ConflictError(ApiError):
    """Somebody else wrote the object in between, or created it (409)."""


class GoneError(ApiError):
    """The server's history does not reach back to the resourceVersion (410): list again."""


_BY_STATUS: Mapping[int, type[ApiError]] = {
    400: InvalidError,
    401: ForbiddenError,
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
        """Raises ApiError where the connection breaks."""
        try:
            with closing(self._response):
                for line in self._response:
                    if line.strip():
                        yield json.loads(line)
        except (HTTPError, OSError, ValueError) as error:
            raise ApiError(f"the watch at {self._server} was cut ({_why(error)})") from None

    def close(self) -> None:
        """From any thread: whoever waits for the next event gets an end."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


def _tls_context(configuration: Configuration) -> ssl.SSLContext:
    """urllib3 loads the kubeconfig's certificates into it."""
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED if configuration.verify_ssl else ssl.CERT_NONE)
    if not configuration.ssl_ca_cert:
        context.load_default_certs()
    set_verification(context)
    return context


class KubernetesClient:
    """Thread-safe. Every method raises ApiError."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._pool = RESTClientObject(configuration).pool_manager
        self._pool.connection_pool_kw["socket_options"] = _KEEPALIVE
        self._pool.connection_pool_kw["ssl_context"] = _tls_context(configuration)
        self._timeout = Timeout(connect=CONNECT_SECONDS, read=ANSWER_SECONDS)
        self._agent = f"{FIELD_MANAGER}/{version('kubectl-sew')}"
        url = urlsplit(configuration.host)
        self.server = f"{url.scheme}://{url.netloc.rpartition('@')[2]}"

    def quick(self, seconds: float) -> "KubernetesClient":
        """The same server over the same connections, where each request has so many seconds in all."""
        made = copy(self)
        made._timeout = Timeout(total=seconds)
        return made

    def get(self, path: str, query: Mapping[str, str] | None = None, *, accept: str = _JSON) -> dict[str, Any]:
        """An object, or a page of a list."""
        return self._object("GET", path, query=query, accept=accept)

    def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._object("POST", path, query=_MANAGED, body=body, content_type=_JSON)

    def patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """A merge patch. With `metadata.resourceVersion` in it, a change in between raises ConflictError."""
        return self._object("PATCH", path, query=_MANAGED, body=body, content_type=MERGE_PATCH)

    def watch(self, path: str, query: Mapping[str, str], *, accept: str = _JSON) -> WatchStream:
        query = dict(query) | {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        timeout = Timeout(connect=CONNECT_SECONDS, read=SILENCE_SECONDS)
        return WatchStream(
            self._request("GET", path, query, {"Accept": accept}, None, timeout, whole=False), self.server
        )

    def close(self) -> None:
        self._pool.clear()

    def _object(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        accept: str = _JSON,
        content_type: str = "",
    ) -> dict[str, Any]:
        headers = {"Accept": accept} | ({"Content-Type": content_type} if content_type else {})
        content = None if body is None else json.dumps(body).encode()
        response = self._request(method, path, query or {}, headers, content, self._timeout, whole=True)
        try:
            found = json.loads(response.data)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise ApiError(f"{self.server} does not answer as an API server does ({method} {path})")
        return found

    def _request(  # noqa: PLR0913 - one place for all that a request is
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes | None,
        timeout: Timeout,
        *,
        whole: bool,
    ) -> BaseHTTPResponse:
        url = self._configuration.host + path + (f"?{urlencode(query)}" if query else "")
        try:
            response: BaseHTTPResponse = self._pool.request(
                method,
                url,
                body=body,
                headers={"User-Agent": self._agent, **headers, **self._login()},
                timeout=timeout,
                retries=False,
                redirect=False,
                preload_content=whole,
            )
        except (HTTPError, OSError) as error:
            raise ApiError(f"the API server at {self.server} cannot be reached ({_why(error)})") from None
        if not 200 <= response.status < 300:
            raise _refusal(response, method, path)
        return response

    def _login(self) -> dict[str, str]:
        try:
            settings = self._configuration.auth_settings().values()
        except (ConfigException, OSError) as error:
            raise ApiError(f"the credential for {self.server} cannot be read ({_why(error)})") from None
        found = {each["key"]: each["value"].strip() for each in settings if each["in"] == "header" and each["value"]}
        if any(_NOT_OF_A_HEADER.search(value) for value in found.values()):
            raise ApiError(f"the token for {self.server} holds a line break, or a character that no token has")
        return found


def connect(kubeconfig: Path | None, context: str) -> KubernetesClient:
    """By a kubeconfig, else by the service account of the pod that this runs in. Raises ApiError."""
    configuration = Configuration()
    try:
        if kubeconfig is None:
            load_incluster_config(configuration)
        else:
            load_kube_config(str(kubeconfig), context or None, configuration, persist_config=False)
    except (ConfigException, OSError, yaml.YAMLError, ValueError, TypeError, AttributeError) as error:
        place = f"the kubeconfig {kubeconfig}" if kubeconfig else "the pod's service account"
        raise ApiError(f"{place} cannot be used: {_flaw(error)}") from None
    return KubernetesClient(configuration)


def _flaw(error: Exception) -> str:
    """What is wrong with a login's file. YAML's own errors repeat what is written there."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return f"it is not YAML (line {error.problem_mark.line + 1})"
    return str(error).splitlines()[0][:_LONGEST] or _why(error)


def _refusal(response: BaseHTTPResponse, method: str, path: str) -> ApiError:
    with closing(response):
        try:
            said = json.loads(response.read() if response.data is None else response.data)["message"]
        except (ValueError, TypeError, KeyError, HTTPError):
            said = f"{method} {path} was answered with {response.status}"
    return error_of(str(said)[:_LONGEST], response.status)


def _why(error: Exception) -> str:
    """Without the libraries' own words, which hold addresses of objects."""
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
