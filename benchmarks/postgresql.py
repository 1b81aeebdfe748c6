"""Deliveries a second with the store in PostgreSQL beside SQLite, by two agents beside one, and its statements with a
million pending.

    python -m benchmarks.postgresql [DELIVERIES [PENDING]]

The server is on the same machine and writes to its disk at each commit. The two stores alternate. The times of
statements are the server's own; the longest is that of a busy machine where it is one. Two agents are measured where
each has so few requests in flight that the processor is not what bounds it: receivers take 0.2 s.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import psycopg

from benchmarks.concurrency import counts_of, receivers, running, since, timed, write_webhooks
from benchmarks.concurrency import fill as fill_all
from benchmarks.delivery import deliver, fill
from benchmarks.receiver import receiver
from sew_agent.store.contract import Store
from sew_agent.store.postgresql.store import open_store
from sew_agent.store.records import DeliveryResult, DeliveryState
from sew_agent.store.sqlite import store as sqlite
from testbed.servers.postgresql import find, postgresql
from tests.databases import own_schema

ROUNDS = 5
WEBHOOKS, EACH, WORKERS = 20, 1_000, 64
LASTS, SETTLED = 20, 8
"""Seconds of deliveries that are measured at most, and the first one that counts: two agents have shared by then."""
TURNS = 200
_PENDING = (
    "WITH made AS (INSERT INTO events (key, name, source, document, references_left)"
    " SELECT int8send(n), '', '', convert_to(json_build_object('text', repeat('x', 500))::text, 'UTF8'), 1"
    " FROM generate_series(1, %s) AS n RETURNING id)"
    " INSERT INTO deliveries (webhook, event, bytes, read_at, time, attempts, due)"
    " SELECT 1 + id %% 2, id, 800, 0, 0, (id %% 4 = 0)::int, 4e9 FROM made"
)
_STATEMENTS = (
    "SELECT calls, mean_exec_time, max_exec_time, query FROM pg_stat_statements"
    " WHERE query !~ '^(WITH made|CREATE|SET|ANALYZE|VACUUM)' AND calls > 9 ORDER BY max_exec_time DESC LIMIT %s"
)


def rates(count: int) -> None:
    """Print the rates of both stores in turns."""
    ratios = []
    with postgresql(find(), "fsync=on") as server, receiver() as port:
        for _ in range(ROUNDS):
            with tempfile.TemporaryDirectory() as folder:
                ours = deliver(sqlite.open_store(Path(folder)), port, count)
            theirs = deliver(open_store(own_schema(server), owner="benchmark"), port, count)
            ratios.append(ours / theirs)
            print(f"SQLite {count / ours:,.0f}/s, PostgreSQL {count / theirs:,.0f}/s: {ours / theirs:.2f} of it")
    print(f"median {statistics.median(ratios):.2f} of SQLite's rate")


def agents() -> None:
    """Print the rates of one agent and of two on the same store."""
    found = []
    for number in (1, 2):
        with (
            postgresql(find(), "fsync=on") as server,
            tempfile.TemporaryDirectory() as place,
            receivers({"receivers": timed(0.2, WEBHOOKS)}) as (process, ports),
            ExitStack() as running_agents,
        ):
            folder, url = Path(place), own_schema(server)
            names = [f"w{webhook}" for webhook in range(WEBHOOKS)]
            store = open_store(url, owner="benchmark", max_bytes=2**40)
            fill_all(store, names, EACH)
            write_webhooks(folder, names, ports, None)
            for agent in range(number):
                running_agents.enter_context(running(folder, WORKERS, state=f"state-{agent}", store=url))
            while sum((accepted := by_second(process)).values()) < WEBHOOKS * EACH and max(accepted, default=0) < LASTS:
                time.sleep(0.25)
            found.append(since(accepted, SETTLED))
    one, two = found
    print(
        f"receivers at 0.2 s, {WORKERS} in flight each: one agent {one:,.0f}/s, two {two:,.0f}/s: {two / one:.2f} times"
    )


def by_second(process: subprocess.Popen[str]) -> dict[int, int]:
    """Return the accepted requests of each second since the first one."""
    return {int(second): number for second, number in counts_of(process)["accepted"].items()}


def statements(pending: int) -> None:
    """Print the slowest statements of an agent that has so much pending."""
    with postgresql(find(), "fsync=on", "shared_preload_libraries=pg_stat_statements") as server:
        url = own_schema(server)
        store = open_store(url, owner="benchmark", max_bytes=2**40)
        with psycopg.connect(server.url, autocommit=True) as admin, psycopg.connect(url, autocommit=True) as filler:
            for webhook in ("one", "two"):
                fill(store, webhook, 1)
            filler.execute(_PENDING, (pending,))
            filler.execute("UPDATE webhooks SET pending = (SELECT count(*) FROM deliveries WHERE webhook = id)")
            admin.execute("CREATE EXTENSION pg_stat_statements")
            for _ in range(TURNS):
                turn(store)
            rows = admin.execute(_STATEMENTS, (12,)).fetchall()
        store.close()
    for calls, mean, most, query in rows:
        print(f"{mean:8.2f} ms, at most {most:8.2f} ms, {calls:6,} times: {' '.join(query.split())[:90]}")


def turn(store: Store) -> None:
    """Do what an agent does all the time."""
    now = time.time()
    fill(store, "one", 100)
    for webhook in ("one", "two"):
        due = store.due(webhook, now=now, limit=32, skip=[1, 2, 3], longest=1e10)
        store.next_due(webhook)
        store.version()
        states = [DeliveryState.DELIVERED, DeliveryState.PENDING, DeliveryState.DEAD]
        store.record_results(
            [DeliveryResult(one, states[seq % 3], now, 1, now + 60) for seq, one in enumerate(due)], ()
        )
    store.pending_counts()
    store.counters()
    store.oldest_times()
    store.room()
    store.forget(now)


def main() -> None:
    agents()
    rates(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
    statements(int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000)


if __name__ == "__main__":
    main()
