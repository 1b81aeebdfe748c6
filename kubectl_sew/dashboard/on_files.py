"""An agent on files: `sew-agent` commands on its state folder, and the manifests that it was given."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kubectl_sew.cli.files import read_sources
from kubectl_sew.cluster.agent import AgentError, read_status
from kubectl_sew.cluster.exceptions import ClusterException
from kubectl_sew.cluster.objects import Held
from kubectl_sew.cluster.webhook_details import AgentReport, WebhookDetails, read_agent_report, resolve_references
from kubectl_sew.consumers.registry import CONSUMERS
from kubectl_sew.dashboard.in_cluster import findings_of
from kubectl_sew.dashboard.reach import Diagnosis, Fleet, Step
from kubectl_sew.errors import SewError
from kubectl_sew.exceptions import accept_exception, usable
from kubectl_sew.pages import pip_install
from kubectl_sew.query import ANY, FieldSet
from kubectl_sew.resource import SECRETS_NAMESPACE, Condition, Finding, State, Webhook
from kubectl_sew.resource.effective import read_state
from kubectl_sew.resource.exceptions import AlertException
from kubectl_sew.resource.manifests import Manifests, load_many
from kubectl_sew.validation.manifests import validate_manifests

_SECONDS = 60.0
"""Seconds for one command of the agent."""
_OWNER = "the webhooks of an agent on files are changed in their manifests: the agent takes a change within 2 s"


class FilesReach:
    """A state folder of an agent, and the folder or file of its manifests, where that is known."""

    changes_webhooks = False

    def __init__(self, state: Path, manifests: Path | None, fields: FieldSet) -> None:
        self._state = state
        self._folder = manifests
        self._fields = fields

    @property
    def place(self) -> str:
        return f"the agent with the state {self._state}"

    def fleet(self) -> Fleet:
        agent = self._report()
        manifests = self._manifests()
        known = {located.name: located.webhook for located in manifests.webhooks}
        names = known if self._folder else agent.rows
        return Fleet(tuple(_webhook(name, known.get(name), agent.rows.get(name)) for name in names), agent)

    def details(self, name: str) -> WebhookDetails:
        fleet = self.fleet()
        found = next((webhook for webhook in fleet.webhooks if webhook.name == name), None)
        if found is None:
            raise SewError(f"there is no webhook {name} here: the overview lists those that there are")
        manifests = self._manifests()
        values = {("Secret", key): held for key, held in manifests.secrets.items()}
        values |= {("ConfigMap", key): held for key, held in manifests.config_maps.items()}
        return WebhookDetails(found, SECRETS_NAMESPACE, resolve_references(found, Held(values)), fleet.agent)

    def findings(self, webhook: Webhook) -> Sequence[Finding]:
        return findings_of(webhook, self._fields) if self._folder else ()

    def exceptions(self) -> tuple[ClusterException, ...]:
        good, broken = usable(self._manifests().exceptions)
        accepted = {name: accept_exception(exception, ANY) for name, exception in good.items()}
        whole = [ClusterException(good[name], why if isinstance(why, str) else "") for name, why in accepted.items()]
        return (*whole, *(ClusterException(AlertException(name, ""), why) for name, why in broken.items()))

    def diagnose(self, step: Step) -> Diagnosis:
        step("the agent's status")
        text = self.ask_agent("status")
        step("the manifests")
        manifests = self._manifests()
        findings = validate_manifests(manifests, self._fields, consumers=CONSUMERS) if self._folder else ()
        return Diagnosis(text=text, findings=tuple(findings))

    def ask_agent(self, *command: str) -> str:
        program = shutil.which("sew-agent") or str(Path(sys.executable).with_name("sew-agent"))
        place = os.environ | {"SEW_STATE": str(self._state)}
        try:
            done = subprocess.run(  # noqa: S603 - no shell, and words of ours
                [program, *command],
                env=place,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise AgentError(f"`sew-agent {command[0]}` did not answer within {_SECONDS:g} s", "try again") from None
        except OSError as error:
            why = f"`sew-agent` cannot be run ({(error.strerror or str(error)).lower()})"
            raise AgentError(why, f"install it beside the plugin: {pip_install('agent')}") from None
        if done.returncode:
            raise AgentError(done.stderr.decode(errors="replace").strip().removeprefix("error: "))
        return done.stdout.decode(errors="replace")

    def agent_command(self, webhook: str, *command: str) -> str:
        whose = [] if command[1] in ("show", "replay") and len(command) > 2 else ["--webhook", webhook]
        return shlex.join(["sew-agent", *command, *whose, "--state", str(self._state)])

    def trace_command(self, event: str) -> str:
        webhooks = ["--webhooks", str(self._folder)] if self._folder else []
        return shlex.join(["sew-agent", "trace", "--state", str(self._state), *webhooks, "--", event])

    def plugin_command(self, *words: str) -> str:
        return shlex.join(["kubectl", "sew", *words])

    def set_state(self, name: str, state: State) -> str:  # noqa: ARG002 - the signature of Reach
        raise SewError(_OWNER)

    def test(self, name: str) -> str:  # noqa: ARG002 - the signature of Reach
        raise SewError(_OWNER)

    def create(self, webhook: Webhook) -> str:  # noqa: ARG002 - the signature of Reach
        raise SewError(_OWNER)

    def _report(self) -> AgentReport:
        report = read_status(self.ask_agent("status", "-o", "json"))
        agent = read_agent_report(f"process {report['agent'].get('pid') or '-'}", report)
        return replace(agent, beside_calico=False)  # Calico's processor knows no files

    def _manifests(self) -> Manifests:
        return load_many(read_sources([str(self._folder)], recursive=True).files) if self._folder else Manifests()


def _webhook(name: str, known: Webhook | None, row: Mapping[str, Any] | None) -> Webhook:
    """Return a webhook with the conditions that the agent would write in a cluster."""
    said = row or {}
    state = read_state(str(said.get("state"))) or State.DISABLED
    webhook = known or Webhook(name, str(said.get("consumer") or ""), state, "")
    return replace(webhook, conditions=tuple(_conditions(said)))


def _conditions(row: Mapping[str, Any]) -> Sequence[Condition]:
    if row.get("healthy") is None:
        return ()
    status = "True" if row["healthy"] else "False"
    return (Condition("Healthy", status, str(row.get("reason") or ""), str(row.get("message") or "")),)
