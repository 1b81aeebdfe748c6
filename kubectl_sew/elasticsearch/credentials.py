"""Access to Elasticsearch from files that may change while a program runs."""

from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path

from kubectl_sew.elasticsearch.access import Access, ElasticsearchError

_TEXTS = ("api_key", "username", "password", "token")
_CERTIFICATES = ("ca", "client_cert", "client_key")
_LONGEST = 2**20


VARIABLES = {name: f"SEW_ELASTICSEARCH_{name.upper()}_FILE" for name in (*_TEXTS, *_CERTIFICATES)}
"""Field of Access -> the environment variable that names the file of its value, for the agent and the plugin alike."""


def from_files(urls: tuple[str, ...], files: Mapping[str, Path | None]) -> Callable[[], Access]:
    """Reads the access anew at each call. `files`: name of a field of Access -> the file that holds its value.

    What it returns raises ElasticsearchError where a file cannot be read.
    """
    given = {name: path for name, path in files.items() if path is not None}

    def read() -> Access:
        texts = {name: _read(given[name]).decode(errors="replace").strip() for name in _TEXTS if name in given}
        certificates = {name: given[name] for name in _CERTIFICATES if name in given}
        seal = sha256(b"\0".join(_read(path) for path in certificates.values())).hexdigest() if certificates else ""
        return Access(urls, **texts, **certificates, seal=seal)  # type: ignore[arg-type]

    return read


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST)
    except OSError as error:
        raise ElasticsearchError(
            f"the file {path} with credentials for Elasticsearch cannot be read: {error.strerror or error}"
        ) from None
