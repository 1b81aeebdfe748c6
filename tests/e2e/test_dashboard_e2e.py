"""The dashboard of an agent on files, in a real Chromium: each page, each action, and other sites that want in."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from testbed.servers.browser import BrowserPage, browser, find
from testbed.servers.required import required
from tests.e2e.dashboards import (
    CANARY,
    HOSTILE,
    Dashboard,
    NamedReceiver,
    ask_to_purge,
    ask_to_send_again,
    assert_sound,
    dashboard,
)
from tests.e2e.sew_agent import Folder
from tests.waiting import eventually

pytestmark = pytest.mark.server
HOSTILE_ID = "<script>window.hacked=1</script>"
TAB, ENTER = "\ue004", "\ue007"
LIMIT = 60.0
"""Seconds on a quiet machine for what takes one or two there: a browser beside other tests is slow."""
PAGES = [
    "/",
    "/webhooks/refused",
    "/webhooks/refused/dead-letters",
    "/webhooks/refused/deliveries",
    "/webhooks/refused/do/purge",
    "/webhooks/down",
    "/event",
    "/event?id=%3Cscript%3Ewindow.hacked%3D1%3C/script%3E",
    "/query?query=type+%3D+waf&on=file",
    "/query?query=sevrity+%3E+1",
    "/create?query=type+%3D+waf",
    "/check",
    "/exceptions",
    "/nowhere",
]


@pytest.fixture(scope="module")
def page() -> Iterator[BrowserPage]:
    with required():
        programs = find()
    with browser(programs) as made:
        yield made


@pytest.fixture(scope="module")
def receiver() -> Iterator[NamedReceiver]:
    with NamedReceiver() as made:
        yield made


@pytest.fixture(scope="module")
def agent(receiver: NamedReceiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Folder]:
    """An agent that all tests share: a test that changes something has webhooks of its own."""
    folder = Folder(tmp_path_factory.mktemp("agent"))
    refused = ("refused", "replayed", "resent")
    for name, status in {"fine": 204, "down": 503, "waiting": 503, **dict.fromkeys(refused, 400)}.items():
        folder.webhook(name, f"{receiver.url}/{name}/{status}/{CANARY}", query="severity >= 0")
    folder.write(range(1), name=HOSTILE)
    folder.write(range(1), name=HOSTILE, _id=HOSTILE_ID)
    folder.start(SEW_RETRY_INITIAL="5s", SEW_RETRY_MAX="60s")
    eventually(lambda: [dead(folder, name) for name in refused] == [2, 2, 2], "dead letters", LIMIT)
    yield folder
    folder.stop()


def dead(folder: Folder, name: str) -> int:
    return folder.command("dead-letters", "list", "--webhook", name, "-o", "json").stdout.count('"number"')


def flags(folder: Folder) -> tuple[str, ...]:
    return ("--state", str(folder.state), "--webhooks", str(folder.webhooks), "--events", str(folder.events))


@pytest.fixture(scope="module")
def started(agent: Folder, page: BrowserPage) -> Iterator[Dashboard]:
    with dashboard(*flags(agent)) as made:
        made.enter(page)
        yield made


@pytest.fixture
def address(started: Dashboard, page: BrowserPage) -> str:
    """The address of the dashboard, where the browser was let in."""
    page.resize(1280, 800)
    return started.address


def sees(page: BrowserPage, text: str) -> None:
    eventually(lambda: text in page.text, text, LIMIT)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_has_no_barriers_runs_no_script_of_others_and_shows_no_secret(
    address: str, page: BrowserPage, path: str
) -> None:
    assert_sound(page, address + path)


def test_a_dead_letter_is_purged_and_another_one_replayed_each_after_a_question(
    address: str, page: BrowserPage, agent: Folder, receiver: NamedReceiver
) -> None:
    page.open(f"{address}/webhooks/replayed/dead-letters")
    assert "2 in all" in page.text
    assert "sew-agent dead-letters purge" in ask_to_purge(page, f"{address}/webhooks/replayed")
    assert dead(agent, "replayed") == 2
    page.click("button.grave")
    sees(page, "1 dead letter purged")
    receiver.mended.add("replayed")
    page.click("a[href$='do/replay']")
    assert "sew-agent dead-letters replay" in page.text
    page.click("form[method=post] button")
    sees(page, "1 dead letter replayed")
    eventually(lambda: dead(agent, "replayed") == 0, "it is sent again", LIMIT)


def test_a_delivery_is_sent_again_from_its_page_after_a_question(
    address: str, page: BrowserPage, agent: Folder, receiver: NamedReceiver
) -> None:
    receiver.mended.add("resent")
    assert "sew-agent deliveries redeliver" in ask_to_send_again(page, f"{address}/webhooks/resent", "e0")
    assert dead(agent, "resent") == 2
    page.click("form[method=post] button")
    sees(page, "Send again: ")
    eventually(lambda: dead(agent, "resent") == 1, "it is sent again", LIMIT)


def test_a_backlog_is_dropped_after_a_question(address: str, page: BrowserPage) -> None:
    page.open(f"{address}/webhooks/waiting")
    page.click("a[href$='do/drop']")
    assert "sew-agent backlog drop" in page.text
    page.click("button.grave")
    sees(page, "2 of the deliveries waiting for waiting were dropped")


def test_from_the_log_one_gets_to_what_became_of_an_event(address: str, page: BrowserPage) -> None:
    page.open(f"{address}/webhooks/refused/deliveries")
    page.click("a[href='/event?id=e0']")
    rows = page.script("return [...document.querySelectorAll('tbody tr')].map((row) => row.innerText)")
    fates = {name: fate for name, fate, *_ in (row.split("\t") for row in rows)}
    assert (fates["fine"], fates["down"], fates["refused"]) == ("delivered", "pending", "dead")


def test_what_is_new_appears_without_a_reload_and_the_end_of_the_program_is_said(
    agent: Folder, page: BrowserPage
) -> None:
    with dashboard(*flags(agent)) as own:
        own.enter(page)
        page.script("window.kept = true")
        agent.webhook("late", "http://127.0.0.1:9/late", query="type = waf")
        sees(page, "late")
        assert page.script("return window.kept") is True
        own.process.kill()
        sees(page, "Not up to date: kubectl sew dashboard has ended.")


def test_a_query_is_read_as_it_is_typed_and_a_field_is_chosen_by_the_keyboard(address: str, page: BrowserPage) -> None:
    page.open(f"{address}/query")
    page.type("#query", "sevrity > 5")
    sees(page, "there is no field `sevrity`")
    page.script("document.getElementById('query').value = ''")
    page.type("#query", "type = waf")
    sees(page, "Selects events whose type is waf.")
    page.click(".fields summary")
    page.script("document.getElementById('query').value = ''")
    page.type("button[data-insert=dest_port]", ENTER)
    assert page.script("return document.getElementById('query').value") == "dest_port"
    assert page.script("return document.activeElement.id") == "query"


def test_a_person_without_a_mouse_gets_to_the_content_first(address: str, page: BrowserPage) -> None:
    page.open(f"{address}/exceptions")
    page.type("body", TAB)
    assert page.script("return document.activeElement.textContent") == "Skip to the content"
    page.type(".skip", ENTER)
    assert page.script("return document.activeElement.id") == "main"


ATTACK = """<!doctype html><title>attack</title>
<form id="form" method="post" action="{target}/webhooks/refused/do/purge"></form>
<iframe id="frame" src="{target}/"></iframe><script>
fetch("{target}/webhooks/refused/do/purge", {{method: "POST", credentials: "include", mode: "no-cors"}})
  .finally(() => document.getElementById("form").submit());
</script>"""


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_another_site_of_this_machine_changes_nothing_and_shows_nothing(
    address: str, page: BrowserPage, agent: Folder, host: str
) -> None:
    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(ATTACK.format(target=address).encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server gives
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        page.open(f"http://{host}:{other.server_address[1]}/")
        sees(page, "another site asked for this, so nothing was done")
        other.shutdown()
    page.console()  # what the browser said of the attack
    assert dead(agent, "refused") == 2


def test_a_name_that_was_pointed_here_shows_nothing(address: str, page: BrowserPage) -> None:
    page.open(address.replace("127.0.0.1", "rebound.localhost"))
    assert "this address is not the dashboard's" in page.text
    page.console()
