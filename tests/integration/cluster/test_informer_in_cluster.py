"""List and watch against a real API server: what it forgets, and what it ends."""

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from sew_agent.base.log import Log
from sew_agent.kubernetes import client as api_module
from sew_agent.kubernetes.client import KubernetesClient, WatchStream, connect
from sew_agent.kubernetes.informer import FixedPath, Informer, WatchedResource
from sew_agent.kubernetes.problems import Problems
from tests.integration.cluster.in_cluster import SECRETS, Installed, secret
from tests.waiting import eventually

pytestmark = pytest.mark.server


@contextmanager
def watching(
    here: Installed, prepare: Callable[[KubernetesClient], None] = lambda _: None
) -> Iterator[tuple[Informer[str], io.StringIO]]:
    """A watcher of the Secrets' metadata, and its log."""
    log = io.StringIO()
    api = connect(here.kubeconfig, "")
    prepare(api)
    place = FixedPath(f"/api/v1/namespaces/{SECRETS}/secrets")
    collection = WatchedResource("secrets", place, lambda obj: str(obj["metadata"]["name"]), metadata_only=True)
    problems = Problems(Log(log, lambda: 0.0))
    watcher = Informer(api, collection, problems, lambda: None, believe_after=600.0, beat=lambda: None)
    watcher.start()
    try:
        eventually(lambda: watcher.known, "the list is read")
        yield watcher, log
    finally:
        watcher.stop()
        api.close()


class Counted:
    """Lets an API's watches begin where the test wants, and counts them."""

    def __init__(self, version: str = "") -> None:
        self.versions: list[str] = []
        self._version = version

    def __call__(self, api: KubernetesClient) -> None:
        begin = api.watch

        def watch(path: str, query: Mapping[str, str], **more: Any) -> WatchStream:
            self.versions.append(query["resourceVersion"])
            first = {"resourceVersion": self._version} if self._version and len(self.versions) == 1 else {}
            return begin(path, {**query, **first}, **more)

        api.watch = watch  # type: ignore[method-assign]


def test_a_version_that_the_server_has_forgotten_is_listed_again(own: Installed) -> None:
    """A server that was started again remembers nothing from before."""
    own.apply(secret("old", x="1"))
    own.server.restart()
    counted = Counted(version="1")
    with watching(own, counted) as (watcher, log):
        eventually(lambda: len(counted.versions) == 2, "a second watch begins")
        own.apply(secret("new", x="1"))
        eventually(lambda: watcher.objects.keys() >= {"old", "new"}, "what is new is seen")
        assert "trouble" not in log.getvalue()


def test_a_watch_that_the_server_ends_goes_on_where_it_ended(here: Installed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_module, "WATCH_SECONDS", 1)
    counted = Counted()
    with watching(here, counted) as (watcher, log):
        for number in range(3):
            eventually(lambda count=number: len(counted.versions) > count + 1, "another watch begins")
            here.apply(secret(f"during-{number}", x="1"))
        eventually(lambda: {f"during-{number}" for number in range(3)} <= watcher.objects.keys(), "all are seen")
        assert "trouble" not in log.getvalue()
        assert len(set(counted.versions)) > 1


def test_a_list_of_several_pages_is_whole(here: Installed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sew_agent.kubernetes.informer.PAGE", "2")
    here.apply(*(secret(f"page-{number}", x="1") for number in range(5)))
    with watching(here) as (watcher, _):
        assert {f"page-{number}" for number in range(5)} <= watcher.objects.keys()
