"""What is asked of Jira: to create an issue, to comment on one, and to find one by JQL.

Facts: https://developer.atlassian.com/cloud/jira/platform/rest/v2/api-group-issues/ and .../api-group-issue-comments/,
the same for Data Center, and https://support.atlassian.com/jira-software-cloud/docs/jql-fields/.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from kubectl_sew.consumers import settings
from kubectl_sew.consumers.base import Config, Request

BEARER = "Bearer"


def creation(fields: Mapping[str, Any], config: Config) -> Request:
    headers = (*_headers(config), ("Content-Type", "application/json"))
    return Request("POST", _create_url(config), headers, json.dumps({"fields": fields}).encode())


def in_group(request: Request, group: str) -> Request:
    """Return a creation whose issue has the label of its group beside its others, by which it is found again."""
    fields = json.loads(request.body)["fields"]
    labels = fields.get("labels")
    own = labels if isinstance(labels, list) else []
    return replace(request, body=json.dumps({"fields": {**fields, "labels": [*own, group_label(group)]}}).encode())


def comment(request: Request, issue: str) -> Request:
    """Return the comment on an issue that says what a creation would say in its description."""
    body = {"body": json.loads(request.body)["fields"]["description"]}
    return replace(request, url=f"{request.url}/{quote(issue, safe='')}/comment", body=json.dumps(body).encode())


def find_delivery(config: Config, delivery_id: str, *, in_comments: bool) -> tuple[Request, ...]:
    """Return the searches for a delivery by its id, which ends a description, or a comment."""
    word = _quoted(delivery_id)
    places = f"(description ~ {word} OR comment ~ {word})" if in_comments else f"description ~ {word}"
    return _searches(config, places)


def find_open(config: Config, group: str) -> tuple[Request, ...]:
    """Return the searches for the newest issue of a group that is not done."""
    return _searches(config, f"labels = {_quoted(group_label(group))} AND statusCategory != Done ORDER BY created DESC")


def group_label(group: str) -> str:
    """Return the label of a group's issues."""
    return f"sew-{group}"


def _searches(config: Config, jql: str) -> tuple[Request, ...]:
    """Return Cloud's search, then Data Center's; none where the URL does not end with `/issue`."""
    base, end = _create_url(config).rpartition("/")[::2]
    if end != "issue":
        return ()
    jql = f"project = {_quoted(settings.text(config, 'project'))} AND {jql}"
    query = f"?jql={quote(jql, safe='')}&maxResults=1&fields=summary"
    return tuple(Request("GET", f"{base}/{place}{query}", _headers(config), b"") for place in ("search/jql", "search"))


def _headers(config: Config) -> tuple[tuple[str, str], ...]:
    token = settings.text(config, "apiToken")
    bearer = settings.text(config, "authentication") == BEARER
    authorization = f"Bearer {token}" if bearer else settings.basic(settings.text(config, "username"), token)
    return (("Authorization", authorization), ("Accept", "application/json"))


def _create_url(config: Config) -> str:
    return settings.address(settings.text(config, "url")).url.rstrip("/")


def _quoted(word: str) -> str:
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'
