"""Stand-in for the processor of webhooks that Calico Enterprise has, by what is public of it; for tests.

- It delivers every webhook that is not Disabled, whatever labels and annotations it has, and begins with the events of
  the moment at which it sees one, or a change of its specification.
- Every 10 s it makes one search for each webhook, by the events' own time: from the time of the webhook's condition
  Healthy up to about a second ago, in whole seconds. Each event is sent once; if one fails, the run ends there, and
  the next one begins after it all the same.
- After each run it writes the status as a whole: Healthy alone, whose time is how far it has read. Of a Disabled
  webhook it writes that whenever somebody else has changed it.
"""

import json
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import urllib3
from elasticsearch import Elasticsearch

from kubectl_sew.event import read_time
from kubectl_sew.query import bind, parse, to_dsl
from kubectl_sew.query.fields import CALICO
from kubectl_sew.text import rfc3339

PATH = "/apis/projectcalico.org/v3/securityeventwebhooks"
INTERVAL = 10.0
_LOOKS_EVERY = 0.1
_MOST = 10_000


@dataclass
class _Instance:
    """A webhook that is delivered. `cursor`: epoch seconds up to which it was read."""

    spec: Mapping[str, Any]
    cursor: float
    due: float
    run: "Future[None] | None" = None


@dataclass
class _Cluster:
    kubeconfig: Path
    _pool: urllib3.PoolManager = field(init=False)

    def __post_init__(self) -> None:
        config = json.loads(self.kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self._server = cluster["server"]
        headers = {"authorization": f"Bearer {user['token']}"}
        self._pool = urllib3.PoolManager(ca_certs=cluster["certificate-authority"], headers=headers, maxsize=16)

    def get(self, path: str) -> Any:
        return self._pool.request("GET", self._server + path).json()

    def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        headers = {**self._pool.headers, "content-type": "application/merge-patch+json"}
        return self._pool.request("PATCH", self._server + path, body=json.dumps(body), headers=headers).json()


class CalicoProcessor:
    """A processor that runs until it is left: one thread looks at the webhooks, some others deliver."""

    def __init__(
        self,
        kubeconfig: Path,
        elasticsearch: str,
        index: str,
        *,
        interval: float = INTERVAL,
        lag: float = 1.0,
        since: float | None = None,
    ) -> None:
        """`lag`: seconds before a run up to which it reads. `since`: where it has read to at first."""
        self._cluster = _Cluster(kubeconfig)
        self._index = Elasticsearch(elasticsearch, request_timeout=60), index
        self._interval, self._lag, self._since = interval, lag, since
        self._instances: dict[str, _Instance] = {}
        self._seen: dict[str, str] = {}
        """Webhook -> the version of it that was looked at, or that a write of its own made."""
        self._begun: set[str] = set()
        self._receivers = urllib3.PoolManager(maxsize=16, retries=False)
        self._threads = ThreadPoolExecutor(8)
        self._stop = threading.Event()
        self._looks = threading.Thread(target=self._run, daemon=True)
        self.sent: list[tuple[str, str]] = []
        """Webhook and event of each request that was accepted."""
        self.refused_writes = 0
        """Writes of a status that were refused, since somebody had changed the webhook."""

    def __enter__(self) -> Self:
        self._looks.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._looks.join()
        self._threads.shutdown()
        self._index[0].close()

    def _run(self) -> None:
        while not self._stop.wait(_LOOKS_EVERY):
            objects = self._cluster.get(PATH).get("items") or []
            for obj in objects:
                name, version = obj["metadata"]["name"], obj["metadata"]["resourceVersion"]
                if self._seen.get(name) != version:
                    self._seen[name] = version
                    self._look(name, obj)
            for name in self._instances.keys() - {obj["metadata"]["name"] for obj in objects}:
                del self._instances[name]
            for name, instance in self._instances.items():
                if time.monotonic() >= instance.due and (instance.run is None or instance.run.done()):
                    instance.due = time.monotonic() + self._interval
                    instance.run = self._threads.submit(self._deliver, name, instance)

    def _look(self, name: str, obj: Mapping[str, Any]) -> None:
        spec, known = obj["spec"], self._instances.get(name)
        if known and known.spec == spec:
            known.cursor = _cursor(obj) or known.cursor
            return
        self._instances.pop(name, None)
        if spec["state"] == "Disabled":
            self._write(name, "False", "WebhookState", "the webhook has been disabled", time.time())
            return
        begin = time.time() if self._since is None or name in self._begun else self._since
        self._begun.add(name)
        self._instances[name] = _Instance(spec, begin, time.monotonic() + self._interval)
        self._write(name, "True", "WebhookValidation", "the webhook is healthy", begin)

    def _deliver(self, name: str, instance: _Instance) -> None:
        """Make one run. What fails is not tried again."""
        end, error = float(int(time.time() - self._lag)), ""
        for event_id, event in self._search(instance, end):
            try:
                url = next(item["value"] for item in instance.spec["config"] if item["name"] == "url")
                answer = self._receivers.request("POST", url, body=json.dumps(event | {"id": event_id}), timeout=10)
                error = "" if answer.status < 300 else str(answer.status)
            except urllib3.exceptions.HTTPError as failed:
                error = str(failed)
            if error:
                break
            self.sent.append((name, event_id))
        instance.cursor = end
        if self._instances.get(name) is instance:
            status = "False" if error else "True"
            self._write(name, status, "SecurityEventsProcessing", error or "the webhook is healthy", end)

    def _search(self, instance: _Instance, end: float) -> list[tuple[str, dict[str, Any]]]:
        client, index = self._index
        window = {"gt": int(instance.cursor * 1000), "lte": int(end * 1000), "format": "epoch_millis"}
        query = {"bool": {"filter": [to_dsl(bind(parse(instance.spec["query"]), CALICO)), {"range": {"time": window}}]}}
        found = client.search(index=index, query=query, sort=["time"], size=_MOST)
        return [(hit["_id"], hit["_source"]) for hit in found["hits"]["hits"]]

    def _write(self, name: str, status: str, reason: str, message: str, moment: float) -> None:
        """Write the whole status, for the version that was looked at: where that is an older one, it is lost."""
        healthy = {"type": "Healthy", "status": status, "reason": reason, "message": message}
        body = {
            "metadata": {"resourceVersion": self._seen[name]},
            "status": [healthy | {"lastTransitionTime": rfc3339(moment)}],
        }
        answer = self._cluster.patch(f"{PATH}/{name}/status", body)
        if answer.get("kind") == "Status":
            self.refused_writes += 1
        else:
            self._seen[name] = answer["metadata"]["resourceVersion"]


def _cursor(obj: Mapping[str, Any]) -> float | None:
    times = (item["lastTransitionTime"] for item in obj.get("status") or () if item["type"] == "Healthy")
    return read_time(next(times, None))
