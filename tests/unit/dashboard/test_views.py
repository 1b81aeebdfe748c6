"""What the pages show, made of facts."""

from dataclasses import replace

import pytest

from kubectl_sew.check.verdict import CheckResult
from kubectl_sew.cluster.webhook_details import AgentReport
from kubectl_sew.dashboard.reach import Fleet
from kubectl_sew.dashboard.views.check import WORDS
from kubectl_sew.dashboard.views.event import event_view
from kubectl_sew.dashboard.views.exceptions import exceptions_view
from kubectl_sew.dashboard.views.overview import HEALTH, overview
from kubectl_sew.dashboard.views.query_lab import query_lab
from kubectl_sew.dashboard.views.webhook import MOST_LETTERS, in_words, letters_view, webhook_view
from kubectl_sew.query import CALICO
from kubectl_sew.resource import State
from tests.unit.dashboard.conftest import CANARY, LETTER, NOW, ROW, StandInReach, exception, webhook

KINDS = {
    "failing": (webhook("a", "False", "QueryParsing", "the query"), {}),
    "parked": (webhook("b", "False", "SecurityEventsProcessing", "refused"), {"parked": True, "delivering": False}),
    "behind": (webhook("c"), {"behind": "more matches than is sent"}),
    "unknown": (replace(webhook("d"), conditions=()), {}),
    "healthy": (webhook("e"), {}),
    "off": (replace(webhook("f", "False", "WebhookState", "Disabled"), state=State.DISABLED), {}),
}


def fleet() -> Fleet:
    rows = {one.name: {"name": one.name, **ROW, **row} for one, row in KINDS.values()}
    return Fleet(tuple(one for one, _ in KINDS.values()), AgentReport("ns/agent-0", "", {"running": True}, rows))


def test_each_health_has_its_word_and_the_most_urgent_comes_first() -> None:
    view = overview(fleet(), lambda _: [], NOW)
    assert [line.health for line in view.lines] == list(KINDS) == list(HEALTH)
    assert [line.reason for line in view.lines[:3]] == ["the query", "refused", "more matches than is sent"]
    assert view.counts == tuple((word, 1) for word in HEALTH)
    assert "events are read to the last but 2 min" in view.agent


@pytest.mark.parametrize(("only", "names"), [("parked", ["b"]), ("e", ["e"]), ("nothing", [])])
def test_the_overview_is_filtered_by_health_and_by_name(only: str, names: list[str]) -> None:
    view = overview(fleet(), lambda _: [], NOW, only=only)
    assert [line.name for line in view.lines] == names
    assert sum(count for _, count in view.counts) == len(HEALTH)


def test_an_agent_that_is_not_known_is_said_to_be_so() -> None:
    unknown = Fleet((webhook("a"),), AgentReport(unknown="no agent holds the Lease"))
    assert overview(unknown, lambda _: [], NOW).agent == ("unknown: no agent holds the Lease",)


def test_a_webhook_is_shown_with_its_query_in_words_and_its_variables_without_values() -> None:
    details = StandInReach().details("night")
    view = webhook_view(details, [], [], CALICO)
    assert view.words == "Selects events whose type is waf."
    assert [(line.name, line.where) for line in view.variables] == [
        ("url", "Secret hook, key url"),
        ("template", "in the webhook itself"),
    ]
    assert CANARY not in repr(view)
    labels = [label for label, _ in view.facts]
    assert "Healthy" in labels
    assert "Delivered" in labels
    assert "Query" not in labels


@pytest.mark.parametrize(
    ("query", "begins"),
    [
        ("", ""),
        ("type = ", "1:8: the query ends where a value is expected"),
        ("rule_name = x", "Selects events whose rule_name is x."),
        ("sevrity >= 90", "Selects events whose sevrity is at least 90."),
    ],
)
def test_a_query_is_explained_or_what_is_wrong_is_drawn(query: str, begins: str) -> None:
    assert in_words(query, CALICO).startswith(begins)


def test_of_many_dead_letters_the_newest_are_shown_and_all_are_counted() -> None:
    view = letters_view("w", [{**LETTER, "number": number} for number in range(MOST_LETTERS + 5)])
    assert (view.total, len(view.letters)) == (MOST_LETTERS + 5, MOST_LETTERS)
    assert view.letters[0]["number"] == MOST_LETTERS + 4


@pytest.mark.parametrize(
    ("fate", "look"),
    [("delivered", "healthy"), ("pending", "behind"), ("dead", "failing"), ("dropped", "failing"), ("seen", "off")],
)
def test_a_fate_has_the_colour_of_a_health(fate: str, look: str) -> None:
    said = {"webhooks": [{"webhook": "night", "fate": fate, "detail": "as the store says"}]}
    (line,) = event_view("e7", said, [], [], NOW, "").lines
    assert (line.webhook, line.detail, line.look) == ("night", "as the store says", look)
    assert line.look in HEALTH


def test_a_webhook_whose_manifest_is_not_known_has_what_the_store_says_alone() -> None:
    said = {"webhooks": [{"webhook": "night", "fate": "unseen", "detail": "the store does not know it"}]}
    (line,) = event_view("e7", said, [replace(webhook("night"), query="")], [], NOW, "").lines
    assert line.detail == "the store does not know it"


def test_an_exception_is_shown_with_its_state_and_its_selector_in_words() -> None:
    reported = AgentReport(report={"exceptions": [{"name": "known", "suppressed": 5, "broken": None}]})
    (line,) = exceptions_view([exception("known")], reported, CALICO, NOW)
    assert (line.cells["STATE"], line.cells["SUPPRESSED"]) == ("InForce", "5")
    assert line.words == "Selects events whose type is waf."


def test_the_query_lab_draws_what_is_wrong_at_its_place() -> None:
    lab = query_lab("type = waf AND sevrity > 1", CALICO, NOW)
    assert lab.problem.startswith("1:16: there is no field `sevrity`")
    assert "^^^^^^^" in lab.problem
    assert (lab.words, lab.canonical, lab.samples) == ("", "", ())


def test_the_query_lab_shows_every_form_of_a_query_and_the_samples_it_selects() -> None:
    lab = query_lab("type=waf", CALICO, NOW)
    assert (lab.problem, lab.canonical) == ("", "type = waf")
    assert '"term"' in lab.dsl
    assert [kind for kind, selected in lab.samples if selected] == ["waf"]


def test_nothing_typed_is_no_mistake() -> None:
    assert query_lab("  ", CALICO, NOW) == query_lab("  ", CALICO, NOW + 1)
    assert query_lab("", CALICO, NOW).problem == ""


def test_each_result_of_a_check_has_a_word() -> None:
    assert set(WORDS) == set(CheckResult)
