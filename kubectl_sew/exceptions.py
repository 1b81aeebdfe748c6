"""Validation of AlertExceptions, for the plugin and the agent: resource and selector together. Pure.

A broken exception suppresses nothing: better an event too many than one that nobody ever sees.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from kubectl_sew.query import FieldSet, Node
from kubectl_sew.query_findings import read_query
from kubectl_sew.resource.exceptions import AlertException
from kubectl_sew.resource.findings import Finding, error, shown
from kubectl_sew.resource.manifests import LocatedException
from kubectl_sew.resource.structure import Path

_SELECTOR: Path = ("spec", "selector")


@dataclass(frozen=True, slots=True)
class AcceptedException:
    """An exception whose selector can be asked; `node` is its tree."""

    exception: AlertException
    node: Node

    @property
    def name(self) -> str:
        return self.exception.name


@dataclass(frozen=True, slots=True)
class ValidatedExceptions:
    """All exceptions that there are: those that can be used, and name -> why another suppresses nothing."""

    accepted: tuple[AcceptedException, ...] = ()
    broken: Mapping[str, str] = field(default_factory=dict)


NO_EXCEPTIONS = ValidatedExceptions()


def accept_exception(exception: AlertException, fields: FieldSet) -> AcceptedException | str:
    """Return the exception with its selector as a tree, or why it suppresses nothing."""
    node, located = read_query(exception.selector, fields, _SELECTOR)
    if node is not None:
        return AcceptedException(exception, node)
    first = next(entry.finding for entry in located if entry.finding.is_error)
    return f"{first.message}: {first.hint}" if first.hint else first.message


def check_exceptions(exceptions: Sequence[LocatedException], fields: FieldSet) -> Iterator[Finding]:
    """Return every finding about the exceptions of some manifests."""
    names = Counter(located.name for located in exceptions)
    for located in exceptions:
        yield from located.findings
        if located.name and names[located.name] > 1:
            message = f"two AlertExceptions have the name `{shown(located.name)}`"
            yield located.locate(error("SEW060", message, "keep one"), ("metadata", "name"))
        if located.exception.selector.strip():
            for problem in read_query(located.exception.selector, fields, _SELECTOR)[1]:
                yield located.locate(problem.finding, problem.path)


def usable(exceptions: Sequence[LocatedException]) -> tuple[Mapping[str, AlertException], Mapping[str, str]]:
    """Return the exceptions of some manifests by name, and why others cannot be used; selectors are not read here."""
    names = Counter(located.name for located in exceptions)
    broken = {
        located.name or located.source: f"two AlertExceptions have the name {located.name}: keep one"
        if names[located.name] > 1
        else str(next(finding for finding in located.findings if finding.is_error))
        for located in exceptions
        if names[located.name] > 1 or any(finding.is_error for finding in located.findings)
    }
    good = (located.exception for located in exceptions if located.name and located.name not in broken)
    return {exception.name: exception for exception in good}, broken
