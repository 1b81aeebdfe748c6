"""Runs a proof: writes events, injects the faults of a schedule into real agents, and returns the history."""

import json
import random
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from testbed.servers.running import slowness
from tests.e2e.sew_agent import Agent
from tests.proof.changes import Step, steps_of, with_new_secret
from tests.proof.events import Events
from tests.proof.history import NEVER, Books, Change, Definition, Disruption, History, Limits, State
from tests.proof.judge import Due, due_for
from tests.proof.receivers import ProofReceiver
from tests.proof.schedule import COMMON, Fault, duration
from tests.proof.schedule import faults as draw_faults
from tests.proof.schedule import kills as draw_kills
from tests.proof.setup import FORGET_AFTER, TIMEOUT, WORKERS, Setup
from tests.waiting import eventually

TURN = 0.02
SLOWEST = 3.0
"""How much longer the schedule lasts on a busy machine, at most."""
SEVERITIES = (0, 20, 40, 60, 80)
DIGESTS = {1: (2, "type"), 3: (1, "")}
"""Which of five webhooks have digests at first: within so many seconds, grouped by which field."""
FLUSH = 100
"""Severity of the events at the end, which every query selects."""
WORKS = '"webhook_accepted"'
"""What an agent says once it knows its webhooks: from then on it reads and sends."""
STANDS_BY = '"standing_by"'
STARTING = 0.5
"""Part of a kill's time after which it comes while the agent starts."""
PROGRESS_EVERY = 10.0
SETTLED_WITHIN = 60.0
NO_PROGRESS = 20.0
"""Seconds without an arrival after which what is missing counts as lost."""
EFFECT = 4.0
"""Seconds on a quiet machine from what an agent says of a change until all of it uses the change."""


@dataclass
class RunningAgent:
    """An agent of a number, which is started again whenever it ends."""

    number: int
    process: Agent
    started: float
    stopped: bool = False
    due: float = NEVER
    """When it is started again."""
    ready_at: float = NEVER
    """When it had begun to work."""


@dataclass
class Steps:
    """The changes of a webhook, one after the other: what it is now, and what is to come."""

    receiver: ProofReceiver
    done: list[Change] = field(default_factory=list)
    waiting: list[Step] = field(default_factory=list)
    """Seconds to wait after the change before, and the next change."""

    @property
    def now(self) -> Definition:
        return self.done[-1].definition

    @property
    def settled(self) -> float:
        return self.done[-1].settled


class Oracle:
    """One run. `say` prints its progress."""

    def __init__(
        self, setup: Setup, *, seed: int, events: int, webhooks: int, kills: int, say: Callable[[str], None]
    ) -> None:
        self._setup, self._seed, self._count, self._say = setup, seed, events, say
        self._lasts = duration(kills)
        self._kills = list(draw_kills(seed, count=kills, agents=setup.agents))
        self._killed: list[float] = []
        self._began = time.monotonic()
        self._names = [f"w{number:02}" for number in range(webhooks)]
        self._events = Events(seed, self._names, self._clock, time.time)
        self._faults: list[Fault] = []
        self._lasting: list[tuple[float, Fault, float]] = []
        """End, fault, beginning."""
        self._steps: dict[str, Steps] = {}
        self._agents: list[RunningAgent] = []
        self._disruptions: list[Disruption] = []
        self._begins: list[float] = []
        self._problems: list[str] = []
        self._slowest = 1.0
        self._turned = self._paced = 0.0
        """Beginning of the last turn; seconds of the schedule that have passed. On a busy machine they last longer."""

    @property
    def limits(self) -> Limits:
        """Limits of the run, for a machine as slow as this one was."""
        return Limits(
            workers=WORKERS,
            timeout=TIMEOUT,
            forget_after=FORGET_AFTER,
            in_flight=min(0.5 * self._slowest, 1.5),
            effect=EFFECT * self._slowest,
            ordered=self._setup.ordered,
            dated=0.0 if self._setup.ordered else 2.0,
        )

    def run(self, folder: Path) -> History:
        with ExitStack() as stack:
            self._setup.start(folder, stack)
            self._create_webhooks(stack)
            self._agents = [self._start(number) for number in range(self._setup.agents)]
            stack.callback(self._kill_all)
            self._begin_reading()
            self._inject()
            self._heal()
            books = self._end()
        return History(
            self._events.written,
            [change for steps in self._steps.values() for change in steps.done],
            [arrival for steps in self._steps.values() for arrival in steps.receiver.arrivals],
            self._disruptions,
            self._begins,
            books,
            self._problems,
        )

    def _clock(self) -> float:
        return time.monotonic() - self._began

    def _create_webhooks(self, stack: ExitStack) -> None:
        for number, name in enumerate(self._names):
            receiver = ProofReceiver(
                name,
                self._events,
                identify=self._setup.identify,
                clock=self._clock,
                timeout=TIMEOUT,
                chance=random.Random(f"{self._seed} {name}"),
                atomic=self._setup.atomic,
            )
            self._steps[name] = Steps(stack.enter_context(receiver))
            digest, group_by = DIGESTS.get(number % len(SEVERITIES), (0, ""))
            severity = SEVERITIES[number % len(SEVERITIES)]
            first = Definition(name, 0, State.ENABLED, severity, digest=digest, group_by=group_by)
            eventually(lambda first=first: self._apply(first), f"{name} is written", 60)  # type: ignore[misc]

    def _begin_reading(self) -> None:
        """Write first events until each webhook has had one: from then on all that is written is due."""
        while any(steps.settled == NEVER for steps in self._steps.values()):
            self._setup.write(self._events, 1, FLUSH)
            self._turn_for(1.0)
            if self._clock() > SETTLED_WITHIN * slowness():
                self._problems.append("not every webhook was served at the beginning")
                return
        self._say(f"{len(self._names)} webhooks are served after {self._clock():.0f} s")

    def _inject(self) -> None:
        """Write the events at an even pace, no faster than kills come, and begin each fault in its time."""
        self._faults = list(
            draw_faults(
                self._seed,
                lasts=self._lasts,
                webhooks=len(self._names),
                agents=self._setup.agents,
                kinds=self._setup.kinds,
            )
        )
        self._paced = 0.0
        shown, first, kills = self._clock(), len(self._events.written), len(self._kills)
        written = 0
        while written < self._count or self._kills or self._faults:
            share = min(1.0, self._paced / self._lasts, (len(self._killed) + 1) / max(kills, 1))
            if due := int(self._count * share) - written:
                self._setup.write(self._events, due)
            written = len(self._events.written) - first
            while self._faults and self._faults[0].at <= self._paced:
                self._begin(self._faults.pop(0))
            self._kill_when_due()
            self._turn()
            if self._clock() - shown >= PROGRESS_EVERY:
                shown = self._clock()
                self._say(self._progress())

    def _progress(self) -> str:
        requests = sum(len(steps.receiver.arrivals) for steps in self._steps.values())
        lasting = ", ".join(sorted({f"{fault.kind} {fault.what}".strip() for _, fault, _ in self._lasting}))
        return (
            f"{self._clock():5.0f} s: {len(self._events.written):,} events, {requests:,} requests, "
            f"{len(self._killed)} kills; now: {lasting or 'no other faults'}"
        )

    def _begin(self, fault: Fault) -> None:
        now = self._clock()
        if fault.kind in ("change", "stopped webhook"):
            self._change(self._names[fault.target], fault)
            return
        if fault.kind == "stop":
            agent = self._agents[fault.target]
            if agent.stopped or not agent.process.running:
                return
            agent.process.signal(signal.SIGSTOP)
            agent.stopped = True
        elif fault.kind == "trouble":
            self._steps[self._names[fault.target]].receiver.troubles.append(fault.what)
        else:
            self._setup.begin(fault)
        self._lasting.append((self._paced + fault.lasts, fault, now))

    def _finish(self, fault: Fault, began: float) -> None:
        if fault.kind == "stop":
            agent = self._agents[fault.target]
            if agent.stopped:
                agent.process.signal(signal.SIGCONT)
            agent.stopped = False
            self._disruptions.append(Disruption("stop", began, self._clock()))
        elif fault.kind == "trouble":
            self._steps[self._names[fault.target]].receiver.troubles.remove(fault.what)
        else:
            self._setup.end(fault)
            if kind := self._setup.disrupts.get(fault.kind):
                self._disruptions.append(Disruption(kind, began, self._clock()))

    def _kill_when_due(self) -> None:
        """Make the next kill, where its agent has worked for long enough."""
        if not self._kills:
            return
        kill, now = self._kills[0], self._clock()
        agent = self._agents[kill.agent]
        if not agent.process.running:
            return
        begun = agent.started if kill.in_start else max([agent.ready_at, *self._killed[-1:]])
        if now >= begun + min(slowness(), SLOWEST) * (kill.after * STARTING if kill.in_start else kill.after):
            agent.process.kill()
            self._disruptions.append(Disruption(self._setup.kill, now, self._clock()))
            self._killed.append(self._clock())
            self._kills.pop(0)
            agent.stopped, agent.due = False, now + kill.down
            self._check_log(agent)

    def _turn(self) -> None:
        """Do what is due, and let a moment pass."""
        began = self._clock()
        self._slowest = max(self._slowest, slowness())
        self._paced += (began - self._turned) / min(slowness(), SLOWEST)
        self._turned = began
        for entry in [entry for entry in self._lasting if entry[0] <= self._paced]:
            if entry[1].kind in COMMON or self._setup.is_over(entry[1]):
                self._lasting.remove(entry)
                self._finish(entry[1], entry[2])
        for agent in self._agents:
            self._tend(agent)
        for name in self._steps:
            self._settle(name)
            self._advance(name)
        time.sleep(max(began + TURN - self._clock(), 0.001))

    def _turn_for(self, seconds: float) -> None:
        until = self._clock() + seconds
        while self._clock() < until:
            self._turn()

    def _start(self, number: int) -> RunningAgent:
        if self._setup.agents == 1:  # of several, each says itself what it takes over
            self._begins.append(self._clock())
        return RunningAgent(number, self._setup.start_agent(number), self._clock())

    def _tend(self, agent: RunningAgent) -> None:
        """Start an agent again that was killed, and notice one that ended by itself."""
        now = self._clock()
        if agent.process.running:
            if agent.ready_at == NEVER and any(said in agent.process.text() for said in (WORKS, STANDS_BY)):
                agent.ready_at = now
            return
        if agent.due == NEVER:
            self._ended_by_itself(agent)
            agent.due = now + 1.0
        if now >= agent.due:
            self._agents[agent.number] = self._start(agent.number)

    def _ended_by_itself(self, agent: RunningAgent) -> None:
        excused = any(fault.kind in self._setup.disrupts for _, fault, _ in self._lasting)
        text = agent.process.text()
        self._disruptions.append(Disruption("end", self._clock() - 1.0, self._clock()))
        if not excused:
            self._problems.append(f"agent {agent.number} ended by itself with {agent.process.wait()}: {text[-300:]}")
        self._check_log(agent)

    def _check_log(self, agent: RunningAgent) -> None:
        text = agent.process.text()
        since_epoch = time.time() - self._clock()
        self._begins += [moment - since_epoch for moment in takeovers(text)]
        if "Traceback" in text:
            self._problems.append(f"agent {agent.number} printed a traceback: {text[text.index('Traceback') :][:1500]}")

    def _apply(self, definition: Definition) -> bool:
        """Write a webhook's definition, and return whether that could be done now."""
        steps, now = self._steps[definition.webhook], self._clock()
        steps.receiver.definitions[definition.generation] = definition
        if done := self._setup.apply(definition, steps.receiver):
            steps.done.append(Change(definition, now))
            steps.receiver.token = definition.token
        return done

    def _change(self, name: str, fault: Fault) -> None:
        """Queue what a change of a webhook consists of."""
        steps = self._steps[name]
        steps.waiting += steps_of(fault, steps.done[0].definition)

    def _settle(self, name: str) -> None:
        """Note when a change was seen to be used: by a request that shows it, by the store, by what the agent says."""
        steps, now = self._steps[name], self._clock()
        if not steps.done or steps.settled < NEVER:
            return
        last, state = steps.done[-1], steps.now.state
        if state is State.ABSENT:
            overdue = now > last.began + SETTLED_WITHIN * slowness()  # it was killed between doing so and saying so
            used = overdue or any(self._has_deleted(agent, last, name) for agent in self._agents)
        else:
            sends = state is State.DISABLED or steps.receiver.newest >= steps.now.generation
            used = sends and self._setup.state_of(name) == state.value
        if used:
            last.settled = self._clock()

    def _has_deleted(self, agent: RunningAgent, change: Change, name: str) -> bool:
        """Return whether an agent says that a webhook is gone, or was started since."""
        text = agent.process.text()
        if agent.started > change.began:
            return WORKS in text
        return any('"webhook_deleted"' in line and f'"{name}"' in line for line in text.splitlines())

    def _advance(self, name: str) -> None:
        """Make the next change of a webhook, where the one before is used, and its time has come."""
        steps = self._steps[name]
        if not steps.waiting or steps.settled == NEVER:
            return
        pause, change = steps.waiting[0]
        if self._clock() < steps.settled + pause:
            return
        wanted = change(steps.now)
        if self._apply(replace(wanted, generation=steps.now.generation + 1)):
            steps.waiting.pop(0)

    def _heal(self) -> None:
        """End all faults, give every webhook a last change, and write what shows that it is used."""
        self._lasting = [(0.0, fault, began) for _, fault, began in self._lasting]
        while self._lasting:
            self._turn()
        self._say(f"all faults have ended: {self._progress()}")
        for steps in self._steps.values():
            steps.waiting.append((0.0, with_new_secret))
        began = self._clock()
        while any(steps.waiting or steps.settled == NEVER for steps in self._steps.values()):
            self._setup.write(self._events, 5, FLUSH)
            self._turn_for(1.0)
            if self._clock() - began > SETTLED_WITHIN * slowness():
                self._problems.append("not every webhook was served at the end")
                break
        self._turn_for(self.limits.dated)
        self._setup.write(self._events, 10, FLUSH)

    def _end(self) -> Mapping[str, Books]:
        """Wait until everything has arrived, and return the books that the agents leave when they end."""
        must = {name: self._must(name) for name in self._names}
        began, best, missing = self._clock(), NEVER, 0
        progressed = said = began
        while self._clock() - progressed < 30.0 * slowness():
            missing = sum(len(numbers - self._steps[name].receiver.accepted) for name, numbers in must.items())
            if missing < best:
                best, progressed = missing, self._clock()
            if not missing or self._clock() - said >= PROGRESS_EVERY:
                said = self._clock()
                self._say(f"{said:5.0f} s: {missing:,} are still to arrive")
            if not missing and self._pending() == 0:
                break
            self._turn_for(0.5)
        for agent in self._agents:
            code = agent.process.terminate()
            if code:
                self._problems.append(f"agent {agent.number} ended with {code}: {agent.process.text()[-300:]}")
            self._check_log(agent)
        return self._setup.books()

    def _must(self, name: str) -> set[int]:
        """Return the good events that a webhook must get, by its changes alone."""
        changes = self._steps[name].done
        return {
            event.number
            for event in self._events.written
            if name not in event.bad and due_for(event, changes, self.limits) is Due.MUST
        }

    def _pending(self) -> int:
        with suppress(OSError, AssertionError):
            return self._setup.pending([agent.process for agent in self._agents])
        return -1

    def _kill_all(self) -> None:
        for agent in self._agents:
            agent.process.kill()


def takeovers(log: str) -> Iterator[float]:
    """Yield the moments, since the epoch, at which an agent says that it has begun to send for more webhooks."""
    for line in log.splitlines():
        if '"webhooks_moved"' in line and '"claimed": 0' not in line and line.endswith("}"):
            yield datetime.fromisoformat(json.loads(line)["time"]).timestamp()


def say(text: str) -> None:
    print(text, flush=True)
