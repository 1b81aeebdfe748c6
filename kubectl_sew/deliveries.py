"""The log of deliveries for people: rows as `sew-agent deliveries list -o json` has them. For both programs; pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from kubectl_sew.columns import table_of
from kubectl_sew.json_text import line
from kubectl_sew.payload import Preview
from kubectl_sew.terminal import harmless, to_json

Row = Mapping[str, Any]

SHORT_ID = 12
"""Characters of a delivery's id in a table; a command takes as many as tell it from the others."""
_COLUMNS = {
    "TIME": "at",
    "ID": "id",
    "EVENT": "event",
    "TYPE": "type",
    "SEVERITY": "severity",
    "TRY": "attempt",
    "OUTCOME": "outcome",
    "MS": "milliseconds",
    "RECEIPT": "receipt",
    "DETAIL": "detail",
}
_NOT_KEPT = "the event itself is not kept once its delivery has ended, so its request cannot be shown"
_EVENT_LIMIT = 36
_DETAIL_LIMIT = 160


def table(rows: Sequence[Row], *, webhooks: bool = False) -> str:
    """Lay out attempts with headings. `webhooks`: of several webhooks, whose names stand before them."""
    columns = {"WEBHOOK": "webhook", **_COLUMNS} if webhooks else _COLUMNS
    return table_of([_cells(row) for row in rows], columns)


def describe(delivery: Row, request: Preview | None) -> str:
    """Lay out one delivery as `sew-agent deliveries show -o json` has it. `request`: of one whose event is kept."""
    attempts = delivery["attempts"]
    sent_to = attempts[-1].get("sentTo") if attempts else ""
    head = (
        f"webhook: {delivery['webhook']}\ndelivery id: {delivery['deliveryId']}\nevent: {delivery['event']}\n"
        f"state: {delivery['state']}\nsent to: {sent_to or 'nothing was sent'}"
    )
    event = to_json(delivery["document"]) if request else _NOT_KEPT
    return "\n\n".join((harmless(head), table(attempts), event, *(_request(request) if request else ())))


def _request(request: Preview) -> Sequence[str]:
    if request.why:
        return (f"the request is not shown: {harmless(request.why)}",)
    notes = "".join(f"\n({harmless(note)})" for note in request.notes)
    return (f"the request, as it would be sent now, without its secrets:{notes}", *map(harmless, request.requests))


def unseen(rows: Sequence[Row], seen: set[tuple[Any, ...]]) -> list[Row]:
    """Return the attempts that are not among those seen, and add them there."""
    new = []
    for row in rows:
        key = (row.get("webhook"), row.get("deliveryId"), row.get("attempt"), row.get("at"))
        if key not in seen:
            seen.add(key)
            new.append(row)
    return new


def _cells(row: Row) -> dict[str, Any]:
    together = f"; in digest {str(row['digest'])[:SHORT_ID]}" if row.get("digest") else ""
    waits = f"; not tried again before {row['nextTry']}" if row.get("nextTry") else ""
    return {
        **row,
        "at": f"{str(row.get('at'))[:19]}Z",
        "id": str(row.get("deliveryId") or "")[:SHORT_ID],
        "event": line(row.get("event"), _EVENT_LIMIT),
        "attempt": f"{row.get('attempt')} again" if row.get("again") else row.get("attempt"),
        "detail": line(row.get("detail"), _DETAIL_LIMIT) + together + waits,
    }
