"""Answers requests: each page by its address, behind the gate."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import NotFound as NoSuchPage
from werkzeug.routing import Map
from werkzeug.routing import Rule as PageRule
from werkzeug.utils import redirect
from werkzeug.wrappers import Request as WebRequest
from werkzeug.wrappers import Response as WebResponse

from kubectl_sew.cli.commands.trace import read_known
from kubectl_sew.cluster.agent import AgentError
from kubectl_sew.consumers.registry import CONSUMERS
from kubectl_sew.dashboard.actions import Action, delivery_actions, letter_actions, webhook_actions
from kubectl_sew.dashboard.draft_form import DraftView, draft_of, draft_view
from kubectl_sew.dashboard.gate import HEADERS, Gate, Visit
from kubectl_sew.dashboard.history import History
from kubectl_sew.dashboard.lab import LabSources
from kubectl_sew.dashboard.reach import Diagnosis, Reach
from kubectl_sew.dashboard.rendering import STATIC, compressed, environment, render
from kubectl_sew.dashboard.views.check import check_view
from kubectl_sew.dashboard.views.deliveries import delivery_view, log_view
from kubectl_sew.dashboard.views.event import EventView, event_view
from kubectl_sew.dashboard.views.exceptions import exceptions_view
from kubectl_sew.dashboard.views.overview import HEALTH, overview
from kubectl_sew.dashboard.views.query_lab import QueryLab, query_lab, survey_view
from kubectl_sew.dashboard.views.webhook import letters_view, webhook_view
from kubectl_sew.dashboard.watching import Watcher
from kubectl_sew.dashboard.work import Work
from kubectl_sew.errors import SewError
from kubectl_sew.query import FieldSet
from kubectl_sew.resource.structure import is_dns_name
from kubectl_sew.terminal import to_json
from kubectl_sew.text import cut, rfc3339

LARGEST_FORM = 256 * 1024
"""Bytes: a template may have 64 KiB."""
_FIRST = 0.4
"""Seconds for which the first page waits for the first reading."""
_LONGEST_EVENT = 100_000
"""Characters of an event on a page."""
_LONGEST_ID = 1_000
"""Characters of an event's id that are looked up; Elasticsearch's have 512 bytes."""
_MOST_DONE = 50
_DELIVERY = re.compile(r"[0-9a-f]{4,32}")
"""The id of a delivery, or its beginning."""
_STATIC = {
    "style.css": "text/css; charset=utf-8",
    "dashboard.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_ENTER = """<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=/">
<link rel="icon" href="/static/icon.svg" type="image/svg+xml">
<title>kubectl sew</title><p>Opening the <a href="/">dashboard</a>.</p></html>"""
"""A page of ours that leads on: a link from elsewhere brings no cookie with SameSite=Strict, not even by a redirect."""


@dataclass
class Site:
    """The pages of one place. `clock` gives epoch seconds; `fields` are the keys that queries may use."""

    reach: Reach
    gate: Gate
    watcher: Watcher
    history: History
    sources: LabSources
    fields: FieldSet
    clock: Callable[[], float]
    _done: dict[str, str] = field(default_factory=dict)
    """Number -> what an action said: the page that follows it shows it."""

    def __post_init__(self) -> None:
        self._templates = environment()
        self._diagnosis: Work[Diagnosis] = Work(self.reach.diagnose)
        pages: Mapping[str, tuple[str, Callable[..., Any]]] = {
            "overview": ("/", self._overview),
            "webhook": ("/webhooks/<name>", self._webhook),
            "letters": ("/webhooks/<name>/dead-letters", self._letters),
            "letter": ("/webhooks/<name>/dead-letters/<int:number>", self._letter),
            "log": ("/webhooks/<name>/deliveries", self._log),
            "delivery": ("/webhooks/<name>/deliveries/<identity>", self._delivery),
            "act": ("/webhooks/<name>/do/<action>", self._act),
            "event": ("/event", self._event),
            "query": ("/query", self._query),
            "create": ("/create", self._create),
            "check": ("/check", self._check),
            "exceptions": ("/exceptions", self._exceptions),
            "static": ("/static/<name>", self._static),
        }
        self._pages = {endpoint: page for endpoint, (_, page) in pages.items()}
        self._map = Map([PageRule(path, endpoint=endpoint) for endpoint, (path, _) in pages.items()])

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        request = WebRequest(environ)
        request.max_content_length = LARGEST_FORM
        response = self._answer(request)
        for name, value in HEADERS.items():
            response.headers[name] = value
        body, smaller = compressed(response.get_data(), request.headers.get("Accept-Encoding", ""))
        if smaller:
            response.set_data(body)
            response.headers["Content-Encoding"] = "gzip"
        answer: Iterable[bytes] = response(environ, start_response)
        return answer

    def _answer(self, request: WebRequest) -> WebResponse:
        decision = self.gate.judge(_visit(request))
        if decision.refusal:
            return WebResponse(f"{decision.refusal}\n", 403, mimetype="text/plain")
        if decision.cookie:
            return WebResponse(_ENTER, 200, {"Set-Cookie": decision.cookie}, mimetype="text/html")
        try:
            return self._found(request)
        except NoSuchPage:
            return self._page(request, "error", {"title": "Not found", "problem": "There is no such page."}, 404)
        except HTTPException as error:
            return WebResponse(f"{error.name}\n", error.code, mimetype="text/plain")
        except SewError as error:
            return self._page(request, "error", {"title": "It did not work", "problem": error.render()}, 502)

    def _found(self, request: WebRequest) -> WebResponse:
        """Return the page of an address. Raises HTTPException where there is none, SewError."""
        endpoint, values = self._map.bind_to_environ(request.environ).match()
        if not is_dns_name(str(values.get("name", "a"))):  # of a webhook, or of a static file
            raise NoSuchPage
        page: WebResponse = self._pages[endpoint](request, **values)
        return page

    def _page(self, request: WebRequest, name: str, view: Mapping[str, Any], status: int = 200) -> WebResponse:
        shared = {
            "here": request.path,
            "place": self.reach.place,
            "now": rfc3339(self.clock()),
            "done": self._done.get(request.args.get("done", ""), ""),
            "changes": self.reach.changes_webhooks,
        }
        text = render(self._templates, name, {**shared, **view}, part="X-Part" in request.headers)
        return WebResponse(text, status, mimetype="text/html")

    def _overview(self, request: WebRequest) -> WebResponse:
        sight, only = self.watcher.look(_FIRST), request.args.get("only", "")
        if sight.fleet is None:
            return self._page(request, "reading", {"problem": sight.problem})
        view = overview(sight.fleet, self.history.steps, self.clock(), only=only)
        shown = {"view": view, "only": only, "health": HEALTH, "problem": sight.problem, "at": rfc3339(sight.at)}
        return self._page(request, "overview", shown)

    def _webhook(self, request: WebRequest, name: str) -> WebResponse:
        self.watcher.look(0.0)
        details = self.reach.details(name)
        findings = self.reach.findings(details.webhook)
        view = webhook_view(details, findings, self.history.steps(name), self.fields)
        if not self.reach.changes_webhooks:
            view = replace(view, advice=())  # it names the plugin's commands, which need a cluster
        return self._page(request, "webhook", {"view": view, "actions": webhook_actions(self.reach, name)})

    def _letters(self, request: WebRequest, name: str) -> WebResponse:
        listed = self._ask_agent("dead-letters", "list", "--webhook", name, "-o", "json")
        typed = self.reach.agent_command(name, "dead-letters", "list")
        return self._page(request, "letters", {"view": letters_view(name, listed), "typed": typed})

    def _letter(self, request: WebRequest, name: str, number: int) -> WebResponse:
        letter = self._ask_agent("dead-letters", "show", str(number), "-o", "json")
        event = _event_text(letter)
        typed = self.reach.agent_command(name, "dead-letters", "show", str(number))
        return self._page(request, "letter", {"name": name, "letter": letter, "event": event, "typed": typed})

    def _log(self, request: WebRequest, name: str) -> WebResponse:
        failed, event = "failed" in request.args, _event_id(request, "event")
        more = (*(["--failed"] if failed else []), *([f"--event={event}"] if event else []))
        listed = self._ask_agent("deliveries", "list", "--webhook", name, *more, "-o", "json")
        typed = self.reach.agent_command(name, "deliveries", "list", *more)
        view = log_view(name, listed, failed=failed, event=event)
        return self._page(request, "log", {"view": view, "typed": typed})

    def _delivery(self, request: WebRequest, name: str, identity: str) -> WebResponse:
        if not _DELIVERY.fullmatch(identity):
            raise NoSuchPage
        delivery = self._ask_agent("deliveries", "show", identity, "--webhook", name, "-o", "json")
        event = _event_text(delivery)
        typed = self.reach.agent_command(name, "deliveries", "show", identity)
        return self._page(request, "delivery", {"view": delivery_view(name, delivery, event), "typed": typed})

    def _event(self, request: WebRequest) -> WebResponse:
        event = _event_id(request, "id")
        if not event:
            return self._page(request, "event", {"view": EventView("")})
        said = read_known(self.reach.ask_agent("trace", "-o", "json", "--", event))
        fleet = self.watcher.look(_FIRST).fleet or self.reach.fleet()
        exceptions = [held.exception for held in self.reach.exceptions() if not held.broken]
        view = event_view(event, said, fleet.webhooks, exceptions, self.clock(), _event_text(said))
        return self._page(request, "event", {"view": view, "typed": self.reach.trace_command(event)})

    def _ask_agent(self, *command: str) -> Any:
        try:
            return json.loads(self.reach.ask_agent(*command))
        except ValueError:
            raise AgentError("the agent's answer cannot be read", "is it of this plugin's version?") from None

    def _act(self, request: WebRequest, name: str, action: str) -> WebResponse:
        sent = request.form if request.method == "POST" else request.args  # a form's address has the choice, too
        numbers = list(dict.fromkeys(sent.getlist("number", type=int)))
        ids = [identity for identity in dict.fromkeys(sent.getlist("id")) if _DELIVERY.fullmatch(identity)]
        known = webhook_actions(self.reach, name)
        known = letter_actions(self.reach, name, numbers) if numbers else known
        known = delivery_actions(self.reach, name, ids) if ids else known
        if action not in known:
            raise NoSuchPage
        if request.method == "POST":
            return self._done_by(known[action], name)
        chosen = [*(("number", number) for number in numbers), *(("id", identity) for identity in ids)]
        return self._page(request, "confirm", {"name": name, "action": known[action], "chosen": chosen})

    def _done_by(self, action: Action, name: str) -> WebResponse:
        said = action.run()
        self.watcher.again()
        return self._lead_to(f"/webhooks/{name}", f"{action.label}: {said}")

    def _lead_to(self, path: str, said: str) -> WebResponse:
        """Lead to a page that shows what was done; loaded again, it does nothing twice."""
        number = str(int(next(reversed(self._done), "0")) + 1)
        self._done[number] = said
        if len(self._done) > _MOST_DONE:
            del self._done[next(iter(self._done))]
        return redirect(f"{path}?done={number}", 303)

    def _query(self, request: WebRequest) -> WebResponse:
        text, source = request.args.get("query", ""), request.args.get("on", "")
        view = query_lab(text, self.fields, self.clock())
        shown = {"view": view, "on": source, "sources": self.sources, "fields": tuple(self.fields), "file": None}
        return self._page(request, "query", {**shown, "survey": None, **self._searched(view, source)})

    def _searched(self, view: QueryLab, source: str) -> dict[str, Any]:
        """Return what the named source has of a query that can be asked."""
        if view.problem or not view.text.strip():
            return {}
        if source == "file" and self.sources.events:
            return {"file": self.sources.read(view.text, self.fields)}
        if source == "index" and self.sources.elasticsearch:
            return {"survey": survey_view(self.sources.search(view.text))}
        return {}

    def _create(self, request: WebRequest) -> WebResponse:
        if request.method != "POST":
            view = DraftView(request.args.get("name", ""), "Generic", request.args.get("query", ""), "")
        else:
            view = draft_view(request.form, self.reach)
            if request.form.get("step") == "create" and not view.problem:
                said = self.reach.create(draft_of(request.form))
                self.watcher.again()
                return self._lead_to(f"/webhooks/{view.name.strip()}", said)
        return self._page(request, "create", {"view": view, "consumers": CONSUMERS})

    def _check(self, request: WebRequest) -> WebResponse:
        if request.method == "POST":
            self._diagnosis.start()
            return redirect("/check", 303)
        state = self._diagnosis.state
        view = check_view(state.result) if state.result else None
        return self._page(request, "check", {"state": state, "view": view, "typed": self.reach.plugin_command("check")})

    def _exceptions(self, request: WebRequest) -> WebResponse:
        sight = self.watcher.look(_FIRST)
        held = self.reach.exceptions()
        agent = sight.fleet.agent if sight.fleet else self.reach.fleet().agent
        lines = exceptions_view(held, agent, self.fields, self.clock())
        return self._page(request, "exceptions", {"lines": lines, "typed": self.reach.plugin_command("exceptions")})

    def _static(self, _: WebRequest, name: str) -> WebResponse:
        if name not in _STATIC:
            raise NoSuchPage
        return WebResponse((STATIC / name).read_bytes(), 200, {"Content-Type": _STATIC[name]})


def _event_id(request: WebRequest, name: str) -> str:
    """Return an id as a command line can have it."""
    return request.args.get(name, "").replace("\0", "").strip()[:_LONGEST_ID]


def _event_text(said: Mapping[str, Any]) -> str:
    """Return the event in what an agent said, as text; "" where it is not kept."""
    document = said.get("document")
    return cut(to_json(document), _LONGEST_EVENT) if document is not None else ""


def _visit(request: WebRequest) -> Visit:
    headers = request.headers
    return Visit(
        request.method,
        host=headers.get("Host", ""),
        origin=headers.get("Origin", ""),
        fetch_site=headers.get("Sec-Fetch-Site", ""),
        cookies=headers.get("Cookie", ""),
        token=request.args.get("token", "") if request.path == "/" else "",
    )
