"""One page of events out of lines: matched, identified, dated, bounded in number and bytes. For files and streams."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kubectl_sew.event import Event, own_id
from kubectl_sew.event_maps.readable import EventMaps
from kubectl_sew.ndjson import LONGEST_LINE, BadLineError, parse_line
from kubectl_sew.query import FieldSet, Node, bind, compile_matcher
from sew_agent.ingest.ndjson.line_ids import LineNumbering, digest_of
from sew_agent.ingest.source import Arrival, SourceWarning, Subscription, Suppression

SCAN_BYTES = 16 * 2**20
"""Bytes to read in one go at most: a query that matches little is still interrupted often."""
PAGE_BYTES = 4 * 2**20
"""Bytes of matching lines in one go, unless a single one is longer."""

Matcher = Callable[[Mapping[str, Any], float], bool]


class Line(NamedTuple):
    """A line, from where to where it stands, and its number in its file (from 1). `text` is None for one too long."""

    start: int
    end: int
    number: int
    text: bytes | None


class Matchers:
    """Compiled queries of webhooks and selectors of exceptions, each kept while it stays the same object."""

    def __init__(self, fields: FieldSet) -> None:
        self._fields = fields
        self._compiled: dict[tuple[type, str], tuple[Node, Matcher]] = {}

    def of(self, subscriptions: Sequence[Subscription]) -> list[tuple[str, Matcher]]:
        return [
            (wanted.webhook, self._matcher((Subscription, wanted.webhook), wanted.query)) for wanted in subscriptions
        ]

    def of_exceptions(self, suppressions: Sequence[Suppression]) -> list[tuple[str, Matcher]]:
        return [(wanted.name, self._matcher((Suppression, wanted.name), wanted.query)) for wanted in suppressions]

    def keep(self, webhooks: Collection[str], exceptions: Collection[str]) -> None:
        """Let go of those of any others."""
        kept = {Subscription: webhooks, Suppression: exceptions}
        self._compiled = {key: known for key, known in self._compiled.items() if key[1] in kept[key[0]]}

    def _matcher(self, key: tuple[type, str], query: Node) -> Matcher:
        known = self._compiled.get(key)
        if known is None or known[0] is not query:
            known = self._compiled[key] = (query, compile_matcher(bind(query, self._fields)))
        return known[1]


class Identities:
    """Identities of the events of one file. `recount` numbers the lines up to an offset that were read before."""

    def __init__(self, generation: int, numbering: LineNumbering, recount: Callable[["Identities", int], None]) -> None:
        self.numbering = numbering
        self._recount = recount
        self._turn = f"{generation}." if generation else ""

    def identify(self, line: Line, document: dict[str, Any], text: bytes) -> Event:
        """Return the event, with its identity as `_id` in the document, where a query finds it."""
        known = own_id(document) or self._of_text(line, text)
        document["_id"] = known
        return Event("", known, document)

    def passed(self, line: Line) -> None:
        """Record that a line has been numbered, if it needed a number."""
        if self.numbering.passed == line.start:
            self.numbering.passed = line.end

    def _of_text(self, line: Line, text: bytes) -> str:
        if self.numbering.passed < line.start:
            self._recount(self, line.start)
        digest = digest_of(text)
        return f"{digest.hex()}-{self._turn}{self.numbering.number(digest, line.start)}"


@dataclass(slots=True)
class Page:
    """Events gathered from lines until the page is full. `name` is the file's in warnings; `maps` date them."""

    name: str
    matchers: Sequence[tuple[str, Matcher]]
    exceptions: Sequence[tuple[str, Matcher]]
    maps: EventMaps
    identities: Identities
    now: float
    limit: int
    arrivals: list[Arrival] = field(default_factory=list)
    warnings: list[SourceWarning] = field(default_factory=list)
    events: int = 0
    """Lines that are events, whether or not a query selects them."""
    _scanned: int = 0
    _matched: int = 0

    @property
    def full(self) -> bool:
        count = len(self.arrivals) + len(self.warnings)
        return count >= self.limit or self._scanned >= SCAN_BYTES or self._matched >= PAGE_BYTES

    def add(self, line: Line) -> None:
        """Add what the line is: an arrival, a warning, or nothing."""
        self._scanned += line.end - line.start
        try:
            event = read_event(line, self.identities)
        except BadLineError as error:
            self.warnings.append(
                SourceWarning("bad_line", f"{self.name}, line {line.number}: {error}; the line is left out")
            )
        else:
            if event:
                self.events += 1
                self._match(event, line.end - line.start)
        self.identities.passed(line)

    def _match(self, event: Event, size: int) -> None:
        webhooks = tuple(name for name, matches in self.matchers if matches(event.document, self.now))
        if webhooks:
            self._matched += size
            by = tuple(name for name, selects in self.exceptions if selects(event.document, self.now))
            self.arrivals.append(Arrival(event, webhooks, self.maps.time(event), by))


def read_event(line: Line, identities: Identities) -> Event | None:
    """Return the event on a line; None for a blank one. Raises BadLineError."""
    if line.text is None:
        raise BadLineError(f"longer than {LONGEST_LINE >> 20} MiB")
    if line.text.isspace():
        return None
    return identities.identify(line, parse_line(line.text), line.text)
