"""Each check judges made-up facts: all is well, or one thing is not."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from kubectl_sew.check.checks import GROUPS, judge
from kubectl_sew.check.facts import Definition, Facts, Unknown
from kubectl_sew.check.pods import AgentPod
from kubectl_sew.check.rights import Right, own_rights
from kubectl_sew.check.verdict import CheckOutcome, CheckResult, CheckVerdict
from kubectl_sew.cluster.agent import Holder
from kubectl_sew.cluster.exceptions import ClusterException
from kubectl_sew.cluster.objects import Held
from kubectl_sew.cluster.webhook_details import AgentReport
from kubectl_sew.install.holders import Account
from kubectl_sew.pages import page
from kubectl_sew.resource import STATE_ANNOTATION, Condition, ConfigVar, Reference, State, Webhook
from kubectl_sew.resource.exceptions import AlertException
from kubectl_sew.resource.serving import Served

ACCOUNT = Account("sew-system", "sew-agent")
POD = AgentPod("sew-system", "sew-agent-0", ACCOUNT)
HEALTHY = Condition("Healthy", "True", "WebhookValidation", observed_generation=1)
QUIET = AlertException("quiet", "")
URL = Reference("Secret", "receiver", "url")
WEBHOOK = Webhook(
    "w", "Generic", State.ENABLED, "type = waf", (ConfigVar("url", URL),), generation=1, conditions=(HEALTHY,)
)
NOW = 1_800_000_000.0
ROW = {"name": "w", "healthy": True, "delivering": True, "parked": False, "deadLetters": 0, "delivery": None}
REPORT = {"running": True, "version": "0.1.0", "sourceTroubles": [], "problems": []}
OWN = {right: True for rights in own_rights("projectcalico.org", "tid", "sew-system").values() for right in rights}
WATCH = Right("watch", "", "secrets", "tid")

GOOD = Facts(
    plugin_version="0.1.0",
    secrets_namespace="tid",
    server_version="v1.32.4",
    served=(Served("projectcalico.org/v3", status=True),),
    definitions=(Definition("projectcalico.org", ours=True, version="0.1.0"),),
    holder=Holder("sew-system", "sew-agent-0", NOW - 3, 15.0),
    now=NOW,
    accounts=(ACCOUNT,),
    pods=(POD,),
    agent=AgentReport("sew-system/sew-agent-0", "", REPORT, {"w": ROW}),
    agent_clock_ahead=1.0,
    webhooks=(WEBHOOK,),
    held=Held({("Secret", "receiver"): {"url": b"https://receiver.example"}}),
    own_rights=OWN,
    agent_rights={WATCH: True},
)


def failures(facts: Facts) -> dict[str, CheckOutcome]:
    return {outcome.check.code: outcome for outcome in judge(facts) if outcome.verdict.result is CheckResult.FAILED}


def agent(row: Mapping[str, Any] | None = None, **report: Any) -> AgentReport:
    return AgentReport("sew-system/sew-agent-0", "", {**REPORT, **report}, {"w": {**ROW, **(row or {})}})


def source(*problems: str) -> AgentReport:
    return agent(sourceTroubles=[{"problem": problem, "message": f"it is {problem}"} for problem in problems])


def condition(kind: str, reason: str, message: str = "said so", generation: int = 1) -> tuple[Webhook, ...]:
    condition = Condition(kind, "False", reason, message, generation)
    kept = tuple(condition for condition in (HEALTHY,) if condition.type != kind)
    return (replace(WEBHOOK, conditions=(*kept, condition)),)


BROKEN = replace(WEBHOOK, query="type = ", conditions=())

OLD = replace(WEBHOOK, created=NOW - 31, conditions=())
UNSERVED = {
    "agent": AgentReport("sew-system/sew-agent-0", "", REPORT),
    "pods": (replace(POD, selector="team=a"),),
    "webhooks": (OLD,),
}

FAULTS: list[tuple[str, dict[str, Any], str]] = [
    ("clock-skew", {"clock_ahead": -95.0}, "this machine's clock is 95 s behind the API server's"),
    (
        "your-rights-webhooks",
        {"own_rights": {right: right.verb not in ("create", "patch") for right in OWN}},
        "you may not create, patch securityeventwebhooks.projectcalico.org",
    ),
    (
        "your-rights-secrets",
        {"own_rights": {right: right.resource != "secrets" for right in OWN}},
        "you may not get secrets in tid",
    ),
    (
        "your-rights-agent",
        {"own_rights": {right: right.resource != "pods/exec" for right in OWN}},
        "create pods/exec in sew-system",
    ),
    ("api-served", {"served": (), "definitions": ()}, "no SecurityEventWebhook is served in projectcalico.org or crd."),
    (
        "api-group",
        {"served": (Served("crd.projectcalico.org/v1", status=True),), "aggregated": "calico-system/calico-api"},
        "the group projectcalico.org is not reachable, since calico-system/calico-api serves that group",
    ),
    (
        "api-group",
        {"elsewhere": ("a", "b")},
        "2 webhooks are in crd.projectcalico.org, and the agent reads projectcalico.org: a, b",
    ),
    (
        "crd-version",
        {"definitions": (Definition("projectcalico.org", ours=True, version="0.0.9"),)},
        "version 0.0.9, the plugin of 0.1.0",
    ),
    (
        "api-group",
        {"pods": (replace(POD, api_group="crd.projectcalico.org"),)},
        "sew-system/sew-agent-0 reads crd.projectcalico.org, and webhooks are served in projectcalico.org",
    ),
    ("crd-version", {"definitions": (Definition("projectcalico.org", ours=True),)}, "version none"),
    ("agent-running", {"pods": ()}, "no pod of sew-system/sew-agent holds a container sew-agent"),
    ("agent-running", {"holder": Unknown("no agent has ever held the Lease")}, "no agent has ever held the Lease"),
    ("agent-running", {"now": NOW + 92}, "sew-system/sew-agent-0 has not renewed its Lease for 95 s"),
    (
        "agent-ready",
        {"pods": (replace(POD, problem="its container is waiting (ImagePullBackOff)"),)},
        "ImagePullBackOff",
    ),
    (
        "agent-ready",
        {"pods": (replace(POD, ended="OOMKilled, exit code 137, at 2027-01-15T07:59:00Z", ended_at=NOW - 60),)},
        "sew-system/sew-agent-0; before, its container ended: OOMKilled, exit code 137",
    ),
    (
        "agent-running",
        {"holder": Holder("outside", "host-1", NOW - 60, 10.0), "pods": ()},
        "outside/host-1 has not renewed its Lease for 60 s",
    ),
    ("agent-answers", {"agent": AgentReport("x", "x cannot be asked: no host")}, "x cannot be asked: no host"),
    ("agent-answers", {"agent": agent(running=False)}, "reports nothing: it hangs, or is starting"),
    ("agent-version", {"agent": agent(version="0.0.9")}, "the agent is of version 0.0.9, the plugin of 0.1.0"),
    (
        "agent-rights",
        {"agent_rights": {WATCH: False}},
        "the service account sew-system/sew-agent may not watch secrets in tid",
    ),
    ("agent-problems", {"agent": agent(problems=["secrets: forbidden"])}, "secrets: forbidden"),
    ("agent-clock", {"agent_clock_ahead": 120.0}, "the agent's clock is 120 s ahead of the API server's"),
    (
        "webhook-contested",
        {
            "holder": Holder("sew-system", "sew-agent-0", NOW - 3, 15.0, beside_calico=True),
            "webhooks": (replace(WEBHOOK, annotations={STATE_ANNOTATION: "Enabled"}),),
            "pods": (replace(POD, beside_calico=True),),
            "processor": "deployment/intrusion",
        },
        "w: it was taken over, but its `spec.state` was set since, so Calico's processor delivers it",
    ),
    (
        "calico-processor",
        {"processor": "deployment/intrusion"},
        "deployment/intrusion in tid is Calico's own processor",
    ),
    ("elasticsearch-reachable", {"agent": source("unreachable")}, "it is unreachable"),
    ("elasticsearch-credentials", {"agent": source("refused")}, "it is refused"),
    ("elasticsearch-privileges", {"agent": source("privilege")}, "it is privilege"),
    ("index-pattern", {"agent": source("empty")}, "it is empty"),
    ("index-coverage", {"agent": agent(sourceCaveats=["events may be missing"])}, "events may be missing"),
    ("events-readable", {"agent": source("other")}, "it is other"),
    ("secrets-namespace", {"namespace_exists": False}, "there is no namespace tid"),
    ("missing-object", {"held": Held()}, "w: url: Secret receiver, key url: the object does not exist"),
    (
        "missing-key",
        {"held": Held({("Secret", "receiver"): {"other": b""}})},
        "the object has no such key: it holds other",
    ),
    ("webhook-unserved", UNSERVED, "w: sew-system/sew-agent-0 does not serve it: it serves those with the labels"),
    ("webhook-invalid", {"webhooks": condition("Healthy", "QueryValidation")}, "w: QueryValidation: said so"),
    ("webhook-invalid", {"webhooks": (BROKEN,)}, "w: QueryParsing: query: "),
    ("query-unanswerable", {"webhooks": condition("EventsFetched", "QueryNotAnswerable")}, "w: said so"),
    (
        "exception-broken",
        {"exceptions": (ClusterException(QUIET, "no selector"),)},
        "quiet suppresses nothing: no selec",
    ),
    (
        "exception-broken",
        {"agent": agent(exceptions=[{"name": "q", "broken": "no such field"}])},
        "q suppresses nothing: no such field",
    ),
    ("backlog-full", {"agent": agent({"room": 0.85})}, "w: 85% of its share of the store is used"),
    ("webhook-parked", {"agent": agent({"parked": True, "delivering": False, "delivery": "401"})}, "w: 401"),
    (
        "receiver-unavailable",
        {"agent": agent({"delivering": False, "delivery": "503", "backlog": 7})},
        "w: 503, 7 waiting",
    ),
    ("webhook-behind", {"agent": agent({"behind": "19,938 events wait"})}, "w: 19,938 events wait"),
    ("dead-letters", {"agent": agent({"deadLetters": 1, "lastError": "400"})}, "w: 1 dead letter, the last error: 400"),
]


def test_where_all_is_well_every_check_is_ok() -> None:
    outcomes = list(judge(GOOD))
    assert {outcome.verdict.result for outcome in outcomes} == {CheckResult.OK}
    assert len(outcomes) == sum(len(checks) for checks in GROUPS.values())


@pytest.mark.parametrize(("code", "fault", "said"), FAULTS)
def test_a_fault_fails_its_check_and_says_what_and_what_to_do(code: str, fault: dict[str, Any], said: str) -> None:
    failed = failures(replace(GOOD, **fault))
    assert code in failed
    assert any(said in line for line in failed[code].verdict.details)
    assert failed[code].verdict.hint
    assert failed[code].link == page("troubleshooting", code)


def of(facts: Facts, code: str) -> CheckVerdict:
    return next(outcome.verdict for outcome in judge(facts) if outcome.check.code == code)


def test_an_agent_outside_of_the_cluster_is_no_missing_pod() -> None:
    outside = AgentReport("outside/host-1", "the agent runs outside of the cluster")
    facts = replace(GOOD, holder=Holder("outside", "host-1", NOW - 3, 10.0), pods=(), agent=outside)
    assert failures(facts) == {}
    assert of(facts, "agent-running").details == ("outside/host-1 runs outside of the cluster",)
    assert of(facts, "agent-answers").result is CheckResult.UNKNOWN


def test_a_container_that_was_killed_points_to_its_own_log() -> None:
    pod = replace(POD, ended="OOMKilled, exit code 137", ended_at=NOW - 60)
    hint = of(replace(GOOD, pods=(pod,)), "agent-ready").hint
    assert "raise the memory limit" in hint
    assert "logs sew-agent-0 -c sew-agent --previous`" in hint
    long_ago = of(replace(GOOD, pods=(replace(pod, ended_at=NOW - 7200),)), "agent-ready")
    assert (long_ago.result, len(long_ago.details)) == (CheckResult.OK, 1)


def test_an_agent_whose_program_reports_nothing_is_not_said_to_have_no_problem() -> None:
    assert of(replace(GOOD, agent=agent(running=False)), "agent-problems").result is CheckResult.UNKNOWN


def test_what_is_advised_works_in_a_cluster_where_nothing_is_yet() -> None:
    hint = of(replace(GOOD, served=(), definitions=(), namespace_exists=False), "api-served").hint
    wanted = "kubectl sew install --apply --image IMAGE --elasticsearch URL --create-namespace --secrets-namespace tid"
    assert wanted in hint
    unpulled = replace(POD, problem="its container is waiting (ImagePullBackOff)")
    assert "--image IMAGE" in of(replace(GOOD, pods=(unpulled,)), "agent-ready").hint


def test_every_check_can_fail() -> None:
    codes = {check.code for checks in GROUPS.values() for check in checks}
    assert codes == {code for code, _, _ in FAULTS} | {"api-reachable"}


SOURCE = [check.code for check in GROUPS["Elasticsearch"]]


@pytest.mark.parametrize(
    ("problems", "results"),
    [
        ((), "ok ok ok ok ok ok"),
        (("unreachable",), "failed unknown unknown unknown unknown unknown"),
        (("refused",), "ok failed unknown unknown unknown unknown"),
        (("privilege",), "ok ok failed unknown unknown unknown"),
        (("empty",), "ok ok unknown failed unknown unknown"),
        (("other",), "unknown unknown unknown unknown unknown failed"),
        (("of a later version",), "unknown unknown unknown unknown unknown failed"),
        (("privilege", "other"), "ok ok failed unknown unknown failed"),
    ],
)
def test_what_keeps_events_from_being_read_fails_its_own_check_alone(problems: tuple[str, ...], results: str) -> None:
    outcomes = {
        outcome.check.code: outcome.verdict.result.value for outcome in judge(replace(GOOD, agent=source(*problems)))
    }
    assert [outcomes[code] for code in SOURCE] == results.split()


def test_while_the_agent_reports_nothing_its_reading_is_not_known() -> None:
    silent = replace(GOOD, agent=agent(running=False))
    outcomes = {outcome.check.code: outcome.verdict.result for outcome in judge(silent)}
    assert {outcomes[code] for code in SOURCE} == {CheckResult.UNKNOWN}


def test_what_is_not_there_is_reported_once_and_by_no_other_check() -> None:
    failed = failures(replace(GOOD, served=(), definitions=()))
    assert [code for code in ("api-served", "api-group", "crd-version") if code in failed] == ["api-served"]
    results = {
        outcome.check.code: outcome.verdict.result for outcome in judge(replace(GOOD, served=(), definitions=()))
    }
    assert results["api-group"] is results["crd-version"] is CheckResult.UNKNOWN
    gone = AgentReport("sew-system/sew-agent-0", "the pod is gone")
    assert list(failures(replace(GOOD, pods=(), agent=gone))) == ["agent-running"]


def test_a_server_out_of_reach_is_all_that_is_said() -> None:
    (outcome,) = judge(Facts("0.1.0", "tid", unreachable="The connection was refused"))
    assert (outcome.check.code, outcome.verdict.details) == ("api-reachable", ("The connection was refused",))


FACTS = ["clock_ahead", "served", "definitions", "aggregated", "namespace_exists", "processor", "holder", "accounts"]
FACTS += ["pods", "webhooks", "elsewhere", "held", "own_rights", "agent_rights"]


@pytest.mark.parametrize("name", FACTS)
def test_what_cannot_be_found_out_fails_nothing_by_itself(name: str) -> None:
    facts = replace(GOOD, **{name: Unknown("it is forbidden")})
    assert set(failures(facts)) <= ({"agent-running"} if name == "holder" else set())


def test_without_an_agent_the_conditions_speak() -> None:
    gone = AgentReport(unknown="there is none to ask")
    parked = condition("Delivering", "ReceiverRefuses", "401 Unauthorized")
    down = condition("Delivering", "ReceiverUnavailable", "503")
    full = condition("EventsFetched", "BacklogFull")
    assert "backlog-full" in failures(replace(GOOD, agent=gone, webhooks=full))
    source = condition("EventsFetched", "SourceUnavailable", "Elasticsearch cannot be reached")
    assert "events-readable" in failures(replace(GOOD, agent=gone, webhooks=source))
    assert "webhook-parked" in failures(replace(GOOD, agent=gone, webhooks=parked))
    assert "receiver-unavailable" in failures(replace(GOOD, agent=gone, webhooks=down))
    results = {outcome.check.code: outcome.verdict.result for outcome in judge(replace(GOOD, agent=gone))}
    assert results["dead-letters"] is results["webhook-parked"] is CheckResult.UNKNOWN


def test_the_agents_word_about_an_earlier_version_does_not_count() -> None:
    assert not failures(replace(GOOD, webhooks=condition("Healthy", "QueryParsing", generation=0)))


@pytest.mark.parametrize(
    "more",
    [
        {"webhooks": (replace(OLD, created=NOW - 29),)},
        {"webhooks": (replace(OLD, conditions=(Condition("Delivering", "True", "Delivering"),)),)},
        {"webhooks": (replace(OLD, conditions=(HEALTHY,)),), "processor": "deployment/intrusion"},
        {"agent": GOOD.agent},
        {"agent": AgentReport(unknown="forbidden"), "holder": Unknown("forbidden")},
        {"now": NOW + 60},
    ],
    ids=["new", "another agent's", "Calico's", "reported", "no agent known", "no agent active"],
)
def test_a_webhook_is_unserved_only_where_an_agent_is_active_and_none_took_it_up(more: dict[str, Any]) -> None:
    assert "webhook-unserved" not in failures(replace(GOOD, **(UNSERVED | more)))


BESIDE = {
    "processor": "deployment/intrusion",
    "pods": (replace(POD, beside_calico=True),),
    "holder": Holder("sew-system", "sew-agent-0", NOW - 3, 15.0, beside_calico=True),
}
TAKEN_OVER = replace(WEBHOOK, state=State.DISABLED, annotations={STATE_ANNOTATION: "Enabled"})


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"pods": (POD,)},
        {"pods": ()},
        {"webhooks": (TAKEN_OVER,)},
        {"processor": "", "webhooks": (TAKEN_OVER,)},
        {"holder": Unknown("none"), "agent": AgentReport(unknown="none")},
    ],
    ids=["by setting and Lease", "by its Lease alone", "outside", "taken over", "without Calico's", "nobody active"],
)
def test_an_agent_that_leaves_to_calicos_processor_what_that_delivers_may_run_beside_it(more: dict[str, Any]) -> None:
    found = failures(replace(GOOD, **(BESIDE | more)))
    assert not {"calico-processor", "webhook-contested", "webhook-unserved"} & found.keys()


@pytest.mark.parametrize(
    "more",
    [
        {"holder": GOOD.holder},
        {"pods": (replace(POD, name="sew-agent-1"),)},
        {"pods": (replace(POD, selector="team=a"),), "holder": GOOD.holder},
    ],
    ids=["by its Lease not", "one that stands by", "a selector is none"],
)
def test_an_agent_that_delivers_what_calicos_processor_delivers_is_found(more: dict[str, Any]) -> None:
    found = failures(replace(GOOD, **(BESIDE | more)))
    assert "each event is sent twice" in found["calico-processor"].verdict.details[0]


def test_what_is_left_to_a_processor_that_does_not_run_is_found() -> None:
    found = failures(replace(GOOD, **(BESIDE | {"processor": "", "webhooks": (WEBHOOK, TAKEN_OVER)})))
    (detail,) = found["calico-processor"].verdict.details
    assert detail.startswith("w: nobody delivers it: the agent leaves it to Calico's processor, which does not run")


def test_what_is_left_to_calicos_processor_is_neither_unserved_nor_invalid_and_what_was_taken_over_may_be() -> None:
    old: dict[str, Any] = {"created": NOW - 31, "conditions": (), "query": "type ="}
    agent = {"agent": AgentReport("sew-system/sew-agent-0", "", REPORT)}
    left = replace(GOOD, **(BESIDE | agent | {"webhooks": (replace(WEBHOOK, **old),)}))
    assert not {"webhook-unserved", "webhook-invalid"} & failures(left).keys()
    taken = replace(GOOD, **(BESIDE | agent | {"webhooks": (replace(TAKEN_OVER, **old),)}))
    assert {"webhook-unserved", "webhook-invalid"} <= failures(taken).keys()


def test_a_disabled_webhook_is_not_wrong() -> None:
    (webhook,) = condition("Healthy", "WebhookState")
    assert not failures(replace(GOOD, webhooks=(replace(webhook, state=State.DISABLED),)))


def test_a_webhook_whose_state_the_agent_cannot_read_is_invalid() -> None:
    refused = (
        Condition("Healthy", "False", "WebhookState", "the annotation must be Enabled, but is `on`", 1),
        Condition("EventsFetched", "False", "WebhookNotAccepted", "it is not run", 1),
    )
    webhook = replace(WEBHOOK, state=State.DISABLED, conditions=refused)
    found = failures(replace(GOOD, webhooks=(webhook,)))["webhook-invalid"]
    assert found.verdict.details == ("w: WebhookState: the annotation must be Enabled, but is `on`",)


def test_calicos_own_definition_has_no_version_of_ours() -> None:
    assert not failures(replace(GOOD, definitions=(Definition("projectcalico.org", ours=False),)))


def test_an_optional_reference_may_lead_nowhere() -> None:
    optional = ConfigVar("ca.crt", Reference("Secret", "gone", "k", optional=True))
    webhook = replace(WEBHOOK, config=(*WEBHOOK.config, optional))
    assert not failures(replace(GOOD, webhooks=(webhook,)))


def test_pods_that_run_well_beside_the_holder_are_said_to_stand_by() -> None:
    pods = (POD, replace(POD, name="sew-agent-1"), replace(POD, name="sew-agent-2", problem="it waits"))
    (running,) = (outcome for outcome in judge(replace(GOOD, pods=pods)) if outcome.check.code == "agent-running")
    assert running.verdict.result is CheckResult.OK
    assert running.verdict.details == ("sew-system/sew-agent-1 stands by for sew-system/sew-agent-0",)
