"""Events of any content are selected or not, and each consumer makes a request of them or says why not."""

import json
from random import Random
from typing import Any

from kubectl_sew.consumers.base import RenderError
from kubectl_sew.consumers.registry import CONSUMERS
from kubectl_sew.event import Event
from kubectl_sew.ndjson import BadLineError, parse_line
from kubectl_sew.query import ANY, CALICO, bind, compile_matcher, parse
from tests.fuzz.alphabet import PIECES, text

_KEYS = (
    "type",
    "severity",
    "source_ip",
    "dest_port",
    "time",
    "name",
    "description",
    "dismissed",
    "record",
    "_id",
    "id",
    "x",
)
_QUERIES = (
    *("type = waf", 'type IN {"*a*", waf}', "severity >= 90", "severity = 1e2", 'source_ip IN {"10.0.0.0/8"}'),
    *('time > "now-1d"', "time = 1767225600", "dismissed = true", "dest_port = 0", "name EMPTY", '"record.x" IN {"?"}'),
    *('_id = "a"', "name = 10", 'name = "2026-01-01T00:00:00Z"', 'name IN {"10.0.0.0/8"}', "name < b"),
)
_MATCHERS = [
    (compile_matcher(bind(parse(query), fields)), compile_matcher(bind(parse(f"NOT ({query})"), fields)))
    for query in _QUERIES
    for fields in (CALICO, ANY)
    if fields is ANY or not query.startswith("name <")
]
_CONFIG = {
    "Slack": {"url": "https://hooks.slack.com/services/T/B/X"},
    "Jira": {
        "url": "https://jira.example/rest/api/2/issue",
        "project": "P",
        "issueType": "Bug",
        "username": "u",
        "apiToken": "t",
    },
    "Generic": {"url": "https://receiver.example/x"},
    "AlertManager": {"url": "https://alertmanager.example/api/v2/alerts"},
}


def fuzz(n: int, seed: int) -> None:
    random = Random(seed)
    for _ in range(n):
        event = {random.choice((*_KEYS, text(random, most=2))): _value(random, 3) for _ in range(random.randint(0, 8))}
        _select(event)
        if random.random() < 0.1:  # rendering takes longer
            _render(event)
        _read(random, json.dumps(event, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def _value(random: Random, depth: int) -> Any:
    kind = random.randrange(8 if depth else 6)
    if kind == 6:
        return [_value(random, depth - 1) for _ in range(random.randint(0, 3))]
    if kind == 7:
        return {text(random, most=2): _value(random, depth - 1) for _ in range(random.randint(0, 3))}
    numbers = (0, -1, 90, 2**53 + 1, 2**63, 10**30, -0.0, 1e300, 443.7)
    return (text(random), random.choice(PIECES), random.choice(numbers), None, random.random() < 0.5, "")[kind]


def _select(event: dict[str, Any]) -> None:
    for match, other in _MATCHERS:
        assert match(event, 1.8e9) is not other(event, 1.8e9), repr(event)


def _render(event: dict[str, Any]) -> None:
    for name, config in _CONFIG.items():
        try:
            requests = CONSUMERS[name].render(Event("i", "a", event), {"k": "v"}, config, now=1.8e9, delivery_id="d")
        except RenderError:
            continue
        for request in requests:
            request.body.decode("utf-8")


def _read(random: Random, line: bytes) -> None:
    at = random.randrange(len(line) + 1)
    try:
        parse_line(line[:at] + text(random).encode("utf-8", "surrogatepass") + line[at + random.randint(0, 2) :])
    except BadLineError:
        return
