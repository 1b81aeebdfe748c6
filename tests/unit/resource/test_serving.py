"""The API that serves the kind."""

from collections.abc import Mapping
from typing import Any

import pytest

from kubectl_sew.resource.serving import Served, discover

V3, V1 = "projectcalico.org/v3", "crd.projectcalico.org/v1"


def listing(*names: str) -> Mapping[str, Any]:
    return {"resources": [{"name": name} for name in names]}


OURS = listing("securityeventwebhooks", "securityeventwebhooks/status")


@pytest.mark.parametrize(
    ("served", "only", "served_as"),
    [
        ({V3: OURS, V1: OURS}, "", Served(V3, True)),
        ({V3: listing("globalalerts"), V1: OURS}, "", Served(V1, True)),
        ({V1: OURS}, "", Served(V1, True)),
        ({V3: listing("securityeventwebhooks")}, "", Served(V3, False)),
        ({V3: OURS, V1: OURS}, "crd.projectcalico.org", Served(V1, True)),
        ({V3: OURS, V1: OURS}, V1, Served(V1, True)),
        ({V3: OURS}, "crd.projectcalico.org", None),
        ({}, "", None),
        ({V3: {}}, "", None),
    ],
)
def test_the_first_group_that_serves_the_kind_counts(
    served: Mapping[str, Mapping[str, Any]], only: str, served_as: Served | None
) -> None:
    assert discover(served.get, only) == served_as


def test_the_status_is_written_where_it_is_served() -> None:
    assert Served(V3, True).status_of("a") == f"/apis/{V3}/securityeventwebhooks/a/status"
    assert Served(V3, False).status_of("a") == f"/apis/{V3}/securityeventwebhooks/a"
