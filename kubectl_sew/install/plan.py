"""An installation: all that its options and its cluster decide."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from kubectl_sew.resource import API_GROUPS, SECRETS_NAMESPACE

NAME = "sew-agent"
"""The name of what is installed, and of the agent's container."""
NAMESPACE = "sew-system"

API_GROUP, FALLBACK_API_GROUP = API_GROUPS
"""The second is for clusters where Calico's aggregated API server serves the first and hides all definitions of it."""


PARTS = ("api", "rights", "agent")
"""The definition of the kind; the agent's service account and its roles, and the roles of people; the agent itself."""


@dataclass(frozen=True, slots=True)
class Host:
    """The Deployment in whose pod the agent is a sidecar, and as whom that acts."""

    name: str
    namespace: str
    service_account: str


@dataclass(frozen=True, slots=True)
class UsableCredentials:
    """A Secret for Elasticsearch in the agent's namespace, and which of its keys are used."""

    secret: str
    keys: tuple[str, ...]


CREDENTIAL_VARIABLES: Mapping[str, str] = {
    "api-key": "SEW_ELASTICSEARCH_API_KEY_FILE",
    "username": "SEW_ELASTICSEARCH_USERNAME_FILE",
    "password": "SEW_ELASTICSEARCH_PASSWORD_FILE",
    "token": "SEW_ELASTICSEARCH_TOKEN_FILE",
    "ca.crt": "SEW_ELASTICSEARCH_CA_FILE",
    "tls.crt": "SEW_ELASTICSEARCH_CLIENT_CERT_FILE",
    "tls.key": "SEW_ELASTICSEARCH_CLIENT_KEY_FILE",
}
"""Key of the Secret -> the agent's setting that names its file."""


EVENT_MAP = f"{NAME}-event-map"
"""ConfigMap in the agent's namespace with the maps of events of other tools."""

STORE_KEY = "url"
"""Key of a Secret with the URL of the PostgreSQL that is the agent's store."""


@dataclass(frozen=True, slots=True)
class InstallPlan:
    """An empty `image` and `claim` are those of the manifests; `crd_group` is None where the API is served already."""

    namespace: str = NAMESPACE
    secrets_namespace: str = SECRETS_NAMESPACE
    create_secrets_namespace: bool = False
    crd_group: str | None = API_GROUP
    defines_exceptions: bool = True
    """False where the cluster has a definition of AlertExceptions that is not ours."""
    image: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Variables of the agent beside those of the manifests, e.g. SEW_ELASTICSEARCH."""
    credentials: UsableCredentials | None = None
    claim: str = ""
    store_secret: str = ""
    """Secret in the agent's namespace with the URL of a PostgreSQL in STORE_KEY; with one there is no claim."""
    replicas: int = 1
    """Agents beside each other; more than one have a PodDisruptionBudget."""
    event_map: str = ""
    """Text of the maps of events of other tools; "" for none."""
    host: Host | None = None
    parts: frozenset[str] = frozenset(PARTS)
