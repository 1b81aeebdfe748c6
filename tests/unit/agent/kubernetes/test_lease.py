"""The decision which agent is the leader, without network and without clock."""

from dataclasses import replace
from typing import Any

import pytest

from kubectl_sew.resource.effective import BESIDE_CALICO_ANNOTATION
from sew_agent.kubernetes.lease import (
    LEASE_DURATION,
    POSITION_ANNOTATION,
    STORE_ANNOTATION,
    Identity,
    Lease,
    LeaseAction,
    decide,
    held_with_another_store,
    lease_object,
)

ME, OTHER = Identity("n/me", "mine"), Identity("n/other", "theirs")
NOW = 1_800_000_000.5


def lease(of: Identity, **changes: Any) -> Lease:
    return Lease(
        **{
            "holder": of.holder,
            "store": of.store,
            "renewed": "x",
            "duration": 10.0,
            "transitions": 3,
            "version": "7",
            **changes,
        }
    )


@pytest.mark.parametrize(
    ("observed", "observed_for", "action"),
    [
        (None, 0.0, LeaseAction.CREATE),
        (lease(ME), 0.0, LeaseAction.RENEW),
        (lease(ME), 100.0, LeaseAction.RENEW),
        (lease(OTHER), 9.9, LeaseAction.WAIT),
        (lease(OTHER), 10.0, LeaseAction.ACQUIRE),
        (lease(OTHER, duration=1.0), 1.0, LeaseAction.ACQUIRE),
        (lease(OTHER, holder=""), 0.0, LeaseAction.ACQUIRE),
        (lease(ME, store="of a volume that was lost"), 0.0, LeaseAction.ACQUIRE),
    ],
)
def test_a_lease_is_acquired_when_its_holder_has_not_renewed_it_for_its_duration(
    observed: Lease | None, observed_for: float, action: LeaseAction
) -> None:
    assert decide(observed, ME, observed_for=observed_for) is action


@pytest.mark.parametrize(
    ("observed", "another"),
    [
        (None, False),
        (lease(ME), False),
        (lease(Identity("n/older-pod", "mine")), False),
        (lease(OTHER), True),
        (lease(ME, store="of a volume that was lost"), True),
    ],
)
def test_only_another_store_before_makes_a_failover(observed: Lease | None, another: bool) -> None:
    assert held_with_another_store(observed, ME) is another


def test_a_lease_that_is_written_can_be_read_back() -> None:
    obj = lease_object(lease(OTHER), ME, NOW)
    acquired = Lease.from_object(obj)
    assert (acquired.holder, acquired.store, acquired.transitions, acquired.duration) == (
        "n/me",
        "mine",
        4,
        LEASE_DURATION,
    )
    assert obj["spec"]["renewTime"] == obj["spec"]["acquireTime"] == "2027-01-15T08:00:00.500000Z"
    renewed = lease_object(lease(ME), ME, NOW)
    assert "acquireTime" not in renewed["spec"]
    assert renewed["metadata"]["resourceVersion"] == "7"


def test_a_lease_of_other_software_is_read_too() -> None:
    bare = {"metadata": {"resourceVersion": "1"}, "spec": {"holderIdentity": None}}
    assert Lease.from_object(bare) == Lease("", "", "", LEASE_DURATION, 0, "1")
    assert STORE_ANNOTATION not in bare["metadata"]


def test_a_position_is_written_where_it_changed_and_read_back() -> None:
    held = lease(ME, position="p")
    assert POSITION_ANNOTATION not in lease_object(held, ME, NOW)["metadata"]["annotations"]
    assert POSITION_ANNOTATION not in lease_object(held, ME, NOW, position="p")["metadata"]["annotations"]
    moved = lease_object(held, ME, NOW, position="q")
    moved["metadata"]["resourceVersion"] = "8"
    assert Lease.from_object(moved).position == "q"


@pytest.mark.parametrize("beside_calico", [True, False])
def test_the_lease_says_whether_its_holder_leaves_webhooks_to_calicos_processor(beside_calico: bool) -> None:
    obj = lease_object(lease(OTHER), replace(ME, beside_calico=beside_calico), NOW)
    assert obj["metadata"]["annotations"][BESIDE_CALICO_ANNOTATION] == str(beside_calico).lower()
