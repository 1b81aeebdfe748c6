"""What a set-up of a proof provides: where webhooks and events come from, its own faults, and its agents' books."""

import json
import sqlite3
from collections.abc import Mapping
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any, Protocol

from tests.e2e.sew_agent import Agent, Folder, counters
from tests.integration.cluster.in_cluster import secret, webhook
from tests.proof.events import Events
from tests.proof.history import Books, Definition
from tests.proof.receivers import ProofReceiver, signing_secret
from tests.proof.schedule import Fault, Kind

WORKERS = 64
TIMEOUT = 3.0
FORGET_AFTER = 12.0
SETTINGS = {
    "SEW_WORKERS": str(WORKERS),
    "SEW_REQUEST_TIMEOUT": f"{TIMEOUT:g}s",
    "SEW_FORGET_AFTER": f"{FORGET_AFTER:g}s",
    "SEW_RETRY_MAX": "1s",
    "SEW_POLL_INTERVAL": "200ms",
}


class Setup(Protocol):
    """One set-up. Its constructor starts nothing; `start` does."""

    name: str
    agents: int
    ordered: bool
    """True where events are read in the order in which they are written."""
    atomic: bool
    """True where a webhook changes at once with its Secret."""
    kinds: Mapping[str, Kind]
    """Kinds of faults of its own, and the common ones that it can have."""
    disrupts: Mapping[str, str]
    """Kind of fault -> kind of disruption that it is to what is in flight."""
    kill: str
    """Kind of disruption that a kill is."""
    skipped: list[str]
    """Kinds of faults that this machine cannot have, each with its reason."""

    def start(self, folder: Path, stack: ExitStack) -> None:
        """Start what is needed besides agents; `stack` ends it."""

    def identify(self, webhook: str, number: int) -> str:
        """Return the id of the delivery of an event to a webhook."""

    def apply(self, definition: Definition, receiver: ProofReceiver) -> bool:
        """Write a webhook's definition. Return False where that cannot be done now."""

    def write(self, events: Events, count: int, severity: int | None = None) -> None:
        """Write so many events, of a severity or of any."""

    def start_agent(self, number: int) -> Agent:
        """Start the agent of a number."""

    def state_of(self, webhook: str) -> str:
        """Return a webhook's state by the store, "" if unknown: what an agent does by it before may die with it."""

    def begin(self, fault: Fault) -> None:
        """Begin a fault of its own kinds."""

    def is_over(self, fault: Fault) -> bool:
        """Return whether a fault whose time has passed may be ended: a server takes its time to start."""

    def end(self, fault: Fault) -> None:
        """End it."""

    def pending(self, agents: list[Agent]) -> int:
        """Return how many deliveries wait, by what the running agents say."""

    def books(self) -> Mapping[str, Books]:
        """Return what the commands say of each webhook, once the agents have ended."""


def manifests(definition: Definition, receiver: ProofReceiver) -> list[dict[str, Any]]:
    """Return a webhook, and the Secret with its URL and its signing secret. Its labels show its generation."""
    name = definition.webhook
    values = {"url": receiver.url(definition.token), "signingSecret": signing_secret(definition)}
    config: list[dict[str, Any]] = [
        {"name": key, "valueFrom": {"secretKeyRef": {"name": name, "key": key}}} for key in values
    ]
    if definition.digest:
        config += [{"name": "digest", "value": f"{definition.digest}s"}]
    if definition.group_by:
        config += [{"name": "groupBy", "value": definition.group_by}]
    labels = {"webhooks.projectcalico.org/labels": f"generation: {definition.generation}"}
    spec = {"state": definition.state.value, "query": definition.query, "config": config}
    return [secret(name, **values), webhook(name, annotations=labels, **spec)]


def books_of(folder: Folder, **settings: str) -> dict[str, Books]:
    """Return the books of the webhooks, by what the commands say."""
    rows = json.loads(folder.command("status", "-o", "json", **settings).stdout)["webhooks"]
    letters = dead_letters(folder, **settings)
    return {
        row["name"]: Books(
            seen=row["seen"],
            delivered=row["delivered"],
            pending=row["backlog"],
            dead=row["deadLetters"],
            dropped=sum(row["dropped"].values()),
            dead_letters=letters.get(row["name"], frozenset()),
        )
        for row in rows
    }


def dead_letters(folder: Folder, **settings: str) -> dict[str, frozenset[int]]:
    """Return the events of each webhook's dead letters, as the command lists them."""
    rows = json.loads(folder.command("dead-letters", "list", "-o", "json", **settings).stdout)
    return {
        name: frozenset(int(row["event"][1:]) for row in rows if row["webhook"] == name)
        for name in {row["webhook"] for row in rows}
    }


def state_in(folder: Path, webhook: str) -> str:
    """Return a webhook's state by a store in SQLite."""
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"file:{folder / 'sew.db'}?mode=ro", uri=True)) as store:
        rows = store.execute("SELECT known FROM webhooks WHERE name = ? AND known IS NOT NULL", (webhook,)).fetchall()
        return "".join(json.loads(known)["state"] for (known,) in rows)
    return ""


def pending_of(agent: Agent) -> int:
    """Return how many deliveries wait, by an agent's metrics."""
    return int(counters(agent.scrape(), "sew_deliveries", "state").get("pending", 0))
