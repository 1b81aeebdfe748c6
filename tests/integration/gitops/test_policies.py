"""The admission policies of manifests/policies, as a real API server and the plugin tell of them."""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubectl_sew.consumers.registry import CONSUMERS
from testbed.servers.kubernetes import Kubernetes
from tests.integration.cluster.in_cluster import SECRETS, ClusterHarness, cluster_harness, secret, webhook
from tests.integration.gitops.policies import eventually_served, refusal
from tests.waiting import eventually

pytestmark = pytest.mark.server
ROOT = Path(__file__).parents[3]
POLICIES = ROOT / "manifests" / "policies"
ALLOWED = "url: only https:// and these receivers are allowed: hooks.slack.com, *.example.com"
OLD = webhook("old", "https://elsewhere.example.org")
ELSEWHERE = webhook("elsewhere", "https://elsewhere.example.org")
IN_CLEAR = webhook("clear", "https://any.example.com", config=[{"name": "headers", "value": "X-Key: 1"}])


def with_url(url: str, consumer: str = "Generic", **more: str) -> dict[str, object]:
    """A webhook with this URL; `more` are further variables with their values."""
    variables = [{"name": name, "value": value} for name, value in {"url": url, **more}.items()]
    return webhook("tried", url, consumer=consumer, config=variables)


def referring(name: str, reference: str, consumer: str = "Generic", *, of: str = "receiver") -> dict[str, object]:
    """A webhook whose variable of that name is in a Secret or a ConfigMap, which is called `of`."""
    source = {"name": name, "valueFrom": {reference: {"name": of, "key": "key"}}}
    url = [] if name == "url" else [{"name": "url", "value": "https://any.example.com"}]
    return webhook("tried", consumer=consumer, config=[source, *url])


@pytest.fixture(scope="module")
def guarded(cluster: Kubernetes) -> Iterator[ClusterHarness]:
    """A cluster with both policies, and a webhook from before them that they would refuse."""
    with cluster_harness(cluster) as harness:
        harness.apply(OLD)
        cluster.kubectl("apply", "-k", POLICIES)
        eventually_served(cluster, ELSEWHERE)
        eventually_served(cluster, with_url("https://any.example.com", headers="X-Key: 1"))
        yield harness
        cluster.kubectl("delete", "-k", POLICIES)
        eventually(lambda: not refusal(cluster, ELSEWHERE), "the server has let go of the policies")


@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere.example.org",
        "http://hooks.slack.com/x",
        "https://example.com",
        "https://hooks.slack.com.",
        "https://elsewhere.example.org#.example.com",
        "https://elsewhere.example.org?.example.com",
        "https://[2001:db8::1%25.example.com]/",
        " https://hooks.slack.com/",
        "hooks.slack.com",
    ],
)
def test_other_receivers_are_refused_with_those_that_are_allowed(guarded: ClusterHarness, url: str) -> None:
    assert ALLOWED in refusal(guarded.server, with_url(url))


@pytest.fixture
def without_secrets(guarded: ClusterHarness) -> Iterator[ClusterHarness]:
    """The cluster with the policy for receivers alone: of two that refuse, the server names any one."""
    server, refused = guarded.server, with_url("https://any.example.com", headers="X-Key: 1")
    server.kubectl("delete", "validatingadmissionpolicybinding", "securityeventwebhooks-secrets")
    eventually(lambda: not refusal(server, refused), "the server has let go of the policy")
    yield guarded
    server.kubectl("apply", "-k", POLICIES)
    eventually_served(server, refused)


def test_a_user_in_the_url_hides_no_other_receiver(without_secrets: ClusterHarness) -> None:
    for url in (
        "https://hooks.slack.com@elsewhere.example.org/",
        "https://hooks.slack.com:443@elsewhere.example.org/",
        "https://elsewhere.example.org\\@hooks.slack.com/",
    ):
        assert ALLOWED in refusal(without_secrets.server, with_url(url))


def test_what_is_allowed_is_taken(guarded: ClusterHarness) -> None:
    for good in (
        with_url("https://any.example.com/hook"),
        with_url("https://ANY.example.com:8443"),
        with_url("https://any.example.com/someone@example.com"),
        referring("url", "secretKeyRef", "Slack"),
        referring("headers", "secretKeyRef"),
    ):
        assert refusal(guarded.server, good) == ""


def test_secrets_in_clear_are_refused_by_their_names(guarded: ClusterHarness) -> None:
    secret = {variable.name for consumer in CONSUMERS.values() for variable in consumer.variables if variable.secret}
    for name in sorted(secret - {"url"}):
        said = refusal(guarded.server, with_url("https://any.example.com", **{name: "x"}))
        assert f"{name}: this is a secret: put it into a Secret, and refer to that by secretKeyRef" in said
        assert f"{name}: this is a secret" in refusal(guarded.server, referring(name, "configMapKeyRef"))
    assert "url: this is a secret" in refusal(guarded.server, with_url("https://hooks.slack.com/x", "Slack"))
    assert "url: this is a secret" in refusal(guarded.server, with_url("https://me:password@any.example.com"))
    assert "a ConfigMap is not checked" in refusal(guarded.server, referring("url", "configMapKeyRef"))


def test_a_webhook_from_before_can_be_switched_off_but_not_be_given_another_receiver(guarded: ClusterHarness) -> None:
    guarded.patch("old", {"spec": {"state": "Disabled"}})
    assert guarded.object("old")["spec"]["state"] == "Disabled"
    assert "only https://" in refusal(guarded.server, webhook("old", "https://another.example.org", state="Disabled"))
    assert "url: this is a secret" in refusal(guarded.server, OLD | {"spec": {**OLD["spec"], "consumer": "Slack"}})


@pytest.fixture
def with_labels(guarded: ClusterHarness) -> Iterator[ClusterHarness]:
    """The cluster with a Secret that webhooks may use, one that they may not, and the third policy."""
    server = guarded.server
    guarded.apply(
        secret("receiver", {"webhooks": "allowed"}), secret("other", {"webhooks": "forbidden"}), secret("bare")
    )
    server.kubectl("apply", "-f", POLICIES / "labelled-secrets.yaml")
    naming = referring("headers", "secretKeyRef", of="bare")
    eventually(lambda: "the Secret bare" in refusal(server, naming), "the policy holds, and knows the Secrets")
    yield guarded
    server.kubectl("delete", "-f", POLICIES / "labelled-secrets.yaml")
    eventually(lambda: not refusal(server, naming), "the server has let go of the policy")


def test_only_secrets_with_the_label_are_taken_and_those_that_are_not_there_yet(with_labels: ClusterHarness) -> None:
    server = with_labels.server
    for taken in ("receiver", "missing"):
        assert refusal(server, referring("headers", "secretKeyRef", of=taken)) == ""
    assert refusal(server, referring("url", "secretKeyRef", "Slack")) == ""
    for other in ("other", "bare"):
        said = refusal(server, referring("headers", "secretKeyRef", of=other))
        assert f"headers: webhooks may not use the Secret {other}: it needs the label webhooks=allowed" in said


def test_a_webhook_from_before_that_names_a_secret_without_the_label_can_be_switched_off(
    guarded: ClusterHarness, request: pytest.FixtureRequest
) -> None:
    before = {**referring("headers", "secretKeyRef", of="bare"), "metadata": {"name": "before"}}
    guarded.apply(before)
    request.getfixturevalue("with_labels")
    guarded.patch("before", {"spec": {"state": "Disabled"}})
    assert guarded.object("before")["spec"]["state"] == "Disabled"


def test_a_secret_is_judged_by_the_label_that_it_has_now(with_labels: ClusterHarness) -> None:
    server, naming = with_labels.server, referring("headers", "secretKeyRef", of="receiver")
    server.kubectl("label", "secret", "receiver", "-n", SECRETS, "webhooks-")
    eventually(lambda: "the Secret receiver" in refusal(server, naming), "it has lost its label")
    server.kubectl("label", "secret", "receiver", "-n", SECRETS, "webhooks=allowed")
    eventually(lambda: not refusal(server, naming), "it has its label again")


def test_the_plugin_says_what_the_policy_says(guarded: ClusterHarness) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    words = ("sew", "create", "tried", "--consumer", "Generic", "--query", "severity >= 90")
    url = ("--config", "url=https://elsewhere.example.org")
    done = guarded.server.try_kubectl(*words, *url, env={"PATH": path})
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "these receivers are allowed: hooks.slack.com, *.example.com" in done.stderr


def test_the_kustomization_of_the_documentation_changes_the_receivers(guarded: ClusterHarness, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "gitops.md").read_text("utf-8")
    (example,) = (text for text in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "manifests/policies" in text)
    (tmp_path / "manifests").symlink_to(ROOT / "manifests")
    local = re.sub(r"- github\.com/\S*(manifests/\S+)\?ref=\S+", r"- \1", example)
    (tmp_path / "kustomization.yaml").write_text(local)
    guarded.server.kubectl("apply", "--server-side", "--force-conflicts", "-k", tmp_path)
    (host,) = re.findall(r"'([a-z.]+)'", example)
    eventually(lambda: host in refusal(guarded.server, ELSEWHERE), "the other list holds")
    assert refusal(guarded.server, with_url(f"https://{host}/hook")) == ""
