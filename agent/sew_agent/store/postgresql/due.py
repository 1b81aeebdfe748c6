"""Pages of due deliveries, bounded in number and bytes."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from sew_agent.store.postgresql.connections import Connections
from sew_agent.store.rows import bounded

_ID = "(SELECT id FROM webhooks WHERE name = %s)"
_DUE = (
    "SELECT d.seq, d.read_at, d.attempts,"
    " d.first_attempt + (SELECT shifted + paused FROM webhooks WHERE id = d.webhook),"
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


def fresh(
    connections: Connections, webhook: str, limit: int, skip: Collection[int], most_bytes: int
) -> tuple[list[Any], bool]:
    """Return rows of deliveries without an attempt, oldest first, as `bounded` does."""
    return bounded(_rows(connections, _FRESH, (list(skip), webhook, webhook, limit)), most_bytes)


def tried(
    connections: Connections, webhook: str, span: tuple[float, float], limit: int, skip: Collection[int]
) -> list[Any]:
    """Return rows of retries that are due within a span, earliest first."""
    after, until = span
    return list(_rows(connections, _TRIED, (list(skip), webhook, after, until, limit)))


def waiting(connections: Connections, webhook: str, after: int, limit: int) -> list[Any]:
    """Return rows of all pending deliveries with a `seq` above `after`, as many as fit into a page."""
    return _page(connections, _WAITING, ([], webhook, after, webhook, limit))


def chosen(connections: Connections, webhook: str, numbers: Sequence[int], limit: int) -> list[Any]:
    """Return rows of those of these deliveries that are pending, as many as fit into a page."""
    return _page(connections, _THESE, ([], list(numbers), webhook, limit))


def together(connections: Connections, webhook: str, digest: str, limit: int) -> list[Any]:
    """Return rows of the deliveries that are pending in a digest, as many as fit into a page."""
    return _page(connections, _TOGETHER, ([], digest, webhook, limit))


def decoded(row: Sequence[Any], source: int) -> list[Any]:
    """Return a row with the event's source and name, at `source` and after it, as text."""
    text = [bytes(value).decode("utf-8", "surrogatepass") for value in row[source : source + 2]]
    return [*row[:source], *text, *row[source + 2 :]]


def _page(connections: Connections, sql: str, values: Sequence[Any]) -> list[Any]:
    rows, _ = bounded(_rows(connections, sql, values))
    return rows


def _rows(connections: Connections, sql: str, values: Sequence[Any]) -> Iterator[Any]:
    return (decoded(row, 8) for row in connections.read(sql, values))
