"""Jira: one issue for each event, through REST version 2."""

from kubectl_sew.consumers.base import Variable


class Jira:
    """Renders for Jira."""

    name = "Jira"
    variables = (
        Variable("url", required=True, meaning="where issues are created: `https://HOST/rest/api/2/issue`", secret=True),
        Variable("project", required=True, meaning="the project's key"),
        Variable("issueType", required=True, meaning="the name of the issues' type, e.g. `Bug`"),
        Variable(
            "username",
            required=True,
            meaning="the account; not needed where `authentication` is `Bearer`",
            unless=("authentication", "Bearer"),
        ),
        Variable("apiToken", required=True, meaning="the account's API token or access token", secret=True),
        Variable("authentication", required=False, meaning="`Basic` (the default) or `Bearer`, for a Data Center token"),
        Variable("labels", required=False, meaning="labels that every issue gets, separated by commas"),
        Variable("priority", required=False, meaning="the name of the priority that every issue gets"),
    )
