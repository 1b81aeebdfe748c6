"""The objects that `kubectl sew install` renders."""

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubectl_sew import __version__
from kubectl_sew.install import Host, InstallPlan, UsableCredentials, removable, render, with_agent, without_agent
from kubectl_sew.install.plan import CREDENTIAL_VARIABLES
from sew_agent.base.settings import SETTINGS

MANIFESTS = Path(__file__).parents[3] / "manifests"
HOST = Host("shop", "shops", "keeper")
BARE = {
    "metadata": {"name": "shop", "namespace": "shops"},
    "spec": {"replicas": 3, "template": {"metadata": {}, "spec": {"containers": [{"name": "shop"}]}}},
}
FULL = {
    "metadata": {"name": "shop", "namespace": "shops"},
    "spec": {
        "template": {
            "spec": {
                "containers": [{"name": "shop"}],
                "initContainers": [{"name": "first"}],
                "volumes": [{"name": "goods", "emptyDir": {}}],
                "securityContext": {"fsGroup": 7},
            }
        }
    },
}
PLANS = {
    "alone": InstallPlan(),
    "alone, all of it": InstallPlan(
        "a", "b", create_secrets_namespace=True, credentials=UsableCredentials("es", ("api-key",))
    ),
    "alone, replicated": InstallPlan("a", store_secret="pg", replicas=3),
    "alone, with an event map": InstallPlan("a", event_map="title: rule\n"),
    "sidecar": InstallPlan(host=HOST),
    "sidecar, all of it": InstallPlan("a", "b", create_secrets_namespace=True, claim="c", host=HOST),
}
plans = pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)


def named(plan: InstallPlan, kind: str, name: str = "") -> Any:
    (only,) = [obj for obj in render(plan) if obj["kind"] == kind and name in ("", obj["metadata"]["name"])]
    return only


def pod_of(plan: InstallPlan) -> Any:
    deployment = with_agent(BARE, plan) if plan.host else named(plan, "Deployment")
    return deployment["spec"]["template"]["spec"]


def agent_of(plan: InstallPlan) -> Any:
    pod = pod_of(plan)
    (agent,) = pod["initContainers"] if plan.host else pod["containers"]
    return agent


def variables(plan: InstallPlan) -> dict[str, str]:
    return {variable["name"]: variable.get("value", "") for variable in agent_of(plan)["env"]}


def files() -> Iterator[Any]:
    for path in MANIFESTS.glob("*/**/*.yaml"):
        yield from yaml.safe_load_all(path.read_text())


@plans
def test_nothing_is_rendered_twice(plan: InstallPlan) -> None:
    identities = [(obj["kind"], obj["metadata"].get("namespace"), obj["metadata"]["name"]) for obj in render(plan)]
    assert len(set(identities)) == len(identities)


@plans
def test_whatever_is_ours_carries_the_standard_labels_and_the_version(plan: InstallPlan) -> None:
    for obj in render(plan):
        labels = {key.partition("/")[2]: value for key, value in obj["metadata"]["labels"].items()}
        assert labels.pop("component")
        labels = {key: value for key, value in labels.items() if not key.startswith("aggregate-to-")}
        assert labels == {"name": "sew-agent", "part-of": "kubectl-sew", "version": __version__}


def test_the_image_is_of_this_version() -> None:
    assert {agent_of(plan)["image"] for plan in PLANS.values()} == {f"ghcr.io/kubectl-sew/sew-agent:{__version__}"}


def test_the_agent_is_the_same_container_alone_and_as_a_sidecar_but_for_its_part_in_the_pod() -> None:
    alone, sidecar = agent_of(InstallPlan()), agent_of(InstallPlan(host=HOST))
    assert sidecar.pop("restartPolicy") == "Always"
    assert alone.pop("readinessProbe")["httpGet"]["path"] == "/readyz"
    assert [mount["name"] for mount in sidecar.pop("volumeMounts")] == ["sew-state", "sew-token"]
    assert [mount["name"] for mount in alone.pop("volumeMounts")] == ["sew-state"]
    assert alone == sidecar


@pytest.mark.parametrize("host", [None, HOST])
def test_the_agent_reads_the_event_map_where_its_config_map_is_mounted(host: Host | None) -> None:
    plans = [InstallPlan("shops", event_map=text, host=host) for text in ("title: rule\n", "title: name\n")]
    for plan in plans:
        held = named(plan, "ConfigMap")
        assert held["metadata"]["namespace"] == "shops"
        (volume,) = (each for each in pod_of(plan)["volumes"] if each.get("configMap"))
        assert volume["configMap"]["name"] == held["metadata"]["name"]
        (mount,) = (each for each in agent_of(plan)["volumeMounts"] if each["name"] == volume["name"])
        folder, _, key = variables(plan)["SEW_EVENT_MAP"].rpartition("/")
        assert (folder, held["data"]) == (mount["mountPath"], {key: plan.event_map})
    assert variables(plans[0]) != variables(plans[1])  # a changed map starts the agent anew
    assert "ConfigMap" not in {obj["kind"] for obj in render(InstallPlan(parts=frozenset({"rights"}), event_map="x"))}
    assert "SEW_EVENT_MAP" not in variables(InstallPlan(host=host))


def test_a_sidecar_is_no_part_of_the_readiness_of_its_pod() -> None:
    agent = agent_of(InstallPlan(host=HOST))
    assert {key for key in agent if key.endswith("Probe")} == {"startupProbe", "livenessProbe"}


@pytest.mark.parametrize("host", [BARE, FULL])
def test_a_sidecar_adds_to_its_deployment_and_changes_nothing_else(host: Any) -> None:
    before = deepcopy(host)
    after = with_agent(host, InstallPlan(host=HOST, credentials=UsableCredentials("es", ("token",))))
    assert host == before
    pod = after["spec"]["template"]["spec"]
    for key in ("initContainers", "volumes"):
        old = before["spec"]["template"]["spec"].get(key, [])
        assert pod[key][: len(old)] == old
        assert all(item["name"].startswith("sew-") for item in pod[key][len(old) :])
    assert without_agent(after) == before


def test_a_sidecar_that_is_there_already_is_replaced_in_its_place() -> None:
    once = with_agent(FULL, InstallPlan(host=HOST, credentials=UsableCredentials("es", ("token",)), image="old"))
    once["spec"]["template"]["spec"]["initContainers"].append({"name": "last"})
    again = with_agent(once, InstallPlan(host=HOST, image="new"))
    pod = again["spec"]["template"]["spec"]
    assert [container["name"] for container in pod["initContainers"]] == ["first", "sew-agent", "last"]
    assert [volume["name"] for volume in pod["volumes"]] == ["goods", "sew-state", "sew-token"]
    assert pod["initContainers"][1] == agent_of(InstallPlan(host=HOST, image="new"))


def test_neither_namespaces_nor_what_is_pending_nor_the_host_is_removed_unless_asked() -> None:
    kinds = [obj["kind"] for obj in removable(InstallPlan(create_secrets_namespace=True, crd_group=None), data=False)]
    assert kinds[0] == "NetworkPolicy"
    assert {"Namespace", "PersistentVolumeClaim", "CustomResourceDefinition"}.isdisjoint(kinds)
    assert "PersistentVolumeClaim" in {obj["kind"] for obj in removable(InstallPlan(), data=True)}
    assert "Deployment" not in {obj["kind"] for obj in removable(InstallPlan(host=HOST), data=True)}


def test_nothing_of_a_sidecar_selects_pods() -> None:
    kinds = {obj["kind"] for obj in render(InstallPlan(host=HOST))}
    assert kinds.isdisjoint({"Service", "NetworkPolicy", "PodDisruptionBudget"})


def test_the_bindings_name_the_service_account_that_the_agent_acts_as() -> None:
    for plan, account in (
        (InstallPlan(), ("sew-agent", "sew-system")),
        (InstallPlan("other"), ("sew-agent", "other")),
        (InstallPlan(host=HOST), ("keeper", "shops")),
    ):
        bindings = [obj for obj in render(plan) if obj["kind"] in ("ClusterRoleBinding", "RoleBinding")]
        assert len(bindings) == 3
        for obj in bindings:
            (subject,) = obj["subjects"]
            assert (subject["name"], subject["namespace"]) == account


def test_a_service_account_of_ours_comes_only_with_an_agent_alone() -> None:
    assert named(InstallPlan(), "ServiceAccount")["metadata"]["name"] == pod_of(InstallPlan())["serviceAccountName"]
    assert "ServiceAccount" not in {obj["kind"] for obj in render(InstallPlan(host=HOST))}


def test_the_rights_on_secrets_are_given_in_their_namespace_alone() -> None:
    plan = InstallPlan(secrets_namespace="vault")
    assert granted(plan) == {
        "": {"securityeventwebhooks", "securityeventwebhooks/status", "alertexceptions"},
        "vault": {"secrets", "configmaps", "leases"},
        "default": {"events"},
    }
    assert variables(plan)["SEW_SECRETS_NAMESPACE"] == "vault"


def granted(plan: InstallPlan) -> dict[str, set[str]]:
    """Namespace, "" for the whole cluster -> the resources that roles there grant, and bindings of their names give."""
    objects = [(obj["kind"], obj["metadata"], obj) for obj in render(plan)]
    places = {
        (binding["metadata"].get("namespace", ""), binding["roleRef"]["name"])
        for *_, binding in objects
        if "roleRef" in binding
    }
    return {
        meta.get("namespace", ""): {resource for rule in role["rules"] for resource in rule["resources"]}
        for kind, meta, role in objects
        if kind in ("Role", "ClusterRole") and (meta.get("namespace", ""), meta["name"]) in places
    }


def test_the_secrets_may_be_in_the_namespace_of_the_events() -> None:
    objects = render(InstallPlan(secrets_namespace="default"))
    names = [(obj["kind"], obj["metadata"].get("namespace"), obj["metadata"]["name"]) for obj in objects]
    assert len(set(names)) == len(names)


def test_the_namespace_of_the_secrets_is_created_only_where_that_is_asked() -> None:
    for plan, namespaces in (
        (InstallPlan(), ["sew-system"]),
        (InstallPlan(create_secrets_namespace=True), ["sew-system", "tigera-intrusion-detection"]),
        (InstallPlan("one", "one", create_secrets_namespace=True), ["one"]),
        (InstallPlan(host=HOST), []),
        (InstallPlan(host=HOST, create_secrets_namespace=True), ["tigera-intrusion-detection"]),
    ):
        names = [obj["metadata"]["name"] for obj in render(plan) if obj["kind"] == "Namespace"]
        assert names == namespaces


def test_namespaces_and_the_definition_come_before_what_needs_them() -> None:
    kinds = [obj["kind"] for obj in render(InstallPlan(create_secrets_namespace=True))]
    assert kinds[:4] == ["CustomResourceDefinition", "CustomResourceDefinition", "Namespace", "Namespace"]


def test_beside_an_aggregated_api_server_the_definition_is_of_the_other_group() -> None:
    definitions = definitions_of(InstallPlan(crd_group="crd.projectcalico.org"))
    assert list(definitions) == ["securityeventwebhooks.crd.projectcalico.org", "alertexceptions.crd.projectcalico.org"]
    for definition in definitions.values():
        assert definition["spec"]["group"] == "crd.projectcalico.org"
        assert [version["name"] for version in definition["spec"]["versions"]] == ["v1"]


def definitions_of(plan: InstallPlan) -> dict[str, Any]:
    return {obj["metadata"]["name"]: obj for obj in render(plan) if obj["kind"] == "CustomResourceDefinition"}


def test_exceptions_that_the_cluster_has_already_are_not_defined_again() -> None:
    assert list(definitions_of(InstallPlan(defines_exceptions=False))) == ["securityeventwebhooks.projectcalico.org"]


def test_where_the_api_is_served_already_there_is_no_definition() -> None:
    kinds = [obj["kind"] for obj in render(InstallPlan(crd_group=None))]
    assert "CustomResourceDefinition" not in kinds
    assert len(kinds) == len(render(InstallPlan())) - 2


def test_for_an_agent_outside_there_are_the_api_and_the_rights_of_its_service_account() -> None:
    kinds = [obj["kind"] for obj in render(InstallPlan(parts=frozenset({"api", "rights"})))]
    assert {"CustomResourceDefinition", "Namespace", "ServiceAccount", "ClusterRoleBinding", "Role"} <= set(kinds)
    assert not {"Deployment", "PersistentVolumeClaim", "NetworkPolicy"} & set(kinds)
    assert {obj["kind"] for obj in render(InstallPlan(parts=frozenset({"api"})))} == {"CustomResourceDefinition"}


def test_who_may_view_or_edit_in_the_cluster_may_do_so_with_webhooks() -> None:
    roles = {obj["metadata"]["name"]: obj for obj in render(InstallPlan()) if obj["kind"] == "ClusterRole"}
    for name, verbs in (("view", ["get", "list", "watch"]), ("edit", ["create", "update", "patch", "delete"])):
        role = roles[f"securityeventwebhooks-{name}"]
        assert role["metadata"]["labels"][f"rbac.authorization.k8s.io/aggregate-to-{name}"] == "true"
        assert role["rules"][0]["verbs"][:4] == verbs


def test_the_pod_runs_on_nodes_with_linux_and_a_sidecar_leaves_that_to_its_host() -> None:
    assert pod_of(InstallPlan())["nodeSelector"] == {"kubernetes.io/os": "linux"}
    assert "nodeSelector" not in pod_of(PLANS["sidecar"])


@plans
def test_metrics_and_health_are_served_by_ipv4_and_ipv6(plan: InstallPlan) -> None:
    assert variables(plan)["SEW_LISTEN"] == "[::]:9280"


@pytest.mark.parametrize("host", [None, HOST])
def test_a_claim_that_is_named_holds_the_state(host: Host | None) -> None:
    plan = InstallPlan(claim="mine", host=host)
    volumes = {volume["name"]: volume for volume in pod_of(plan)["volumes"]}
    assert volumes["sew-state"] == {"name": "sew-state", "persistentVolumeClaim": {"claimName": "mine"}}
    assert "PersistentVolumeClaim" not in {obj["kind"] for obj in render(plan)}


@pytest.mark.parametrize("host", [None, HOST])
def test_credentials_are_mounted_and_each_file_is_named_to_the_agent(host: Host | None) -> None:
    plan = InstallPlan(credentials=UsableCredentials("es", ("username", "password", "ca.crt")), host=host)
    (volume,) = [volume for volume in pod_of(plan)["volumes"] if "secret" in volume]
    (mount,) = [mount for mount in agent_of(plan)["volumeMounts"] if mount["name"] == volume["name"]]
    assert volume["secret"] == {"secretName": "es"}
    assert {name: value for name, value in variables(plan).items() if name.endswith("_FILE")} == {
        "SEW_ELASTICSEARCH_USERNAME_FILE": f"{mount['mountPath']}/username",
        "SEW_ELASTICSEARCH_PASSWORD_FILE": f"{mount['mountPath']}/password",
        "SEW_ELASTICSEARCH_CA_FILE": f"{mount['mountPath']}/ca.crt",
    }


@pytest.mark.parametrize("host", [None, HOST])
def test_settings_and_image_are_the_container_s(host: Host | None) -> None:
    plan = InstallPlan(image="registry/agent:9", settings={"SEW_ELASTICSEARCH": "https://es:9200"}, host=host)
    assert agent_of(plan)["image"] == "registry/agent:9"
    assert variables(plan)["SEW_ELASTICSEARCH"] == "https://es:9200"
    assert len(variables(plan)) == len(agent_of(plan)["env"])


@plans
def test_every_variable_is_a_setting_of_the_agent(plan: InstallPlan) -> None:
    known = {setting.variable for setting in SETTINGS}
    assert {name for name in variables(plan) if name.startswith("SEW_")} <= known
    assert set(CREDENTIAL_VARIABLES.values()) <= known


@plans
def test_a_namespace_that_enforces_pod_security_restricted_takes_the_agent(plan: InstallPlan) -> None:
    security = agent_of(plan)["securityContext"]
    assert security["runAsNonRoot"]
    assert security["readOnlyRootFilesystem"]
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}


def test_every_manifest_is_of_one_version() -> None:
    key = "app.kubernetes.io/version"
    labels = [obj["metadata"].get("labels", {}) for obj in files() if "metadata" in obj]
    assert {of_one[key] for of_one in labels if key in of_one} == {__version__}


def test_with_postgresql_replicas_run_beside_each_other_without_a_claim() -> None:
    plan = InstallPlan("a", store_secret="pg", replicas=3)
    deployment, budget = named(plan, "Deployment"), named(plan, "PodDisruptionBudget")
    assert deployment["spec"]["replicas"] == 3
    assert deployment["spec"]["strategy"]["type"] == "RollingUpdate"
    (spread,) = pod_of(plan)["topologySpreadConstraints"]
    selected = deployment["spec"]["template"]["metadata"]["labels"].items()
    assert budget["spec"]["selector"]["matchLabels"].items() <= selected
    assert spread["labelSelector"]["matchLabels"].items() <= selected
    assert budget["metadata"]["namespace"] == "a"
    assert "PersistentVolumeClaim" not in {obj["kind"] for obj in render(plan)}


@pytest.mark.parametrize("plan", [InstallPlan(store_secret="pg"), InstallPlan(store_secret="pg", host=HOST)])
def test_the_url_of_postgresql_is_a_file_of_its_secret_and_the_state_ends_with_the_pod(
    plan: InstallPlan,
) -> None:
    volumes = {volume.pop("name"): volume for volume in pod_of(plan)["volumes"]}
    assert volumes["sew-state"] == {"emptyDir": {}}
    assert volumes["sew-store"] == {"secret": {"secretName": "pg"}}
    (mount,) = (mount for mount in agent_of(plan)["volumeMounts"] if mount["name"] == "sew-store")
    assert mount["readOnly"]
    assert variables(plan)["SEW_STORE_FILE"] == f"{mount['mountPath']}/url"


def test_one_agent_with_a_claim_is_as_before_and_a_budget_is_removed_where_there_is_one() -> None:
    assert "PodDisruptionBudget" not in {obj["kind"] for obj in render(InstallPlan())}
    assert "PodDisruptionBudget" not in {obj["kind"] for obj in removable(InstallPlan(), data=False)}
    replicated = InstallPlan(store_secret="pg", replicas=2)
    assert "PodDisruptionBudget" in {obj["kind"] for obj in removable(replicated, data=False)}
