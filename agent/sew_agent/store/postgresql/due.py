"""Pages of due deliveries, bounded in number and bytes."""

from collections.abc import Collection, Sequence
from typing import Any

from sew_agent.store.postgresql.connections import Connections
from sew_agent.store.records import PAGE_BYTES
from sew_agent.store.rows import EVER, Page

_COLUMNS = "seq, read_at, attempts, first_attempt, due, in_doubt, again, digest, source, name, document"
_ID = "(SELECT id FROM webhooks WHERE name = %s)"
_DUE = (
    "SELECT d.seq, d.read_at, d.attempts,"
    " d.first_attempt + (SELECT shifted + paused FROM webhooks WHERE id = d.webhook) AS first_attempt,"
    " d.due, d.in_doubt, d.again, d.digest, e.source, e.name, e.document"
    " FROM deliveries d JOIN events e ON e.id = d.event WHERE NOT d.seq = ANY(%s::bigint[]) AND d.died_at IS NULL"
)
_FRESH = (
    f"{_DUE} AND d.attempts = 0 AND (d.webhook, d.seq) > ({_ID}, 0) AND d.webhook <= {_ID}"
    " ORDER BY d.webhook, d.seq LIMIT %s"
)
_WAITING = f"{_DUE} AND (d.webhook, d.seq) > ({_ID}, %s) AND d.webhook <= {_ID} ORDER BY d.webhook, d.seq LIMIT %s"
_THESE = f"{_DUE} AND d.seq = ANY(%s::bigint[]) AND d.webhook = {_ID} ORDER BY d.seq LIMIT %s"
_TOGETHER = (
    f"{_DUE} AND d.digest = %s AND d.digest <> '' AND d.webhook = {_ID} ORDER BY d.webhook, d.digest, d.seq LIMIT %s"
)
_TRIED = (
    # unlike those above not by rows: a row as the upper bound does not end the scan
    f"{_DUE} AND d.attempts > 0 AND d.webhook = {_ID} AND d.due > %s AND d.due <= %s ORDER BY d.due LIMIT %s"
)


_BOUNDED = (
    "SELECT {columns}, found FROM (SELECT page.*, count(*) OVER () AS found,"
    " sum(octet_length(document)) OVER (ORDER BY {order} ROWS UNBOUNDED PRECEDING) AS filled FROM ({page}) AS page)"
    " AS counted WHERE filled <= %s OR filled = octet_length(document) ORDER BY {order}"
)
"""A page of which the server sends what fits into so many bytes."""


def fresh(connections: Connections, webhook: str, limit: int, skip: Collection[int], most_bytes: float) -> Page:
    """Return rows of deliveries without an attempt, oldest first."""
    return _page(connections, _FRESH, "seq", (list(skip), webhook, webhook, limit), most_bytes)


def tried(
    connections: Connections,
    webhook: str,
    span: tuple[float, float],
    limit: int,
    skip: Collection[int],
    most_bytes: float,
) -> Page:
    """Return rows of retries that are due within a span, earliest first."""
    return _page(connections, _TRIED, "due, seq", (list(skip), webhook, *span, limit), most_bytes)


def waiting(connections: Connections, webhook: str, after: int, limit: int) -> list[Any]:
    """Return rows of all pending deliveries with a `seq` above `after`, as many as fit into a page."""
    rows, _ = _page(connections, _WAITING, "seq", ([], webhook, after, webhook, limit), PAGE_BYTES)
    return rows


def chosen(connections: Connections, webhook: str, numbers: Sequence[int], limit: int) -> list[Any]:
    """Return rows of those of these deliveries that are pending, as many as fit into a page."""
    rows, _ = _page(connections, _THESE, "seq", ([], list(numbers), webhook, limit), PAGE_BYTES)
    return rows


def together(connections: Connections, webhook: str, digest: str, limit: int) -> list[Any]:
    """Return rows of all deliveries that are pending in a digest."""
    rows, _ = _page(connections, _TOGETHER, "seq", ([], digest, webhook, limit), EVER)
    return rows


def decoded(row: Sequence[Any], source: int) -> list[Any]:
    """Return a row with the event's source and name, at `source` and after it, as text."""
    text = [bytes(value).decode("utf-8", "surrogatepass") for value in row[source : source + 2]]
    return [*row[:source], *text, *row[source + 2 :]]


def _page(connections: Connections, sql: str, order: str, values: Sequence[Any], most_bytes: float) -> Page:
    """Return as many rows as fit into the bytes, one at least, and whether more follow."""
    bounded = _BOUNDED.format(columns=_COLUMNS, order=order, page=sql)
    rows = connections.read(bounded, (*values, most_bytes))
    return [decoded(row[:-1], 8) for row in rows], bool(rows) and rows[0][-1] > len(rows)
