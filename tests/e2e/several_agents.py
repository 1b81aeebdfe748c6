"""Several agents over one folder of webhooks, one file of events and one schema of PostgreSQL, for the tests here."""

import json
from typing import Any

from testbed.servers.postgresql import PostgreSQL
from tests.databases import own_schema
from tests.e2e.sew_agent import Agent, Folder

TAKEN_OVER_WITHIN = 15.0
WORKERS = 8


class Agents:
    """Agents over one folder of webhooks, one file of events and one schema, each with a state folder of its own."""

    def __init__(self, folder: Folder, server: PostgreSQL) -> None:
        self.folder = folder
        self.server = server
        self.url = own_schema(server)
        self._schema = self.url.rpartition("%3D")[2]

    def start(self, name: str, *, port: int = 0, events: str | None = None, **settings: str) -> Agent:
        url = self.url.replace(f":{self.server.port}/", f":{port or self.server.port}/")
        given = {"SEW_STORE": url, "SEW_WORKERS": str(WORKERS), "SEW_REQUEST_TIMEOUT": "2s"} | settings
        return self.folder.start("--state", str(self.folder.path / name), events=events, **given)

    def status(self) -> list[dict[str, Any]]:
        """Return the webhooks as the command shows them."""
        rows: list[dict[str, Any]] = json.loads(self.folder.command("status", "-o", "json", SEW_STORE=self.url).stdout)[
            "webhooks"
        ]
        return rows

    def sql(self, statement: str) -> str:
        return self.server.run_sql(f"SET search_path = {self._schema}; {statement}")

    def loads(self) -> list[int]:
        """Return how many webhooks each agent that is alive owns."""
        rows = self.sql(
            "SELECT count(o.name) FROM agents a LEFT JOIN owned o ON o.owner = a.id AND o.name <> ''"
            " WHERE a.until > clock_timestamp() GROUP BY a.id ORDER BY 1"
        )
        return [int(row) for row in rows.split()]
