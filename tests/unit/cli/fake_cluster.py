"""A kubectl that answers as a cluster and the agent in it do."""

import json
import stat
import sys
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

GROUP = "/apis/projectcalico.org/v3"
KUBECTL = """#!{python}
import json, pathlib, sys
here = pathlib.Path({folder!r})
if "exec" in sys.argv:
    with (here / "asked").open("a") as asked:
        asked.write(" ".join(sys.argv[sys.argv.index("--") + 1:]) + chr(10))
    answers = sorted(here.glob("answer-*"))
    sys.stdout.write(answers[0].read_text())
    if len(answers) > 1:
        answers[0].unlink()
    raise SystemExit
objects = json.loads((here / "objects.json").read_text())
path = sys.argv[sys.argv.index("--raw") + 1].partition("?")[0]
if path not in objects:
    sys.exit("Error from server (NotFound): the server could not find the requested resource")
print(json.dumps(objects[path]))
"""


class FakeCluster:
    """`asked`: what was run in the agent's container. Its answers are given in their order, the last one for ever."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.kubectl = folder / "kubectl"
        self.kubectl.write_text(KUBECTL.format(python=sys.executable, folder=str(folder)))
        self.kubectl.chmod(self.kubectl.stat().st_mode | stat.S_IXUSR)
        self.has()

    def has(self, *webhooks: Mapping[str, Any], secrets: Mapping[str, Mapping[str, str]] | None = None) -> None:
        kinds = [{"name": "securityeventwebhooks", "kind": "SecurityEventWebhook", "namespaced": False, "verbs": []}]
        objects = {
            "/apis/coordination.k8s.io/v1/namespaces/tigera-intrusion-detection/leases/sew-agent": {
                "spec": {"holderIdentity": "sew-system/agent-0"}
            },
            "/apis": {"groups": [{"name": "projectcalico.org", "versions": [{"version": "v3"}]}]},
            GROUP: {"resources": kinds},
            f"{GROUP}/securityeventwebhooks": {"items": list(webhooks)},
        }
        objects |= {f"{GROUP}/securityeventwebhooks/{each['metadata']['name']}": each for each in webhooks}
        for name, values in (secrets or {}).items():
            data = {key: b64encode(value.encode()).decode() for key, value in values.items()}
            objects[f"/api/v1/namespaces/tigera-intrusion-detection/secrets/{name}"] = {"data": data}
        (self._folder / "objects.json").write_text(json.dumps(objects))

    def answers(self, *answers: Any) -> None:
        for number, answer in enumerate(answers):
            text = answer if isinstance(answer, str) else json.dumps(answer)
            (self._folder / f"answer-{number}").write_text(text)

    @property
    def asked(self) -> list[str]:
        return (self._folder / "asked").read_text().splitlines()


def webhook(name: str, query: str, **spec: Any) -> dict[str, Any]:
    whole = {"consumer": "Slack", "state": "Enabled", "query": query, **spec}
    return {"kind": "SecurityEventWebhook", "metadata": {"name": name}, "spec": whole}
