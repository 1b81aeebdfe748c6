"""The group of all commands: loads each when it is asked for, and gives each kubectl's connection flags."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from kubectl_sew.cli.command_list import SECTIONS, Entry
from kubectl_sew.cli.connection import connection_options
from kubectl_sew.cli.flag_forms import in_clicks_form
from kubectl_sew.pages import page

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

ENTRIES = {entry.name: entry for entries in SECTIONS.values() for entry in entries}
_KUBECTLS = {
    "delete": "`kubectl delete securityeventwebhook NAME` deletes one",
    "get": "`kubectl sew list` lists them",
    "describe": "`kubectl sew status NAME` shows all that is known of one",
    "edit": "`kubectl edit securityeventwebhook NAME` changes one",
    "apply": "`kubectl sew validate -f FILE`, then `kubectl apply -f FILE`",
    "logs": "`kubectl sew status NAME` and `kubectl sew check` say what goes wrong",
}
"""The words that users of kubectl type -> the commands that there are."""
_EPILOG = "kubectl's own flags (--context, --kubeconfig …) work here, too: `kubectl sew --help` lists them."


class Plugin(click.Group):
    """See the module."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = self.get_params(ctx)
        return super().parse_args(ctx, args if ctx.resilient_parsing else in_clicks_form(args, own, interspersed=False))

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        return list(ENTRIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click's signature
        entry = ENTRIES.get(cmd_name)
        if entry and cmd_name not in self.commands:
            self.add_command(_load(entry), cmd_name)
        return self.commands.get(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in ENTRIES and not name.startswith("-") and not ctx.resilient_parsing:
            from difflib import get_close_matches  # noqa: PLC0415  # only a mistake needs it

            near = get_close_matches(name, [*_KUBECTLS, *ENTRIES], 1)  # `deletes` means no `dead-letters`
            hint = (_KUBECTLS.get(near[0]) or f"did you mean `{near[0]}`?") if near else ""
            raise click.UsageError(f"there is no command `{name}`" + (f": {hint}" if hint else ""), ctx)
        resolved, command, rest = super().resolve_command(ctx, args)
        if command and not ctx.resilient_parsing:
            rest = in_clicks_form(rest, command.get_params(ctx), interspersed=command.allow_interspersed_args)
        return resolved, command, rest

    def invoke(self, ctx: click.Context) -> Any:
        """Says of every usage error which command it is about; click itself does not of a flag without its value."""
        try:
            return super().invoke(ctx)
        except click.UsageError as wrong:
            name = ctx.invoked_subcommand
            if wrong.ctx is None and name and name in self.commands:
                wrong.ctx = click.Context(self.commands[name], ctx, name)
            raise

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        """Complete from the list alone: no command is loaded for it."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415  # only a shell asks for it

        entries = [entry for entry in ENTRIES.values() if entry.name.startswith(incomplete)]
        commands = [CompletionItem(entry.name, help=entry.summary) for entry in entries]
        return commands + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # likewise
        for heading, entries in SECTIONS.items():
            with formatter.section(heading):
                formatter.write_dl([(entry.name, entry.summary) for entry in entries])

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_commands(ctx, formatter)
        records = [record for param in self.get_params(ctx) if (record := param.get_help_record(ctx))]
        with formatter.section("Options, before or after the command, passed on to kubectl"):
            formatter.write_dl(records)


def _load(entry: Entry) -> click.Command:
    module, _, attribute = entry.place.partition(":")
    above = module.startswith("kubectl_sew.")
    command: click.Command = getattr(
        import_module(module if above else f"kubectl_sew.cli.commands.{module}"), attribute
    )
    _connect(command, entry.name)
    return command


def _connect(command: click.Command, *path: str) -> None:
    """Adds the connection flags, but those that the command has given a meaning of its own, and where to read more."""
    taken = {name for param in command.params for name in param.opts}
    command.params += [option for option in connection_options(listed=False) if taken.isdisjoint(option.opts)]
    own = f"\b\n{command.epilog}\n\n" if command.epilog else ""
    command.epilog = f"{own}{_EPILOG}\n\n\b\n{page('commands', '-'.join(['kubectl-sew', *path]))}"
    for name, subcommand in command.commands.items() if isinstance(command, click.Group) else ():
        _connect(subcommand, *path, name)
