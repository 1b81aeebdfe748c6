"""The resource SecurityEventWebhook: its data, its manifests, what its references stand for, its conditions.

Pure: no network, no clock, no files. The consumers and the query language are not known here: what combines the three
is `kubectl_sew.validation`. PyYAML is loaded only by who loads manifests.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from kubectl_sew.resource.conditions import (
    Condition,
    DeliveringReason,
    FetchedReason,
    HealthyReason,
    checkpoint,
    delivering,
    describe_backlog,
    events_fetched,
    healthy,
    merge,
    read_to,
    write_due,
)
from kubectl_sew.resource.effective import (
    BEGIN_ANNOTATION,
    CONDITIONS_ANNOTATION,
    END_ANNOTATION,
    STATE_ANNOTATION,
    Deliverer,
    State,
)
from kubectl_sew.resource.findings import CODES, Finding
from kubectl_sew.resource.labels import parse_labels
from kubectl_sew.resource.model import (
    API_GROUPS,
    API_VERSIONS,
    DEFAULT_TEST_EVENT,
    KIND,
    LABELS_ANNOTATION,
    PLURAL,
    RECIPE_ANNOTATION,
    SECRETS_NAMESPACE,
    TEST_EVENT_ANNOTATION,
    TEST_REQUESTED_ANNOTATION,
    TEST_RESULT_ANNOTATION,
    ConfigVar,
    Reference,
    Webhook,
    to_object,
)
from kubectl_sew.resource.references import Objects, Unresolved, resolve
from kubectl_sew.resource.structure import Located, Path, check_structure, show_path

if TYPE_CHECKING:
    from kubectl_sew.resource.manifests import LocatedWebhook, Manifests, load_manifests, load_many

__all__ = [
    "API_GROUPS",
    "API_VERSIONS",
    "BEGIN_ANNOTATION",
    "CODES",
    "CONDITIONS_ANNOTATION",
    "DEFAULT_TEST_EVENT",
    "END_ANNOTATION",
    "KIND",
    "LABELS_ANNOTATION",
    "PLURAL",
    "RECIPE_ANNOTATION",
    "SECRETS_NAMESPACE",
    "STATE_ANNOTATION",
    "TEST_EVENT_ANNOTATION",
    "TEST_REQUESTED_ANNOTATION",
    "TEST_RESULT_ANNOTATION",
    "Condition",
    "ConfigVar",
    "Deliverer",
    "DeliveringReason",
    "FetchedReason",
    "Finding",
    "HealthyReason",
    "Located",
    "LocatedWebhook",
    "Manifests",
    "Objects",
    "Path",
    "Reference",
    "State",
    "Unresolved",
    "Webhook",
    "check_structure",
    "checkpoint",
    "delivering",
    "describe_backlog",
    "events_fetched",
    "healthy",
    "load_manifests",
    "load_many",
    "merge",
    "parse_labels",
    "read_to",
    "resolve",
    "show_path",
    "to_object",
    "write_due",
]

_WITH_YAML = ("LocatedWebhook", "Manifests", "load_manifests", "load_many")


def __getattr__(name: str) -> Any:
    if name not in _WITH_YAML:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.manifests"), name)
