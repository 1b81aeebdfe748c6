"""Who owns what, of agents that share a store: even in the end, never two owners, and nothing moves without need."""

from collections.abc import Callable
from dataclasses import replace
from math import log2

from hypothesis import given, settings
from hypothesis import strategies as st

from sew_agent.reading_turn import ASKED_EVERY, FIRST_PAUSE, LONGEST_PAUSE, PATIENCE, ReadingTurn
from sew_agent.store.balance import READING, Moves, Owned, Shares, may_pass_reading_on, moves, spread_evenly

NAMES = st.text("abcdef", min_size=1, max_size=4)
AGENTS = st.sets(NAMES, min_size=1, max_size=6).map(lambda names: tuple(sorted(names)))
WEBHOOKS = st.sets(NAMES, max_size=40).map(lambda names: tuple(sorted(names)))


class Table:
    """The rows that all agents see, and what each of them knows to hold."""

    def __init__(self, webhooks: tuple[str, ...]) -> None:
        self.agents: dict[int, str] = {}
        self.leaving: set[int] = set()
        self.owned = {name: Owned(name, None) for name in (READING, *webhooks)}
        self.held: dict[int, set[str]] = {}
        self.backed_off: set[int] = set()
        self._numbers = iter(range(1, 1000))

    def join(self, name: str) -> int:
        number = next(self._numbers)
        self.agents[number], self.held[number] = name, set()
        return number

    def kill(self, number: int) -> None:
        del self.agents[number]

    def plan(self, number: int) -> Moves:
        return moves(number, self.shares(), self.held[number])

    def shares(self) -> Shares:
        return Shares(dict(self.agents), set(self.leaving), list(self.owned.values()), set(self.backed_off))

    def release(self, number: int, name: str) -> None:
        assert self.owned[name].owner == number
        self.owned[name] = replace(self.owned[name], owner=None)
        self.held[number].discard(name)

    def claim(self, number: int, seen: Owned) -> None:
        """As the statement in the database does: by the owner that was seen, where that is gone."""
        there = self.owned[seen.name]
        if there.owner == seen.owner and (there.owner == number or there.owner not in self.agents):
            self.owned[seen.name] = replace(there, owner=number)
            self.held[number].add(seen.name)

    def owners(self) -> dict[str, int]:
        """Return the agents that are alive and know something to be their own: one for each, or this fails."""
        owners: dict[str, int] = {}
        for number in self.agents:
            for name in self.held[number]:
                assert name not in owners, f"{name} has two owners"
                assert self.owned[name].owner == number
                owners[name] = number
        return owners

    def settle(self) -> int:
        """Let all take rounds until nothing moves; return how many moves that took."""
        count = 0
        for _ in range(100):
            planned = {number: self.plan(number) for number in self.agents}
            if not any(plan.claim or plan.release for plan in planned.values()):
                return count
            for number, plan in planned.items():
                for name in plan.release:
                    self.release(number, name)
                for seen in plan.claim:
                    count += seen.name != READING
                    self.claim(number, seen)
                self.owners()
        raise AssertionError("it never settles")


def even(table: Table) -> bool:
    loads = [len(table.held[number] - {READING}) for number in table.agents if number not in table.leaving]
    return not loads or max(loads) - min(loads) <= 1


@given(AGENTS, WEBHOOKS)
def test_no_agent_has_two_more_than_another(agents: tuple[str, ...], webhooks: tuple[str, ...]) -> None:
    spread = spread_evenly(agents, webhooks)
    loads = [list(spread.values()).count(agent) for agent in agents]
    assert spread.keys() == set(webhooks)
    assert max(loads) - min(loads) <= 1


@given(st.data(), WEBHOOKS)
def test_whoever_comes_and_goes_it_becomes_even_with_one_owner_for_each(
    data: st.DataObject, webhooks: tuple[str, ...]
) -> None:
    table = Table(webhooks)
    for step in range(data.draw(st.integers(1, 8))):
        act = data.draw(st.sampled_from(["join", "kill", "leave", "end"]))
        alive = sorted(table.agents)
        if act == "join" or not alive:
            table.join(f"agent-{step}")
        else:
            number = data.draw(st.sampled_from(alive))
            if act == "leave":
                table.leaving.add(number)
            else:
                table.kill(number)
        for number in data.draw(st.permutations(sorted(table.agents))):  # some have their turn before it settles
            for seen in table.plan(number).claim:
                table.claim(number, seen)
        table.owners()
    table.settle()
    assert even(table)
    staying = table.agents.keys() - table.leaving
    owned_by = {one.owner for one in table.owned.values()}
    assert not staying or owned_by <= table.agents.keys()
    assert table.settle() == 0, "nothing moves without need"


@given(WEBHOOKS, st.integers(2, 6))
def test_an_agent_that_joins_moves_little_more_than_its_share(webhooks: tuple[str, ...], many: int) -> None:
    table = Table(webhooks)
    for number in range(many):
        table.join(f"agent-{number}")
    table.settle()
    table.join("new")
    assert table.settle() <= 2 * (len(webhooks) // many + 1) + 2


def test_an_agent_that_leaves_gets_nothing_and_gives_up_all_but_reading_by_itself() -> None:
    table = Table(("a", "b"))
    one = table.join("one")
    table.settle()
    table.leaving.add(one)
    assert table.plan(one) == Moves([], ["a", "b"])


def test_a_claim_whose_answer_was_lost_is_made_again_and_a_webhook_that_is_not_wanted_is_given_up() -> None:
    table = Table(("a", "b"))
    one = table.join("one")
    table.settle()
    table.held[one].discard("a")
    assert table.plan(one) == Moves([Owned("a", one)], [])
    table.owned["b"] = replace(table.owned["b"], wanted=False)
    assert table.plan(one).release == ["b"]


class Reader:
    """An agent that reads when it is its turn, as the main loop and the balancer do."""

    def __init__(self, table: Table, clock: Callable[[], float], passed_on: list[float]) -> None:
        self.number = table.join("agent")
        self._table = table
        self._clock = clock
        self._passed_on = passed_on
        self._backs_off_until = 0.0
        self._turn = ReadingTurn(self._pass_on)

    def _pass_on(self, pause: float) -> bool:
        if not may_pass_reading_on(self.number, self._table.shares()):
            return False
        self._backs_off_until = self._clock() + pause
        self._table.backed_off.add(self.number)
        self._table.release(self.number, READING)
        self._passed_on.append(self._clock())
        return True

    @property
    def reads(self) -> bool:
        return READING in self._table.held[self.number]

    def step(self, *, can: bool) -> None:
        if self._clock() >= self._backs_off_until:
            self._table.backed_off.discard(self.number)
        for seen in self._table.plan(self.number).claim:
            self._table.claim(self.number, seen)
        if self.reads and can:
            self._turn.works()
        elif self.reads:
            self._turn.fails(self._clock())


@settings(max_examples=25)
@given(st.integers(1, 5), st.data())
def test_reading_goes_to_an_agent_that_can_and_seldom_moves_where_nobody_can(many: int, data: st.DataObject) -> None:
    table, now, passed_on = Table(()), [0.0], list[float]()
    readers = [Reader(table, lambda: now[0], passed_on) for _ in range(many)]
    for _ in range(3):
        able = data.draw(st.sets(st.sampled_from(range(many))))
        since = now[0]
        idle = 0
        for _ in range(300):
            now[0] += 5.0
            for number, reader in enumerate(readers):
                reader.step(can=number in able)
            table.owners()
            idle = 0 if any(reader.reads for reader in readers) else idle + 1
            assert idle < 2, "the next one takes it in its next round"
            if able and now[0] - since > LONGEST_PAUSE + (PATIENCE + ASKED_EVERY) * many:
                assert any(readers[number].reads for number in able), "one that can read does"
    shorter = log2(LONGEST_PAUSE / FIRST_PAUSE) + 1  # where somebody could for a while, pauses begin anew
    turns = 4500 / LONGEST_PAUSE + 3 * shorter
    assert len(passed_on) <= many * turns
    assert many > 1 or not passed_on


def test_an_agent_that_has_backed_off_reads_where_all_others_have_too_and_gives_it_up_only_by_its_own_will() -> None:
    table = Table(())
    one, two = table.join("one"), table.join("two")
    table.backed_off.add(one)
    assert table.plan(one) == Moves([], [])
    assert table.plan(two).claim == [Owned(READING, None)]
    table.backed_off.add(two)
    table.settle()
    assert table.owned[READING].owner == one
    assert not may_pass_reading_on(one, table.shares())
    table.backed_off.discard(two)
    assert table.plan(one) == Moves([], [])
    assert may_pass_reading_on(one, table.shares())
    table.held[one].clear()  # it was given up, and the answer was lost
    assert table.plan(one) == Moves([], [READING])


def test_reading_stays_where_it_is() -> None:
    table = Table(())
    one = table.join("one")
    table.settle()
    for number in range(5):
        table.join(f"another-{number}")
    assert table.settle() == 0
    assert table.owned[READING].owner == one
