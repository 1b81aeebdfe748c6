"""The keeper of the Lease over an API server that is made up, by a clock that is moved by hand."""

import io
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from sew_agent.base.log import Log
from sew_agent.kubernetes.client import ApiError
from sew_agent.kubernetes.leader_election import LeaderElector
from sew_agent.kubernetes.lease import LASTS, Identity
from sew_agent.kubernetes.problems import Problems
from tests.waiting import eventually


class Server:
    """Holds one Lease. `away`: it cannot be reached."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] = {}
        self.away = False
        self.asked = 0

    def quick(self, _seconds: float) -> "Server":
        return self

    def get(self, _path: str) -> dict[str, Any]:
        self._reach()
        if not self.lease:
            raise ApiError("not found", 404)
        return self.lease

    def create(self, _path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self.patch("", body)

    def patch(self, _path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        self._reach()
        self.lease = {**body, "metadata": {**body["metadata"], "resourceVersion": "1"}}
        return self.lease

    def _reach(self) -> None:
        self.asked += 1
        if self.away:
            raise ApiError("away")


class Kept:
    """A keeper that looks whenever it is let."""

    def __init__(self, lease: Mapping[str, Any] | None = None) -> None:
        self.now = 1_000.0
        self.server = Server()
        self.server.lease = dict(lease or {})
        log = Log(io.StringIO(), lambda: 0.0)
        self.elector = LeaderElector(
            self.server,  # type: ignore[arg-type]  # as much of one as it asks
            "n",
            Identity("n/me", "mine"),
            Problems(log),
            log,
            afresh=lambda: None,
            beat=lambda: None,
            clock=self._clock,
        )
        self.elector.start()
        eventually(lambda: self.elector.sure, "it has the Lease")

    def _clock(self) -> float:
        """What is not moved by hand goes on by a second at each look."""
        self.now += 0.5 if self.server.lease.get("spec", {}).get("holderIdentity") == "n/gone" else 0.0
        return self.now

    def look(self) -> None:
        asked = self.server.asked
        eventually(lambda: self.server.asked > asked + 2, "it looks")


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    monkeypatch.setattr("sew_agent.kubernetes.leader_election.RETRY_EVERY", 0.01)
    made = Kept()
    yield made
    made.elector.release()


def test_a_holder_that_paused_for_as_long_as_the_lease_lasts_is_sure_again_when_it_has_looked(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    sure: list[bool] = []
    get = kept.server.get

    def pause(path: str) -> dict[str, Any]:
        if not sure:
            kept.now += LASTS
            sure.append(kept.elector.sure)
        return get(path)

    monkeypatch.setattr(kept.server, "get", pause)
    eventually(lambda: sure, "it pauses")
    assert sure == [False]
    eventually(lambda: kept.elector.sure, "it has looked")


def test_a_holder_that_finds_anothers_name_is_not_sure(kept: Kept) -> None:
    spec = {"holderIdentity": "n/thief", "renewTime": "2030-01-01T00:00:00Z", "leaseDurationSeconds": 3600}
    kept.server.lease = {"metadata": {"annotations": {}, "resourceVersion": "2"}, "spec": spec}
    eventually(lambda: not kept.elector.sure, "it finds the thief")


def test_a_holder_that_cannot_reach_the_api_server_stays_sure(kept: Kept) -> None:
    kept.server.away = True
    for _ in range(3):
        kept.now += LASTS / 2
        kept.look()
        assert kept.elector.sure


def test_a_lease_that_its_holder_let_go_of_is_looked_at_again_when_its_short_time_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sew_agent.kubernetes.leader_election.RETRY_EVERY", 3600.0)
    spec = {"holderIdentity": "n/gone", "renewTime": "2026-01-01T00:00:00Z", "leaseDurationSeconds": 1}
    kept = Kept({"metadata": {"annotations": {}, "resourceVersion": "2"}, "spec": spec})
    kept.elector.release()
