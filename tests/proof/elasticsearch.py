"""The set-up `elasticsearch`: webhooks of a real API server, events of a real Elasticsearch, the store in SQLite."""

import json
import random
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import urllib3

from kubectl_sew.event import Event, delivery_id
from testbed.servers.elasticsearch import V8, elasticsearch
from testbed.servers.indices import CALICO_MAPPINGS, CALICO_SETTINGS
from testbed.servers.kubernetes import find, kubernetes
from tests.e2e.sew_agent import Agent, Folder
from tests.integration.cluster.in_cluster import SECRETS, ClusterHarness
from tests.integration.elasticsearch.faults import Answer, proxy, refuse
from tests.proof.events import Events, identity
from tests.proof.history import Books, Definition, State
from tests.proof.receivers import ProofReceiver
from tests.proof.schedule import COMMON, Fault, Kind
from tests.proof.setup import SETTINGS, books_of, manifests, pending_of, state_in

INDEX = "sew-proof"
WEBHOOKS = "securityeventwebhooks.v3.projectcalico.org"
BUSY = {"error": {"type": "es_rejected_execution_exception", "reason": "queue full"}, "status": 429}
RESTART = "restart of elasticsearch"
SOME = 0.7
"""Share of the requests that a failing Elasticsearch answers badly."""
KINDS: Mapping[str, Kind] = {
    **COMMON,
    "elasticsearch": Kind(6.0, (1.0, 5.0), ("refuses", "is overloaded", "is slow", "fails in part", "cuts")),
    RESTART: Kind(90.0, (0.5, 2.0)),
    "api server": Kind(40.0, (1.0, 8.0), ("gone", "hangs")),
    "lease": Kind(40.0, (0.5, 4.0)),
}


class InCluster:
    """Events are documents of an index behind a proxy that fails; the API server goes away; the Lease is taken."""

    name = "elasticsearch"
    agents = 1
    ordered = atomic = False
    kill = "kill"
    disrupts: Mapping[str, str] = {"lease": "lease", "api server": "lease"}

    def __init__(self) -> None:
        self.kinds = dict(KINDS)
        self.skipped = ["clock, disk, rotation: `make prove SETUP=files`"]
        self.settings: dict[str, str] = {}
        self._unwritten: list[tuple[str, dict[str, Any]]] = []
        self._busy: list[threading.Thread] = []
        self._chance = random.Random(1)

    def start(self, folder: Path, stack: ExitStack) -> None:
        self.folder = Folder(folder)
        self.server = stack.enter_context(kubernetes(find()))
        self.node = stack.enter_context(elasticsearch(V8))
        self.proxy = stack.enter_context(proxy(self.node.url))
        self.harness = ClusterHarness(self.server)
        self.harness.define()
        self.harness.install()
        self._http = urllib3.PoolManager(retries=False, timeout=20)
        settings = json.dumps({"settings": CALICO_SETTINGS, "mappings": CALICO_MAPPINGS})
        self._http.request(
            "PUT", f"{self.node.url}/{INDEX}", body=settings, headers={"content-type": "application/json"}
        )
        stack.callback(self._wait)
        stack.callback(self.folder.stop)

    def identify(self, webhook: str, number: int) -> str:
        return delivery_id(webhook, Event(INDEX, identity(number), {}))

    def apply(self, definition: Definition, receiver: ProofReceiver) -> bool:
        if definition.state is State.ABSENT:
            return self._kubectl("delete", WEBHOOKS, definition.webhook)
        objects = {"apiVersion": "v1", "kind": "List", "items": manifests(definition, receiver)}
        return self._kubectl("apply", "-f", "-", stdin=json.dumps(objects))

    def write(self, events: Events, count: int, severity: int | None = None) -> None:
        for _ in range(count):
            name = identity(len(events.written))
            self._unwritten.append((name, events.next(severity)))
        lines = []
        for name, document in self._unwritten:
            lines += [json.dumps({"create": {"_id": name}}), json.dumps(document)]
        if self._is_busy(RESTART):
            return
        headers = {"content-type": "application/x-ndjson"}
        answer = self._http.request(
            "POST", f"{self.node.url}/{INDEX}/_bulk", body="\n".join(lines) + "\n", headers=headers
        )
        items = answer.json()["items"] if answer.status == 200 else []
        done = {item["create"]["_id"] for item in items if item["create"]["status"] in (201, 409)}
        self._unwritten = [entry for entry in self._unwritten if entry[0] not in done]

    def start_agent(self, number: int) -> Agent:
        flags = ("--elasticsearch", self.proxy.url, "--index", INDEX)
        names = {"POD_NAME": f"agent-{number}", "POD_NAMESPACE": "n"}
        return self.harness.agent(self.folder, *flags, **SETTINGS | names | self.settings)

    def state_of(self, webhook: str) -> str:
        return state_in(self.folder.state, webhook)

    def begin(self, fault: Fault) -> None:
        if fault.kind == "elasticsearch":
            self.proxy.fault = lambda path, _body, real: self._failing(fault.what, path, real)
        elif fault.kind == RESTART and not self._is_busy(RESTART):
            self.node.kill()
            self._in_background(RESTART, fault.lasts, self.node.start)
        elif fault.kind == "api server" and not self._is_busy("api server"):
            if fault.what == "hangs":
                self.server.hang()
                self._in_background("api server", fault.lasts, self.server.resume)
            else:
                self.server.stop()
                self._in_background("api server", fault.lasts, self.server.start)
        elif fault.kind == "lease":
            self._take_lease()

    def is_over(self, fault: Fault) -> bool:
        return not self._is_busy(fault.kind)

    def end(self, fault: Fault) -> None:
        if fault.kind == "elasticsearch":
            self.proxy.fault = None

    def pending(self, agents: list[Agent]) -> int:
        return pending_of(agents[0])

    def books(self) -> Mapping[str, Books]:
        return books_of(self.folder)

    def _kubectl(self, *arguments: str, stdin: str | None = None) -> bool:
        if self._is_busy("api server"):
            return False
        return self.server.try_kubectl(*arguments, "--request-timeout=5s", stdin=stdin).returncode == 0

    def _failing(self, what: str, path: str, real: Callable[[], Answer]) -> Answer:
        if self._chance.random() > SOME:
            return real()
        if what == "refuses":
            return refuse(503)
        if what == "is overloaded":
            return refuse(429)
        if what == "is slow":
            time.sleep(self._chance.uniform(0.2, 2.0))
        answer = real()
        if what == "cuts":
            return Answer(answer.status, answer.body, cut=True)
        if what == "fails in part" and "_msearch" in path and answer.status == 200:
            return answer.change(self._with_failures)
        return answer

    def _with_failures(self, body: Any) -> Any:
        return {**body, "responses": [BUSY if self._chance.random() < SOME else one for one in body["responses"]]}

    def _take_lease(self) -> None:
        """Let someone else hold the Lease, who does not renew it."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        held = {"spec": {"holderIdentity": "n/someone-else", "renewTime": now, "leaseDurationSeconds": 3}}
        self._kubectl("patch", "lease", "sew-agent", "-n", SECRETS, "--type=merge", "-p", json.dumps(held))

    def _in_background(self, name: str, after: float, do: Callable[[], None]) -> None:
        """End a fault of a server, which takes its time; until then the server is busy."""

        def run() -> None:
            time.sleep(after)
            do()

        self._busy.append(threading.Thread(target=run, name=name))
        self._busy[-1].start()

    def _is_busy(self, name: str) -> bool:
        self._busy = [thread for thread in self._busy if thread.is_alive()]
        return any(thread.name == name for thread in self._busy)

    def _wait(self) -> None:
        for thread in self._busy:
            thread.join()
