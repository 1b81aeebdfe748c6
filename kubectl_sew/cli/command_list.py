"""The list of commands. Each is loaded only when it runs: `--help` and completion read this list alone."""

from typing import NamedTuple


class Entry(NamedTuple):
    """The place of a command (`module:attribute` in kubectl_sew.cli.commands, or a whole name for one that stands above
    the command line), and the first line of its help."""

    name: str
    place: str
    summary: str


SECTIONS: dict[str, tuple[Entry, ...]] = {
    "Write and check webhooks": (
        Entry("create", "create:create", "Create a webhook from flags, or step by step on a terminal."),
        Entry("recipes", "recipes:recipes", "List recipes for receivers that are no consumers, or show one."),
        Entry("validate", "validate:validate", "Check manifests: structure, names, labels, variables, queries."),
        Entry(
            "preview-query",
            "preview_query:preview_query",
            "Show what a query selects: as an Elasticsearch query, in words, on events of a file, or on a real index.",
        ),
        Entry(
            "preview-payload",
            "preview_payload:preview_payload",
            "Print the request that a webhook would send, without its secrets.",
        ),
        Entry("fields", "fields:fields", "List the keys that a query may use, with their types and values."),
    ),
    "Operate the cluster's webhooks": (
        Entry("list", "list:list_command", "List the cluster's webhooks with their state and health."),
        Entry("status", "status:status", "Show all that is known of a webhook, and what to do."),
        Entry("why", "why:why", "Say why a webhook gets few events or none, or why it did not get one EVENT."),
        Entry(
            "exceptions",
            "exceptions:exceptions",
            "List the AlertExceptions that keep events from all webhooks, or show what one selects.",
        ),
        Entry("check", "check:check", "Find out what is wrong with an installation, and what to do."),
        Entry(
            "dashboard",
            "kubectl_sew.dashboard.command:dashboard",
            "Show webhooks, their health and what was delivered in a browser, and act on them.",
        ),
        Entry("test", "test:test", "Have the agent send one sample event, and print the receiver's answer."),
        Entry("enable", "state:enable", "Enable a webhook: its events are delivered."),
        Entry("disable", "state:disable", "Stop a webhook: nothing is read or sent for it."),
        Entry("debug", "state:debug", "Have the agent log a webhook's events instead of sending them."),
        Entry("takeover", "handover:takeover", "Have the agent deliver webhooks instead of Calico's own processor."),
        Entry("handback", "handover:handback", "Give webhooks back to Calico's own processor."),
        Entry("backlog", "backlog:backlog", "Show what waits to be sent for a webhook, or drop it."),
        Entry("trace", "trace:trace", "Show what became of one event, for each webhook."),
        Entry(
            "deliveries",
            "deliveries:deliveries",
            "List what was sent and what came back, show one delivery, or send some again.",
        ),
        Entry(
            "dead-letters",
            "dead_letters:dead_letters",
            "List, show, replay or purge what could not be delivered.",
        ),
        Entry("replay", "replay:replay", "Send the events of a past window to a webhook, beside what comes now."),
    ),
    "Install": (
        Entry("install", "install:install", "Print the API, the agent's rights and the agent, or apply them."),
        Entry("uninstall", "uninstall:uninstall", "Print what `install` installed, or delete it."),
    ),
    "About this program": (
        Entry(
            "completion",
            "completion:completion",
            "Set up completion of `kubectl sew` in the shell.",
        ),
        Entry("version", "version:version", "Print the versions of this program, the agent and the API server."),
    ),
}
"""Heading in `--help` -> its commands, in the order shown. A new command is its own file and one line here."""
