"""Checks of the agent: that one runs, as it should, with its rights, and alone."""

from collections.abc import Iterable, Iterator

from kubectl_sew.check.api import skew
from kubectl_sew.check.facts import Facts, Unknown
from kubectl_sew.check.pods import AgentPod
from kubectl_sew.check.rights import spell
from kubectl_sew.check.verdict import OK, Check, Result, Verdict, failed, fails_with, unknown
from kubectl_sew.cluster.agent import Holder

_INSTALL = "kubectl sew install --elasticsearch URL | kubectl apply -f -"

NO_AGENT = "the agent could not be asked"
_NO_POD = "there is no pod"


def _running(facts: Facts) -> Verdict:
    """That a pod is there and renews the Lease."""
    if isinstance(facts.pods, Unknown):
        return unknown(facts.pods.why)
    if not facts.pods:
        said = f"no pod of {facts.account} holds a container sew-agent"
        why = f"`kubectl -n {facts.account.namespace} get events` says why one that is installed has no pod"
        return failed(said, f"install one: `{_INSTALL}`; {why}")
    if isinstance(facts.holder, Unknown):
        return failed(facts.holder.why, _look(facts))
    if facts.now is not None and facts.holder.renewed is not None and facts.holder.expired(facts.now):
        age = facts.now - facts.holder.renewed
        return failed(f"{facts.holder} has not renewed its Lease for {age:.0f} s, and no other took over", _look(facts))
    return Verdict(Result.OK, tuple(_standing_by(facts.pods, facts.holder)))


def _standing_by(pods: Iterable[AgentPod], holder: Holder) -> Iterator[str]:
    """Of the pods that run well all but the holder do nothing else."""
    for each in pods:
        if str(each) != str(holder) and not each.trouble:
            yield f"{each} stands by for {holder}"


def _look(facts: Facts) -> str:
    pods = () if isinstance(facts.pods, Unknown) else facts.pods
    namespace, name = (pods[0].namespace, pods[0].name) if pods else (facts.account.namespace, "POD")
    return f"`kubectl -n {namespace} describe pod {name}` and `kubectl -n {namespace} logs {name} -c sew-agent`"


def _ready(facts: Facts) -> Verdict:
    if isinstance(facts.pods, Unknown):
        return unknown(facts.pods.why)
    if not facts.pods:
        return unknown(_NO_POD)
    return fails_with([f"{each}: {each.trouble}" for each in facts.pods if each.trouble], _look(facts))


def _asked(facts: Facts) -> Verdict:
    if isinstance(facts.holder, Unknown):
        return unknown(NO_AGENT)
    if facts.pods == ():
        return unknown(_NO_POD)
    if facts.agent.unknown:
        return failed(facts.agent.unknown, _look(facts))
    if not facts.agent.told.get("running"):
        return failed(f"the program in {facts.agent.holder} tells nothing: it hangs, or starts", _look(facts))
    return OK


def _version(facts: Facts) -> Verdict:
    told = facts.agent.told.get("version")
    if not told:
        return unknown(NO_AGENT if facts.agent.unknown else "the agent tells none")
    if told == facts.plugin_version:
        return OK
    said = f"the agent is of version {told}, the plugin of {facts.plugin_version}"
    return failed(said, "bring both to one version: `kubectl sew install`, or the plugin by krew or pip")


def _rights(facts: Facts) -> Verdict:
    if isinstance(facts.agent_rights, Unknown):
        return unknown(facts.agent_rights.why)
    missing = spell(right for right, allowed in facts.agent_rights.items() if not allowed)
    details = [f"the service account {facts.account} may not {each}" for each in missing]
    return fails_with(details, f"install its roles and bindings again: `{_INSTALL}`")


def _problems(facts: Facts) -> Verdict:
    if facts.agent.unknown:
        return unknown(NO_AGENT)
    return fails_with([str(each) for each in facts.agent.told.get("problems") or ()], _look(facts))


def _clock(facts: Facts) -> Verdict:
    if facts.agent_clock_ahead is None:
        return unknown(NO_AGENT if facts.agent.unknown else "the clocks cannot be compared")
    return skew("the agent's clock", facts.agent_clock_ahead, "set the clock of the agent's node by NTP")


def _alone(facts: Facts) -> Verdict:
    """Beside Calico's own processor each event would be sent twice, unless ours serves webhooks of its own."""
    if isinstance(facts.processor, Unknown):
        return unknown(facts.processor.why)
    pods = () if isinstance(facts.pods, Unknown) else facts.pods
    everything = [each for each in pods if not each.selector]
    if not facts.processor or not everything:
        return OK
    said = f"{facts.processor} in {facts.secrets_namespace} is Calico's own processor: each event is sent twice"
    return failed(said, "give our agent webhooks of its own: `kubectl sew install --beside-calico --selector LABELS`")


AGENT = (
    Check("agent-running", "an agent runs and holds the Lease", _running),
    Check("agent-ready", "its containers are ready", _ready),
    Check("agent-answers", "it can be asked", _asked),
    Check("agent-version", "it is of the plugin's version", _version),
    Check("agent-rights", "it has its rights", _rights),
    Check("agent-problems", "it reports no trouble", _problems),
    Check("agent-clock", "its clock is right", _clock),
    Check("calico-processor", "no other processor delivers the same events", _alone),
)
