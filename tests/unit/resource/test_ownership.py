"""The owner of `.spec.state` after a state that was set for a moment."""

from typing import Any

from kubectl_sew.resource.ownership import give_back


def entry(manager: str, *fields: str, operation: str = "Update", **more: Any) -> dict[str, Any]:
    spec = {f"f:{field}": {} for field in fields}
    owned = {**({"f:spec": spec} if spec else {}), **more}
    return {"manager": manager, "operation": operation, "apiVersion": "v3", "fieldsV1": owned}


OWNER = entry("argocd", "query", "state", operation="Apply")
NOTES = {"f:metadata": {"f:annotations": {"f:note": {}}}}


def test_the_owner_keeps_the_state_that_another_set_for_a_moment() -> None:
    after = [entry("argocd", "query", operation="Apply"), entry("sew-agent", "state", **NOTES)]
    assert give_back([OWNER], after) == [OWNER, entry("sew-agent", **NOTES)]


def test_an_owner_of_the_state_alone_comes_back_and_one_who_owns_nothing_more_is_gone() -> None:
    owner = entry("argocd", "state", operation="Apply")
    assert give_back([owner], [entry("sew-agent", "state")]) == [owner]


def test_nothing_is_changed_where_the_owner_is_the_same_or_unknown() -> None:
    assert give_back([OWNER], [OWNER, entry("sew-agent", **NOTES)]) is None
    assert give_back([], [entry("sew-agent", "state")]) is None


def test_what_was_given_is_not_changed() -> None:
    before, after = [entry("argocd", "state", operation="Apply")], [entry("sew-agent", "state", "query")]
    give_back(before, after)
    assert after == [entry("sew-agent", "state", "query")]
