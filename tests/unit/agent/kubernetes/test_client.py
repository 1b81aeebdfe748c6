"""The errors of the API server, by what they mean."""

import pytest

from sew_agent.kubernetes.client import (
    ApiError,
    ConflictError,
    ForbiddenError,
    GoneError,
    InvalidError,
    NotFoundError,
    UnauthorizedError,
    error_of,
)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidError),
        (401, UnauthorizedError),
        (403, ForbiddenError),
        (404, NotFoundError),
        (409, ConflictError),
        (410, GoneError),
        (422, InvalidError),
        (429, ApiError),
        (500, ApiError),
    ],
)
def test_a_status_is_an_error_of_its_kind(status: int, kind: type[ApiError]) -> None:
    error = error_of("it is so", status)
    assert (type(error), str(error)) == (kind, "it is so")


def test_a_missing_right_is_named_with_what_to_do() -> None:
    error = error_of("leases is forbidden", 403)
    assert isinstance(error, ForbiddenError)
    assert error.advice == "leases is forbidden: grant it as manifests/base/rbac.yaml does"
