"""Asks an API server what its admission policies say of an object."""

import json
from collections.abc import Mapping
from typing import Any

from testbed.servers.kubernetes import Kubernetes
from tests.waiting import eventually


def refusal(cluster: Kubernetes, obj: Mapping[str, Any]) -> str:
    """Return why the server would refuse the object; "" where it would take it."""
    done = cluster.try_kubectl("apply", "--dry-run=server", "-f", "-", stdin=json.dumps(obj))
    assert (done.returncode != 0) == bool(done.stderr), done.stdout
    return done.stderr


def eventually_served(cluster: Kubernetes, refused: Mapping[str, Any]) -> None:
    """Wait until a policy that refuses the object holds: the server learns of it a moment after it was applied."""
    eventually(lambda: "ValidatingAdmissionPolicy" in refusal(cluster, refused), "the policy holds")
