"""PostgreSQL's errors as StoreError: which server and database, why, and what to do. Never the URL, a secret."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psycopg
from psycopg.conninfo import conninfo_to_dict

from kubectl_sew.redaction import redact_urls, redactor
from sew_agent.store.records import StoreAwayError, StoreError, StoreFullError

_SECRETS = ("password", "sslpassword", "oauth_client_secret")
_LOGIN = (*_SECRETS, "user", "passfile", "sslcert", "sslkey", "sslrootcert", "sslcrl")
_ADVICE = {
    "3F000": "make the schema, or name another search_path",
    "42501": "give the agent's user the right to it; for its tables, CREATE on the schema",
    "42P07": "other tables have the names of ours: give the agent a database or a schema of its own",
    "25006": "name the other hosts too, the agent takes the one that can be written",
}
"""SQLSTATE -> what to do. What is wrong with a connection the server says in words alone."""
_MISTAKES = (
    "authentication failed",
    "no password supplied",
    "does not exist",
    "no pg_hba.conf entry",
    "permission denied",
    "is not permitted to log in",
    "certificate",
    "does not support SSL",
    "invalid",
)
"""What is said of a connection that no time will make possible, where the server speaks English.

In any other language it is waited for, which says the cause as well."""
_FULL = "53100"
_NOT_OURS = "22012"
"""SQLSTATE of a division by zero: see the lease's check."""
_AGAIN = ("40P01", "40001")
_ENDED = ("57P01", "57P02", "57P03", "25P03")
"""SQLSTATEs of a server that shuts down or starts, and of a connection that it ended for its silence."""

_LATER = ("53300", "55P03", "57014")
"""SQLSTATEs of too many connections, and of a wait for a lock or a statement that took too long."""


class Place:
    """Server and database of a store: how to connect, and how to name it without a secret."""

    def __init__(self, url: str) -> None:
        """Read `postgresql://…`. Raises StoreError."""
        self.parameters = _parameters(url)
        self._redact = redactor(*_secrets(self.parameters))

    @property
    def servers(self) -> list[tuple[str, str]]:
        """Return host and port of each server; a host that begins with a slash is a folder of sockets."""
        hosts = self.parameters.get("host", self.parameters.get("hostaddr", "localhost")).split(",")
        ports = self.parameters.get("port", "5432").split(",")
        return [(host, ports[min(index, len(ports) - 1)] or "5432") for index, host in enumerate(hosts)]

    def renew(self, url: str) -> None:
        """Log in as another URL says from now on. Raises StoreError where that names another database."""
        renewed = _parameters(url)
        if _without_login(renewed) != _without_login(self.parameters):
            raise unusable(self, "its URL has changed in more than user, password and certificates: restart the agent")
        self._redact = redactor(*_secrets(self.parameters), *_secrets(renewed))
        self.parameters = renewed

    def __str__(self) -> str:
        """Name it: `HOST:PORT,… database NAME`."""
        where = ", ".join(f"{host}:{port}" for host, port in self.servers)
        return self._redact(f"PostgreSQL at {where}, database {self.parameters.get('dbname', '(the default one)')}")

    def words(self, error: psycopg.Error) -> str:
        """Return what the server or the driver says, in one line."""
        said = error.diag.message_primary or str(error)
        lines = (" ".join(line.split()) for line in said.splitlines())
        return self._redact(redact_urls("; ".join(line for line in lines if line)))[:500]


def _parameters(url: str) -> dict[str, str]:
    try:
        parameters = conninfo_to_dict(url)
    except psycopg.ProgrammingError:  # its text repeats parts of the URL
        raise StoreError(
            "SEW_STORE cannot be read: give postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with % and the "
            "hexadecimal code for letters such as @ / : in a password"
        ) from None
    return {name: str(value) for name, value in parameters.items() if value is not None}


def _secrets(parameters: Mapping[str, str]) -> list[str]:
    return [parameters[name] for name in _SECRETS if name in parameters]


def _without_login(parameters: Mapping[str, str]) -> dict[str, str]:
    """Return what says which database it is, and not who asks."""
    return {name: value for name, value in parameters.items() if name not in _LOGIN}


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
    said = unusable(place, place.words(error) + (f": {advice}" if advice else ""))
    return StoreAwayError(str(said)) if _is_away(error) else said


def _is_away(error: psycopg.Error) -> bool:
    """Return whether the server may be reached later: it is away, or overloaded, and nothing was set wrongly."""
    if error.sqlstate in _LATER:
        return True
    return is_lost(error) and not any(mistake in str(error) for mistake in _MISTAKES)
