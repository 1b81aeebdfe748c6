"""What a page can do: each asks first, does what a command does, and shows that command."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kubectl_sew.confirmation import who
from kubectl_sew.dashboard.reach import Reach
from kubectl_sew.resource import State
from kubectl_sew.text import plural


@dataclass(frozen=True, slots=True)
class Action:
    """Something to do: `label` is on its button, `question` is asked before, `typed` is the command that does it."""

    name: str
    label: str
    question: str
    typed: str
    run: Callable[[], str]
    """Does it, and returns what was done. Raises SewError."""
    grave: bool = False
    """True where it cannot be undone."""


def webhook_actions(reach: Reach, name: str) -> dict[str, Action]:
    """Return what can be done with a webhook, by name of the action."""
    actions = [*_of_cluster(reach, name), *_of_agent(reach, name)]
    return {action.name: action for action in actions}


def letter_actions(reach: Reach, name: str, numbers: Sequence[int]) -> dict[str, Action]:
    """Return what can be done with some dead letters of a webhook."""
    count = len(numbers)
    these = f"{count} {plural(count, 'dead letter')} of {name}"
    replay = ("dead-letters", "replay", *map(str, numbers))
    purge = ("dead-letters", "purge", *map(str, numbers))
    return {
        "replay": Action(
            "replay",
            "Replay",
            f"Send {these} again? The id is the same, so a receiver that has one already may see it twice.",
            reach.agent_command(name, *replay),
            lambda: reach.ask_agent(*replay, "--webhook", name).strip(),
        ),
        "purge": Action(
            "purge",
            "Purge",
            f"Give up {these}? What is given up is never sent.",
            reach.agent_command(name, *purge),
            lambda: reach.ask_agent(*purge, "--webhook", name, "--yes", "--by", who()).strip(),
            grave=True,
        ),
    }


def delivery_actions(reach: Reach, name: str, ids: Sequence[str]) -> dict[str, Action]:
    """Return what can be done with some deliveries of a webhook, by their ids."""
    these = f"{len(ids)} {'delivery' if len(ids) == 1 else 'deliveries'}"
    redeliver = Action(
        "redeliver",
        "Send again",
        f"Send {these} of {name} again? A receiver that has taken one already gets it twice, with the same id.",
        reach.agent_command(name, "deliveries", "redeliver", *ids),
        lambda: reach.ask_agent("deliveries", "redeliver", "--webhook", name, "--yes", *ids).strip(),
    )
    return {redeliver.name: redeliver}


def _of_cluster(reach: Reach, name: str) -> list[Action]:
    if not reach.changes_webhooks:
        return []
    return [
        Action(
            "test",
            "Test",
            f"Send a sample event to the receiver of {name}? The test leaves the webhook Enabled.",
            reach.plugin_command("test", name),
            lambda: reach.test(name),
        ),
        Action(
            "enable",
            "Enable",
            f"Enable {name}? Its events are delivered; one that was disabled begins with those of this moment.",
            reach.plugin_command("enable", name),
            lambda: reach.set_state(name, State.ENABLED),
        ),
        Action(
            "disable",
            "Disable",
            f"Disable {name}? Nothing is read or sent for it; what is queued stays queued.",
            reach.plugin_command("disable", name),
            lambda: reach.set_state(name, State.DISABLED),
        ),
        Action(
            "debug",
            "Debug",
            f"Set {name} to Debug? Its events are logged by the agent, not sent, also not later.",
            reach.plugin_command("debug", name),
            lambda: reach.set_state(name, State.DEBUG),
        ),
    ]


def _of_agent(reach: Reach, name: str) -> list[Action]:
    return [
        Action(
            "replay",
            "Replay all dead letters",
            f"Send all dead letters of {name} again? The ids are the same, so a receiver may see some twice.",
            reach.agent_command(name, "dead-letters", "replay"),
            lambda: reach.ask_agent("dead-letters", "replay", "--webhook", name).strip(),
        ),
        Action(
            "purge",
            "Purge all dead letters",
            f"Give up all dead letters of {name}? What is given up is never sent.",
            reach.agent_command(name, "dead-letters", "purge", *(["--all"] if reach.changes_webhooks else [])),
            lambda: reach.ask_agent("dead-letters", "purge", "--webhook", name, "--yes", "--by", who()).strip(),
            grave=True,
        ),
        Action(
            "drop",
            "Drop the backlog",
            f"Give up what waits for {name}? It is never sent, and counts as dropped.",
            reach.agent_command(name, "backlog", "drop"),
            lambda: reach.ask_agent("backlog", "drop", "--webhook", name, "--yes", "--by", who()).strip(),
            grave=True,
        ),
    ]
