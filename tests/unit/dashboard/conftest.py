"""A place for the pages of the dashboard, with webhooks of every kind of health, and a browser that was let in."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from kubectl_sew.cluster.exceptions import ClusterException
from kubectl_sew.cluster.objects import Held
from kubectl_sew.cluster.webhook_details import AgentReport, WebhookDetails, resolve_references
from kubectl_sew.dashboard.gate import Gate
from kubectl_sew.dashboard.history import History
from kubectl_sew.dashboard.in_cluster import findings_of
from kubectl_sew.dashboard.lab import LabSources
from kubectl_sew.dashboard.reach import Diagnosis, Fleet, Step
from kubectl_sew.dashboard.watching import Watcher
from kubectl_sew.dashboard.web import Site
from kubectl_sew.errors import SewError
from kubectl_sew.query import CALICO
from kubectl_sew.resource import Condition, ConfigVar, Finding, Reference, State, Webhook
from kubectl_sew.resource.exceptions import AlertException

NOW = 1_767_225_600.0
HOST = "127.0.0.1:4711"
CANARY = "CANARY-of-a-secret"
URL = f"https://hooks.example/{CANARY}"
ROW: dict[str, Any] = {
    "backlog": 0,
    "oldestWaitingSeconds": None,
    "delivered": 1_234,
    "deadLetters": 0,
    "lastDelivery": "2026-01-01T00:00:00Z",
    "lastError": None,
    "delivering": True,
    "parked": False,
    "nextRetry": None,
    "delivery": None,
    "eventsFetched": "read to 2025-12-31T23:58:00Z",
}
LETTER = {
    "number": 7,
    "webhook": "night",
    "deliveryId": "d7",
    "event": "e7",
    "diedAt": "2026-01-01T00:00:00Z",
    "attempts": 3,
    "reason": "event_refused",
    "detail": "400 Bad Request",
}


def webhook(name: str, healthy: str = "True", reason: str = "WebhookValidation", message: str = "accepted") -> Webhook:
    config = (ConfigVar("url", Reference("Secret", "hook", "url")), ConfigVar("template", CANARY))
    conditions = (Condition("Healthy", healthy, reason, message, 1, "2026-01-01T00:00:00Z"),)
    return Webhook(name, "Generic", State.ENABLED, "type = waf", config, generation=1, conditions=conditions)


DELIVERY = "0123456789abcdef0123456789abcdef"
ATTEMPT = {
    "webhook": "night",
    "deliveryId": DELIVERY,
    "event": "e7",
    "index": None,
    "eventTime": None,
    "type": "waf",
    "severity": 50,
    "attempt": 1,
    "at": "2026-01-01T00:00:00.123Z",
    "milliseconds": 12,
    "outcome": "retry",
    "reason": "server_error",
    "detail": "503 Service Unavailable",
    "status": 503,
    "sentTo": "https://hooks.example",
    "sentBytes": 321,
    "receipt": "",
    "nextTry": "2026-01-01T00:01:00Z",
}


@dataclass
class StandInReach:
    """A place that holds what the test says, and keeps what was asked of it."""

    webhooks: tuple[Webhook, ...] = (webhook("night"),)
    rows: dict[str, dict[str, Any]] = field(default_factory=lambda: {"night": {"name": "night", **ROW}})
    report: dict[str, Any] = field(default_factory=lambda: {"running": True, "version": "0.1.0"})
    letters: list[dict[str, Any]] = field(default_factory=lambda: [LETTER])
    attempts: list[dict[str, Any]] = field(default_factory=lambda: [ATTEMPT])
    document: Any = field(default_factory=lambda: {"type": "waf"})
    held: tuple[ClusterException, ...] = ()
    place: str = "the cluster of the tests"
    changes_webhooks: bool = True
    asked: list[tuple[str, ...]] = field(default_factory=list)
    failing: str = ""

    def fleet(self) -> Fleet:
        self._fail()
        return Fleet(self.webhooks, AgentReport("sew-system/agent-0", "", self.report, self.rows))

    def details(self, name: str) -> WebhookDetails:
        self._fail()
        (found,) = (one for one in self.webhooks if one.name == name)
        held = Held({("Secret", "hook"): {"url": URL.encode(), "other": CANARY.encode()}})
        return WebhookDetails(found, "secrets", resolve_references(found, held), self.fleet().agent)

    def findings(self, webhook: Webhook) -> Sequence[Finding]:
        return findings_of(webhook, CALICO)

    def exceptions(self) -> tuple[ClusterException, ...]:
        return self.held

    def diagnose(self, step: Step) -> Diagnosis:
        step("everything")
        self._fail()
        return Diagnosis(text="all is well")

    def ask_agent(self, *command: str) -> str:
        self._fail()
        self.asked.append(command)
        if command[:2] == ("deliveries", "list"):
            return json.dumps(self.attempts)
        if command[:2] == ("deliveries", "show"):
            last = self.attempts[-1]
            head = {"deliveryId": DELIVERY, "event": last["event"], "index": last["index"], "state": "pending"}
            return json.dumps({**head, "attempts": self.attempts, "document": self.document})
        if command[0] == "trace":
            fate = {"webhook": "night", "fate": "dead", "detail": self.attempts[-1]["detail"]}
            return json.dumps({"event": "e7", "index": "", "webhooks": [fate], "document": self.document})
        if command[1] == "list":
            return json.dumps(self.letters)
        if command[1] == "show":
            return json.dumps({**self.letters[0], "document": self.document})
        return "1 dead letter replayed\n"

    def agent_command(self, webhook: str, *command: str) -> str:
        return " ".join(("sew-agent", *command, webhook))

    def trace_command(self, event: str) -> str:
        return f"sew-agent trace {event}"

    def plugin_command(self, *words: str) -> str:
        return " ".join(("kubectl", "sew", *words))

    def set_state(self, name: str, state: State) -> str:
        self.asked.append(("set", name, state.value))
        return f"{name} is {state.value}"

    def test(self, name: str) -> str:
        self.asked.append(("test", name))
        return "delivered: 204"

    def create(self, webhook: Webhook) -> str:
        self.asked.append(("create", webhook.name))
        return f"{webhook.name} created"

    def _fail(self) -> None:
        if self.failing:
            raise SewError(self.failing)


@dataclass
class Browser:
    """Asks a site for pages as a browser on this machine does, with the cookie."""

    client: Client
    reach: StandInReach
    watcher: Watcher

    def get(self, path: str, **headers: str) -> TestResponse:
        return self.client.get(path, headers={"Host": HOST, **headers})

    def post(self, path: str, data: dict[str, Any] | None = None, **headers: str) -> TestResponse:
        given = {"Host": HOST, "Origin": f"http://{HOST}", "Sec-Fetch-Site": "same-origin", **headers}
        return self.client.post(path, data=data or {}, headers=given)

    def text(self, path: str, **headers: str) -> str:
        answer = self.get(path, **headers)
        assert answer.status_code == 200, answer.text
        return answer.text


Visit = Callable[..., Browser]


@pytest.fixture
def stranger() -> Visit:
    """`stranger(reach)` is a browser without a cookie; the link's token is `token`."""

    def call(reach: StandInReach | None = None, sources: LabSources | None = None) -> Browser:
        place, history = reach or StandInReach(), History()
        watcher = Watcher(place, history, lambda: NOW)
        gate = Gate(4711, "token", "session")
        site = Site(place, gate, watcher, history, sources or LabSources(), CALICO, lambda: NOW)
        return Browser(Client(site), place, watcher)

    return call


@pytest.fixture
def visit(stranger: Visit) -> Visit:
    """`visit(reach)` is a browser that came by the link, after the first reading."""

    def call(reach: StandInReach | None = None, sources: LabSources | None = None) -> Browser:
        made = stranger(reach, sources)
        made.watcher.read()
        made.client.set_cookie("sew-dashboard-4711", "session", domain="127.0.0.1")
        return made

    return call


def exception(name: str, **more: Any) -> ClusterException:
    return ClusterException(replace(AlertException(name, "type = waf", NOW - 60, None, "a scanner"), **more))
