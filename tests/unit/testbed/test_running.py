"""How long the tests wait for real programs on a machine that has other things to do."""

import os

import pytest

from testbed.servers.running import slowness


@pytest.mark.parametrize(("load", "slower"), [(0.0, 1.0), (2.0, 1.0), (5.0, 2.5)])
def test_a_limit_is_stretched_where_more_wants_to_run_than_can(
    load: float, slower: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 9.0, 9.0))
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert slowness() == slower
