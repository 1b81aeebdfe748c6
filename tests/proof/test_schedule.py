"""The faults of a run follow from its seed alone."""

from tests.proof.schedule import COMMON, TROUBLES, Kind, duration, faults, kills

KINDS = {**COMMON, "full": Kind(40.0, (1.0, 2.0))}


def test_a_seed_repeats_its_faults_and_another_one_has_others() -> None:
    def drawn(seed: int) -> object:
        return faults(seed, lasts=60.0, webhooks=5, agents=3, kinds=KINDS), kills(seed, count=20, agents=3)

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_every_kind_comes_within_a_run_and_several_at_once() -> None:
    lasts = duration(100)
    made = faults(1, lasts=lasts, webhooks=20, agents=1, kinds=KINDS)
    assert {fault.kind for fault in made} == KINDS.keys()
    assert {fault.what for fault in made if fault.kind == "trouble"} == set(TROUBLES)
    assert all(0.0 < fault.at <= lasts for fault in made)
    assert list(made) == sorted(made, key=lambda fault: fault.at)
    most = max(sum(other.at <= fault.at < other.at + other.lasts for other in made) for fault in made)
    assert most >= 4


def test_kinds_do_not_change_each_other() -> None:
    alone = faults(1, lasts=60.0, webhooks=5, agents=1, kinds={"full": KINDS["full"]})
    beside = faults(1, lasts=60.0, webhooks=5, agents=1, kinds=KINDS)
    assert list(alone) == [fault for fault in beside if fault.kind == "full"]


def test_every_agent_is_killed_at_work_and_while_it_starts() -> None:
    made = kills(1, count=100, agents=3)
    assert len(made) == 100
    assert {(kill.agent, kill.in_start) for kill in made} == {
        (agent, start) for agent in range(3) for start in (True, False)
    }
