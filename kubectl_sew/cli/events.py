"""Prints the events of a file that match."""

import os
import stat
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any

from kubectl_sew.cli.matching_lines import Match, Selector, check_events, read_event_lines
from kubectl_sew.cli.output import echo, print_warning
from kubectl_sew.cli.progress import on_stderr
from kubectl_sew.cli.standard_input import standard_input
from kubectl_sew.errors import SewError
from kubectl_sew.json_text import line
from kubectl_sew.query import BoundQuery, compile_matcher
from kubectl_sew.query.ast import MOST_PARTS, leaves
from kubectl_sew.query.event_values import walker
from kubectl_sew.terminal import harmless_json
from kubectl_sew.text import plural

_LONGEST_PART = 150

NAMED = 100
"""Lines that are no events are named one by one up to so many."""


def print_matching(query: BoundQuery, source: str, suppressing: Mapping[str, Match] | None = None) -> None:
    """Matching lines on stdout, as they are and as they come; on stderr the lines that are no events, and the count.

    What `suppressing` (exception -> its matcher) selects is not printed, and counted by exception.
    Where nothing matches, a file is read again to say which keys of the query no event has, and what each of its parts
    selects alone.
    """
    selector = Selector(compile_matcher(query), suppressing)
    with _opened(source) as file:
        progress, beside = on_stderr(_size(file)), sys.stdout.isatty()
        done = 0
        for lines in read_event_lines(file.read1, _name(source)):
            named = selector.bad
            matching, bad = selector.take(lines, time.time())
            if bad or (matching and beside):
                progress.clear()
            _print(matching, bad[: max(0, NAMED - named)])
            done += sum(map(len, lines))
            progress.show(done, f"{selector.events:,} events read, {selector.matching:,} match")
        progress.clear()
    echo(_summary(selector), err=True)
    for name in suppressing or ():
        echo(f"  AlertException {name}: {selector.suppressed[name]:,} more suppressed", err=True)
    if len(suppressing or ()) > 1:
        echo(f"  In all {selector.suppressed_in_all:,} more suppressed", err=True)
    check_events(selector, _name(source))
    if not selector.matching and Path(source).is_file():
        _explain(query, source)


def read_events(source: str, take: Callable[[Mapping[str, Any]], None], *, may_be_empty: bool = False) -> None:
    """Has every event of a file taken; on stderr the lines that are none.

    Raises SewError where there is no event, unless a file without any line `may_be_empty`.
    """

    def none_matches(event: Mapping[str, Any], _: float) -> bool:
        take(event)
        return False

    selector = Selector(none_matches)
    with _opened(source) as file:
        for lines in read_event_lines(file.read1, _name(source)):
            named = selector.bad
            _, bad = selector.take(lines, 0.0)
            _print([], bad[: max(0, NAMED - named)])
    if selector.bad or not may_be_empty:
        check_events(selector, _name(source))


def _explain(query: BoundQuery, source: str) -> None:
    """Say why no event of a file matches, as far as that can be seen from outside of it."""
    if missing := _keys_of_no_event(query, source):
        shown = ", ".join(f"`{line(name, _LONGEST_PART)}`" for name in missing)
        echo(f"No event has {shown}: `kubectl sew fields --events FILE` lists the keys that they have", err=True)
    if query.parts:
        echo("\n".join(["Each part alone:", *_alone(query, source)]), err=True)


def _keys_of_no_event(query: BoundQuery, source: str) -> list[str]:
    """Return the keys of a query that have a value in no event of a file, in its order."""
    sought = {leaf.key.name: walker(leaf.key.name) for leaf in leaves(query.node)}

    def take(event: Mapping[str, Any], _: float) -> bool:
        for name in [name for name, values in sought.items() if any(value is not None for value in values(event))]:
            del sought[name]
        return False

    selector = Selector(take)
    with _opened(source) as file:
        for lines in read_event_lines(file.read1, _name(source)):
            selector.take(lines, 0.0)
            if not sought:
                break
    return list(sought)


def _alone(query: BoundQuery, source: str) -> Iterator[str]:
    """Count the events that each part selects. The file is read once for each, so that a long query costs no memory."""
    for part in query.parts[:MOST_PARTS]:
        text, selector = str(part.node), Selector(compile_matcher(part))
        with _opened(source) as file:
            for lines in read_event_lines(file.read1, _name(source)):
                selector.take(lines, time.time())
        yield f"  {line(text, _LONGEST_PART)}: {selector.matching:,}"


def _print(matching: list[bytes], bad: list[str]) -> None:
    shown = b"".join(matching)
    if sys.stdout.isatty():
        shown = harmless_json(shown.decode()).encode()
    sys.stdout.buffer.write(shown)
    sys.stdout.buffer.flush()
    for text in bad:
        print_warning(text)


def _name(source: str) -> str:
    return "standard input" if source == "-" else source


def _summary(selector: Selector) -> str:
    text = f"{selector.matching:,} of {selector.events:,} {plural(selector.events, 'event')} match"
    if not selector.bad:
        return text
    text += f"; {selector.bad:,} line{' is not an event' if selector.bad == 1 else 's are not events'}"
    return text + (f" (the first {NAMED} are named above)" if selector.bad > NAMED else "")


@contextmanager
def _opened(source: str) -> Iterator[BufferedReader]:
    if source == "-":
        yield standard_input()
        return
    try:
        file = Path(source).open("rb")  # noqa: SIM115  # closed below: only opening it may fail so
    except OSError as error:
        raise SewError(f"events cannot be read from {source}: {error.strerror or error}") from None
    with file:
        yield file


def _size(file: BufferedReader) -> int:
    """Bytes of a regular file; 0 for what has no size, such as a pipe."""
    try:
        status = os.fstat(file.fileno())
    except OSError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0
