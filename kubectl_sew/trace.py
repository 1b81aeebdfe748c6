"""What became of one event, for each webhook: a line each. For both programs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kubectl_sew.columns import table_of
from kubectl_sew.errors import SewError
from kubectl_sew.event import own_id
from kubectl_sew.json_text import line
from kubectl_sew.ndjson import BadLineError, begins_json_of_several_lines, how_to_make_lines, parse_line
from kubectl_sew.query import ANY, CALICO, BoundQuery, FieldSet, QueryError, bind, compile_matcher, parse, refusals
from kubectl_sew.resource import State, Webhook
from kubectl_sew.resource.exceptions import AlertException

Row = Mapping[str, Any]

UNSEEN = "unseen"
"""Fate of an event that the store does not know for a webhook."""
FIELDS = (CALICO, ANY)
"""Fields that queries are asked of where no index is at hand."""
_COLUMNS = {"WEBHOOK": "webhook", "FATE": "fate", "DETAIL": "detail"}
_DETAIL_LIMIT = 400
_ID_LIMIT = 128


def read_event(path: Path, event_id: str) -> dict[str, Any]:
    """Return the event of an NDJSON file with this id. Raises SewError."""
    first = b""
    try:
        with path.open("rb") as lines:
            for each in lines:
                first = first or each.strip()
                try:
                    document = parse_line(each)
                except BadLineError:
                    continue
                if own_id(document) == event_id:
                    return document
    except OSError as error:
        raise SewError(f"the event cannot be read from {path}: {error.strerror or error}") from None
    hint = how_to_make_lines(first) if begins_json_of_several_lines(first) else ""
    raise SewError(f"no line of {path} is an event with the id {line(event_id, _ID_LIMIT)}{hint and ': ' + hint}")


def fates(
    known: Sequence[Row],
    document: Mapping[str, Any] | None,
    webhooks: Sequence[Webhook],
    exceptions: Sequence[AlertException],
    now: float,
    fields: Sequence[FieldSet] = FIELDS,
) -> list[Row]:
    """Return what became of an event for each webhook, by name: what the store knows, else what the webhook says.

    `known`: rows of the store, each with `webhook`, `fate` and `detail`. `document`: the event; None where it is not
    at hand. `now` in epoch seconds, for times in queries and for what is in force. `fields`: of which a query may ask,
    the first ones before the others.
    """
    rows = {str(row["webhook"]): dict(row) for row in known if row["fate"] != UNSEEN}
    for webhook in webhooks:
        if webhook.name not in rows:
            fate, detail = _unseen(webhook, document, exceptions, now, fields)
            rows[webhook.name] = {"webhook": webhook.name, "fate": fate, "detail": detail}
    for row in known:
        rows.setdefault(str(row["webhook"]), dict(row))
    return [rows[name] for name in sorted(rows)]


def table(rows: Sequence[Row]) -> str:
    """Lay out the fates with headings."""
    return table_of([{**row, "detail": line(row["detail"], _DETAIL_LIMIT)} for row in rows], _COLUMNS)


def _unseen(
    webhook: Webhook,
    document: Mapping[str, Any] | None,
    exceptions: Sequence[AlertException],
    now: float,
    fields: Sequence[FieldSet],
) -> tuple[str, str]:
    """Return why the store does not know an event for a webhook, as far as that can be seen."""
    if document is None:
        return UNSEEN, "the event is not at hand, so its query cannot be asked: give it with --event-file"
    query = _bound(webhook.query, fields)
    if query is None:
        return UNSEEN, "its query cannot be read: `kubectl sew validate` says why"
    if refusing := refusals(query, document, now):
        return "not selected", "; ".join(map(str, refusing))
    if webhook.effective_state is State.DISABLED:
        return "not read", "its query selects it, and it is Disabled"
    for exception in exceptions:
        selector = _bound(exception.selector, fields)
        if selector and exception.in_force(now) and compile_matcher(selector)(document, now):
            return "suppressed", f"AlertException {exception.name} selects it, as things are now"
    return "not read", "its query selects it: it was not read yet, or is older than what the webhook begins with"


def _bound(text: str, fields: Sequence[FieldSet]) -> BoundQuery | None:
    """Return a query on the first fields that it can be asked of; None for one that cannot be read."""
    for known in fields:
        try:
            return bind(parse(text), known)
        except QueryError:
            continue
    return None
