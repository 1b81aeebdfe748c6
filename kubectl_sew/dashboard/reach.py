"""What the pages are about: webhooks and their agent, wherever they are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from kubectl_sew.check.verdict import CheckOutcome
from kubectl_sew.cluster.exceptions import ClusterException
from kubectl_sew.cluster.webhook_details import AgentReport, WebhookDetails
from kubectl_sew.resource import Finding, State, Webhook

Step = Callable[[str], None]
"""Takes the name of what is asked for next."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """All webhooks, and what their agent reports, at one moment."""

    webhooks: tuple[Webhook, ...]
    agent: AgentReport


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A whole diagnosis: outcomes of checks, or the agent's own text where there is no cluster to check."""

    outcomes: tuple[CheckOutcome, ...] = ()
    text: str = ""
    findings: tuple[Finding, ...] = ()
    """What `validate` says of the manifests."""


class Reach(Protocol):
    """A cluster, or an agent on files. Every method raises SewError where it is out of reach."""

    @property
    def place(self) -> str:
        """Return what it is, for people."""

    @property
    def changes_webhooks(self) -> bool:
        """Return whether webhooks can be changed and tested from here; manifests in files are their owner's."""

    def fleet(self) -> Fleet:
        """Read all webhooks."""

    def details(self, name: str) -> WebhookDetails:
        """Read all of one webhook."""

    def findings(self, webhook: Webhook) -> Sequence[Finding]:
        """Return what `validate` says of a webhook, by itself."""

    def exceptions(self) -> tuple[ClusterException, ...]:
        """Read all AlertExceptions."""

    def diagnose(self, step: Step) -> Diagnosis:
        """Make all checks."""

    def ask_agent(self, *command: str) -> str:
        """Return the output of one of the commands of the agent."""

    def agent_command(self, webhook: str, *command: str) -> str:
        """Return what a person types for `sew-agent COMMAND` about a webhook: see `kubectl_sew.dashboard.actions`."""

    def trace_command(self, event: str) -> str:
        """Return what a person types to know what became of an event."""

    def plugin_command(self, *words: str) -> str:
        """Return what a person types for `kubectl sew WORDS`."""

    def set_state(self, name: str, state: State) -> str:
        """Set a webhook's state, and return what was done."""

    def test(self, name: str) -> str:
        """Have the agent send a sample, and return the receiver's answer."""

    def create(self, webhook: Webhook) -> str:
        """Create a webhook, and return what was done."""
