"""PostgreSQL's errors as StoreError: which server and database, why, and what to do. Never the URL, a secret."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.conninfo import conninfo_to_dict

from kubectl_sew.redaction import redact_urls, redactor
from sew_agent.store.records import StoreError, StoreFullError

_SECRETS = ("password", "sslpassword", "oauth_client_secret")
_ADVICE = {
    "3F000": "make the schema, or name another search_path",
    "42501": "give the agent's user the right to it; for its tables, CREATE on the schema",
    "42P07": "other tables have the names of ours: give the agent a database or a schema of its own",
    "25006": "name the other hosts too, the agent takes the one that can be written",
}
"""SQLSTATE -> what to do. What is wrong with a connection the server says in words alone."""
_FULL = "53100"
_NOT_OURS = "22012"
"""SQLSTATE of a division by zero: see the lease's check."""
_AGAIN = ("40P01", "40001")
_ENDED = ("57P01", "57P02", "57P03", "25P03")
"""SQLSTATEs of a server that shuts down or starts, and of a connection that it ended for its silence."""


class Place:
    """Server and database of a store: how to connect, and how to name it without a secret."""

    def __init__(self, url: str) -> None:
        """Read `postgresql://…`. Raises StoreError."""
        try:
            parameters = conninfo_to_dict(url)
        except psycopg.ProgrammingError:  # its text repeats parts of the URL
            raise StoreError(
                "SEW_STORE cannot be read: give postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with % and the "
                "hexadecimal code for letters such as @ / : in a password"
            ) from None
        self.parameters = {name: str(value) for name, value in parameters.items() if value is not None}
        self._redact = redactor(*(self.parameters[name] for name in _SECRETS if name in self.parameters))

    def __str__(self) -> str:
        """Name it: `HOST:PORT,… database NAME`."""
        hosts = self.parameters.get("host", self.parameters.get("hostaddr", "localhost")).split(",")
        ports = self.parameters.get("port", "5432").split(",")
        where = ", ".join(f"{host}:{ports[min(index, len(ports) - 1)] or 5432}" for index, host in enumerate(hosts))
        return self._redact(f"PostgreSQL at {where}, database {self.parameters.get('dbname', '(the default one)')}")

    def words(self, error: psycopg.Error) -> str:
        """Return the first line of what the server or the driver says."""
        said = error.diag.message_primary or str(error)
        return self._redact(redact_urls(" ".join(said.split())))[:500]


@contextmanager
def explained(place: Place) -> Iterator[None]:
    """Raise PostgreSQL's errors as StoreError."""
    try:
        yield
    except psycopg.Error as error:
        raise _ours(place, error) from error


class RepeatableError(Exception):
    """Raised where a transaction changed nothing, and may succeed at once when it is begun anew."""


class SilentServerError(psycopg.OperationalError):
    """End of the wait for a server that takes what it is sent, and says nothing."""


def is_repeatable(error: psycopg.Error) -> bool:
    """Return whether the transaction stood in another one's way: once more, and it has its turn."""
    return error.sqlstate in _AGAIN


def is_lost(error: BaseException) -> bool:
    """Return whether the connection is gone: the server ended, or the network did."""
    return isinstance(error, psycopg.OperationalError) and (error.sqlstate is None or error.sqlstate in _ENDED)


def unusable(place: Place, why: str) -> StoreError:
    return StoreError(f"the store in {place} cannot be used: {why}")


def _ours(place: Place, error: psycopg.Error) -> StoreError:
    if error.sqlstate == _FULL:
        return StoreFullError(f"the disk of {place} is full: make room; nothing is lost, and it goes on by itself")
    if error.sqlstate == _NOT_OURS:
        return StoreError(f"another agent has taken over the store in {place}: this one writes nothing more")
    advice = _ADVICE.get(error.sqlstate or "")
    return unusable(place, place.words(error) + (f": {advice}" if advice else ""))
