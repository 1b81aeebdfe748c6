"""Facts that the checks judge, as read from a cluster at one moment."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from kubectl_sew.check.pods import AgentPod
from kubectl_sew.check.rights import Right
from kubectl_sew.cluster.agent import Holder
from kubectl_sew.cluster.exceptions import ClusterException
from kubectl_sew.cluster.objects import Held
from kubectl_sew.cluster.webhook_details import AgentReport
from kubectl_sew.install.holders import Account
from kubectl_sew.install.plan import NAME, NAMESPACE
from kubectl_sew.resource import API_GROUPS, SECRETS_NAMESPACE, Deliverer, Webhook
from kubectl_sew.resource.serving import Served


@dataclass(frozen=True, slots=True)
class Unknown:
    """A fact that could not be found out."""

    why: str


NOT_SERVED = Unknown("the cluster does not serve the kind")


@dataclass(frozen=True, slots=True)
class Definition:
    """A custom resource definition of the kind: whether it is ours, and of which version."""

    group: str
    ours: bool
    version: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """Times are in seconds. What one fact needs of another that is unknown is unknown too."""

    plugin_version: str
    secrets_namespace: str
    server_version: str = ""
    unreachable: str = ""
    """Reason why the API server cannot be asked at all: then nothing else is known."""
    clock_ahead: float | Unknown = 0.0
    """Seconds by which this machine's clock is ahead of the API server's."""
    now: float | None = None
    """The time of the API server's clock (epoch seconds); None where that is not known."""

    served: tuple[Served, ...] | Unknown = ()
    """The APIs that serve the kind; the first is used."""
    definitions: tuple[Definition, ...] | Unknown = ()
    aggregated: str | Unknown = ""
    """The Service behind which Calico's API server serves the group projectcalico.org, "" without one."""
    namespace_exists: bool | Unknown = True
    """The Secrets' namespace."""
    processor: str | Unknown = ""
    """The place of Calico's own processor, "" where it does not run."""

    holder: Holder | Unknown = Unknown("")
    accounts: tuple[Account, ...] | Unknown = ()
    """Service accounts that the agent's rights are bound to."""
    pods: tuple[AgentPod, ...] | Unknown = ()
    agent: AgentReport = field(default_factory=lambda: AgentReport(unknown="there is none to ask"))
    agent_clock_ahead: float | None = None
    """Seconds by which the agent's clock is ahead of the API server's; None where that is not known."""

    webhooks: tuple[Webhook, ...] | Unknown = ()
    elsewhere: tuple[str, ...] | Unknown = ()
    """Names of webhooks in a group that is not the one used."""
    exceptions: tuple[ClusterException, ...] | Unknown = ()
    held: Held | Unknown = field(default_factory=Held)
    own_rights: Mapping[Right, bool] | Unknown = field(default_factory=dict)
    agent_rights: Mapping[Right, bool] | Unknown = field(default_factory=dict)

    @property
    def beside_calico(self) -> bool:
        """Whether the active agent leaves to Calico's processor what that delivers."""
        return isinstance(self.holder, Holder) and self.holder.beside_calico

    @property
    def left_to_calico(self) -> tuple[Webhook, ...]:
        """The webhooks that the active agent leaves to Calico's processor."""
        webhooks = () if isinstance(self.webhooks, Unknown) else self.webhooks
        by_calico = Deliverer.CALICO
        return tuple(hook for hook in webhooks if hook.delivered_by(beside_calico=self.beside_calico) is by_calico)

    @property
    def api_group(self) -> str:
        """The one used, or that would be."""
        return API_GROUPS[0] if isinstance(self.served, Unknown) or not self.served else self.served[0].group

    @property
    def install(self) -> str:
        """The command that installs what is missing in this cluster, also where nothing of ours is there yet."""
        missing = self.namespace_exists is False
        elsewhere = self.secrets_namespace != SECRETS_NAMESPACE
        return (
            "kubectl sew install --apply --image IMAGE --elasticsearch URL"
            + (" --create-namespace" if missing else "")
            + (f" --secrets-namespace {shlex.quote(self.secrets_namespace)}" if elsewhere else "")
        )

    @property
    def account(self) -> Account:
        """The service account of the agent, or that an installation would give it."""
        pods = () if isinstance(self.pods, Unknown) else self.pods
        active = [pod.account for pod in pods if str(pod) == str(self.holder)]
        bound = () if isinstance(self.accounts, Unknown) else self.accounts
        return next(iter((*active, *(pod.account for pod in pods), *bound)), Account(NAMESPACE, NAME))
