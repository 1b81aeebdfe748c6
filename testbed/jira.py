"""Jira's REST API v2 on loopback, strict to its documented contract: issues, comments, and the JQL that finds them."""

import base64
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from testbed.receivers import Answer, Incoming, Receiver

_TEXT_LIMIT = 32_767
_CLAUSE = re.compile(r'\s*(\w+) *(!=|=|~) *(?:"((?:[^"\\]|\\.)*)"|(\w+))\s*')


@dataclass
class Issue:
    """An issue: what was created, what was said of it since, and whether its status is of the category Done."""

    key: str
    fields: dict[str, Any]
    comments: list[str] = field(default_factory=list)
    done: bool = False

    @property
    def description(self) -> str:
        return str(self.fields["description"])


class Jira(Receiver):
    """A project of a Jira. `lags`: the search index does not have what came since."""

    def __init__(self, *, project: str, issue_type: str, username: str, token: str) -> None:
        self.issues: dict[str, Issue] = {}
        self.most_comments = 5_000
        self.lags = False
        self._indexed: list[tuple[Issue, int]] = []
        self._count = 0
        self._project, self._type = project, issue_type
        self._credential = "Basic " + base64.b64encode(f"{username}:{token}".encode()).decode()
        super().__init__(self._served)

    def _served(self, incoming: Incoming) -> Answer:
        if incoming.headers.get("authorization") != self._credential:
            return Answer(401, b"<html>Unauthorized</html>")
        target = urlsplit(incoming.path)
        path = target.path.removeprefix("/rest/api/2/").rstrip("/")
        if (incoming.method, path) == ("POST", "issue"):
            return self._create(_body(incoming).get("fields"))
        if incoming.method == "POST" and (named := re.fullmatch("issue/([^/]+)/comment", path)):
            return self._comment(named[1], _body(incoming).get("body"))
        if incoming.method == "GET" and path in ("search", "search/jql"):
            return self._search(parse_qs(target.query))
        return _errors(404, "no such resource")

    def _create(self, fields: Any) -> Answer:
        refused = {name: said for name, said in _problems(fields, self._project, self._type) if said}
        if refused:
            return Answer(400, json.dumps({"errorMessages": [], "errors": refused}).encode())
        self._count += 1
        key = f"{self._project}-{self._count}"
        self.issues[key] = Issue(key, fields)
        return Answer(201, json.dumps({"id": str(10_000 + self._count), "key": key, "self": ""}).encode())

    def _comment(self, key: str, body: Any) -> Answer:
        issue = self.issues.get(key)
        if issue is None:
            return _errors(404, "Issue does not exist or you do not have permission to see it.")
        if not isinstance(body, str) or not body.strip():
            return Answer(400, b'{"errorMessages":[],"errors":{"comment":"Comment body can not be empty!"}}')
        if _units(body) > _TEXT_LIMIT:
            return Answer(400, b'{"errorMessages":[],"errors":{"comment":"The entered text is too long."}}')
        if len(issue.comments) >= self.most_comments:
            return _errors(413, "The issue has too many comments.")
        issue.comments.append(body)
        return Answer(201, json.dumps({"self": "", "id": str(len(issue.comments)), "body": body}).encode())

    def _search(self, parameters: dict[str, list[str]]) -> Answer:
        if not self.lags:
            self._indexed = [(issue, len(issue.comments)) for issue in self.issues.values()]
        try:
            matches = _jql(parameters["jql"][0])
        except (KeyError, ValueError) as error:
            return _errors(400, f"Error in the JQL Query: {error}")
        found = [issue.key for issue, known in self._indexed if matches(issue, known) and issue.key in self.issues]
        most = int(parameters.get("maxResults", ["50"])[0])
        answer = {"issues": [{"key": key} for key in reversed(found)][:most], "total": len(found)}
        return Answer(200, json.dumps(answer).encode(), takes=False)


def jira(*, project: str, issue_type: str, username: str, token: str) -> Jira:
    """Return a Jira that creates issues, comments on them, and finds them by words, labels and status."""
    return Jira(project=project, issue_type=issue_type, username=username, token=token)


def _problems(fields: Any, project: str, issue_type: str) -> Iterator[tuple[str, str | bool]]:
    """Yield each field with what is wrong with it."""
    if not isinstance(fields, dict):
        yield "fields", "is required"
        return
    summary, labels = fields.get("summary", ""), fields.get("labels", [])
    yield "project", fields.get("project", {}).get("key") != project and "valid project is required"
    yield "issuetype", fields.get("issuetype", {}).get("name") != issue_type and "valid issue type is required"
    yield "summary", (not summary or _units(summary) > 255 or "\n" in summary) and "one line of at most 255 characters"
    yield "description", _units(fields.get("description", "")) > _TEXT_LIMIT and "The entered text is too long."
    strings = isinstance(labels, list) and all(isinstance(label, str) and label for label in labels)
    yield "labels", (not strings or any(re.search(r"\s", label) for label in labels)) and "contains spaces: invalid."


def _jql(text: str) -> Callable[[Issue, int], bool]:
    """Read clauses joined by AND, and by OR within brackets. Raises ValueError."""
    condition = re.sub(r"\s+ORDER BY created DESC$", "", text)
    if " ORDER " in condition:
        raise ValueError(f"the order of {text}")
    parts = [_any_of(part) for part in re.split(r"\bAND\b", condition)]
    return lambda issue, known: all(part(issue, known) for part in parts)


def _any_of(part: str) -> Callable[[Issue, int], bool]:
    within = re.fullmatch(r"\s*\((.*)\)\s*", part)
    clauses = [_clause(each) for each in (re.split(r"\bOR\b", within[1]) if within else [part])]
    return lambda issue, known: any(clause(issue, known) for clause in clauses)


def _clause(text: str) -> Callable[[Issue, int], bool]:
    read = _CLAUSE.fullmatch(text)
    if not read:
        raise ValueError(text)
    name, operator, quoted, bare = read.groups()
    value = bare or re.sub(r"\\(.)", r"\1", quoted)
    known = {
        ("project", "="): lambda issue, _: issue.key.startswith(f"{value}-"),
        ("labels", "="): lambda issue, _: value in issue.fields.get("labels", []),
        ("description", "~"): lambda issue, _: value in issue.description.split(),
        ("comment", "~"): lambda issue, count: any(value in said.split() for said in issue.comments[:count]),
        ("statusCategory", "!="): lambda issue, _: not (issue.done and value == "Done"),
    }
    if (name, operator) not in known:
        raise ValueError(text)
    return known[name, operator]


def _units(text: str) -> int:
    """Return the units of UTF-16, which Jira counts."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _errors(status: int, *messages: str) -> Answer:
    return Answer(status, json.dumps({"errorMessages": messages, "errors": {}}).encode())


def _body(incoming: Incoming) -> dict[str, Any]:
    try:
        body = incoming.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
