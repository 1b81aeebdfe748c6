"""The option `--exceptions`: which AlertExceptions a preview takes away from what a query selects."""

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from kubectl_sew.cli.output import print_warning
from kubectl_sew.errors import SewError
from kubectl_sew.query import ANY, BoundQuery, FieldSet, QueryError, bind, parse
from kubectl_sew.resource.exceptions import AlertException

Command = TypeVar("Command", bound=Callable[..., Any])

CLUSTER = "cluster"
"""Value of `--exceptions` that stands for those of the cluster."""

Selectors = Sequence[tuple[str, BoundQuery]]
"""Name and selector of each exception that is in force."""


def exceptions_option(command: Command) -> Command:
    return click.option(
        "--exceptions",
        metavar="FILE",
        multiple=True,
        help=f"Take away what AlertExceptions in force select: of a file or folder, or of the `{CLUSTER}`.",
    )(command)


def exceptions_in(ctx: click.Context, sources: Sequence[str]) -> list[AlertException]:
    """Return the exceptions of files, folders and the cluster; broken ones are named on stderr."""
    found: list[AlertException] = []
    for source in sources:
        found += _of_cluster(ctx) if source == CLUSTER else _of_files(source)
    return found


def in_force(exceptions: Sequence[AlertException], fields: FieldSet) -> Selectors:
    """Return the selectors of those that are in force now; what cannot be asked of these fields is named on stderr."""
    selectors: list[tuple[str, BoundQuery]] = []
    for exception in exceptions:
        if exception.in_force(time.time()):
            try:
                selectors.append((exception.name, bind(parse(exception.selector), fields)))
            except QueryError as error:
                _warn(exception.name, error.errors[0].message)
    return selectors


def _of_cluster(ctx: click.Context) -> list[AlertException]:
    from kubectl_sew.cli.cluster_options import kubectl  # noqa: PLC0415 - only where a cluster is asked
    from kubectl_sew.cluster.exceptions import read_exceptions  # noqa: PLC0415 - as above

    held = read_exceptions(kubectl(ctx))
    for one in held:
        if one.broken:
            _warn(one.exception.name, one.broken)
    return [one.exception for one in held if not one.broken]


def _of_files(source: str) -> list[AlertException]:
    from kubectl_sew.cli.files import read_sources  # noqa: PLC0415 - PyYAML only where files are read
    from kubectl_sew.cli.findings import print_findings  # noqa: PLC0415 - as above
    from kubectl_sew.exceptions import accept_exception, usable  # noqa: PLC0415 - as above
    from kubectl_sew.resource import load_many  # noqa: PLC0415 - as above

    sources = read_sources([source], recursive=True)
    if sources.problems:
        raise SewError(str(sources.problems[0]))
    manifests = load_many(sources.files)
    print_findings([finding for finding in manifests.findings if finding.is_error and not finding.resource], err=True)
    if not manifests.exceptions:
        raise SewError(f"there is no AlertException in {source}")
    good, broken = usable(manifests.exceptions)
    accepted = {name: accept_exception(exception, ANY) for name, exception in good.items()}
    unread = {name: why for name, why in accepted.items() if isinstance(why, str)}
    for name, why in {**broken, **unread}.items():
        _warn(name, why)
    return [exception for name, exception in good.items() if name not in unread]


def _warn(name: str, why: str) -> None:
    print_warning(f"AlertException {name} suppresses nothing: {why}")
