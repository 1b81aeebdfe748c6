"""What an error of a store tells."""

from sew_agent.store.records import StoreHeldError


def test_the_error_of_a_store_that_is_held_says_so_and_who_has_it() -> None:
    error = StoreHeldError("it is used by another agent, one", "one")
    assert (str(error), error.holder) == ("it is used by another agent, one", "one")
