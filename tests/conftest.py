"""What all tests share: examples that repeat, the session's real servers, and what each part of a run took."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.servers.kubernetes import Kubernetes, find, kubernetes
from tests.servers.required import required
from tests.times import Times

settings.register_profile(
    "repeatable",
    derandomize=True,
    deadline=None,  # a busy machine is no failure
    max_examples=150,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Kubernetes]:
    """One API server for all tests of a run: each keeps to names of its own, and leaves it as it was.

    A test that stops the server, or needs it empty, runs its own by `tests.servers.kubernetes.kubernetes`.
    """
    with required(), kubernetes(find()) as server:
        yield server


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Times(), "times")
