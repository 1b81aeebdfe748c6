"""`kubectl_complete-sew`: what kubectl runs, with the words so far, to complete `kubectl sew …`.

It prints a line for each completion, `value<TAB>description`, and at the end what the shell is to do beside that
(https://github.com/spf13/cobra, `ShellCompDirective`).
"""

import sys
from collections.abc import Sequence

from click.shell_completion import CompletionItem, ShellComplete

from kubectl_sew.cli.program import PLUGIN
from kubectl_sew.errors import SewError

_FILES, _NO_FILES = ":0", ":4"


def print_completions(words: Sequence[str]) -> int:
    """Never fails: a shell that completes nothing is better than one that prints an error into the line."""
    sys.stdout.write(complete(words))
    return 0


def complete(words: Sequence[str]) -> str:
    """Return the text that kubectl reads; the last of the words is the one to be completed, and may be empty."""
    *before, incomplete = words or ("",)
    try:
        completions = ShellComplete(PLUGIN, {}, "kubectl sew", "").get_completions(list(before), incomplete)
    except (SewError, OSError):
        completions = []
    lines = [_line(completion) for completion in completions if completion.type == "plain"]
    directive = _NO_FILES if len(lines) == len(completions) else _FILES
    return "".join(f"{line}\n" for line in (*lines, directive))


def _line(item: CompletionItem) -> str:
    help_text = " ".join((item.help or "").split())
    return f"{item.value}\t{help_text}" if help_text else str(item.value)
