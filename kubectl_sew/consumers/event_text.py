"""Parts of an event as receivers show them: its kind, name, title, time and endpoints, each in one clean line."""

from collections.abc import Iterable, Mapping

from kubectl_sew.event import Event
from kubectl_sew.json_text import line
from kubectl_sew.text import date_and_time


def when(event: Event) -> str:
    """Return the event's time in UTC, e.g. `2026-01-02 03:04:05 UTC`; "" without one."""
    try:
        return "" if event.time is None else f"{date_and_time(event.time)} UTC"
    except (ValueError, OverflowError, OSError):
        return line(event.document.get("time"), 40)


def kind(event: Event) -> str:
    """Return the event's type in one line, or `security event`."""
    return line(event.document.get("type"), 60) or "security event"


def severity(event: Event) -> str:
    return line(event.document.get("severity"), 20)


def endpoint(event: Event, side: str) -> str:
    """Return `namespace/name (ip:port)` of the `source` or the `dest`, as far as known."""
    namespace, name, aggregate, address, port = (
        line(event.document.get(f"{side}_{part}"), 260) for part in ("namespace", "name", "name_aggr", "ip", "port")
    )
    shown = "/".join(part for part in (namespace, name or aggregate) if part and part != "-")
    place = address + (f":{port}" if address and port and port != "0" else "")
    return f"{shown} ({place})" if shown and place else shown or place


def party(event: Event, side: str) -> str:
    """Return `namespace/name` of the `source` or the `dest`, else its address; "" where neither is known."""
    namespace, name, aggregate, address = (
        line(event.document.get(f"{side}_{part}"), 100) for part in ("namespace", "name", "name_aggr", "ip")
    )
    return "/".join(part for part in (namespace, name or aggregate) if part and part != "-") or address


def name(event: Event) -> str:
    """Return the event's name in one line, else the beginning of its description, else its type."""
    return line(event.document.get("name"), 200) or line(event.document.get("description"), 200) or kind(event)


def title(event: Event) -> str:
    """Return what happened in one line: the event's name and description, as far as it has them."""
    parts = (line(event.document.get(field), limit) for field, limit in (("name", 200), ("description", 3_000)))
    return ": ".join(dict.fromkeys(part for part in parts if part))


def label_pairs(labels: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    """Return the webhook's labels, each name and value in one line."""
    return [(line(name, 100), line(value, 300)) for name, value in labels.items()]
