"""Failovers of agents over one store in PostgreSQL: by a pause, a kill, a partition, one after the other.

Each agent has webhooks of its own folder, whose labels name the agent: so each request says who sent it. Events are
written all the time. After each fault of an agent that sends, the time is taken until each of its webhooks is served by
another agent; and none of its requests may come once its lease is over.
"""

import json
import random
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from testbed.receivers import Answer, Incoming, Receiver
from testbed.servers.postgresql import find, postgresql
from testbed.servers.running import slowness
from testbed.tcp_proxy import TcpProxy
from tests.e2e.sew_agent import Agent, Folder, event
from tests.integration.cluster.in_cluster import webhook
from tests.waiting import eventually

AGENTS = 3
WEBHOOKS = ("w0", "w1", "w2", "w3", "w4", "w5")
WORKERS = 16
TIMEOUT = 2.0
LEASE = 10.0
"""Seconds for which an owner may send after it was last sure to be the owner."""
WITHIN = 15.0
"""Seconds within which another agent serves."""
EVENTS_EVERY = 0.1
KINDS = ("pause", "kill", "partition")
SLOWEST = 1.5
"""How much longer it may take on a busy machine, at most: most of it is waiting."""
PAUSED = WITHIN * SLOWEST + 3.0
"""Seconds that an agent is paused or cut off: until another one has taken over for certain."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A request: which agent sent which event to which webhook, and when it came."""

    agent: int
    webhook: str
    event: str
    at: float


@dataclass(frozen=True, slots=True)
class Failover:
    """A fault of an agent from `began` to `ended`, when it goes on or is started again."""

    kind: str
    agent: int
    began: float
    ended: float


@dataclass(slots=True)
class Findings:
    """What was found: the seconds of each takeover by kind, and what is wrong."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    lost: int = 0
    doubled: int = 0
    stale: int = 0

    def figures(self) -> dict[str, object]:
        """Return what was found by name, for people."""
        longest = {
            f"seconds to take over after a {kind}, longest": f"{max(all_):.1f}" for kind, all_ in self.seconds.items()
        }
        counts = {f"webhooks taken over after a {kind}": len(all_) for kind, all_ in self.seconds.items()}
        return {**longest, **counts, "lost": self.lost, "doubled": self.doubled, "sent by a stale owner": self.stale}


def judge(sent: Sequence[Sent], failovers: Sequence[Failover], events: int, *, slow: float = 1.0) -> Findings:
    """Return what the requests say of the failovers. `slow`: by how much time limits are stretched. Pure."""
    found = Findings()
    by_webhook = {name: [one for one in sent if one.webhook == name] for name in WEBHOOKS}
    for failover in failovers:
        for name, requests in by_webhook.items():
            _judge_one(failover, name, requests, found, slow)
    for name, requests in by_webhook.items():
        accepted = [one.event for one in requests]
        found.lost += events - len(set(accepted))
        found.doubled += len(accepted) - len(set(accepted))
        if events > len(set(accepted)):
            found.wrong.append(f"{name}: {events - len(set(accepted))} events are lost")
    if found.doubled > WORKERS * len(failovers):
        found.wrong.append(f"{found.doubled} were doubled in {len(failovers)} failovers with {WORKERS} in flight")
    return found


def _judge_one(failover: Failover, name: str, requests: Sequence[Sent], found: Findings, slow: float) -> None:
    before = [one for one in requests if one.at <= failover.began]
    if not before or before[-1].agent != failover.agent:
        return  # another agent served it
    others = [one.at for one in requests if one.agent != failover.agent and one.at > failover.began]
    taken = min(others, default=float("inf")) - failover.began
    found.seconds.setdefault(failover.kind, []).append(taken)
    if taken > WITHIN * slow:
        found.wrong.append(
            f"{name}: nobody took over within {taken:.1f} s of the {failover.kind} at {failover.began:.1f} s"
        )
    deadline = failover.began + LEASE + TIMEOUT * slow
    until = failover.ended + (1.0 if failover.kind == "pause" else 0.0)
    late = [one for one in requests if one.agent == failover.agent and deadline < one.at < until]
    found.stale += len(late)
    if late:
        after = late[0].at - failover.began
        found.wrong.append(f"{name}: a stale owner sent {len(late)} requests, {after:.1f} s after its {failover.kind}")


class Scene:
    """Agents, each behind a proxy of its own to the database, over one file of events."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self._began = time.monotonic()
        server = stack.enter_context(postgresql(find()))
        self._proxies = [stack.enter_context(TcpProxy(server.port)) for _ in range(AGENTS)]
        self.sent: list[Sent] = []
        self._receivers = {name: stack.enter_context(Receiver(self._receive(name))) for name in WEBHOOKS}
        self._events = path / "events.ndjson"
        self._events.touch()
        self._folders = [self._folder(path / f"agent-{number}", number) for number in range(AGENTS)]
        for folder in self._folders:
            stack.callback(folder.stop)
        self.agents = [self._start(number) for number in range(AGENTS)]
        self.written = 0

    def clock(self) -> float:
        return time.monotonic() - self._began

    def write_for(self, seconds: float) -> None:
        """Write events, one after the other, for so long."""
        until = self.clock() + seconds
        while self.clock() < until:
            with self._events.open("a") as file:
                file.write(event(self.written))
            self.written += 1
            time.sleep(EVENTS_EVERY)

    def sender(self) -> int:
        """Return an agent that has sent lately."""
        return self.sent[-1].agent

    def fail(self, kind: str, agent: int) -> Failover:
        """Make an agent fail, and return once it has come back."""
        began = self.clock()
        if kind == "kill":
            self.agents[agent].kill()
            self.write_for(PAUSED)
            self.agents[agent] = self._start(agent)
        elif kind == "pause":
            self.agents[agent].signal(signal.SIGSTOP)
            self.write_for(PAUSED)
            self.agents[agent].signal(signal.SIGCONT)
        else:
            self._proxies[agent].cut()
            self.write_for(PAUSED)
            self._proxies[agent].mend()
        return Failover(kind, agent, began, self.clock())

    def _folder(self, path: Path, number: int) -> Folder:
        path.mkdir()
        folder = Folder(path)
        labels = {"webhooks.projectcalico.org/labels": f"agent: {number}"}
        for name, receiver in self._receivers.items():
            manifest = webhook(name, receiver.url, annotations=labels)
            (folder.webhooks / f"{name}.json").write_text(json.dumps(manifest))
        return folder

    def _start(self, number: int) -> Agent:
        url = f"postgresql://sew@127.0.0.1:{self._proxies[number].port}/postgres"
        settings = {"SEW_STORE": url, "SEW_WORKERS": str(WORKERS), "SEW_REQUEST_TIMEOUT": f"{TIMEOUT:g}s"}
        return self._folders[number].start(events=str(self._events), **settings)

    def _receive(self, name: str) -> Callable[[Incoming], Answer]:
        def receive(incoming: Incoming) -> Answer:
            body: Mapping[str, object] = incoming.json()
            labels = body["labels"]
            assert isinstance(labels, dict)
            self.sent.append(Sent(int(labels["agent"]), name, str(body["id"]), self.clock()))
            return Answer(204)

        return receive


def run(path: Path, *, count: int, seed: int, say: Callable[[str], None]) -> Findings:
    """Make so many failovers, of all kinds in turns, and judge them."""
    chance, failovers, slow = random.Random(f"{seed} failover"), [], 1.0
    with ExitStack() as stack:
        scene = Scene(path, stack)
        scene.write_for(1.0)
        eventually(lambda: {one.webhook for one in scene.sent} == set(WEBHOOKS), "all webhooks are served", 60)
        for number in range(count):
            kind = KINDS[number % len(KINDS)]
            failovers.append(scene.fail(kind, scene.sender()))
            slow = max(slow, min(slowness(), SLOWEST))
            scene.write_for(chance.uniform(1.0, 4.0))
            say(f"{number + 1} of {count} failovers: {kind}")
        wanted = scene.written * len(WEBHOOKS)
        with suppress(AssertionError):
            eventually(lambda: len({(one.webhook, one.event) for one in scene.sent}) == wanted, "all arrive", 20)
        return judge(scene.sent, failovers, scene.written, slow=slow)
