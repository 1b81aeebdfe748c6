"""Checks of the agent: that one runs, as it should, with its rights, and alone."""

from collections.abc import Iterable, Iterator

from kubectl_sew.agents import describe_agent
from kubectl_sew.check.api import skew
from kubectl_sew.check.facts import Facts, Unknown
from kubectl_sew.check.pods import AgentPod
from kubectl_sew.check.rights import spell
from kubectl_sew.check.verdict import OK, Check, CheckResult, CheckVerdict, failed, fails_with, unknown
from kubectl_sew.cluster.agent import Holder
from kubectl_sew.resource.effective import CONTESTED

NO_AGENT = "the agent could not be asked"
_NO_POD = "there is no pod"


def _running(facts: Facts) -> CheckVerdict:
    """Check that a pod is there and renews the Lease."""
    if isinstance(facts.holder, Holder) and facts.holder.outside:
        return _renews(facts, facts.holder) or CheckVerdict(
            CheckResult.OK, (f"{facts.holder} runs outside of the cluster",)
        )
    if isinstance(facts.pods, Unknown):
        return unknown(facts.pods.why)
    if not facts.pods:
        problem = f"no pod of {facts.account} holds a container sew-agent"
        why = f"`kubectl -n {facts.account.namespace} get events` says why one that is installed has no pod"
        return failed(problem, f"install one: `{facts.install}`; {why}")
    if isinstance(facts.holder, Unknown):
        return failed(facts.holder.why, _commands(facts))
    beside = map(describe_agent, facts.agent.report.get("agents") or ())
    others = tuple(beside) or tuple(_standing_by(facts.pods, facts.holder))
    return _renews(facts, facts.holder) or CheckVerdict(CheckResult.OK, others)


def _renews(facts: Facts, holder: Holder) -> CheckVerdict | None:
    """Return the verdict on a holder that has stopped renewing; None where it renews, or that is not known."""
    if facts.now is None or holder.renewed is None or not holder.expired(facts.now):
        return None
    problem = f"{holder} has not renewed its Lease for {facts.now - holder.renewed:.0f} s, and no other took over"
    return failed(problem, "start it again, where it runs" if holder.outside else _commands(facts))


def _standing_by(pods: Iterable[AgentPod], holder: Holder) -> Iterator[str]:
    """Name the pods that stand by: of those that run well all but the holder."""
    for pod in pods:
        if str(pod) != str(holder) and not pod.problem:
            yield f"{pod} stands by for {holder}"


def _commands(facts: Facts) -> str:
    pods = () if isinstance(facts.pods, Unknown) else facts.pods
    pod = next((pod for pod in pods if pod.problem or pod.ended), pods[0] if pods else None)
    namespace, name = (pod.namespace, pod.name) if pod else (facts.account.namespace, "POD")
    logs = f"`kubectl -n {namespace} logs {name} -c sew-agent{' --previous' if pod and pod.ended else ''}`"
    return f"`kubectl -n {namespace} describe pod {name}` and {logs}"


def _ready(facts: Facts) -> CheckVerdict:
    if isinstance(facts.pods, Unknown):
        return unknown(facts.pods.why)
    if not facts.pods:
        return unknown(_NO_POD)
    details = [f"{pod}: {pod.problem}{_ended(pod)}" for pod in facts.pods if pod.problem]
    ended = [pod for pod in facts.pods if pod.ended and not pod.problem]
    if details or any(_lately(facts, pod) for pod in ended):
        return failed([*details, *(f"{pod}{_ended(pod)}" for pod in ended)], _remedy(facts))
    return CheckVerdict(CheckResult.OK, tuple(f"{pod}{_ended(pod)}" for pod in ended))


def _ended(pod: AgentPod) -> str:
    return f"; before, its container ended: {pod.ended}" if pod.ended else ""


def _lately(facts: Facts, pod: AgentPod) -> bool:
    """Return whether its container was killed, or failed, so short a time ago that it may do so again."""
    return facts.now is not None and pod.ended_at is not None and facts.now - pod.ended_at < _AN_HOUR


_AN_HOUR = 3600.0


def _remedy(facts: Facts) -> str:
    """Return what to do for the commonest reasons, and the commands that show all others."""
    pods = () if isinstance(facts.pods, Unknown) else facts.pods
    problems = " ".join(pod.problem + pod.ended for pod in pods)
    if "ImagePull" in problems or "InvalidImageName" in problems:
        return f"name an image that the nodes can pull: `{facts.install}`; {_commands(facts)}"
    if "OOMKilled" in problems:
        return f"raise the memory limit of the container sew-agent; {_commands(facts)}"
    return _commands(facts)


def _asked(facts: Facts) -> CheckVerdict:
    if isinstance(facts.holder, Unknown):
        return unknown(NO_AGENT)
    if facts.holder.outside:
        return unknown(facts.agent.unknown)
    if facts.pods == ():
        return unknown(_NO_POD)
    if facts.agent.unknown:
        return failed(facts.agent.unknown, _commands(facts))
    if not facts.agent.report.get("running"):
        return failed(
            f"the program in {facts.agent.holder} reports nothing: it hangs, or is starting", _commands(facts)
        )
    return OK


def _version(facts: Facts) -> CheckVerdict:
    version = facts.agent.report.get("version")
    if not version:
        return unknown(NO_AGENT if facts.agent.unknown else "the agent reports none")
    if version == facts.plugin_version:
        return OK
    problem = f"the agent is of version {version}, the plugin of {facts.plugin_version}"
    return failed(problem, "bring both to one version: `kubectl sew install`, or the plugin by krew or pip")


def _rights(facts: Facts) -> CheckVerdict:
    if isinstance(facts.agent_rights, Unknown):
        return unknown(facts.agent_rights.why)
    missing = spell(right for right, allowed in facts.agent_rights.items() if not allowed)
    details = [f"the service account {facts.account} may not {right}" for right in missing]
    return fails_with(details, f"install its roles and bindings again: `{facts.install}`")


def _problems(facts: Facts) -> CheckVerdict:
    if facts.agent.unknown or not facts.agent.report.get("running"):
        return unknown(NO_AGENT)
    return fails_with([str(problem) for problem in facts.agent.report.get("problems") or ()], _commands(facts))


def _clock(facts: Facts) -> CheckVerdict:
    if facts.agent_clock_ahead is None:
        return unknown(NO_AGENT if facts.agent.unknown else "the clocks cannot be compared")
    return skew("the agent's clock", facts.agent_clock_ahead, "set the clock of the agent's node by NTP")


def _alone(facts: Facts) -> CheckVerdict:
    """Check for Calico's own processor: each event would be sent twice, unless ours leaves to it what it delivers."""
    if isinstance(facts.processor, Unknown):
        return unknown(facts.processor.why)
    if not facts.processor:
        return _nobody(facts)
    pods = () if isinstance(facts.pods, Unknown) else facts.pods
    others = [pod for pod in pods if str(pod) != str(facts.holder)]
    if all(pod.beside_calico for pod in others) and (facts.beside_calico or isinstance(facts.holder, Unknown)):
        return OK
    problem = f"{facts.processor} in {facts.secrets_namespace} is Calico's own processor: each event is sent twice"
    return failed(problem, "have the agent leave to it what it delivers: `kubectl sew install --beside-calico`")


def _nobody(facts: Facts) -> CheckVerdict:
    """Check that nothing is left to a processor that is not there."""
    details = [
        f"{webhook.name}: nobody delivers it: the agent leaves it to Calico's processor, which does not run in "
        f"{facts.secrets_namespace}"
        for webhook in facts.left_to_calico
    ]
    hint = "`kubectl sew takeover NAME` has the agent deliver it; or install the agent without --beside-calico"
    return fails_with(details, hint)


def _contested(facts: Facts) -> CheckVerdict:
    if isinstance(facts.webhooks, Unknown):
        return unknown(facts.webhooks.why)
    contested = [webhook for webhook in facts.left_to_calico if webhook.is_contested]
    details = [f"{webhook.name}: {CONTESTED.format(name=webhook.name)}" for webhook in contested]
    return fails_with(details, "what sets `spec.state` again (GitOps, a script) would have to leave it Disabled")


AGENT = (
    Check("agent-running", "an agent runs and holds the Lease", _running),
    Check("agent-ready", "its containers are ready", _ready),
    Check("agent-answers", "it can be asked", _asked),
    Check("agent-version", "it is of the plugin's version", _version),
    Check("agent-rights", "it has its rights", _rights),
    Check("agent-problems", "it reports no problem", _problems),
    Check("agent-clock", "its clock is right", _clock),
    Check("calico-processor", "no other processor delivers the same events", _alone),
    Check("webhook-contested", "no webhook is meant for both processors", _contested),
)
