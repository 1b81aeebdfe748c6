"""The pages as a browser gets them: the gate in front, hostile text as text, no secret, and every action once."""

from dataclasses import replace
from pathlib import Path

import pytest

from kubectl_sew.dashboard.lab import LabSources
from kubectl_sew.resource import Condition, ConfigVar
from tests.unit.dashboard.conftest import (
    ATTEMPT,
    CANARY,
    DELIVERY,
    HOST,
    LETTER,
    ROW,
    StandInReach,
    Visit,
    exception,
    webhook,
)

PAGES = [
    "/",
    "/?only=night",
    "/webhooks/night",
    "/webhooks/night/dead-letters",
    "/webhooks/night/dead-letters/7",
    "/webhooks/night/deliveries",
    "/webhooks/night/deliveries?failed=1&event=e7",
    f"/webhooks/night/deliveries/{DELIVERY}",
    f"/webhooks/night/do/redeliver?id={DELIVERY}",
    "/webhooks/night/do/purge",
    "/webhooks/night/do/replay?number=7",
    "/event",
    "/event?id=e7",
    "/query?query=type+%3D+waf",
    "/create?query=type+%3D+waf",
    "/check",
    "/exceptions",
]
SCRIPT = "<script>alert('x')</script>\"'`\u202e\x1b[31m&{{7*7}}"


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_shown_with_headers_that_let_nothing_from_elsewhere_in(visit: Visit, path: str) -> None:
    answer = visit().get(path)
    assert answer.status_code == 200
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    for attribute in (" style=", " onclick=", "<style", "javascript:", 'src="http', 'href="http://'):
        assert attribute not in answer.text


@pytest.mark.parametrize("path", [*PAGES, "/static/style.css", "/nowhere"])
def test_without_the_cookie_nothing_is_shown(stranger: Visit, path: str) -> None:
    answer = stranger().get(path)
    assert answer.status_code == 403
    assert "night" not in answer.text


def test_the_link_sets_the_cookie_on_a_page_of_ours_that_leads_on(stranger: Visit) -> None:
    browser = stranger()
    answer = browser.get("/?token=token")
    assert (answer.status_code, answer.headers["Set-Cookie"]) == (
        200,
        "sew-dashboard-4711=session; Path=/; HttpOnly; SameSite=Strict",
    )
    assert '<meta http-equiv="refresh" content="0;url=/">' in answer.text
    assert browser.get("/?token=token", Cookie="").status_code in (200, 403)
    assert browser.get("/query").status_code == 200


def test_the_token_works_on_the_first_page_alone(stranger: Visit) -> None:
    assert stranger().get("/query?token=token").status_code == 403


@pytest.mark.parametrize("path", ["/webhooks/night/do/purge", "/check", "/create"])
def test_another_sites_form_does_nothing(visit: Visit, path: str) -> None:
    browser = visit()
    answer = browser.post(path, {"step": "create"}, Origin="https://evil.example")
    assert answer.status_code == 403
    assert browser.reach.asked == []


@pytest.mark.parametrize(
    "path",
    ["/static/../web.py", "/static/%2e%2e/web.py", "/static/..%2fweb.py", "/static//etc/passwd", "/static/style.css/"],
)
def test_no_path_leads_out_of_the_static_files(visit: Visit, path: str) -> None:
    assert visit().get(path).status_code in (308, 404)


def hostile() -> StandInReach:
    """A place in which everything that others write is markup, and what is secret is a canary."""
    condition = Condition(SCRIPT, "True", SCRIPT, SCRIPT, 1, SCRIPT)
    healthy = replace(condition, type="Healthy", status="False")
    one = replace(webhook("night"), consumer=SCRIPT, query=SCRIPT, conditions=(healthy, condition))
    one = replace(one, config=(*one.config, ConfigVar(SCRIPT, CANARY)), annotations={"last": CANARY})
    row = {**ROW, "name": "night", "eventsFetched": SCRIPT, "lastError": SCRIPT, "delivery": SCRIPT, "behind": SCRIPT}
    report = {"running": True, "version": SCRIPT, "problems": [SCRIPT], "sourceTroubles": [{"message": SCRIPT}]}
    report |= {"sourceCaveats": [SCRIPT]}
    letter = {**LETTER, "event": SCRIPT, "detail": SCRIPT, "reason": SCRIPT}
    texts = ("event", "index", "type", "outcome", "reason", "detail", "sentTo", "receipt", "nextTry", "at")
    attempt = {**ATTEMPT, **dict.fromkeys(texts, SCRIPT)}
    held = (exception(SCRIPT, selector=SCRIPT, description=SCRIPT),)
    return StandInReach((one,), {"night": row}, report, [letter], [attempt], {SCRIPT: [SCRIPT]}, held, place=SCRIPT)


@pytest.mark.parametrize("path", [*PAGES, f"/query?query={SCRIPT}", f"/?only={SCRIPT}", f"/create?query={SCRIPT}"])
def test_what_others_write_is_text_and_no_secret_is_on_a_page(visit: Visit, path: str) -> None:
    text = visit(hostile()).text(path)
    assert "<script>alert" not in text
    assert "\u202e" not in text
    assert "\x1b" not in text
    assert "49" not in text.replace("1,249", "")
    assert CANARY not in text


def test_the_part_that_moves_is_sent_alone(visit: Visit) -> None:
    part = visit().text("/", **{"X-Part": "1"})
    assert "night" in part
    assert "<html" not in part


@pytest.mark.parametrize(
    ("action", "asked"),
    [
        ("enable", ("set", "night", "Enabled")),
        ("disable", ("set", "night", "Disabled")),
        ("debug", ("set", "night", "Debug")),
        ("test", ("test", "night")),
        ("replay", ("dead-letters", "replay", "--webhook", "night")),
    ],
)
def test_an_action_asks_first_shows_its_command_and_is_done_once(
    visit: Visit, action: str, asked: tuple[str, ...]
) -> None:
    browser = visit()
    question = browser.text(f"/webhooks/night/do/{action}")
    assert "?</p>" in question or "? " in question
    assert "The same by hand" in question
    assert browser.reach.asked == []
    answer = browser.post(f"/webhooks/night/do/{action}")
    assert answer.status_code == 303
    assert browser.reach.asked == [asked]
    after = browser.text(answer.headers["Location"])
    assert 'class="done"' in after
    assert browser.reach.asked == [asked]


@pytest.mark.parametrize(
    ("action", "words"),
    [("purge", ("dead-letters", "purge", "7", "9")), ("replay", ("dead-letters", "replay", "7", "9"))],
)
def test_chosen_dead_letters_are_carried_from_the_question_to_the_action(
    visit: Visit, action: str, words: tuple[str, ...]
) -> None:
    browser = visit()
    question = browser.text(f"/webhooks/night/do/{action}?number=7&number=9")
    assert question.count('type="hidden" name="number"') == 2
    browser.post(f"/webhooks/night/do/{action}?number=7&number=9", {"number": ["7", "9"]})
    assert [word for word in browser.reach.asked[0] if word.isdigit()] == ["7", "9"]
    assert browser.reach.asked[0][: len(words)] == words


def test_the_log_is_asked_for_what_failed_and_for_one_event(visit: Visit) -> None:
    browser = visit()
    assert "503 Service Unavailable" in browser.text("/webhooks/night/deliveries?failed=1&event=--help")
    (asked,) = browser.reach.asked
    assert asked == ("deliveries", "list", "--webhook", "night", "--failed", "--event=--help", "-o", "json")


def test_what_became_of_an_event_is_asked_of_the_agent_and_of_the_queries_of_the_others(visit: Visit) -> None:
    other = replace(webhook("other"), query="type = alert")
    browser = visit(StandInReach((webhook("night"), other)))
    text = browser.text("/event?id=--help%00")
    assert browser.reach.asked == [("trace", "-o", "json", "--", "--help")]
    assert '<span class="health failing">dead</span>' in text
    assert "503 Service Unavailable" in text
    assert '<span class="health off">not selected</span>' in text
    assert "type is waf" in text
    assert '"type": "waf"' in text.replace("&#34;", '"')
    assert "sew-agent trace --help" in text


def test_without_an_id_of_an_event_nobody_is_asked(visit: Visit) -> None:
    browser = visit()
    assert 'name="id" value=""' in browser.text("/event?id=+")
    assert browser.reach.asked == []


@pytest.mark.parametrize("path", ["deliveries", "dead-letters", "dead-letters/7", f"deliveries/{DELIVERY}"])
def test_where_an_event_is_named_its_page_is_a_link_away(visit: Visit, path: str) -> None:
    reach = StandInReach(letters=[{**LETTER, "event": "a/b&c d"}], attempts=[{**ATTEMPT, "event": "a/b&c d"}])
    assert 'href="/event?id=a/b%26c%20d"' in visit(reach).text(f"/webhooks/night/{path}")


def test_a_delivery_is_sent_again_by_its_id_after_a_question(visit: Visit) -> None:
    browser = visit()
    question = browser.text(f"/webhooks/night/do/redeliver?id={DELIVERY}")
    assert f'name="id" value="{DELIVERY}"' in question
    browser.post("/webhooks/night/do/redeliver", {"id": [DELIVERY]})
    assert browser.reach.asked == [("deliveries", "redeliver", "--webhook", "night", "--yes", DELIVERY)]


@pytest.mark.parametrize("identity", ["--state", "xyz", "0", "../../check", "0123%00"])
def test_what_is_no_id_of_a_delivery_is_asked_of_nobody(visit: Visit, identity: str) -> None:
    browser = visit()
    assert browser.get(f"/webhooks/night/deliveries/{identity}").status_code == 404
    assert browser.post("/webhooks/night/do/redeliver", {"id": [identity]}).status_code == 404
    assert browser.reach.asked == []


def test_what_cannot_be_undone_names_who_did_it(visit: Visit) -> None:
    browser = visit()
    browser.post("/webhooks/night/do/drop")
    ((*words, _),) = browser.reach.asked
    assert words == ["backlog", "drop", "--webhook", "night", "--yes", "--by"]


@pytest.mark.parametrize("action", ["fly", "../../check", "show"])
def test_there_is_no_other_action(visit: Visit, action: str) -> None:
    browser = visit()
    assert browser.post(f"/webhooks/night/do/{action}").status_code in (404, 405)
    assert browser.reach.asked == []


@pytest.mark.parametrize("name", ["a%00b", "a%0d%0aSet-Cookie:x", "-all", "%F0%9F%92%A9", "..", "a b", "A"])
def test_a_name_that_no_webhook_can_have_is_asked_of_nobody(visit: Visit, name: str) -> None:
    browser = visit()
    for path in ("", "/dead-letters", "/do/replay"):
        assert browser.get(f"/webhooks/{name}{path}").status_code == 404
    assert browser.post(f"/webhooks/{name}/do/replay").status_code == 404
    assert browser.reach.asked == []


def test_an_answer_of_another_agent_is_no_crash(visit: Visit) -> None:
    browser = visit(StandInReach(letters=[]))
    browser.reach.ask_agent = lambda *_: "no JSON"  # type: ignore[method-assign]
    answer = browser.get("/webhooks/night/dead-letters")
    assert answer.status_code == 502
    assert "cannot be read" in answer.text


def test_a_huge_event_is_cut_where_it_is_shown(visit: Visit) -> None:
    text = visit(StandInReach(document={"payload": "x" * 5_000_000})).text("/webhooks/night/dead-letters/7")
    assert len(text) < 150_000


def test_an_agent_on_files_offers_what_it_can_do_alone(visit: Visit) -> None:
    text = visit(StandInReach(changes_webhooks=False)).text("/webhooks/night")
    assert "do/replay" in text
    assert "do/enable" not in text
    assert "takes its webhooks from manifests" in text


@pytest.mark.parametrize("path", ["/check", "/exceptions"])
def test_of_an_agent_on_files_no_command_of_a_cluster_is_shown(visit: Visit, path: str) -> None:
    assert "kubectl sew check" in visit().text("/check")
    assert "The same by hand" not in visit(StandInReach(changes_webhooks=False)).text(path)


@pytest.mark.parametrize("path", ["/webhooks/night", "/webhooks/night/dead-letters"])
def test_where_kubectl_fails_the_page_says_what_to_do(visit: Visit, path: str) -> None:
    browser = visit()
    browser.reach.failing = "no answer within 30 s: is the API server up?"
    answer = browser.get(path)
    assert answer.status_code == 502
    assert "is the API server up?" in answer.text
    assert "Try again" in answer.text


def test_the_overview_keeps_what_was_last_read_and_says_so(visit: Visit) -> None:
    browser = visit()
    browser.reach.failing = "the login expired"
    browser.watcher.read()
    text = browser.text("/")
    assert "the login expired" in text
    assert "night" in text


def test_before_the_first_reading_the_page_says_what_it_waits_for(stranger: Visit) -> None:
    browser = stranger()
    browser.client.set_cookie("sew-dashboard-4711", "session", domain="127.0.0.1")
    assert "Reading the cluster of the tests" in browser.text("/")
    browser.reach.failing = "there is no cluster"
    browser.watcher.read()
    assert "there is no cluster" in browser.text("/")


def test_a_query_is_tried_on_the_file_of_the_command_line_and_on_no_other(visit: Visit, tmp_path: Path) -> None:
    events = tmp_path / "events.ndjson"
    events.write_text('{"type": "waf", "name": "<b>"}\n{"type": "alert"}\nno event\n')
    browser = visit(None, LabSources(events=str(events)))
    text = browser.text("/query?query=type+%3D+waf&on=file&events=/etc/passwd")
    assert "1 of 2 events match; 1 lines are not events" in text
    assert "&lt;b&gt;" in text
    assert "<b>" not in text
    assert "passwd" not in text
    events.write_text('[\n{"type": "waf"},\n{"type": "waf"}\n]\n')
    assert "makes lines of it" in browser.get("/query?query=type+%3D+waf&on=file").text
    events.write_text("")
    assert "there is no event in" in browser.get("/query?query=type+%3D+waf&on=file").text


def test_a_query_is_saved_as_a_webhook_after_it_was_checked(visit: Visit) -> None:
    browser = visit()
    form = {"name": "new", "consumer": "Generic", "query": "type = waf", "variables": "url=secret:hook/url"}
    checked = browser.post("/create", {**form, "step": "check"}).text
    assert "name: new" in checked
    assert "kubectl sew create new --consumer Generic --query type = waf --secret url=hook/url" in checked
    assert browser.reach.asked == []
    assert browser.post("/create", {**form, "step": "create"}).status_code == 303
    assert browser.reach.asked == [("create", "new")]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": "Ärger"}, "name"),
        ({"query": "sevrity > 1"}, "did you mean `severity`?"),
        ({"variables": "url"}, "a variable is written NAME=VALUE"),
        ({"variables": "url=secret:hook"}, "`url` must be written url=secret:NAME/KEY"),
        ({"consumer": "Fax"}, "choose a consumer"),
    ],
)
def test_a_webhook_that_cannot_work_is_not_created(visit: Visit, wrong: dict[str, str], said: str) -> None:
    browser = visit()
    form = {"name": "new", "consumer": "Generic", "query": "type = waf", "variables": "url=secret:hook/url", **wrong}
    assert said in browser.post("/create", {**form, "step": "check"}).text
    browser.post("/create", {**form, "step": "create"})
    assert browser.reach.asked == []


def test_a_form_that_is_too_large_is_refused(visit: Visit) -> None:
    assert visit().post("/create", {"step": "check", "query": "x" * 300_000}).status_code == 413


def test_a_large_page_is_compressed_for_who_can_read_it(visit: Visit) -> None:
    many = tuple(webhook(f"w{number:04}") for number in range(1_000))
    rows = {one.name: {"name": one.name, **ROW} for one in many}
    browser = visit(StandInReach(many, rows))
    assert len(browser.get("/").data) < 500 * len(many)
    answer = browser.get("/", **{"X-Part": "1", "Accept-Encoding": "gzip, br"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert len(answer.data) < 200_000
    assert "Content-Encoding" not in browser.get("/", Host=HOST).headers


def test_the_first_page_is_bounded_whatever_is_said_of_its_webhooks(visit: Visit) -> None:
    said = Condition("Healthy", "False", "ReceiverUnavailable", "down: <&'> " * 10_000)
    many = tuple(replace(webhook(f"w{number:03}"), conditions=(said,)) for number in range(100))
    rows = {one.name: {"name": one.name, **ROW, "behind": "slow " * 10_000} for one in many[:50]}
    page = visit(StandInReach(many, rows)).get("/").data
    assert len(page) < 4_000 * len(many)
    assert page.count(b"&lt;") >= 50
