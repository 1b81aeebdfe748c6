"""Logins to a secured server, made as docs/elasticsearch.md says, and readers who use them."""

import copy
import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubectl_sew.elasticsearch.access import Access
from sew_agent.ingest.elasticsearch.source import IngestSettings
from testbed.servers.secured import SecuredNode
from tests.integration.elasticsearch.harness import IngestHarness

PREFIX = "tigera_secure_ee_events"
NAME = "sew"
"""Name of the user and of the role on the page."""
_REQUEST = re.compile(r"```http\n(PUT|POST) (/\S+)\n(.*?)```", re.DOTALL)
Json = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """A request of the page."""

    method: str
    path: str
    body: Json


def documented(server: SecuredNode) -> dict[str, Request]:
    """Return the page's requests for a product, by the last word of their path before the name."""
    found = _REQUEST.findall(Path("docs/elasticsearch.md").read_text("utf-8"))
    requests = [Request(method, path, json.loads(body)) for method, path, body in found]
    ours = [request for request in requests if request.path.startswith("/_plugins") == server.is_opensearch]
    return {request.path.removesuffix(f"/{NAME}").rpartition("/")[2]: request for request in ours}


class Logins:
    """The page's role and user on a server. The password is a new one each time."""

    def __init__(self, server: SecuredNode) -> None:
        self.server = server
        self._requests = documented(server)
        self._role = self._requests["roles" if server.is_opensearch else "role"]
        self.password = f"canary-{secrets.token_urlsafe(16)}-Aa1"
        self.whole()
        user = self._requests["internalusers" if server.is_opensearch else "user"]
        server.change(user.method, user.path, {**user.body, "password": self.password})

    def whole(self) -> None:
        """Give the role all that the page says."""
        self.server.change(self._role.method, self._role.path, self._role.body)

    def privileges(self) -> list[str]:
        """Return all that the page's role grants."""
        return [privilege for granted in _grants(self._role.body) for privilege in granted]

    def without(self, privilege: str) -> None:
        """Give the role all of it but one."""
        body = copy.deepcopy(self._role.body)
        for granted in _grants(body):
            if privilege in granted:
                granted.remove(privilege)
        self.server.change(self._role.method, self._role.path, body)

    def on(self, *patterns: str) -> None:
        """Give the role all of it, and on these indices."""
        body = copy.deepcopy(self._role.body)
        for grant in body.get("indices", body.get("index_permissions")):
            grant["names" if "names" in grant else "index_patterns"] = list(patterns)
        self.server.change(self._role.method, self._role.path, body)

    def access(self, **others: Any) -> Access:
        """Return how the user logs in; others: fields of Access that differ."""
        login = {} if {"api_key", "token"} & others.keys() else {"username": NAME, "password": self.password}
        return Access((self.server.url,), **{"ca": self.server.ca, **login, **others})

    def api_key(self, **more: Any) -> Json:
        """Make the page's API key, with these fields beside its own, and return the answer."""
        request = self._requests["api_key"]
        made: Json = self.server.change(request.method, request.path, {**request.body, **more})
        return made

    def token(self) -> str:
        """Return a bearer token of the user; a server that has no such licence yet gets one for a trial."""
        self.server.change("POST", "/_license/start_trial?acknowledge=true", None)
        login = {"grant_type": "password", "username": NAME, "password": self.password}
        return str(self.server.change("POST", "/_security/oauth2/token", login)["access_token"])


def reader(logins: Logins, access: Access, state: Path, pattern: str = f"{PREFIX}.*") -> IngestHarness:
    """Return a harness whose writes are the administrator's, and whose reading is by that access."""
    made = IngestHarness(logins.server.admin(), logins.server.url, state)
    made.prefix, made.reading, made.access = PREFIX, IngestSettings(pattern), lambda: access
    made.restart()
    return made


def _grants(role: Json) -> Iterator[list[str]]:
    """Yield the lists of privileges in a role of either product."""
    if "cluster_permissions" in role:
        yield role["cluster_permissions"]
    for grant in role.get("indices", role.get("index_permissions", ())):
        yield grant["privileges" if "privileges" in grant else "allowed_actions"]
