"""The AlertExceptions of a cluster, in whichever group it serves them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kubectl_sew.exceptions import accept_exception
from kubectl_sew.kubectl import Kubectl
from kubectl_sew.query import ANY
from kubectl_sew.resource.exceptions import EXCEPTION_PLURAL, AlertException, problem_of
from kubectl_sew.resource.serving import Served, discover


@dataclass(frozen=True, slots=True)
class ClusterException:
    """An exception of the cluster, and why it suppresses nothing, as far as that can be seen without an agent."""

    exception: AlertException
    broken: str = ""


def served_exceptions(kubectl: Kubectl, group: str = "") -> Served | None:
    """Return the API that serves the kind, the first group before the second, or only this one. Raises KubectlError."""
    return discover(lambda version: kubectl.find(f"/apis/{version}"), group, EXCEPTION_PLURAL)


def read_exceptions(kubectl: Kubectl, group: str = "") -> tuple[ClusterException, ...]:
    """Return all of them, none where the cluster does not serve the kind. Raises KubectlError."""
    served = served_exceptions(kubectl, group)
    objects = (kubectl.get(served.path).get("items") or ()) if served else ()
    return tuple(map(_read, objects))


def _read(obj: Mapping[str, Any]) -> ClusterException:
    exception = AlertException.from_object(obj)
    accepted = accept_exception(exception, ANY)
    return ClusterException(exception, problem_of(obj) or (accepted if isinstance(accepted, str) else ""))
