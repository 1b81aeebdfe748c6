"""The list of commands. Each is loaded only when it runs: `--help` and completion read this list alone."""

from typing import NamedTuple


class Entry(NamedTuple):
    """Where a command is (`module:attribute` in this package), and the first line of its help."""

    name: str
    place: str
    summary: str


SECTIONS: dict[str, tuple[Entry, ...]] = {
    "Write and check webhooks": (
        Entry(
            "validate", "validate:validate", "Check manifests offline: structure, names, labels, variables, queries."
        ),
        Entry(
            "preview-query",
            "preview_query:preview_query",
            "Show what a query selects: as an Elasticsearch query, in words, or on events.",
        ),
        Entry("fields", "fields:fields", "List the keys that a query may use, with their types and values."),
    ),
    "About this program": (Entry("version", "version:version", "Print the version of this program."),),
}
"""Heading in `--help` -> its commands, in the order shown. A new command is its own file and one line here."""
