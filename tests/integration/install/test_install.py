"""`kubectl sew install` and `uninstall`, on a real API server."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.install.conftest import DEFINITIONS, EXCEPTIONS, SECRETS, Person, deployment
from tests.waiting import eventually

pytestmark = pytest.mark.server
CRD = DEFINITIONS[0]


def spec_of(person: Person, name: str = "shop", namespace: str = "shops") -> Any:
    return person.server.get("deployment", name, "-n", namespace)["spec"]


def pod_of(person: Person, name: str = "shop", namespace: str = "shops") -> Any:
    return spec_of(person, name, namespace)["template"]["spec"]


def test_what_is_installed_is_there_and_installing_it_again_changes_nothing(person: Person) -> None:
    person.installs()
    assert person.names("deployments") == ["sew-system/sew-agent"]
    assert person.names("roles") == person.names("rolebindings") == ["default/sew-agent-events", f"{SECRETS}/sew-agent"]
    assert person.names("crds") == [EXCEPTIONS[0], CRD]
    before = person.server.get("deployment", "sew-agent", "-n", "sew-system")["metadata"]["generation"]
    person.installs()
    assert person.server.get("deployment", "sew-agent", "-n", "sew-system")["metadata"]["generation"] == before


def test_what_is_printed_can_be_piped_to_kubectl_apply_twice(person: Person) -> None:
    printed = person.runs("sew", "install", "--elasticsearch", "https://es:9200", "--image", "own/agent:7")
    person.runs("apply", "-f", "-", stdin=printed)
    assert "configured" not in person.runs("apply", "-f", "-", stdin=printed)
    (agent,) = pod_of(person, "sew-agent", "sew-system")["containers"]
    assert agent["image"] == "own/agent:7"
    assert {"name": "SEW_ELASTICSEARCH", "value": "https://es:9200"} in agent["env"]


def test_an_installation_that_was_piped_is_upgraded_by_apply(person: Person) -> None:
    person.runs("apply", "-f", "-", stdin=person.runs("sew", "install", "--image", "own/agent:1"))
    person.installs("--image", "own/agent:2")
    (agent,) = pod_of(person, "sew-agent", "sew-system")["containers"]
    assert agent["image"] == "own/agent:2"


def test_the_agent_may_be_in_another_namespace_wherever_the_flag_stands(person: Person) -> None:
    before = person.runs("sew", "install", "--namespace", "watch")
    assert before == person.runs("sew", "-n", "watch", "install")
    assert before == person.runs("sew", "install", "-n", "watch")
    person.runs("apply", "-f", "-", stdin=before)
    assert person.names("deployments") == ["watch/sew-agent"]


def test_without_the_namespace_of_the_secrets_nothing_is_installed_unless_it_is_to_be_created(person: Person) -> None:
    error = person.is_refused("sew", "install", "--apply", "--secrets-namespace", "vault")
    assert "kubectl create namespace vault" in error
    assert person.names("deployments") == []
    person.installs("--secrets-namespace", "vault", "--create-namespace")
    assert person.names("roles") == ["default/sew-agent-events", "vault/sew-agent"]


def test_the_keys_of_the_credentials_say_which_files_the_agent_gets(person: Person) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sew-system"}}
    person.runs("apply", "-f", "-", stdin=json.dumps(namespace))
    assert "create it" in person.is_refused("sew", "install", "--apply", "--credentials-secret", "es")
    person.runs("create", "secret", "generic", "es", "-n", "sew-system", "--from-literal=other=x")
    assert "has none of the keys api-key" in person.is_refused(
        "sew", "install", "--apply", "--credentials-secret", "es"
    )
    person.runs("delete", "secret", "es", "-n", "sew-system")
    keys = ("--from-literal=username=u", "--from-literal=password=p", "--from-literal=other=x")
    person.runs("create", "secret", "generic", "es", "-n", "sew-system", *keys)
    person.installs("--credentials-secret", "es")
    (agent,) = pod_of(person, "sew-agent", "sew-system")["containers"]
    files = {variable["name"]: variable["value"] for variable in agent["env"] if variable["name"].endswith("_FILE")}
    assert set(files) == {"SEW_ELASTICSEARCH_USERNAME_FILE", "SEW_ELASTICSEARCH_PASSWORD_FILE"}


def test_several_agents_share_the_postgresql_whose_url_is_in_a_secret(person: Person) -> None:
    wanted = ("--store-secret", "pg", "--replicas", "2")
    person.runs("create", "namespace", "sew-system")
    missing = person.is_refused("sew", "install", "--apply", *wanted)
    assert "the Secret pg in the namespace sew-system is not there: create it with the key url" in missing
    person.runs("create", "secret", "generic", "pg", "-n", "sew-system", "--from-literal=url=postgresql://db/sew")
    for _ in range(2):
        person.installs(*wanted)
    assert spec_of(person, "sew-agent", "sew-system")["replicas"] == 2
    assert person.names("poddisruptionbudgets") == ["sew-system/sew-agent"]
    assert person.names("persistentvolumeclaims") == []
    person.runs("delete", "-f", "-", stdin=person.runs("sew", "uninstall"))
    assert person.names("poddisruptionbudgets") == person.names("deployments") == []
    person.installs(*wanted)
    person.runs("scale", "deployment/sew-agent", "-n", "sew-system", "--replicas=1")
    person.runs("sew", "uninstall", "--apply")
    assert person.names("poddisruptionbudgets") == []


def test_a_map_of_events_is_installed_and_goes_with_the_agent(person: Person, tmp_path: Path) -> None:
    maps = tmp_path / "map.yaml"
    maps.write_text("title: rule\nwrong: x\n")
    assert f"{maps}, line 2" in person.is_refused("sew", "install", "--apply", "--event-map", str(maps))
    maps.write_text("title: rule\n")
    for _ in range(2):
        person.installs("--event-map", str(maps))
    (held,) = person.server.get("configmap", "sew-agent-event-map", "-n", "sew-system")["data"].values()
    assert held == "title: rule\n"
    person.runs("delete", "-f", "-", stdin=person.runs("sew", "uninstall"))
    assert "sew-system/sew-agent-event-map" not in person.names("configmaps")
    person.installs("--event-map", str(maps))
    person.runs("sew", "uninstall", "--apply")
    assert "sew-system/sew-agent-event-map" not in person.names("configmaps")


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (("--replicas", "2"), "--replicas needs --store-secret"),
        (("--store-secret", "pg", "--claim", "c"), "--store-secret and --claim cannot be given together"),
        (("--store-secret", "pg", "--replicas", "2", "--sidecar-of", "deployment/shop"), "--replicas is for an agent"),
    ],
)
def test_what_does_not_go_with_several_agents_is_refused(person: Person, flags: tuple[str, ...], why: str) -> None:
    assert why in person.is_refused("sew", "install", *flags)


def test_uninstalling_keeps_the_webhooks_and_what_is_pending_unless_asked(person: Person) -> None:
    person.installs()
    person.runs("sew", "uninstall", "--apply")
    for kind in ("deployments", "serviceaccounts", "networkpolicies", "roles", "rolebindings", "clusterroles"):
        assert person.names(kind) == []
    assert person.names("clusterrolebindings") == []
    assert person.names("crds") == [EXCEPTIONS[0], CRD]
    assert person.names("persistentvolumeclaims") == ["sew-system/sew-agent"]
    assert person.server.get("namespace", "sew-system")["status"]["phase"] == "Active"
    person.runs("sew", "uninstall", "--apply", "--crd", "--data")
    eventually(lambda: person.names("crds") == [], "the server has let go of the definition")
    deleted = person.server.get("persistentvolumeclaim", "sew-agent", "-n", "sew-system")["metadata"]
    assert deleted["deletionTimestamp"]
    assert person.server.get("namespace", SECRETS)["status"]["phase"] == "Active"


def test_what_uninstall_prints_can_be_piped_to_kubectl_delete(person: Person) -> None:
    person.installs()
    person.runs("delete", "-f", "-", stdin=person.runs("sew", "uninstall"))
    assert person.names("deployments") == person.names("roles") == []


def test_uninstalling_what_is_not_there_is_fine(person: Person) -> None:
    done = person.tries("sew", "uninstall", "--apply", "--crd", "--data")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "warning: nothing was there to delete\n")


def test_as_a_sidecar_the_agent_is_in_the_pod_of_the_deployment_beside_all_that_it_had(
    person: Person, shop: dict[str, Any]
) -> None:
    person.installs("--sidecar-of", "deployment/shop", "-n", "shops", "--image", "own/agent:7")
    pod = pod_of(person)
    assert [container["name"] for container in pod["initContainers"]] == ["first", "sew-agent"]
    agent = pod["initContainers"][1]
    assert (agent["restartPolicy"], agent["image"]) == ("Always", "own/agent:7")
    assert {"startupProbe", "livenessProbe"} <= set(agent)
    assert "readinessProbe" not in agent
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["sew-state"] == {"name": "sew-state", "emptyDir": {}}
    assert "goods" in volumes
    (subject,) = person.server.get("clusterrolebinding", "sew-agent")["subjects"]
    assert (subject["name"], subject["namespace"]) == ("keeper", "shops")
    assert person.names("deployments") == person.names("serviceaccounts") == []


def test_installing_a_sidecar_again_rolls_no_pod(person: Person, shop: dict[str, Any]) -> None:
    person.installs("--sidecar-of", "deployment/shop", "-n", "shops")
    before = person.server.get("deployment", "shop", "-n", "shops")["metadata"]["generation"]
    person.installs("--sidecar-of", "deployment/shop", "-n", "shops")
    assert person.server.get("deployment", "shop", "-n", "shops")["metadata"]["generation"] == before


def changing(person: Person, folder: Path, times: int) -> str:
    """A kubectl before whose first so many patches somebody else changes the Deployment, as its controller may."""
    real, made, changes = person.server.programs.kubectl, folder / "kubectl", folder / "changes"
    change = f'{real} annotate deployment shop -n shops changed="$(wc -c <{changes})" --overwrite >&2'
    once_more = f"[ $(wc -c <{changes}) -lt {times} ] && printf x >>{changes} && {change}"
    changes.touch()
    made.write_text(f'#!/bin/sh\ncase "$*" in *patch*) {once_more};; esac\nexec {real} "$@"\n')
    made.chmod(0o755)
    return str(made)


def test_a_deployment_that_changes_meanwhile_is_read_again(
    person: Person, shop: dict[str, Any], tmp_path: Path
) -> None:
    sidecar = ("--sidecar-of", "deployment/shop", "-n", "shops")
    person.installs(*sidecar, KUBECTL_PATH=changing(person, tmp_path, 4))
    assert person.server.get("deployment", "shop", "-n", "shops")["metadata"]["annotations"]["changed"] == "4"
    assert "sew-agent" in [container["name"] for container in pod_of(person)["initContainers"]]
    person.runs("sew", "uninstall", "--apply", *sidecar, KUBECTL_PATH=changing(person, tmp_path, 8))
    assert person.server.get("deployment", "shop", "-n", "shops")["metadata"]["annotations"]["changed"] == "8"
    assert [container["name"] for container in pod_of(person)["initContainers"]] == ["first"]


def test_a_deployment_that_changes_all_the_time_is_left_as_it_is(
    person: Person, shop: dict[str, Any], tmp_path: Path
) -> None:
    sidecar = ("--sidecar-of", "deployment/shop", "-n", "shops")
    error = person.is_refused("sew", "install", "--apply", *sidecar, KUBECTL_PATH=changing(person, tmp_path, 1_000))
    assert error == "error: deployment/shop changes all the time, and was left as it is: try again\n"
    assert [container["name"] for container in pod_of(person)["initContainers"]] == ["first"]


def test_the_owner_of_the_host_may_apply_it_again_without_losing_the_sidecar(
    person: Person, shop: dict[str, Any]
) -> None:
    person.installs("--sidecar-of", "deployment/shop", "-n", "shops")
    shop["spec"]["template"]["spec"]["containers"][0]["image"] = "shop:2"
    person.runs("apply", "-f", "-", stdin=json.dumps(shop))
    pod = pod_of(person)
    assert pod["containers"][0]["image"] == "shop:2"
    assert "sew-agent" in [container["name"] for container in pod["initContainers"]]


@pytest.mark.parametrize("how", ["--apply", "piped"])
def test_uninstalling_a_sidecar_gives_the_deployment_back_as_it_was(
    person: Person, shop: dict[str, Any], how: str
) -> None:
    before = spec_of(person)
    host = ("--sidecar-of", "deployment/shop", "-n", "shops")
    if how == "--apply":
        person.installs(*host)
    else:
        person.runs("apply", "-f", "-", stdin=person.runs("sew", "install", *host))
    assert spec_of(person) != before
    person.runs("sew", "uninstall", "--apply", *host)
    assert spec_of(person) == before
    assert person.names("roles") == person.names("clusterrolebindings") == []
    person.runs("sew", "uninstall", "--apply", *host)


def test_the_rights_of_an_agent_are_not_given_to_another_nor_taken_by_its_name_alone(
    person: Person, shop: dict[str, Any]
) -> None:
    host = ("--sidecar-of", "deployment/shop", "-n", "shops")
    person.installs()
    for words in (("install", *host), ("install", "--apply", *host), ("uninstall", "--apply", "-n", "elsewhere")):
        error = person.is_refused("sew", *words)
        assert "an agent is in deployment/sew-agent (namespace sew-system)" in error
        assert "`kubectl sew uninstall --apply -n sew-system`" in error
    person.runs("sew", "uninstall", "--apply", "-n", "sew-system")
    person.installs(*host)
    for words in (("install", "--apply"), ("uninstall", "--apply"), ("uninstall", "--apply", *host[:2])):
        error = person.is_refused("sew", *words)
        assert "`kubectl sew uninstall --apply --sidecar-of deployment/shop -n shops`" in error
    assert person.names("rolebindings") == ["default/sew-agent-events", f"{SECRETS}/sew-agent"]
    person.runs("sew", "uninstall", "--apply", *host)
    person.installs()


def test_a_host_that_acts_as_another_account_since_gets_the_rights_again(person: Person, shop: dict[str, Any]) -> None:
    host = ("--sidecar-of", "deployment/shop", "-n", "shops")
    person.installs(*host)
    person.runs("set", "serviceaccount", "deployment/shop", "other", "-n", "shops")
    person.installs(*host)
    (subject,) = person.server.get("clusterrolebinding", "sew-agent")["subjects"]
    assert (subject["name"], subject["namespace"]) == ("other", "shops")


def test_an_address_that_no_agent_can_read_is_refused_before_anything_is_installed(person: Person) -> None:
    error = person.is_refused("sew", "install", "--apply", "--elasticsearch", "elasticsearch:9200")
    assert "it must be https://HOST:PORT" in error
    assert person.names("deployments") == []


def test_uninstalling_a_sidecar_works_where_its_deployment_is_gone(person: Person, shop: dict[str, Any]) -> None:
    host = ("--sidecar-of", "deployment/shop", "-n", "shops")
    person.installs(*host)
    person.runs("delete", "deployment", "shop", "-n", "shops")
    person.runs("sew", "uninstall", "--apply", *host)
    assert person.names("roles") == []


def test_a_service_account_that_others_share_is_warned_of(person: Person, shop: dict[str, Any]) -> None:
    words = ("sew", "install", "--sidecar-of", "deployment/shop", "-n", "shops")
    assert "uses the service account default" not in person.tries(*words).stderr
    shop["spec"]["template"]["spec"]["serviceAccountName"] = "default"
    person.runs("apply", "-f", "-", stdin=json.dumps(shop))
    assert "uses the service account default" in person.tries(*words).stderr


def test_what_a_claim_asks_of_its_host_is_said(person: Person, shop: dict[str, Any]) -> None:
    words = ("sew", "install", "--apply", "--sidecar-of", "deployment/shop", "-n", "shops", "--claim", "state")
    said = person.tries(*words).stderr
    assert "may run several pods at once" in said
    assert "have no fsGroup" in said
    assert {"name": "sew-state", "persistentVolumeClaim": {"claimName": "state"}} in pod_of(person)["volumes"]
    shop["spec"] |= {"strategy": {"type": "Recreate"}}
    shop["spec"]["template"]["spec"]["securityContext"] = {"fsGroup": 65532}
    person.runs("apply", "-f", "-", stdin=json.dumps(shop))
    assert person.tries(*words).stderr == ""


def test_a_host_that_is_not_there_and_one_that_is_no_deployment_are_errors(person: Person) -> None:
    error = person.is_refused("sew", "install", "--sidecar-of", "deployment/shop", "-n", "shops")
    assert "there is no deployment/shop in the namespace shops" in error
    assert "must be deployment/NAME, but is `statefulset/shop`" in person.is_refused(
        "sew", "install", "--sidecar-of", "statefulset/shop"
    )


def test_where_calico_defines_the_api_its_definition_is_left_alone(person: Person) -> None:
    ours = next(obj for obj in yaml.safe_load_all(person.runs("sew", "install")) if obj["metadata"]["name"] == CRD)
    del ours["metadata"]["labels"]
    person.runs("create", "-f", "-", stdin=json.dumps(ours))
    done = person.tries("sew", "install", "--apply")
    assert done.returncode == 0
    assert "serves SecurityEventWebhooks already" in done.stderr
    assert "labels" not in person.server.get("crd", CRD)["metadata"]
    person.runs("sew", "uninstall", "--apply", "--crd")
    assert person.server.get("crd", CRD)["metadata"]["name"] == CRD


@pytest.mark.parametrize("kind", ["Deployment", "Pod"])
def test_beside_calico_s_own_processor_the_agent_leaves_to_it_what_it_delivers(person: Person, kind: str) -> None:
    made = deployment("controller", SECRETS, containers=[{"name": "webhooks-processor", "image": "x:1"}])
    if kind == "Pod":
        made = {"apiVersion": "v1", "kind": "Pod", **made["spec"]["template"]}
        made["metadata"] = {"name": "controller", "namespace": SECRETS}
    person.runs("apply", "-f", "-", stdin=json.dumps(made))
    assert f"{kind.lower()}/controller" in person.is_refused("sew", "install")
    for words, env in (((), {}), (("--selector", "team=blue"), {}), ((), {"SEW_SELECTOR": "team=blue"})):
        printed = yaml.safe_load_all(person.runs("sew", "install", "--beside-calico", *words, **env))
        (agent,) = [obj for obj in printed if obj["kind"] == "Deployment"]
        (container,) = agent["spec"]["template"]["spec"]["containers"]
        assert {"name": "SEW_BESIDE_CALICO", "value": "true"} in container["env"]
        selected = {"name": "SEW_SELECTOR", "value": "team=blue"} in container["env"]
        assert selected == bool(words or env)


def test_without_any_cluster_it_prints_what_a_plain_one_needs_and_says_so(person: Person) -> None:
    expected = person.runs("sew", "install")
    done = person.tries("sew", "install", KUBECONFIG="/dev/null")
    assert (done.returncode, done.stdout) == (0, expected)
    assert "no cluster was asked" in done.stderr
    person.is_refused("sew", "install", "--apply", KUBECONFIG="/dev/null")


def test_a_cluster_that_cannot_be_reached_is_an_error(person: Person) -> None:
    for words in (
        ("install",),
        ("install", "--apply"),
        ("uninstall", "--apply"),
        ("install", "--sidecar-of", "deploy/x"),
    ):
        person.is_refused("sew", *words, "--context", "nowhere")
        person.is_refused("sew", *words, "-s", "https://127.0.0.1:1")
