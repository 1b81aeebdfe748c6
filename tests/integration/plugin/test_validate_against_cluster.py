"""`kubectl sew validate --against-cluster`."""

import json
from pathlib import Path

import yaml

from testbed.servers.kubernetes import Kubernetes
from tests.integration.plugin.conftest import SECRETS, Make, Sew, webhook, webhook_reader


def reference(secret: str, key: str) -> list[dict[str, object]]:
    return [{"name": "url", "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}]


def write(folder: Path, *objects: dict[str, object]) -> str:
    path = folder / "hooks.yaml"
    path.write_text(yaml.safe_dump_all(objects))
    return str(path)


def codes(text: str) -> list[tuple[str, str]]:
    return [(finding["code"], finding["webhook"]) for finding in json.loads(text)["findings"]]


def test_secrets_are_looked_up_and_the_server_is_asked(sew: Sew, server: Kubernetes, tmp_path: Path) -> None:
    literals = ("--from-literal=good=https://receiver.example", "--from-literal=bad=ftp://CANARY")
    server.kubectl("-n", SECRETS, "create", "secret", "generic", "looked-up", *literals)
    file = write(
        tmp_path,
        webhook("fine", config=reference("looked-up", "good")),
        webhook("gone", config=reference("not-there", "k")),
        webhook("key", config=reference("looked-up", "none")),
        webhook("value", config=reference("looked-up", "bad")),
        {**webhook("old"), "apiVersion": "crd.projectcalico.org/v1"},
    )
    assert sew("validate", "-f", file).returncode == 0
    ran = sew("validate", "-f", file, "--against-cluster", "-o", "json")
    assert (ran.returncode, ran.stderr) == (1, "")
    assert codes(ran.stdout) == [("SEW040", "gone"), ("SEW041", "key"), ("SEW021", "value"), ("SEW050", "old")]
    assert "CANARY" not in ran.stdout
    assert "no matches for kind" in ran.stdout
    assert sew("list").stdout == ""


def test_a_webhook_that_is_there_already_is_judged_as_a_change_of_it(sew: Sew, make: Make, tmp_path: Path) -> None:
    ran = sew("validate", "-f", write(tmp_path, webhook(make("there"), query="type = alert")), "--against-cluster")
    assert (ran.returncode, ran.stdout) == (0, "")
    assert "type = waf" in sew("list", "-o", "wide").stdout


def test_the_files_come_before_the_cluster(sew: Sew, tmp_path: Path) -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "own"},
        "stringData": {"k": "https://x.example"},
    }
    file = write(tmp_path, webhook("own", config=reference("own", "k")), secret)
    assert sew("validate", "-f", file, "--against-cluster", "--strict").returncode == 0


def test_secrets_that_may_not_be_read_are_a_warning(sew: Sew, server: Kubernetes, tmp_path: Path) -> None:
    file = write(tmp_path, webhook("unread", config=reference("secret", "k"), query="type = "))
    ran = sew(
        "validate", "-f", file, "--against-cluster", "-o", "json", env={"KUBECONFIG": str(webhook_reader(server))}
    )
    assert (ran.returncode, ran.stderr) == (1, "")
    assert sorted(codes(ran.stdout)) == [("SEW030", "unread"), ("SEW043", "unread")]
    assert "is forbidden" in ran.stdout


def test_a_cluster_out_of_reach_is_an_error(sew: Sew, tmp_path: Path) -> None:
    file = write(tmp_path, webhook("far"))
    ran = sew("validate", "-f", file, "--against-cluster", "--server", "http://127.0.0.1:1")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith("error: ")
    assert "is the cluster up, and the context the right one?" in ran.stderr
