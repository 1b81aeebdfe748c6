"""What became of one event, for each webhook, as `trace` says it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kubectl_sew.resource import Webhook
from kubectl_sew.resource.exceptions import AlertException
from kubectl_sew.trace import fates

_LOOKS = {"delivered": "healthy", "pending": "behind", "dead": "failing", "dropped": "failing"}
"""How a fate is coloured, as a word of health; the others are nobody's fault."""


@dataclass(frozen=True, slots=True)
class FateLine:
    """What became of the event for one webhook; `look` is the word of health whose colour it has."""

    webhook: str
    fate: str
    detail: str
    look: str


@dataclass(frozen=True, slots=True)
class EventView:
    """An event by its id, a line for each webhook, and the event as text, "" where it is not kept."""

    id: str
    lines: tuple[FateLine, ...] = ()
    event: str = ""


def event_view(
    event_id: str,
    said: Mapping[str, Any],
    webhooks: Sequence[Webhook],
    exceptions: Sequence[AlertException],
    now: float,
    event: str,
) -> EventView:
    """Return the page.

    `said` as `sew-agent trace -o json` prints it, and `event` its document as text; `now` in epoch seconds.
    """
    asked = [webhook for webhook in webhooks if webhook.query]  # of an agent on files, not each manifest is known
    rows = fates(said["webhooks"], said.get("document"), asked, exceptions, now)
    lines = (FateLine(row["webhook"], row["fate"], row["detail"], _LOOKS.get(row["fate"], "off")) for row in rows)
    return EventView(event_id, tuple(lines), event)
