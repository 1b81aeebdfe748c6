"""Who is let in: one browser by the link, and no other site by any way."""

import pytest

from kubectl_sew.dashboard.gate import Gate, Visit

HOST = "127.0.0.1:4711"
ORIGIN = f"http://{HOST}"
COOKIE = "sew-dashboard-4711=session"


@pytest.fixture
def gate() -> Gate:
    return Gate(4711, "token", "session")


def test_the_link_works_once_and_its_cookie_from_then_on(gate: Gate) -> None:
    came = gate.judge(Visit("GET", HOST, token="token"))
    assert came.refusal == ""
    assert came.cookie == f"{COOKIE}; Path=/; HttpOnly; SameSite=Strict"
    assert "works once" not in gate.judge(Visit("GET", HOST, cookies=COOKIE)).refusal
    assert "used already" in gate.judge(Visit("GET", HOST, token="token")).refusal


def test_the_link_opened_again_in_the_same_browser_leads_in(gate: Gate) -> None:
    assert gate.judge(Visit("GET", HOST, token="token")).cookie
    again = gate.judge(Visit("GET", HOST, cookies=COOKIE, token="token"))
    assert (again.refusal, again.cookie) == ("", "")


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT"])
def test_only_a_page_that_is_asked_for_uses_the_link_up(gate: Gate, method: str) -> None:
    assert gate.judge(Visit(method, HOST, origin=ORIGIN, token="token")).refusal
    assert gate.judge(Visit("GET", HOST, token="token")).cookie


@pytest.mark.parametrize("token", ["", "toke", "tokens", "TOKEN", "\udc80", "tök"])
def test_another_token_is_refused(gate: Gate, token: str) -> None:
    assert gate.judge(Visit("GET", HOST, token=token)).refusal


@pytest.mark.parametrize(
    "cookies",
    [
        "",
        "sew-dashboard-4711=",
        "sew-dashboard-4711=other",
        "sew-dashboard-4712=session",
        "session",
        ";;;=;\x00",
        "sew-dashboard-4711=session2",
    ],
)
def test_another_cookie_is_refused(gate: Gate, cookies: str) -> None:
    assert gate.judge(Visit("GET", HOST, cookies=cookies)).refusal


@pytest.mark.parametrize(
    "host", ["", "evil.example", "evil.example:4711", "127.0.0.1", "127.0.0.1:4712", "127.0.0.1:4711.evil.example"]
)
def test_a_name_that_leads_here_by_rebinding_is_refused_even_with_the_cookie_and_the_token(
    gate: Gate, host: str
) -> None:
    for visit in (Visit("GET", host, cookies=COOKIE), Visit("GET", host, token="token")):
        assert "not the dashboard's" in gate.judge(visit).refusal
    assert gate.judge(Visit("GET", HOST, token="token")).cookie


@pytest.mark.parametrize(
    ("origin", "fetch_site"),
    [
        ("", ""),
        ("null", "cross-site"),
        ("https://evil.example", "cross-site"),
        ("http://127.0.0.1:8080", "same-site"),  # another program of this machine is of the same site
        ("http://localhost:4711", ""),
        ("https://127.0.0.1:4711", ""),
        (ORIGIN, "cross-site"),
        (ORIGIN, "same-site"),
    ],
)
def test_what_changes_something_is_taken_from_our_own_pages_alone(gate: Gate, origin: str, fetch_site: str) -> None:
    visit = Visit("POST", HOST, origin=origin, fetch_site=fetch_site, cookies=COOKIE)
    assert "another site" in gate.judge(visit).refusal
    assert gate.judge(Visit("POST", HOST, ORIGIN, "same-origin", COOKIE)).refusal == ""


@pytest.mark.parametrize(("fetch_site", "refused"), [("none", False), ("same-site", True), ("cross-site", True)])
def test_a_page_is_shown_to_who_typed_its_address_and_to_no_other_site_that_has_the_cookie(
    gate: Gate, fetch_site: str, refused: bool
) -> None:
    """Another port of this machine is of the same site, so the browser sends the cookie with what it asks for."""
    assert bool(gate.judge(Visit("GET", HOST, fetch_site=fetch_site, cookies=COOKIE)).refusal) is refused


def test_the_link_may_stand_on_any_page(gate: Gate) -> None:
    assert gate.judge(Visit("GET", HOST, fetch_site="cross-site", token="token")).cookie
