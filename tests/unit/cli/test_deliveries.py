"""`kubectl sew deliveries`: what it asks the agent, and what does not belong together."""

from typing import Any

import pytest
from click.testing import CliRunner

from kubectl_sew.cli.commands import deliveries as module
from kubectl_sew.deliveries import unseen


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What the agent is asked."""
    calls: list[tuple[str, ...]] = []
    monkeypatch.setattr(module, "ask_agent", lambda _, __, *command: calls.append(command))
    return calls


def run(*arguments: str) -> Any:
    return CliRunner().invoke(module.deliveries, arguments)


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (("hook",), "deliveries list --webhook hook --"),
        (
            ("hook", "--failed", "--since", "1h", "--event", "e", "-o", "json"),
            "deliveries list --webhook hook --failed --since 1h --event e -o json --",
        ),
        (("hook", "redeliver", "3f", "4a", "--yes"), "deliveries redeliver --webhook hook --yes -- 3f 4a"),
    ],
)
def test_the_agent_is_asked(asked: list[tuple[str, ...]], arguments: tuple[str, ...], command: str) -> None:
    assert run(*arguments).exit_code == 0
    assert asked == [tuple(command.split())]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("hook", "list", "3f"), "leave the ids out"),
        (("hook", "show"), "needs the id of one delivery"),
        (("hook", "redeliver"), "needs the ids"),
        (("hook", "show", "3f", "--failed"), "are for list"),
        (("hook", "show", "3f", "--yes"), "--yes is for redeliver"),
        (("hook", "redeliver", "3f", "-o", "json"), "leave --output out"),
        (("hook", "redeliver", "3f"), "add --yes"),
    ],
)
def test_what_does_not_belong_together_is_refused_and_nobody_asked(
    asked: list[tuple[str, ...]], arguments: tuple[str, ...], why: str
) -> None:
    refused = run(*arguments)
    assert (refused.exit_code, asked) == (2, [])
    assert why in refused.output


def test_what_was_printed_is_not_printed_again() -> None:
    seen: set[tuple[Any, ...]] = set()
    first, again = {"deliveryId": "a", "attempt": 1, "at": "1"}, {"deliveryId": "a", "attempt": 2, "at": "2"}
    assert unseen([first], seen) == [first]
    assert unseen([first, again], seen) == [again]
    assert unseen([first, again], seen) == []
