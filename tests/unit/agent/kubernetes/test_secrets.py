"""What is read of Secrets, and when it is read again."""

from base64 import b64encode
from dataclasses import dataclass, field
from typing import Any

from sew_agent.kubernetes.secrets import SecretReader


@dataclass
class Server:
    """A Secret on a server, and what an informer shows of it."""

    url: str = "old"
    version: int = 1
    objects: dict[str, str] = field(default_factory=lambda: {"a": "1"})
    stale: bool = False
    """True while the watch of the metadata is cut off."""
    asked: int = 0

    def get(self, path: str) -> dict[str, Any]:
        assert path == "/api/v1/namespaces/n/secrets/a"
        self.asked += 1
        values = {"url": b64encode(self.url.encode()).decode()}
        return {"kind": "Secret", "metadata": {"name": "a", "resourceVersion": str(self.version)}, "data": values}

    def change(self) -> None:
        self.url, self.version = "new", self.version + 1


def read(reader: SecretReader, *anew: str) -> bytes:
    return reader.read({"a": {"url"}}, anew, lambda: None)["a"]["url"]


def reader_of(server: Server) -> SecretReader:
    return SecretReader(server, "Secret", "n", server)  # type: ignore[arg-type] # both are played by one


def test_it_is_read_again_when_its_metadata_show_another_version() -> None:
    server = Server()
    reader = reader_of(server)
    assert [read(reader), read(reader, "a")] == [b"old"] * 2
    assert server.asked == 1
    server.change()
    server.objects["a"] = "2"
    assert [read(reader), read(reader)] == [b"new"] * 2
    assert server.asked == 2


def test_while_its_metadata_are_not_watched_it_is_read_again_with_what_refers_to_it() -> None:
    """After an outage the watch of the webhooks may be back before that of the Secrets."""
    server = Server()
    reader = reader_of(server)
    read(reader)
    server.change()
    server.stale = True
    assert read(reader) == b"old"
    assert read(reader, "a") == b"new"
    assert server.asked == 2
