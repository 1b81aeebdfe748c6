"""Informers over a real API server: pages, relists, and watches that end."""

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from sew_agent.base.health import Health
from sew_agent.base.log import Log
from sew_agent.kubernetes import client as client_module
from sew_agent.kubernetes.client import KubernetesClient, WatchStream, connect
from sew_agent.kubernetes.context import ClusterContext
from sew_agent.kubernetes.informer import Informer, WatchedResource
from sew_agent.kubernetes.paths import FixedPath, WebhookPath
from sew_agent.kubernetes.problems import Problems
from tests.integration.cluster.in_cluster import SECRETS, ClusterHarness, secret
from tests.waiting import eventually

pytestmark = pytest.mark.server


@contextmanager
def running_informer(
    harness: ClusterHarness, prepare: Callable[[KubernetesClient], None] = lambda _: None
) -> Iterator[tuple[Informer[str], io.StringIO]]:
    """An informer of the Secrets' metadata, and its log."""
    stream = io.StringIO()
    client, log = connect(harness.kubeconfig, ""), Log(stream, lambda: 0.0)
    prepare(client)
    path = FixedPath(f"/api/v1/namespaces/{SECRETS}/secrets")
    resource = WatchedResource("secrets", path, lambda obj: str(obj["metadata"]["name"]), metadata_only=True)
    context = ClusterContext(client, WebhookPath(client, ""), Problems(log), log)
    informer = Informer(context, resource, lambda: None, Health(), believe_after=600.0)
    informer.start()
    try:
        eventually(lambda: informer.synced, "the list is read")
        yield informer, stream
    finally:
        informer.stop()
        client.close()


class CountedWatches:
    """Lets a client's watches begin where the test wants, and counts them."""

    def __init__(self, version: str = "") -> None:
        self.versions: list[str] = []
        self._version = version

    def __call__(self, client: KubernetesClient) -> None:
        begin = client.watch

        def watch(path: str, query: Mapping[str, str], **more: Any) -> WatchStream:
            self.versions.append(query["resourceVersion"])
            first = {"resourceVersion": self._version} if self._version and len(self.versions) == 1 else {}
            return begin(path, {**query, **first}, **more)

        client.watch = watch  # type: ignore[method-assign]


def test_a_version_that_the_server_has_forgotten_leads_to_a_relist(own: ClusterHarness) -> None:
    """A server that was started again remembers nothing from before."""
    own.apply(secret("old", x="1"))
    own.server.restart()
    counted = CountedWatches(version="1")
    with running_informer(own, counted) as (informer, log):
        eventually(lambda: len(counted.versions) == 2, "a second watch begins")
        own.apply(secret("new", x="1"))
        eventually(lambda: informer.objects.keys() >= {"old", "new"}, "what is new is seen")
        assert "trouble" not in log.getvalue()


def test_a_watch_that_the_server_ends_goes_on_where_it_ended(
    harness: ClusterHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "WATCH_SECONDS", 1)
    counted = CountedWatches()
    with running_informer(harness, counted) as (informer, log):
        for number in range(3):
            eventually(lambda count=number: len(counted.versions) > count + 1, "another watch begins")
            harness.apply(secret(f"during-{number}", x="1"))
        eventually(lambda: {f"during-{number}" for number in range(3)} <= informer.objects.keys(), "all are seen")
        assert "trouble" not in log.getvalue()
        assert len(set(counted.versions)) > 1


def test_a_list_of_several_pages_is_whole(harness: ClusterHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sew_agent.kubernetes.informer.PAGE", "2")
    harness.apply(*(secret(f"page-{number}", x="1") for number in range(5)))
    with running_informer(harness) as (informer, _):
        assert {f"page-{number}" for number in range(5)} <= informer.objects.keys()
