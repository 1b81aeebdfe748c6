"""Connections that are kept: which one is taken again, and which one is closed for another."""

import socket
from collections.abc import Iterator

import pytest

from sew_agent.delivery.http.connection import Connection
from sew_agent.delivery.http.event_loop import Steps
from sew_agent.delivery.http.pool import CONNECTION_LIFE, IDLE_LIFE, STALLED, ConnectionPool, PooledConnection

ENDS = 10_000.0


class Pool:
    """A pool with a clock that the test sets, and the connections that the test has opened."""

    def __init__(self, most_idle: int = 8) -> None:
        self.now = 1_000.0
        self.pool = ConnectionPool(most_idle, lambda: self.now)
        self._ends: list[socket.socket] = []
        self._waits: list[Steps[None]] = []
        """What nobody holds would end."""

    def opened(self, *, served: bool = False, after: float = 1.0) -> PooledConnection:
        self.now += after
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._ends += [ours, theirs]
        return PooledConnection(Connection(ours), self.now, self.now, served)

    def kept(self, target: str) -> PooledConnection:
        connection = self.opened()
        self.pool.give_back(target, connection)
        return connection

    def waits(self, target: str, connection: PooledConnection) -> Steps[None]:
        """Begin to wait for an answer, until the connection counts as stalled."""
        steps = self.pool.await_answer(target, connection, ENDS)
        wait = next(steps)
        assert (wait.until, wait.sockets) == (self.now + STALLED, (connection.connection.sock,))
        self.now = wait.until
        steps.send(())
        self._waits.append(steps)
        return steps

    def close(self) -> None:
        for end in self._ends:
            end.close()


def is_open(connection: PooledConnection) -> bool:
    return connection.connection.sock.fileno() >= 0


@pytest.fixture
def made() -> Iterator[Pool]:
    pool = Pool()
    yield pool
    pool.close()


def test_the_connection_that_was_used_last_is_taken_first_and_each_once(made: Pool) -> None:
    first, second = made.kept("a"), made.kept("a")
    assert [made.pool.take(target) for target in ("b", "a", "a", "a")] == [None, second, first, None]


@pytest.mark.parametrize(("idle", "kept"), [(IDLE_LIFE - 0.1, True), (IDLE_LIFE, False)])
def test_a_connection_is_kept_for_less_than_receivers_keep_it(made: Pool, idle: float, kept: bool) -> None:
    connection = made.kept("a")
    made.now += idle
    assert (made.pool.take("a") is connection, is_open(connection)) == (kept, kept)


@pytest.mark.parametrize(("age", "kept"), [(CONNECTION_LIFE - 0.1, True), (CONNECTION_LIFE, False)])
def test_a_connection_has_an_end_however_often_it_is_used(made: Pool, age: float, kept: bool) -> None:
    connection = made.opened()
    made.now = connection.opened + age
    made.pool.give_back("a", connection)
    assert (made.pool.take("a") is connection, is_open(connection)) == (kept, kept)


def test_of_all_receivers_together_no_more_are_kept_than_there_may_be(made: Pool) -> None:
    pool = Pool(most_idle=2)
    kept = [pool.kept(target) for target in ("a", "b", "c")]
    assert [is_open(connection) for connection in kept] == [True, True, False]
    assert pool.pool.take("a") is kept[0]
    assert is_open(pool.kept("c")), "its place is free"
    pool.now += IDLE_LIFE
    pool.pool.sweep()
    assert [is_open(pool.kept(target)) for target in ("a", "b", "c")] == [True, True, False]
    pool.waits("a", pool.opened())
    assert is_open(pool.kept("c")), "one of `a` was closed for another"
    assert not is_open(pool.kept("c"))
    pool.close()


def test_a_taken_connection_leaves_one_place_and_closed_ones_leave_theirs() -> None:
    pool = Pool(most_idle=3)
    for _ in range(3):
        pool.kept("a")
    pool.pool.take("a")
    assert [is_open(pool.kept("b")) for _ in range(2)] == [True, False]
    pool.waits("a", pool.opened())
    assert [is_open(pool.kept("c")) for _ in range(3)] == [True, True, False]
    pool.close()


def test_a_stalled_request_closes_what_is_idle_at_its_receiver_alone_again_and_again(made: Pool) -> None:
    idle, other = made.kept("a"), made.kept("b")
    steps = made.waits("a", made.opened())
    assert (is_open(idle), is_open(other)) == (False, True)
    made.pool.give_back("b", made.opened())
    again = made.opened(after=-2.5)
    made.pool.give_back("a", again)
    made.now += 2.5 + STALLED
    steps.send(())
    assert not is_open(again)


def test_a_request_that_is_answered_in_time_closes_nothing(made: Pool) -> None:
    idle, connection = made.kept("a"), made.opened()
    steps = made.pool.await_answer("a", connection, ENDS)
    next(steps)
    with pytest.raises(StopIteration):
        steps.send((connection.connection.sock,))
    assert is_open(idle)


def test_a_stalled_request_that_is_answered_closes_no_more(made: Pool) -> None:
    connection = made.opened()
    steps = made.waits("a", connection)
    with pytest.raises(StopIteration):
        steps.send((connection.connection.sock,))
    kept = [made.kept("a"), made.kept("a")]
    assert all(map(is_open, kept)), "nobody waits any more"


def test_nobody_waits_longer_than_the_request_may_last(made: Pool) -> None:
    connection = made.opened()
    steps = made.pool.await_answer("a", connection, made.now + 0.2)
    assert next(steps).until == made.now + 0.2
    made.now += 0.2
    with pytest.raises(StopIteration):
        steps.send(())


def test_a_connection_that_is_served_waits_for_no_end_of_another(made: Pool) -> None:
    idle, connection = made.kept("a"), made.opened(served=True)
    steps = made.pool.await_answer("a", connection, ENDS)
    assert next(steps).until == ENDS
    with pytest.raises(StopIteration):
        steps.send(())
    assert is_open(idle)


def test_a_connection_that_is_older_than_one_that_was_answered_waits_for_no_end(made: Pool) -> None:
    """Connections are accepted in the order in which they were opened."""
    old = made.opened()
    idle = made.kept("a")
    steps = made.pool.await_answer("a", old, ENDS)
    next(steps)
    made.now += STALLED
    with pytest.raises(StopIteration):
        steps.send(())
    assert is_open(idle)
    other = made.kept("b")
    made.waits("b", made.opened())
    assert not is_open(other), "of another receiver nothing is known by that"


def test_a_connection_that_another_may_wait_for_is_spared_once(made: Pool) -> None:
    one = made.opened()
    made.waits("a", made.opened())
    made.pool.give_back("a", one)
    assert made.pool.take("a") is one
    made.pool.give_back("b", other := made.opened())
    assert is_open(other)
    made.pool.give_back("a", one)
    assert not is_open(one)


def test_a_connection_that_was_spared_is_kept_when_nobody_waits_any_more(made: Pool) -> None:
    one, stalled = made.opened(), made.opened()
    steps = made.waits("a", stalled)
    made.pool.give_back("a", one)
    assert made.pool.take("a") is one
    with pytest.raises(StopIteration):
        steps.send((stalled.connection.sock,))
    made.pool.give_back("a", one)
    assert made.pool.take("a") is one
    made.waits("a", made.opened())
    made.pool.give_back("a", one)
    assert not is_open(one), "it was spared before"


@pytest.mark.parametrize(("target", "older"), [("b", False), ("a", True)], ids=["another receiver", "an older one"])
def test_a_connection_whose_end_nobody_waits_for_is_kept_again_and_again(made: Pool, target: str, older: bool) -> None:
    """Somebody waits, but at another receiver, or on a connection that was opened before."""
    stalled, one = made.opened(), made.opened()
    made.waits(target, stalled if older else made.opened())
    for _ in range(2):
        made.pool.give_back("a", one)
        assert made.pool.take("a") is one


def test_a_connection_that_was_answered_is_served_from_then_on(made: Pool) -> None:
    connection = made.kept("a")
    assert made.pool.take("a") is connection
    assert next(made.pool.await_answer("a", connection, ENDS)).until == ENDS


def test_idle_connections_are_closed_in_time_and_looked_at_once_in_three_seconds(made: Pool) -> None:
    made.pool.sweep()
    old = made.kept("a")
    fresh = made.opened(after=IDLE_LIFE)
    made.pool.give_back("a", fresh)
    made.pool.sweep()
    assert (is_open(old), is_open(fresh)) == (False, True)
    other = made.opened(after=0.0)
    other.opened -= CONNECTION_LIFE - 0.1
    made.pool.give_back("b", other)
    made.now += IDLE_LIFE - 0.1
    made.pool.sweep()
    assert (is_open(other), is_open(fresh)) == (True, True)
    made.now += 0.1
    made.pool.sweep()
    assert (is_open(other), is_open(fresh)) == (False, False)


def test_what_was_answered_is_remembered_while_somebody_waits_there(made: Pool) -> None:
    old = made.opened()
    made.kept("a")
    made.waits("a", made.opened())
    made.now += IDLE_LIFE
    made.pool.sweep()
    idle = made.opened()
    idle.opened = 0.5
    made.pool.give_back("a", idle)
    steps = made.pool.await_answer("a", old, ENDS)
    next(steps)
    made.now += STALLED
    with pytest.raises(StopIteration):
        steps.send(())
    assert is_open(idle)


def test_a_pool_that_is_closed_keeps_nothing(made: Pool) -> None:
    idle = made.kept("a")
    made.pool.close()
    assert (is_open(idle), is_open(made.kept("a"))) == (False, False)
