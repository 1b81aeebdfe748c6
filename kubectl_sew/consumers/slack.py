"""Slack: an Incoming Webhook gets a Block Kit message. Facts: https://api.slack.com/messaging/webhooks."""

from dataclasses import dataclass
from typing import ClassVar

from kubectl_sew.consumers.base import Variable

URL_PREFIXES = ("https://hooks.slack.com/", "https://hooks.slack-gov.com/")


@dataclass(frozen=True)
class Slack:
    """Renders for Slack; `url_prefixes` are what a webhook's URL may begin with."""

    url_prefixes: tuple[str, ...] = URL_PREFIXES
    name: ClassVar[str] = "Slack"
    variables: ClassVar[tuple[Variable, ...]] = (
        Variable("url", required=True, meaning="the Incoming Webhook's URL", secret=True),
    )
