"""The chart beside `kubectl sew install`: the same objects for the same options, as Helm renders it."""

import re
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubectl_sew import __version__
from kubectl_sew.cli.commands.install import install
from kubectl_sew.cli.connection import connection_options
from kubectl_sew.install import InstallPlan, UsableCredentials, render
from kubectl_sew.install.manifests import Document
from kubectl_sew.pages import IMAGE
from testbed.servers.helm import Helm
from tests.kubernetes_schemas import VERSIONS, objections

pytestmark = pytest.mark.server
ROOT = Path(__file__).parents[3]
CHART = ROOT / "charts" / "kubectl-sew"
PAGE = ROOT / "docs" / "helm.md"
RELEASE = "sew-agent"
HELMS_OWN = ("helm.sh/chart", "app.kubernetes.io/instance", "app.kubernetes.io/managed-by")


def sets(values: tuple[str, ...]) -> list[str]:
    return [word for value in values for word in ("--set", value)]


def rendered(helm: Helm, *values: str) -> list[Document]:
    done = helm.tries("template", RELEASE, CHART, "-n", "sew-system", *sets(values))
    assert done.returncode == 0, done.stderr
    return [obj for obj in yaml.safe_load_all(done.stdout) if obj]


def as_install_writes_it(obj: Any) -> Any:
    """Return an object of the chart without what Helm's conventions add to it."""
    metadata = obj["metadata"]
    _without(metadata, "annotations", ("helm.sh/resource-policy",))
    labelled = [metadata]
    spec = obj.get("spec", {})
    selectors = [spec.get("podSelector"), spec.get("selector")]
    if obj["kind"] == "Deployment":
        pod = spec["template"]["spec"]
        labelled.append(spec["template"]["metadata"])
        selectors += [constraint["labelSelector"] for constraint in pod.get("topologySpreadConstraints", ())]
        assert pod["containers"][0].pop("imagePullPolicy") == "IfNotPresent"  # the server's own choice for a tag
    for item in labelled:
        _without(item, "labels", HELMS_OWN)
    for item in filter(None, selectors):
        _without(item, "matchLabels", HELMS_OWN)
    return obj


def _without(holder: Any, name: str, keys: tuple[str, ...]) -> None:
    for key in keys:
        holder.get(name, {}).pop(key, None)
    if not holder.get(name, True):
        del holder[name]


def by_identity(objects: list[Any]) -> dict[tuple[str, str, str], Any]:
    """Return the objects by kind, namespace and name, with the variables of a container by theirs."""
    for obj in objects:
        if obj["kind"] == "Deployment":
            (agent,) = obj["spec"]["template"]["spec"]["containers"]
            agent["env"] = {variable["name"]: variable for variable in agent["env"]}
            for volumes in (agent["volumeMounts"], obj["spec"]["template"]["spec"]["volumes"]):
                volumes.sort(key=lambda volume: volume["name"])
    return {(obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"]): obj for obj in objects}


SAME: Mapping[str, tuple[Mapping[str, Any], tuple[str, ...]]] = {
    "": ({}, ()),
    "image": ({"image": "own/agent:7.0.1"}, ("image.repository=own/agent", "image.tag=7.0.1")),
    "elasticsearch": (
        {"settings": {"SEW_ELASTICSEARCH": "https://a:9200,https://b"}},
        ("elasticsearch.urls=https://a:9200\\,https://b",),
    ),
    "index": ({"settings": {"SEW_INDEX": "falco-*,-falco-old"}}, ("elasticsearch.index=falco-*\\,-falco-old",)),
    "time_field": ({"settings": {"SEW_TIME_FIELD": "@timestamp"}}, ("elasticsearch.timeField=@timestamp",)),
    "credentials_secret": (
        {"credentials": UsableCredentials("es", ("username", "password", "ca.crt"))},
        ("elasticsearch.existingSecret=es", "elasticsearch.secretKeys={ca.crt,username,password}"),
    ),
    "claim": ({"claim": "mine"}, ("persistence.existingClaim=mine",)),
    "store_secret": ({"store_secret": "pg"}, ("store.existingSecret=pg",)),
    "replicas": ({"store_secret": "pg", "replicas": 3}, ("store.existingSecret=pg", "replicaCount=3")),
    "event_map": ({"event_map": "title: rule\ntext: [a, b]\n"}, ("eventMap=title: rule\ntext: [a\\, b]\n",)),
    "selector": ({"settings": {"SEW_SELECTOR": "team=a"}}, ("webhooks.selector=team=a",)),
    "secret_selector": ({"settings": {"SEW_SECRET_SELECTOR": "for=a"}}, ("webhooks.secretSelector=for=a",)),
    "beside_calico": ({"settings": {"SEW_BESIDE_CALICO": "true"}}, ("besideCalico=true",)),
    "secrets_namespace": ({"secrets_namespace": "vault"}, ("secretsNamespace.name=vault",)),
    "create_namespace": ({"create_secrets_namespace": True}, ("secretsNamespace.create=true",)),
}
"""Option of `install` -> what it makes of the plan, and the values that mean the same."""
FOUND_OUT: Mapping[str, tuple[Mapping[str, Any], tuple[str, ...]]] = {
    "Calico serves both kinds": ({"crd_group": None}, ("crds.enabled=false",)),
    "another definition of exceptions": ({"defines_exceptions": False}, ("crds.exceptions=false",)),
    "Calico hides the group": ({"crd_group": "crd.projectcalico.org"}, ("crds.group=crd.projectcalico.org",)),
}
"""What `install` finds out about a cluster -> the same."""
ONLY_INSTALL = {
    "apply": "`helm template` prints, `helm install` applies",
    "namespace": "Helm's own --namespace",
    "host": "a chart cannot change a Deployment that is not its own",
    "only": "crds.enabled, rbac.create and replicaCount=0 leave parts out",
}
ONLY_CHART = {
    *("nameOverride", "fullnameOverride", "commonLabels", "image.digest", "image.pullPolicy", "imagePullSecrets"),
    *("persistence.storageClass", "persistence.size", "rbac.create", "rbac.aggregateRoles"),
    *("serviceAccount.create", "serviceAccount.name", "serviceAccount.annotations", "networkPolicy.enabled"),
    *(f"monitoring.{part}.{value}" for part in ("podMonitor", "prometheusRule") for value in ("enabled", "labels")),
    *(f"monitoring.podMonitor.{value}" for value in ("interval", "scrapeTimeout", "relabelings")),
    *(f"monitoring.dashboard.{value}" for value in ("enabled", "labels", "annotations")),
    *("podAnnotations", "podLabels"),
    *("podSecurityContext", "securityContext", "resources", "nodeSelector", "tolerations", "affinity"),
    *("priorityClassName", "extraEnv", "extraVolumes", "extraVolumeMounts"),
}
OF_ANY_SHAPE = {"resources", "podSecurityContext", "securityContext", "nodeSelector", "labels"}


def settable(values: Any, prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, dict) and value and name not in OF_ANY_SHAPE:
            yield from settable(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def test_each_option_of_install_and_each_value_is_compared_or_named_as_the_only_one() -> None:
    kubectls = {option.name for option in connection_options(listed=False)}  # the group gives each command these
    ours = (set(SAME) - {""}) | set(ONLY_INSTALL)
    assert {option.name for option in install.params} - (kubectls - ours) == ours
    tables = [*SAME.values(), *FOUND_OUT.values()]
    compared = {value.partition("=")[0] for _, values in tables for value in values}
    assert set(settable(yaml.safe_load((CHART / "values.yaml").read_text("utf-8")))) == compared | ONLY_CHART
    assert not compared & ONLY_CHART


@pytest.mark.parametrize("option", [*SAME, *FOUND_OUT])
def test_the_chart_renders_what_install_prints(helm: Helm, option: str) -> None:
    plan, values = {**SAME, **FOUND_OUT}[option]
    printed = by_identity(render(InstallPlan(**plan)))
    assert printed.pop(("Namespace", "", "sew-system"))  # Helm's --create-namespace
    assert by_identity([as_install_writes_it(obj) for obj in rendered(helm, *values)]) == printed


MONITORING = tuple(f"monitoring.{part}.enabled=true" for part in ("podMonitor", "prometheusRule", "dashboard"))


def test_monitoring_is_what_the_kustomization_of_it_has(helm: Helm) -> None:
    objects = by_identity([as_install_writes_it(obj) for obj in rendered(helm, *MONITORING)])
    for name in ("podmonitor", "prometheusrule"):
        (written,) = yaml.safe_load_all((ROOT / "manifests" / "monitoring" / f"{name}.yaml").read_text("utf-8"))
        assert objects[written["kind"], "sew-system", "sew-agent"] == written
    dashboard = objects["ConfigMap", "sew-system", "sew-agent-dashboard"]
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
    written = (ROOT / "manifests" / "monitoring" / "dashboard.json").read_text("utf-8")
    assert dashboard["data"] == {"sew-agent.json": written.strip()}


def test_monitoring_can_be_as_a_prometheus_and_a_grafana_want_it(helm: Helm) -> None:
    endpoint = "monitoring.podMonitor"
    relabeling = (f"{endpoint}.relabelings[0].targetLabel=cluster", f"{endpoint}.relabelings[0].replacement=prod")
    wanted = (f"{endpoint}.interval=1m30s", f"{endpoint}.scrapeTimeout=20s", *relabeling)
    folder = "monitoring.dashboard.annotations.grafana_folder=Security"
    objects = by_identity(rendered(helm, *MONITORING, *wanted, folder))
    assert objects["PodMonitor", "sew-system", "sew-agent"]["spec"]["podMetricsEndpoints"] == [
        {
            "port": "sew-metrics",
            "interval": "1m30s",
            "scrapeTimeout": "20s",
            "relabelings": [{"targetLabel": "cluster", "replacement": "prod"}],
        }
    ]
    dashboard = objects["ConfigMap", "sew-system", "sew-agent-dashboard"]
    assert dashboard["metadata"]["annotations"] == {"grafana_folder": "Security"}


def agents_pod(helm: Helm, *words: str) -> Any:
    """Return the spec of the agent's pod, as these words of the command line make it."""
    done = helm.tries("template", RELEASE, CHART, "--show-only", "templates/deployment.yaml", *words)
    assert done.returncode == 0, done.stderr
    return yaml.safe_load(done.stdout)["spec"]["template"]["spec"]


def test_the_image_can_be_named_by_its_digest_which_stands_alone(helm: Helm) -> None:
    digest = f"sha256:{'0123456789abcdef' * 4}"
    (agent,) = agents_pod(helm, *sets((f"image.digest={digest}", "image.tag=1.0")))["containers"]
    assert agent["image"] == f"{IMAGE}@{digest}"


def test_a_file_for_the_agent_comes_from_a_volume_as_the_page_shows(helm: Helm, tmp_path: Path) -> None:
    shown = re.findall(r"```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    (values,) = [block for block in shown if "extraVolumes:" in block]
    (tmp_path / "values.yaml").write_text(values)
    pod = agents_pod(helm, "-f", str(tmp_path / "values.yaml"))
    (agent,) = pod["containers"]
    (file,) = [entry["value"] for entry in agent["env"] if entry["name"] == "OTEL_EXPORTER_OTLP_CERTIFICATE"]
    (mount,) = [mount for mount in agent["volumeMounts"] if file.startswith(f"{mount['mountPath']}/")]
    (volume,) = [volume for volume in pod["volumes"] if volume["name"] == mount["name"]]
    assert volume["configMap"]["name"]
    assert {volume["name"] for volume in pod["volumes"]} == {"sew-state", mount["name"]}


EVERYTHING = (
    *MONITORING,
    "extraVolumes[0].name=any",
    "extraVolumes[0].configMap.name=any",
    "extraVolumeMounts[0].name=any",
    "extraVolumeMounts[0].mountPath=/any",
    *SAME["elasticsearch"][1],
    *SAME["credentials_secret"][1],
    *SAME["event_map"][1],
    *SAME["create_namespace"][1],
)


@pytest.mark.parametrize("version", VERSIONS)
def test_each_version_of_kubernetes_knows_what_the_chart_renders(helm: Helm, version: str) -> None:
    shared = ("crds.enabled=false", "store.existingSecret=pg", "replicaCount=3")  # the definitions: tests/unit/install
    assert objections(rendered(helm, *EVERYTHING, *shared), version) == []


def test_lint_has_nothing_to_say(helm: Helm) -> None:
    done = helm.tries("lint", "--strict", CHART)
    assert done.returncode == 0, done.stdout
    assert re.findall(r"\[(ERROR|WARNING)\].*", done.stdout + done.stderr) == []


def test_a_release_packs_the_chart_under_the_name_that_it_pushes(helm: Helm, tmp_path: Path) -> None:
    done = helm.tries("package", CHART, "--destination", tmp_path)
    assert done.returncode == 0, done.stderr
    with tarfile.open(tmp_path / f"kubectl-sew-{__version__}.tgz") as packed:
        names = {Path(name).relative_to("kubectl-sew") for name in packed.getnames()}
    assert names == {path.relative_to(CHART) for path in CHART.rglob("*") if path.is_file()}


WRONG: dict[str, tuple[str, ...]] = {
    "more than one agent needs store.existingSecret": ("replicaCount=2",),
    "PostgreSQL needs no claim": ("store.existingSecret=pg", "persistence.existingClaim=c"),
    "name the keys of elasticsearch.existingSecret": ("elasticsearch.existingSecret=es",),
    "name the Secret that has the keys": ("elasticsearch.secretKeys={api-key}",),
    "SEW_STORE is a secret": ("extraEnv[0].name=SEW_STORE", "extraEnv[0].value=postgresql://u:p@db"),
    "SEW_LISTEN is set by the chart itself": ("extraEnv[0].name=SEW_LISTEN", "extraEnv[0].value=off"),
    "use elasticsearch.urls": ("extraEnv[0].name=SEW_ELASTICSEARCH", "extraEnv[0].value=https://a"),
    "SEW_SELECTOR is set by other values": (
        *("extraEnv[0].name=SEW_SELECTOR", "extraEnv[0].value=a=b"),
        "webhooks.selector=a=b",
    ),
    "replicas": ("replicas=2",),
    "replicaCount": ("replicaCount=two",),
    "a user and a password do not belong into values": ("elasticsearch.urls=https://user:password@es:9200",),
    "each begins with https:// or http://": ("elasticsearch.urls=https://es:9200\\,es",),
    "the URL of SEW_PROXY holds a password": (
        *("extraEnv[0].name=SEW_PROXY", "extraEnv[0].value=http://user:password@proxy"),
    ),
    "secretKeys": ("elasticsearch.existingSecret=es", "elasticsearch.secretKeys={apikey}"),
    "group": ("crds.group=calico.org",),
    "digest": ("image.digest=0123",),
    "interval": ("monitoring.podMonitor.interval=thirty",),
    "mountPath": ("extraVolumeMounts[0].name=any",),
}


@pytest.mark.parametrize("why", WRONG)
def test_values_that_are_wrong_are_refused_with_the_name_of_the_value(helm: Helm, why: str) -> None:
    done = helm.tries("template", RELEASE, CHART, *sets(WRONG[why]))
    assert done.returncode == 1, done.stdout
    error = " ".join(done.stderr.split())
    assert why in error
    assert "user:password" not in error


def test_what_openshift_chooses_is_left_out_as_the_page_shows(helm: Helm, tmp_path: Path) -> None:
    section = (ROOT / "docs" / "install.md").read_text("utf-8").split("\n## OpenShift\n")[1]
    (values,) = re.findall(r"```yaml\n(podSecurityContext:.*?)```", section, re.DOTALL)
    (tmp_path / "values.yaml").write_text(values)
    pod = agents_pod(helm, "-f", str(tmp_path / "values.yaml"))
    assert not {"runAsUser", "runAsGroup"} & pod["containers"][0]["securityContext"].keys()
    assert pod["containers"][0]["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"] == {"fsGroupChangePolicy": "OnRootMismatch"}


@pytest.mark.parametrize(
    ("release", "name"), [("sew-agent", "sew-agent"), ("prod", "prod-sew-agent"), ("r" * 53, "r" * 53)]
)
def test_the_names_are_made_of_the_releases(helm: Helm, release: str, name: str) -> None:
    done = helm.tries("template", release, CHART, *sets(MONITORING))
    names = {(obj["kind"], obj["metadata"]["name"]) for obj in yaml.safe_load_all(done.stdout) if obj}
    assert {("Deployment", name), ("Role", f"{name}-events"), ("ConfigMap", f"{name}-dashboard")} <= names
    assert max(len(found) for _, found in names) <= 63


def test_a_parent_chart_may_have_a_condition_and_global_values(helm: Helm) -> None:
    assert rendered(helm, "enabled=true", "global.imageRegistry=registry.example")
