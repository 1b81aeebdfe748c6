"""What `-f` names: files, folders, standard input and URLs, as kubectl takes them."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, TypeVar

import click

from kubectl_sew.consumers.settings import address, check_url
from kubectl_sew.errors import SewError
from kubectl_sew.members import members
from kubectl_sew.resource.documents import LARGEST_FILE

SUFFIXES = (".yaml", ".yml", ".json")
STDIN = "stdin"
"""What standard input is called where a place is named."""

_FETCH_SECONDS = 30.0
_CHUNK = 2**16

Command = TypeVar("Command", bound=Callable[..., Any])


def file_options(command: Command) -> Command:
    """`-f` and `-R`: the arguments `files` and `recursive`, for `read_sources`."""
    command = click.option("-R", "--recursive", is_flag=True, help="Read the folders in a folder too.")(command)
    return click.option(
        "-f",
        "--filename",
        "files",
        metavar="FILE",
        type=click.Path(allow_dash=True),
        multiple=True,
        required=True,
        help="A file, a folder, a URL, or - for standard input; several with commas or by repeating it.",
    )(command)


def read_sources(files: Sequence[str], *, recursive: bool) -> list[tuple[str, bytes]]:
    """Name and content of everything that is named, each once; of a file so much is read that an overlong one shows."""
    names = dict.fromkeys(name for each in files for name in members(each))
    return [source for name in names for source in _read(name, recursive)]


def _read(name: str, recursive: bool) -> Iterator[tuple[str, bytes]]:
    if name == "-":
        yield STDIN, sys.stdin.buffer.read(LARGEST_FILE + 1)
    elif name.startswith(("http://", "https://")):
        yield _shown(name), _fetch(name)
    else:
        for path in _paths(Path(name), recursive):
            with path.open("rb") as file:
                yield str(path), file.read(LARGEST_FILE + 1)


def _paths(path: Path, recursive: bool) -> list[Path]:
    if not path.is_dir():
        return [path]
    inside = path.rglob("*") if recursive else path.iterdir()
    found = sorted(each for each in inside if each.suffix in SUFFIXES and each.is_file())
    if not found:
        more = "" if recursive else "; -R reads the folders in it too"
        raise SewError(f"the folder {path} holds no manifest ({', '.join('*' + each for each in SUFFIXES)}){more}")
    return found


def _fetch(url: str) -> bytes:
    from http.client import HTTPException  # noqa: PLC0415  # few commands fetch anything
    from urllib.error import HTTPError, URLError  # noqa: PLC0415  # likewise
    from urllib.request import Request, urlopen  # noqa: PLC0415  # likewise

    if problems := check_url({}, "url", url):
        raise SewError(f"{_shown(url)} cannot be read: {problems[0].message}: {problems[0].hint}")
    target = address(url)
    headers = {"Authorization": target.authorization} if target.authorization else {}
    try:
        with urlopen(Request(target.url, headers=headers), timeout=_FETCH_SECONDS) as answer:  # noqa: S310  # http(s) only
            return _drain(answer)
    except HTTPError as error:
        error.close()
        why = f"the server answered {error.code} {error.reason}"
    except URLError as error:
        why = str(getattr(error.reason, "strerror", None) or error.reason)
    except (OSError, HTTPException, ValueError) as error:
        why = str(error) or type(error).__name__
    raise SewError(f"{_shown(url)} cannot be read: {why}")


def _drain(answer: IO[bytes]) -> bytes:
    """An answer that comes drop by drop ends too."""
    deadline = time.monotonic() + _FETCH_SECONDS
    content = b""
    while len(content) <= LARGEST_FILE and (part := answer.read(_CHUNK)):
        content += part
        if time.monotonic() > deadline:
            raise TimeoutError(f"it took longer than {_FETCH_SECONDS:.0f} s")
    return content


def _shown(url: str) -> str:
    """A URL without what may be a credential in it: user, password, parameters."""
    scheme, separator, rest = url.partition("?")[0].partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"
