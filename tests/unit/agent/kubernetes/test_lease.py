"""Which agent is active: the decision, without network and without clock."""

from typing import Any

import pytest

from sew_agent.kubernetes.lease import (
    LASTS,
    PLACE_ANNOTATION,
    STORE_ANNOTATION,
    Identity,
    Lease,
    LeaseAction,
    decide,
    starts_afresh,
    written,
)

ME, OTHER = Identity("n/me", "mine"), Identity("n/other", "theirs")
NOW = 1_800_000_000.5


def lease(of: Identity, **changes: Any) -> Lease:
    return Lease(
        **{
            "holder": of.holder,
            "store": of.store,
            "renewed": "x",
            "lasts": 10.0,
            "transitions": 3,
            "version": "7",
            **changes,
        }
    )


@pytest.mark.parametrize(
    ("found", "seen_for", "move"),
    [
        (None, 0.0, LeaseAction.CREATE),
        (lease(ME), 0.0, LeaseAction.RENEW),
        (lease(ME), 100.0, LeaseAction.RENEW),
        (lease(OTHER), 9.9, LeaseAction.WAIT),
        (lease(OTHER), 10.0, LeaseAction.TAKE),
        (lease(OTHER, lasts=1.0), 1.0, LeaseAction.TAKE),
        (lease(OTHER, holder=""), 0.0, LeaseAction.TAKE),
        (lease(ME, store="of a volume that was lost"), 0.0, LeaseAction.TAKE),
    ],
)
def test_a_lease_is_taken_when_its_holder_is_silent_for_as_long_as_it_lasts(
    found: Lease | None, seen_for: float, move: LeaseAction
) -> None:
    assert decide(found, ME, seen_for=seen_for) is move


@pytest.mark.parametrize(
    ("found", "afresh"),
    [
        (None, False),
        (lease(ME), False),
        (lease(Identity("n/older-pod", "mine")), False),
        (lease(OTHER), True),
        (lease(ME, store="of a volume that was lost"), True),
    ],
)
def test_only_another_store_before_makes_a_fresh_start(found: Lease | None, afresh: bool) -> None:
    assert starts_afresh(found, ME) is afresh


def test_what_is_written_can_be_read_back() -> None:
    taken = written(lease(OTHER), ME, NOW)
    found = Lease.from_object(taken)
    assert (found.holder, found.store, found.transitions, found.lasts) == ("n/me", "mine", 4, LASTS)
    assert taken["spec"]["renewTime"] == taken["spec"]["acquireTime"] == "2027-01-15T08:00:00.500000Z"
    renewed = written(lease(ME), ME, NOW)
    assert "acquireTime" not in renewed["spec"]
    assert renewed["metadata"]["resourceVersion"] == "7"


def test_a_lease_of_other_software_is_read_too() -> None:
    bare = {"metadata": {"resourceVersion": "1"}, "spec": {"holderIdentity": None}}
    assert Lease.from_object(bare) == Lease("", "", "", LASTS, 0, "1")
    assert STORE_ANNOTATION not in bare["metadata"]


def test_a_place_is_written_where_it_changed_and_read_back() -> None:
    held = lease(ME, place="p")
    assert PLACE_ANNOTATION not in written(held, ME, NOW)["metadata"]["annotations"]
    assert PLACE_ANNOTATION not in written(held, ME, NOW, place="p")["metadata"]["annotations"]
    moved = written(held, ME, NOW, place="q")
    moved["metadata"]["resourceVersion"] = "8"
    assert Lease.from_object(moved).place == "q"
