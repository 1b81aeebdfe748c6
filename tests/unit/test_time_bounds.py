"""What comes from outside is read in time, and memory, in proportion to its length."""

import ast
import importlib
import inspect
import json
import pkgutil
import re
import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

import kubectl_sew
import sew_agent
from kubectl_sew.query import CALICO, QueryError, parse
from kubectl_sew.redaction import redact_urls
from kubectl_sew.resource import ConfigVar, State, Webhook
from kubectl_sew.resource.splitting import split
from kubectl_sew.validation.webhook import Accepted, accept

LENGTH = 2_000
ALLOWED = 0.01
"""Seconds of the processor: what is linear takes a hundredth of it, what is quadratic many times as much."""
BEGINNINGS = ("", "-", "{{", "<")
REPEATED = (
    *"aA0 .-_:/\\{}|[](*?&%#@\"'=+<,;\n\t\u2028",
    *("a.", "a-", "a:", "a ", "0.", "0_", "1e", "0,", "\\*", "{{", "{{|", "| ", "{ "),
    *("---", "\r\n", ": ", "&a", "\\u", "ab\r\n", "//", "//\n", "/**/"),
)
SEARCHING = ("search", "sub", "finditer", "findall", "split")


def modules() -> Iterator[ModuleType]:
    for package in (sew_agent, kubectl_sew):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                yield importlib.import_module(module.name)


def patterns() -> dict[str, tuple[re.Pattern[Any], list[str]]]:
    """All of the program's patterns, by name or place, with the ways in which they are used."""
    used: dict[str, tuple[re.Pattern[Any], list[str]]] = {}
    for module in modules():
        source = inspect.getsource(module)
        for name, value in vars(module).items():
            if isinstance(value, re.Pattern) and f"{name} = " in source:
                searching = any(f"{name}.{way}" in source for way in SEARCHING)
                used[f"{module.__name__}.{name}"] = (value, ["match", "fullmatch", *(["search"] if searching else [])])
        named = {pattern.pattern for pattern, _ in used.values()}
        for line, text, way in written_in_place(source):
            if text not in named:
                used[f"{module.__name__}:{line}"] = (re.compile(text), [way])
    return used


def written_in_place(source: str) -> Iterator[tuple[int, str, str]]:
    """The line, the pattern and the way of each use of `re` with a pattern that has no name, or is one of a table."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(ast.Attribute(ast.Name("re"), way), [ast.Constant(str(text)), *_]) if way != "escape":
                yield node.lineno, text, way if way in ("match", "fullmatch") else "search"


def seconds(work: Callable[[], object], enough: float = ALLOWED) -> float:
    """Of the processor, in this thread; a second and third time where that is not little enough."""
    best = float("inf")
    for _ in range(3):
        began = time.thread_time()
        work()
        best = min(best, time.thread_time() - began)
        if best < enough:
            break
    return best


PATTERNS = patterns()


@pytest.mark.parametrize("name", PATTERNS)
def test_no_pattern_takes_more_than_its_share_of_time(name: str) -> None:
    pattern, ways = PATTERNS[name]
    for beginning in BEGINNINGS:
        for repeated in REPEATED:
            text: Any = beginning + repeated * (LENGTH // len(repeated)) + "!"
            if isinstance(pattern.pattern, bytes):
                text = text.encode()
            for way in ways:
                took = seconds(lambda: getattr(pattern, way)(text))  # noqa: B023 - called at once
                assert took < ALLOWED, f"{way} of {beginning!r} and {repeated!r} again and again"


@pytest.mark.parametrize("literal", ["0" * 16_000 + "x", "-" + "0" * 16_000 + ".x", "a-" * 8_000])
def test_a_long_literal_of_a_query_takes_no_time(literal: str) -> None:
    def read() -> None:
        try:
            parse(f"host = {literal}")
        except QueryError:
            return

    assert seconds(read) < 0.2


def test_a_line_of_many_objects_becomes_no_more_than_it_is() -> None:
    text = json.dumps({}) * 20_000
    documents = list(split(text))
    assert len(documents) == 20_000
    assert sum(len(document) for _, document in documents) < 100 * len(text)


def test_urls_are_taken_out_of_a_long_text_in_no_time() -> None:
    assert seconds(lambda: redact_urls("a-" * 20_000)) < 0.2


@pytest.mark.parametrize("consumer", ["Jira", "Generic"])
def test_trying_a_webhooks_templates_takes_no_time_however_many_they_are_and_whatever_they_do(consumer: str) -> None:
    long = "{{range 999999}}{{range 9}}{{end}}{{end}}"
    config = {"url": "https://jira.example/rest/api/2/issue", "project": "A", "issueType": "B", "username": "u"}
    config |= {"apiToken": "t", "fields": json.dumps({f"c{number}": long for number in range(200)})}
    if consumer == "Generic":
        config = {"url": "https://r.example/", "template": long}
    variables = tuple(ConfigVar(name, value) for name, value in config.items())
    webhook = Webhook("w", consumer, State.ENABLED, "severity >= 0", config=variables)

    def warn() -> None:
        accepted = accept(webhook, {}, {}, CALICO)
        assert isinstance(accepted, Accepted)
        assert "takes long to render, so not all sample events were tried" in accepted.warnings[0].message

    assert seconds(warn) < 2.0, "3,700 s where each rendering has a bound of its own"
