"""The real `sew-agent` as a process, with a folder of its own, for the tests here."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from testbed.servers.running import slowness
from tests.waiting import DEADLINE, eventually


class Folder:
    """A folder with an agent's webhooks, file of events and state."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.webhooks = path / "webhooks"
        self.webhooks.mkdir()
        self.events = path / "events.ndjson"
        self.events.touch()
        self.state = path / "state"
        self.agents: list[Agent] = []

    def webhook(
        self,
        name: str,
        url: str,
        *,
        query: str = "severity >= 0",
        state: str = "Enabled",
        consumer: str = "Generic",
        **config: str,
    ) -> None:
        """Write a manifest at once, as careful editors do."""
        values = [{"name": variable, "value": value} for variable, value in {"url": url, **config}.items()]
        spec = {"consumer": consumer, "state": state, "query": query, "config": values}
        manifest = {
            "apiVersion": "projectcalico.org/v3",
            "kind": "SecurityEventWebhook",
            "metadata": {"name": name},
            "spec": spec,
        }
        partial = self.path / "partial"
        partial.write_text(json.dumps(manifest))
        partial.replace(self.webhooks / f"{name}.json")

    def write(self, numbers: Iterable[int], **fields: Any) -> None:
        with self.events.open("a") as file:
            file.writelines(event(number, **fields) for number in numbers)

    def command(self, *arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
        """Run another command of sew-agent on the same state."""
        command = [sys.executable, "-m", "sew_agent", *arguments, "--state", str(self.state)]
        environment, seconds = os.environ | settings, 60 * slowness()
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=seconds, check=False)

    def start(self, *flags: str, events: str | None = None, stdin: int | None = None, **settings: str) -> "Agent":
        command = [sys.executable, "-m", "sew_agent", "run", "--state", str(self.state)]
        if "--kubeconfig" not in flags:
            command += ["--webhooks", str(self.webhooks)]
        if "--elasticsearch" not in flags:
            command += ["--events", events or str(self.events)]
        command += flags
        if "--once" not in flags and "--listen" not in flags:
            command += ["--listen", "127.0.0.1:0"]
        given = {"SEW_EGRESS_ALLOW": "127.0.0.0/8", "SEW_RETRY_INITIAL": "50ms", "SEW_RETRY_MAX": "200ms"} | settings
        agent = Agent(command, os.environ | given, self.path / f"agent-{len(self.agents)}.log", stdin)
        self.agents.append(agent)
        return agent

    def stop(self) -> None:
        for agent in self.agents:
            agent.kill()


class Agent:
    """A process of `sew-agent run` whose log is kept in a file."""

    def __init__(self, command: list[str], environment: dict[str, str], log: Path, stdin: int | None) -> None:
        self._log = log
        with log.open("wb") as stderr:
            self._process = subprocess.Popen(
                command, env=environment, stderr=stderr, stdin=subprocess.DEVNULL if stdin is None else stdin
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def terminate(self) -> int:
        self.signal(signal.SIGTERM)
        return self.wait()

    def wait(self, seconds: float = DEADLINE) -> int:
        try:
            return self._process.wait(seconds * slowness())
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the agent did not end; its log:\n{self.text()[-3000:]}") from None

    def text(self) -> str:
        return self._log.read_text(errors="replace")

    def says(self, name: str) -> list[dict[str, Any]]:
        """Return the log's entries of one event name."""
        lines = [json.loads(line) for line in self.text().splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("event") == name]

    def scrape(self) -> str:
        """Return /metrics as it is now."""
        status, text = self.get("/metrics")
        assert status == 200, text
        return text

    def get(self, path: str) -> tuple[int, str]:
        """Return the status and the body of a page."""
        eventually(lambda: self.says("listening") or not self.running, "the agent listens")
        connection = http.client.HTTPConnection(self.says("listening")[-1]["address"], timeout=5)
        with closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()


def event(number: int, **fields: Any) -> str:
    """Return one line of events, whose id is its number."""
    return json.dumps({"_id": f"e{number}", "type": "waf", "severity": 50, **fields}) + "\n"


def counters(metrics: str, name: str, by: str) -> dict[str, float]:
    """Return the values of one metric by the value of one label, added up."""
    values: dict[str, float] = {}
    for labels, value in re.findall(rf"^{name}\{{(.*)\}} (\S+)", metrics, re.MULTILINE):
        match = re.search(rf'{by}="([^"]*)"', labels)
        key = match.group(1) if match else ""
        values[key] = values.get(key, 0.0) + float(value)
    return values
