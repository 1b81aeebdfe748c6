"""`--exceptions` and `kubectl sew exceptions preview` over files; what asks a cluster is tested on a real one."""

import json
from pathlib import Path

import pytest

from kubectl_sew.cli.survey import Window, as_object, for_people, read, searches
from kubectl_sew.query import CALICO, bind, parse
from tests.unit.cli.test_survey import QUERY, WINDOW, _answer

EVENTS = "".join(
    json.dumps({"id": f"e{number}", "type": kind, "host": host}) + "\n"
    for number, (kind, host) in enumerate([("waf", "a"), ("waf", "b"), ("alert", "a"), ("waf", "c")])
)


def manifest(name, selector, **spec):
    given = {"description": "d", "selector": selector, "startTime": "2020-01-01T00:00:00Z", **spec}
    return {"apiVersion": "projectcalico.org/v3", "kind": "AlertException", "metadata": {"name": name}, "spec": given}


@pytest.fixture
def folder(tmp_path):
    items = [
        manifest("a", "host = a"),
        manifest("ab", "host IN {a, b}"),
        manifest("over", "type = waf", endTime="2020-01-02T00:00:00Z"),
        manifest("odd", "hots = a"),
        manifest("torn", "host = a", endTime="soon"),
    ]
    (tmp_path / "exceptions.yaml").write_text("\n---\n".join(map(json.dumps, items)))
    (tmp_path / "events").write_text(EVENTS)
    return tmp_path


def test_what_an_exception_in_force_selects_is_taken_away_and_counted_by_exception(folder, sew):
    ran = sew("preview-query", "type = waf", "--events", str(folder / "events"), "--exceptions", str(folder))
    assert [json.loads(line)["id"] for line in ran.out.splitlines()] == ["e3"]
    assert ran.err.splitlines() == [
        ran.err.splitlines()[0],
        "warning: AlertException odd suppresses nothing: there is no field `hots`",
        "1 of 4 events match",
        "  AlertException a: 1 more suppressed",
        "  AlertException ab: 2 more suppressed",
        "  In all 2 more suppressed",
    ]
    assert ran.err.splitlines()[0].startswith("warning: AlertException torn suppresses nothing: ")


@pytest.mark.parametrize("selector", ["  ", "// everything", "/* all */"])
def test_a_selector_of_nothing_takes_away_nothing_as_in_the_agent(folder, sew, selector):
    (folder / "exceptions.yaml").write_text(json.dumps(manifest("blank", selector)))
    ran = sew("preview-query", "type = waf", "--events", str(folder / "events"), "--exceptions", str(folder))
    assert len(ran.out.splitlines()) == 3
    assert ran.err.startswith("warning: AlertException blank suppresses nothing: ")
    ran = sew("exceptions", "preview", "blank", "-f", str(folder), "--events", str(folder / "events"))
    assert (ran.code, ran.out) == (1, "")


def test_a_document_that_cannot_be_read_beside_an_exception_is_named(folder, sew):
    file = folder / "exceptions.yaml"
    file.write_text(json.dumps(manifest("a", "host = a")) + "\n---\n[b\n")
    ran = sew("preview-query", "type = waf", "--events", str(folder / "events"), "--exceptions", str(file))
    assert ran.err.startswith(f"{file}:4:1: error SEW001: not YAML")
    assert "2 of 4 events match" in ran.err


def test_a_broken_exception_beside_a_webhook_keeps_no_payload_from_being_shown(folder, sew):
    webhook = Path("examples/webhooks/jira.yaml").read_text("utf-8")
    (folder / "both.yaml").write_text(webhook + "\n---\n" + json.dumps(manifest("a", "hots = a")))
    ran = sew("preview-payload", "-f", str(folder / "both.yaml"))
    assert (ran.code, ran.out.startswith("POST ")) == (0, True)


def test_the_elasticsearch_query_and_the_explanation_have_what_is_left_out(folder, sew):
    dsl = json.loads(sew("preview-query", "type = waf", "--exceptions", str(folder / "exceptions.yaml")).out)
    assert dsl == {
        "bool": {
            "filter": [{"term": {"type": "waf"}}],
            "must_not": [{"term": {"host": "a"}}, json.loads(sew("preview-query", "host IN {a, b}").out)],
        }
    }
    text = sew("preview-query", "type = waf", "--explain", "--exceptions", str(folder)).out
    assert "Not delivered, while AlertException ab is in force: host IN {a, b}" in text
    assert "over" not in text


def test_exceptions_preview_shows_what_one_selects_in_force_or_not(folder, sew):
    ran = sew("exceptions", "preview", "over", "-f", str(folder), "--events", str(folder / "events"))
    assert [json.loads(line)["id"] for line in ran.out.splitlines()] == ["e0", "e1", "e3"]
    assert "3 of 4 events match" in ran.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["exceptions", "preview", "x", "-f", "{}", "--events", "-"], "there is no usable AlertException x in {}"),
        (["exceptions", "preview", "x", "-f", "{}"], "give one of --elasticsearch URL and --events FILE"),
        (["preview-query", "type = waf", "--exceptions", "{}/events"], "there is no AlertException in {}/events"),
        (["preview-query", "type = waf", "--exceptions", "{}/no"], "no such file"),
        (["preview-query", "a = b", "--format", "--exceptions", "{}"], "--exceptions changes no query"),
        (["preview-query", "a = b", "--exceptions", "-", "--events", "-"], "cannot both come from standard input"),
        (["exceptions", "preview", "x", "-f", "-", "--events", "-"], "cannot both come from standard input"),
        (["preview-payload", "-f", "{}/exceptions.yaml"], "no SecurityEventWebhook was found"),
    ],
)
def test_what_cannot_be_meant_is_an_error(folder, sew, arguments, said):
    ran = sew(*(argument.format(folder) for argument in arguments))
    assert ran.code in (1, 2)
    assert said.format(folder).lower() in ran.err.lower()


def test_validate_counts_exceptions_beside_webhooks(folder, sew):
    ran = sew("validate", str(folder / "exceptions.yaml"))
    assert (ran.code, ran.err.splitlines()[-1]) == (1, "5 exceptions checked: 2 errors, 0 warnings")
    assert json.loads(sew("validate", str(folder / "exceptions.yaml"), "-o", "json").out)["exceptions"] == 5


def test_on_an_index_what_is_suppressed_is_counted_by_exception_and_left_out_of_the_rest():
    selectors = [("a", bind(parse("host = a"), CALICO))]
    bodies = searches(QUERY, WINDOW, selectors)
    assert len(bodies) == 5
    assert bodies[1]["post_filter"] == {"bool": {"must_not": [{"term": {"host": "a"}}]}}
    assert bodies[4]["query"]["bool"]["filter"][-1] == {"term": {"host": "a"}}
    whole = _answer(3)
    buckets = [{"key": WINDOW.start, "doc_count": 5, "left": {"doc_count": 3}}]
    whole["aggregations"]["bars"]["buckets"] = buckets
    survey = read(QUERY, [_answer(9), whole, _answer(5), _answer(4), _answer(2)], selectors)
    text = for_people(survey, WINDOW, "an index")
    assert "5 of 9 match (55.6%)" in text
    assert "          3 of them would be delivered, and 2 suppressed\n          2 by AlertException a\n" in text
    assert "#" * 24 + "-" * 16 in text
    shown = as_object(survey, Window("time", 0, 1))
    assert (shown["count"], shown["suppressed"], shown["suppressedInAll"]) == (3, {"a": 2}, 2)
