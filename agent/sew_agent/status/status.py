"""`sew-agent status`: the store and the running agent's report for people and as JSON, without secrets."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from kubectl_sew.agents import describe_agent
from kubectl_sew.columns import table_of
from kubectl_sew.event import read_time
from kubectl_sew.resource.exceptions import describe_exception
from kubectl_sew.text import plural, rfc3339, spell_age, spell_seconds
from sew_agent.ingest.readers import SHARED, dedicated_cursor
from sew_agent.ingest.replay import as_object, replays_in
from sew_agent.status.conditions import PARKED_UNTIL, failing, falling_behind, last_error, not_delivered
from sew_agent.status.report import ExceptionReport, Report, WebhookReport, room_words
from sew_agent.store.contract import Store
from sew_agent.store.records import Counters, ManualAction, ReceiverState, WebhookRecord, owners
from sew_agent.webhooks.plan import FORGOTTEN

_ACTS_SHOWN_FOR = 7 * 86_400.0
_ACTS_SHOWN = 10
_ERRORS_SHOWN_FOR = 900
"""Seconds: what still fails has failed again within the longest pause."""


def status(store: Store | None, report: Report | None, now: float) -> dict[str, Any]:
    """Return the status as JSON values; times are RFC 3339 in UTC, ages in seconds, None where nothing is known.

    `store`: None for an agent that stands by and was never active.
    """
    counters = {row.webhook: row for row in store.counters()} if store else {}
    known, receivers, positions = (
        (store.webhook_records(), store.receivers(), store.positions()) if store else ({}, {}, {})
    )
    members = store.members() if store else ()
    replays = replays_in(positions)
    owned_by = owners(members)
    reports = report.webhooks if report else {}
    kept = {name for name, record in known.items() if record.state != FORGOTTEN or _has_deliveries(counters.get(name))}
    recorded = store.manual_actions() if store else []
    manual_actions = [action for action in recorded if action.at >= now - _ACTS_SHOWN_FOR]
    return {
        "now": _date(now),
        "agent": _agent(report),
        "agents": [
            {"name": member.name, "reads": member.reads, "webhooks": len(member.webhooks)} for member in members
        ],
        "position": positions.get(SHARED),
        "exceptions": [
            _exception(name, known) for name, known in sorted((report.exceptions if report else {}).items())
        ],
        "webhooks": [
            _webhook(name, known.get(name), reports.get(name), now)
            | {"owner": owned_by.get(name)}
            | _counts(counters.get(name), now)
            | {"behind": _behind(counters.get(name), reports.get(name), now)}
            | _receiver(receivers.get(name), now)
            | {"position": positions.get(dedicated_cursor(name), positions.get(SHARED))}
            | {"replay": as_object(replays[name]) if name in replays else None}
            | {"byHand": [_act(action) for action in manual_actions if action.webhook == name][-_ACTS_SHOWN:]}
            for name in sorted(kept | reports.keys())
        ],
        "byHand": [_act(action) for action in manual_actions[-_ACTS_SHOWN:]],
    }


def _act(act: ManualAction) -> dict[str, Any]:
    at = _date(float(int(act.at)))
    return {"at": at, "who": act.who, "what": act.what, "webhook": act.webhook, "count": act.count}


def _exception(name: str, known: ExceptionReport) -> dict[str, Any]:
    return {
        "name": name,
        "inForce": known.in_force,
        "start": _date(known.start),
        "end": _date(known.end),
        "suppressed": known.suppressed,
        "broken": known.broken or None,
    }


def _agent(report: Report | None) -> dict[str, Any]:
    if report is None:
        return {"running": False}
    return {
        "running": True,
        "version": report.version,
        "pid": report.pid,
        "standingBy": report.standing_by,
        "leaseHolder": report.holder or None,
        "besideCalico": report.beside_calico,
        "reads": report.reads and not report.standing_by,
        "source": report.source,
        "startedAt": _date(report.started) if report.started else None,
        "eventsRead": report.events_read,
        "sourceTroubles": [asdict(problem) for problem in report.source_troubles],
        "sourceCaveats": list(report.source_caveats),
        "problems": list(report.problems),
    }


def _webhook(name: str, known: WebhookRecord | None, report: WebhookReport | None, now: float) -> dict[str, Any]:
    row: dict[str, Any] = {"name": name, "consumer": None, "state": None, "healthy": None, "reason": None}
    row |= {
        "eventsRead": None,
        "eventsFetched": None,
        "message": None,
        "testResult": None,
        "deletedForSeconds": None,
        "room": None,
        "failingPeers": None,
        "ratePerSecond": None,
        "start": None,
        "behind": None,
    }
    if known:
        row |= {"state": known.state or "Deleted", "testResult": known.test_result or None}
        row |= {"start": _date(known.start)}
        if known.deleted_at is not None:
            row |= {"state": "Deleted", "deletedForSeconds": round(now - known.deleted_at)}
    if report:
        row |= {"consumer": report.consumer, "state": report.state, "ratePerSecond": report.rate or None}
        row |= {"healthy": report.healthy, "reason": report.reason, "message": report.message or None}
        row |= {"room": report.room, "eventsRead": report.reads, "eventsFetched": report.fetched or None}
        row |= {"failingPeers": report.failing_peers or None}
    return row


def _counts(counters: Counters | None, now: float) -> dict[str, Any]:
    if counters is None:
        counters = Counters("", 0, 0, 0, {}, None, None, "", 0)
    oldest = counters.oldest_pending
    return {
        "backlog": counters.pending,
        "oldestWaitingSeconds": None if oldest is None else max(round(now - oldest), 0),
        "seen": counters.seen,
        "delivered": counters.delivered,
        "deadLetters": counters.dead,
        "dropped": dict(counters.dropped),
        "bytes": counters.bytes_used,
        "lastDelivery": _date(counters.last_delivered_at),
        "lastError": counters.last_error or None,
        "lastErrorAt": _date(counters.last_error_at) if counters.last_error else None,
    }


def _behind(counters: Counters | None, report: WebhookReport | None, now: float) -> str | None:
    rate, gathered = (report.rate, report.gathered) if report else (0.0, 0.0)
    return falling_behind(counters, rate, gathered, now) or None


def _receiver(receiver: ReceiverState | None, now: float) -> dict[str, Any]:
    ends = [moment for moment in (receiver.held_until, receiver.retry_until) if moment > now] if receiver else []
    return {
        "delivering": not failing(receiver, now),
        "parked": bool(receiver and receiver.parked),
        "nextRetry": _date(min(ends, default=None)),
        "failingSince": _date(receiver.since) if receiver and receiver.since and failing(receiver, now) else None,
        "delivery": last_error(receiver) or None,
    }


def _has_deliveries(counters: Counters | None) -> bool:
    return counters is not None and bool(counters.pending or counters.dead)


def _date(seconds: float | None) -> str | None:
    return None if seconds is None else rfc3339(seconds)


DATES = ("nextRetry", "lastDelivery")
COLUMNS = {
    "WEBHOOK": "name",
    "CONSUMER": "consumer",
    "STATE": "state",
    "HEALTHY": "healthy",
    "REASON": "reason",
    "WAITING": "backlog",
    "OLDEST": "oldestWaiting",
    "DELIVERED": "delivered",
    "DEAD": "deadLetters",
    "NEXT RETRY": "nextRetry",
    "LAST DELIVERY": "lastDelivery",
}


def for_people(report: Mapping[str, Any]) -> str:
    """Return a table of the webhooks, and below it each problem with the command that helps."""
    agent = report["agent"]
    lines = [f"agent: {_life(agent)}"]
    lines += [f"alive: {describe_agent(one)}" for one in report["agents"]]
    if agent["running"]:
        if agent["startedAt"] and agent["reads"]:
            lines.append(f"events read since {agent['startedAt']}: {agent['eventsRead']:,}")
        lines += [f"! {problem['message']}" for problem in agent["sourceTroubles"]]
        lines += [f"! {problem}" for problem in (*agent["sourceCaveats"], *agent["problems"])]
    now = read_time(report["now"]) or 0.0
    rows = [_row(webhook, now) for webhook in report["webhooks"]]
    columns = COLUMNS | {"OWNER": "owner"} if report["agents"] else COLUMNS
    lines += ["", table_of(rows, columns)] if rows else ["no webhooks are known"]
    lines += [line for webhook in report["webhooks"] for line in _problems(webhook, now)]
    lines += _replays(report["webhooks"])
    lines += _exceptions(report["exceptions"])
    by_hand = [
        f"{action['at']}: {action['who']} gave up {action['count']:,} of {action['webhook']} ({action['what']})"
        for action in report["byHand"]
    ]
    return "\n".join(lines + (["", *by_hand] if by_hand else []))


def _exceptions(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line for each exception that matters now: it is broken, in force, or has suppressed something."""
    lines = [describe_exception(row) for row in rows if row["broken"] or row["inForce"] or row["suppressed"]]
    return ["", *lines] if lines else []


def _row(webhook: Mapping[str, Any], now: float) -> dict[str, Any]:
    """Return a webhook's row, with ages as kubectl writes them instead of dates and seconds."""
    ages = {key: spell_age(moment - now) for key in DATES if (moment := read_time(webhook[key])) is not None}
    due = read_time(webhook["nextRetry"])
    if due is not None and due <= now:
        ages["nextRetry"] = "now"
    oldest = webhook["oldestWaitingSeconds"]
    return {**webhook, **ages, "oldestWaiting": None if oldest is None else spell_seconds(oldest)}


def _life(agent: Mapping[str, Any]) -> str:
    if not agent["running"]:
        return "not running"
    program = f"version {agent['version']}, pid {agent['pid']}"
    if not agent["standingBy"]:
        return f"running, {program}"
    holder = agent["leaseHolder"]
    return f"stands by for {holder}, which holds the Lease, {program}" if holder else f"stands by, {program}"


def _says_below(webhook: Mapping[str, Any]) -> bool:
    """Return whether the message is that of a line which says more, such as since when."""
    fails = not webhook["delivering"] and webhook["message"] == not_delivered(webhook["delivery"] or "")
    return fails or (webhook["eventsRead"] is False and webhook["message"] == webhook["eventsFetched"])


def _failed_since(at: str | None, seconds: int | None, now: float) -> bool:
    """Return whether something failed lately, within so many seconds: what waits for so long may wait because of it."""
    failed = read_time(at)
    return failed is not None and seconds is not None and failed >= int(now) - min(seconds, _ERRORS_SHOWN_FOR)


def _replays(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line for each replay because of which old events come, or were to come."""
    replays = [(row["name"], row["replay"]) for row in rows if row["replay"]]
    lines = [f"{name}: {replay['text']}" for name, replay in replays if replay["phase"] not in ("counted", "done")]
    return ["", *lines] if lines else []


def _problems(webhook: Mapping[str, Any], now: float) -> list[str]:
    name = webhook["name"]
    problems: list[str] = []
    if webhook["healthy"] is False and webhook["message"] and not _says_below(webhook):
        problems.append(f"{name}: {webhook['message']}")
    if not webhook["delivering"]:
        since = f", since {webhook['failingSince']}" if webhook["failingSince"] else ""
        word, until = ("parked", f"; {PARKED_UNTIL}") if webhook["parked"] else ("failing", "")
        problems.append(f"{name}: {word}: {webhook['delivery'] or 'see the log'}{since}{until}")
    if webhook["behind"] and webhook["delivering"]:
        problems.append(f"{name}: falls behind: {webhook['behind']}")
    if webhook["delivering"] and _failed_since(webhook["lastErrorAt"], webhook["oldestWaitingSeconds"], now):
        problems.append(f"{name}: last error, at {webhook['lastErrorAt']}: {webhook['lastError']}")
    if webhook["failingPeers"]:
        problems.append(f"{name}: not taken by every peer: {webhook['failingPeers']}")
    if webhook["eventsRead"] is False:
        problems.append(f"{name}: events cannot be read: {webhook['eventsFetched']}")
    elif webhook["state"] == "Enabled" and webhook["eventsFetched"] and not webhook["seen"]:
        since = f" since {webhook['start']}, by the events' own time" if webhook["start"] else ""
        problems.append(f"{name}: nothing that was read matches{since} ({webhook['eventsFetched']})")
    if words := room_words(webhook["room"] or 0.0):
        problems.append(f"{name}: {words}")
    if webhook["deadLetters"]:
        count = f"{webhook['deadLetters']} {plural(webhook['deadLetters'], 'dead letter')}"
        problems.append(f"{name}: {count}: `sew-agent dead-letters list --webhook {name}`")
    return ["", *problems] if problems else []
