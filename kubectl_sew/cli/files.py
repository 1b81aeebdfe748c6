"""The sources that `-f` names: files, folders, standard input and URLs, as kubectl takes them."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from kubectl_sew.cli.standard_input import standard_input
from kubectl_sew.consumers.settings import address, check_url
from kubectl_sew.errors import SewError
from kubectl_sew.folders import SUFFIXES, manifests_in
from kubectl_sew.members import members
from kubectl_sew.resource.documents import LARGEST_FILE
from kubectl_sew.resource.findings import Finding, error

if TYPE_CHECKING:
    from http.client import HTTPResponse

STDIN = "stdin"
"""The name of standard input where a place is named."""

_SCHEMES = ("http://", "https://")
_FETCH_SECONDS = 30.0
_CHUNK = 2**16

Command = TypeVar("Command", bound=Callable[..., Any])


def file_options(command: Command) -> Command:
    """`-f` and `-R`: the arguments `files` and `recursive`, for `read_sources`. Files may stand without `-f`, too."""

    @wraps(command)
    def gathered(*args: Any, files: tuple[str, ...], named: tuple[str, ...], **others: Any) -> Any:
        if not (files or named):
            raise click.UsageError("a file is missing: give -f FILE", click.get_current_context())
        return command(*args, files=(*files, *named), **others)

    path = click.Path(allow_dash=True)
    taking = click.argument("named", metavar="[FILE]...", nargs=-1, type=path)(cast("Command", gathered))
    taking = click.option("-R", "--recursive", is_flag=True, help="Read folders recursively.")(taking)
    return click.option(
        "-f",
        "--filename",
        "files",
        metavar="FILE",
        type=path,
        multiple=True,
        help="A file, a folder, a URL, or - for standard input; several with commas or by repeating it.",
    )(taking)


@dataclass(frozen=True, slots=True)
class Sources:
    """Name and content of what could be read, and a finding for each of the others."""

    files: list[tuple[str, bytes]]
    problems: list[Finding]


def read_sources(files: Sequence[str], *, recursive: bool) -> Sources:
    """Everything that is named, each once; of a file so much is read that an overlong one shows."""
    if not all(map(members, files)):
        raise click.UsageError("-f names no file where it is empty: is a variable unset?")
    sources = Sources([], [])
    for name in dict.fromkeys(name for file in files for name in members(file)):
        for path in _expand(name, recursive, sources):
            with _reported(path, sources):
                sources.files.append((_shown(path), _read(path)))
    return sources


def _expand(name: str, recursive: bool, sources: Sources) -> list[str]:
    """Return the paths that a name stands for: the manifests of a folder, or itself."""
    if name == "-" or name.startswith(_SCHEMES):
        return [name]
    inside: list[str] = []
    with _reported(name, sources):
        inside += _manifests(Path(name), recursive, sources) if Path(name).is_dir() else [name]
    return inside


def _manifests(folder: Path, recursive: bool, sources: Sources) -> list[str]:
    before = len(sources.problems)
    inside = manifests_in(folder, recursive=recursive, failed=lambda error: _report(sources, str(folder), error))
    names = sorted(map(str, inside))
    if not names and len(sources.problems) == before:
        more = "" if recursive else "; -R reads the folders in it too"
        raise SewError(f"the folder holds no manifest ({', '.join('*' + suffix for suffix in SUFFIXES)}){more}")
    return names


def _read(name: str) -> bytes:
    if name == "-":
        return standard_input().read(LARGEST_FILE + 1)
    if name.startswith(_SCHEMES):
        return _fetch(name)
    with Path(name).open("rb") as file:
        return file.read(LARGEST_FILE + 1)


@contextmanager
def _reported(name: str, sources: Sources) -> Iterator[None]:
    """Makes a finding of what cannot be read, so that all else is still judged."""
    try:
        yield
    except (SewError, OSError) as failed:
        _report(sources, _shown(name), failed)


def _report(sources: Sources, name: str, failed: SewError | OSError) -> None:
    if isinstance(failed, OSError):
        name, why = str(failed.filename or name), f"it cannot be read: {failed.strerror or failed}"
    else:
        why = str(failed)
    sources.problems.append(error("SEW051", why, file=name))


def _fetch(url: str) -> bytes:
    from http.client import HTTPException, IncompleteRead  # noqa: PLC0415  # few commands fetch anything
    from urllib.error import HTTPError, URLError  # noqa: PLC0415  # likewise
    from urllib.request import Request, urlopen  # noqa: PLC0415  # likewise

    if problems := check_url({}, "url", url):
        raise SewError(f"it cannot be read: {problems[0].message}: {problems[0].hint}")
    target = address(url)
    headers = {"Authorization": target.authorization} if target.authorization else {}
    try:
        with urlopen(Request(target.url, headers=headers), timeout=_FETCH_SECONDS) as answer:  # noqa: S310  # http(s) only
            return _drain(answer)
    except IncompleteRead:
        why = "the answer is not whole"
    except HTTPError as error:
        error.close()
        why = f"the server answered {error.code} {error.reason}"
    except URLError as error:
        why = str(getattr(error.reason, "strerror", None) or error.reason)
    except (OSError, HTTPException, ValueError) as error:
        why = str(error) or type(error).__name__
    raise SewError(f"it cannot be read: {why}")


def _drain(answer: "HTTPResponse") -> bytes:
    """Read an answer, of one that is too long so much that it shows. One that comes drop by drop ends too.

    `read1` takes what has come, and no more than it is asked for: `read` goes on to the end where a server writes a
    negative size of a chunk. Raises http.client.IncompleteRead.
    """
    from http.client import IncompleteRead  # noqa: PLC0415  # as above

    deadline = time.monotonic() + _FETCH_SECONDS
    content = bytearray()
    while len(content) <= LARGEST_FILE and (part := answer.read1(_CHUNK)):
        content += part
        if time.monotonic() > deadline:
            raise TimeoutError(f"it took longer than {_FETCH_SECONDS:.0f} s")
    if len(content) <= LARGEST_FILE and answer.length:  # what is left of its Content-Length
        raise IncompleteRead(bytes(content), answer.length)
    return bytes(content)


def _shown(url: str) -> str:
    """A name for people; a URL without what may be a credential in it: user, password, parameters."""
    if not url.startswith(_SCHEMES):
        return STDIN if url == "-" else url
    scheme, separator, rest = url.partition("?")[0].partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"
