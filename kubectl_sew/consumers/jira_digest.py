"""A digest as the description of an issue in Jira."""

from collections.abc import Mapping

from kubectl_sew import text
from kubectl_sew.consumers import event_text
from kubectl_sew.consumers.digest import NOTHING, Digest, fitting_ids
from kubectl_sew.consumers.jira_description import BLOCK_ENDS, DESCRIPTION_LIMIT, ending, escape, listed
from kubectl_sew.event_maps.readable import ReadableEvent
from kubectl_sew.json_text import line

_FACTS_LIMIT = 24_000
_TITLE_LIMIT = 500


def digest_description(digest: Digest, labels: Mapping[str, str], delivery_id: str, own: str | None) -> str:
    """Return facts, the newest events and the ids of all; or a template's text. The digest's id ends it."""
    end = ending(delivery_id)
    if own is not None:
        return text.cut(text.clean(own), DESCRIPTION_LIMIT - len(end), text.utf16) + end
    facts = text.cut("\n".join(_facts(digest, labels)), _FACTS_LIMIT, text.utf16)
    return facts + _ids(digest, DESCRIPTION_LIMIT - text.utf16_units(facts) - len(end)) + end


def _facts(digest: Digest, labels: Mapping[str, str]) -> list[str]:
    """Return lines, of which none begins with an event's text."""
    lines = [f"*Events:* {digest.count} {digest.span}"]
    lines += [f"*{escape(name)}:* {escape(value or NOTHING)}" for name, value in digest.group]
    for name, tally in digest.tallies.items():
        lines += listed(name, tally.shown())
    lines += ["*The newest of them:*", *map(_named, digest.newest)]
    return lines + listed("Labels", [f"{name}: {value}" for name, value in event_text.label_pairs(labels)])


def _named(readable: ReadableEvent) -> str:
    event = readable.shown
    ends = " to ".join(place for side in ("source", "dest") if (place := event_text.endpoint(event, side)))
    severity = event_text.severity(event)
    parts = (
        event_text.when(event),
        event_text.kind(event) + (f" (severity {severity})" if severity else ""),
        line(event_text.title(event), _TITLE_LIMIT),
        line(ends, 300),
        f"event {line(event.id, 100)}",
    )
    return "* " + escape(", ".join(part for part in parts if part)) + (f" [{readable.link}]" if readable.link else "")


def _ids(digest: Digest, room: int) -> str:
    """Return the ids of all; those for which there is no room are counted."""
    start, end = "\n*Their ids:*\n{noformat}\n", "\n{noformat}"
    more = 40
    ids = [BLOCK_ENDS.sub("{ ", each) for each in digest.ids]
    shown, left = fitting_ids(ids, room - len(start) - len(end) - more, text.utf16_units)
    return start + shown + (f" {text.MARK} and {left} more" if left else "") + end
