"""kubectl's own flags for reaching a cluster: taken before and after the subcommand, handed to kubectl as they are."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.shell_completion import CompletionItem

_KEY = "kubectl_sew.connection"

_WITH_VALUE = {
    ("--kubeconfig",): ("FILE", "The kubeconfig file to use."),
    ("--context",): ("NAME", "The context of the kubeconfig to use."),
    ("--cluster",): ("NAME", "The cluster of the kubeconfig to use."),
    ("--user",): ("NAME", "The user of the kubeconfig to use."),
    ("-n", "--namespace"): ("NAME", "The namespace; webhooks themselves have none."),
    ("-s", "--server"): ("URL", "The address of the API server."),
    ("--request-timeout",): ("TIME", "How long to wait for one request, e.g. 1m; 0 means no limit. [default: 30s]"),
    ("--as",): ("NAME", "The user to impersonate."),
    ("--as-group",): ("NAME", "A group to impersonate; may be repeated."),
    ("--as-uid",): ("UID", "The UID to impersonate."),
    ("--token",): ("TOKEN", "A bearer token."),
    ("--username",): ("NAME", "The user name for basic authentication."),
    ("--password",): ("TEXT", "The password for basic authentication."),
    ("--certificate-authority",): ("FILE", "The certificate of the server's authority."),
    ("--client-certificate",): ("FILE", "The client's certificate."),
    ("--client-key",): ("FILE", "The key of the client's certificate."),
    ("--tls-server-name",): ("NAME", "The name to expect in the server's certificate."),
    ("--cache-dir",): ("FOLDER", "Where kubectl keeps its cache."),
    ("-v", "--v"): ("LEVEL", "How much kubectl logs, 0 to 10."),
}
_SWITCHES = {
    "--insecure-skip-tls-verify": "Do not check the server's certificate.",
    "--disable-compression": "Do not compress requests.",
    "--match-server-version": "Require kubectl and the server to have one version.",
    "--warnings-as-errors": "Fail where the server warns.",
}
_TYPES = {"FILE": click.Path(), "FOLDER": click.Path(file_okay=False)}
_REPEATED = ("--as-group",)
_LISTED = ("--context", "--cluster", "--user", "--namespace")


@dataclass(frozen=True, slots=True)
class ConnectionFlags:
    """The flags as kubectl takes them (`--name=value`), in the order given: of two the last one counts.

    One may be a token, so `repr` shows none.
    """

    flags: tuple[str, ...] = field(default=(), repr=False)

    def value(self, name: str) -> str | None:
        """Return the value given for a flag, e.g. `--namespace`; None without it."""
        values = [flag.partition("=")[2] for flag in self.flags if flag.startswith(f"{name}=")]
        return values[-1] if values else None


def connection(ctx: click.Context) -> ConnectionFlags:
    """Return the connection flags of the command line, before and after the subcommand."""
    return ConnectionFlags(tuple(ctx.meta.get(_KEY, ())))


def connection_options(*, listed: bool = True) -> list[click.Option]:
    """The flags as click's options, in the help where they are `listed`; none is an argument of the function."""
    make = click.Option if listed else _Unlisted
    kept: dict[str, Any] = {"default": None, "expose_value": False, "callback": _keep}
    switches = [make([name], is_flag=True, help=text, **kept) for name, text in _SWITCHES.items()]
    return [
        make(
            names,
            metavar=metavar,
            help=text,
            multiple=names[-1] in _REPEATED,
            type=_TYPES.get(metavar),
            shell_complete=completing(names[-1]) if names[-1] in _LISTED else None,
            **kept,
        )
        for names, (metavar, text) in _WITH_VALUE.items()
    ] + switches


def completing(flag: str) -> "Callable[[click.Context, click.Parameter, str], list[CompletionItem]]":
    """Completes a value from what kubectl lists for a flag of its own."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> "list[CompletionItem]":  # noqa: ARG001  # click's signature
        from kubectl_sew.cli.completion_names import names  # noqa: PLC0415  # only a shell asks for it

        return names(connection(ctx).flags, flag, incomplete)

    return complete


class _Unlisted(click.Option):
    """Completed, but not in the help: each command would repeat them all."""

    def get_help_record(self, ctx: click.Context) -> None:  # noqa: ARG002  # click's signature
        return None


def _keep(ctx: click.Context, option: click.Parameter, value: Any) -> None:
    name = max(option.opts, key=len)
    given = [value] if isinstance(value, str) else value or ()
    ctx.meta.setdefault(_KEY, []).extend([name] if value is True else [f"{name}={variable}" for variable in given])
