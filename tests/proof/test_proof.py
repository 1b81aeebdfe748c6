"""A small proof of each set-up; `make prove` runs it at any size."""

from pathlib import Path

import pytest

from testbed.servers.required import required
from tests.proof.elasticsearch import InCluster
from tests.proof.files import Files
from tests.proof.judge import judge
from tests.proof.oracle import Oracle, say
from tests.proof.postgresql import WithPostgresql
from tests.proof.setup import Setup
from tests.proof.verdict import Verdict

SEED = 1


def verdict_of(setup: Setup, folder: Path, *, events: int = 400, webhooks: int = 5, kills: int = 4) -> Verdict:
    oracle = Oracle(setup, seed=SEED, events=events, webhooks=webhooks, kills=kills, say=say)
    return judge(oracle.run(folder), oracle.limits)


def test_nothing_is_lost_altered_doubled_or_early_with_files(tmp_path: Path) -> None:
    verdict = verdict_of(Files(), tmp_path)
    assert not verdict.violations
    assert verdict.figures["must"] > 400
    assert verdict.figures["digests"]
    assert verdict.figures["faults: kill"] == 4


@pytest.mark.server
@pytest.mark.parametrize("setup", [InCluster, WithPostgresql])
def test_nothing_is_lost_altered_doubled_or_early_in_a_cluster(setup: type[InCluster], tmp_path: Path) -> None:
    with required():
        verdict = verdict_of(setup(), tmp_path)
    assert not verdict.violations
    assert verdict.figures["must"] > 200
    assert verdict.figures["digests"]
    assert verdict.figures["faults: kill"] == 4
