"""Skip a test on a person's machine, and fail it in CI, where the real server that it needs is missing."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from testbed.servers.building import UnavailableError


@contextmanager
def required() -> Iterator[None]:
    """Wrap the start of a server in a fixture. pytest's last lines then name what was skipped, and why."""
    try:
        yield
    except UnavailableError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
