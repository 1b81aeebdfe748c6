"""Checks of the API server, the person's rights, and the kind itself."""

from kubectl_sew.check.facts import NOT_SERVED, Facts, Unknown
from kubectl_sew.check.rights import own_rights, spell
from kubectl_sew.check.verdict import OK, Check, CheckVerdict, failed, fails_with, unknown
from kubectl_sew.resource import API_GROUPS

MOST_SKEW = 30.0
"""Seconds by which two clocks may differ: above it Leases, start times and tokens are judged wrongly."""


def _reachable(facts: Facts) -> CheckVerdict:
    return failed(facts.unreachable, "start the cluster, or choose another --context") if facts.unreachable else OK


def _clock(facts: Facts) -> CheckVerdict:
    if isinstance(facts.clock_ahead, Unknown):
        return unknown(facts.clock_ahead.why)
    return skew("this machine's clock", facts.clock_ahead, "set this machine's clock by NTP")


def skew(whose: str, ahead: float, hint: str) -> CheckVerdict:
    """Judges how far a clock is ahead of the API server's."""
    if abs(ahead) <= MOST_SKEW:
        return OK
    word = "ahead of" if ahead > 0 else "behind"
    return failed(f"{whose} is {abs(ahead):.0f} s {word} the API server's", hint)


def _own(purpose: str, commands: str) -> Check:
    def judge(facts: Facts) -> CheckVerdict:
        if isinstance(facts.own_rights, Unknown):
            return unknown(facts.own_rights.why)
        needed = own_rights(facts.api_group, facts.secrets_namespace, facts.account.namespace)[purpose]
        missing = spell(right for right in needed if not facts.own_rights.get(right, False))
        return fails_with(
            [f"you may not {right}" for right in missing],
            f"ask your cluster's administrator for these rights; {commands} need them",
        )

    return Check(f"your-rights-{purpose}", f"you may do what {commands} need", judge)


KUBERNETES = (
    Check("api-reachable", "the API server answers", _reachable),
    Check("clock-skew", "this machine's clock is right", _clock),
    _own("webhooks", "list, create, enable and test"),
    _own("secrets", "status, check and validate"),
    _own("agent", "status, backlog and dead-letters"),
)


def _served(facts: Facts) -> CheckVerdict:
    if isinstance(facts.served, Unknown):
        return unknown(facts.served.why)
    if facts.served:
        return OK
    return failed(f"no SecurityEventWebhook is served in {' or '.join(API_GROUPS)}", f"install it: `{facts.install}`")


def _group(facts: Facts) -> CheckVerdict:
    """A definition behind Calico's aggregated API server is never reached."""
    if isinstance(facts.served, Unknown) or isinstance(facts.definitions, Unknown):
        return unknown(facts.served.why if isinstance(facts.served, Unknown) else _why(facts.definitions))
    served = {api.group for api in facts.served}
    hidden = [definition.group for definition in facts.definitions if definition.group not in served]
    if hidden:
        by = f", since {facts.aggregated} serves that group" if isinstance(facts.aggregated, str) else ""
        problem = f"the definition in the group {hidden[0]} is not reachable{by}"
        return failed(problem, f"install it in {API_GROUPS[1]}, as this does by itself: `{facts.install}`")
    return _one_group(facts) if facts.served else unknown(NOT_SERVED.why)


def _one_group(facts: Facts) -> CheckVerdict:
    """Check that no webhook is in the other group: of two groups only one is read."""
    pods = () if isinstance(facts.pods, Unknown) else facts.pods
    others = [pod for pod in pods if pod.api_group.partition("/")[0] not in ("", facts.api_group)]
    if others:
        problem = f"{others[0]} reads {others[0].api_group}, and webhooks are served in {facts.api_group}"
        return failed(problem, "remove the agent's setting SEW_API_GROUP: it finds the group by itself")
    if isinstance(facts.elsewhere, Unknown):
        return unknown(facts.elsewhere.why)
    if facts.elsewhere:
        other = next(group for group in API_GROUPS if group != facts.api_group)
        problem = f"{len(facts.elsewhere)} webhooks are in {other}, and the agent reads {facts.api_group}: "
        return failed(problem + _some(facts.elsewhere), f"move them to {facts.api_group}")
    return OK


def _why(fact: object) -> str:
    return fact.why if isinstance(fact, Unknown) else ""


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:5]) + (" …" if len(names) > 5 else "")


def _version(facts: Facts) -> CheckVerdict:
    """Check the version of our own definition; Calico's carries no version of ours."""
    if isinstance(facts.definitions, Unknown):
        return unknown(facts.definitions.why)
    if facts.served == ():
        return unknown(NOT_SERVED.why)
    ours = [definition for definition in facts.definitions if definition.ours and definition.group == facts.api_group]
    if ours and _numbers(ours[0].version) < _numbers(facts.plugin_version):
        problem = f"the definition is of version {ours[0].version or 'none'}, the plugin of {facts.plugin_version}"
        return failed(problem, f"install this version's: `{facts.install}`")
    return OK


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split("+", maxsplit=1)[0].split(".") if part.isdigit()]


RESOURCE = (
    Check("api-served", "SecurityEventWebhooks are served", _served),
    Check("api-group", "they are served where the agent reads them", _group),
    Check("crd-version", "their definition is not older than this plugin", _version),
)
