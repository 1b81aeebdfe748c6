"""A flag whose value is one of some words, in any letter case."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import click
from click.shell_completion import CompletionItem


class Words(click.ParamType):  # type: ignore[type-arg]  # generic in the newest click only
    """Gives the word as it is listed; for a wrong one the error names the one that was meant."""

    name = "word"

    def __init__(self, words: Sequence[str]) -> None:
        self.words = {word.lower(): word for word in words}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if text.lower() not in self.words:
            near = get_close_matches(text.lower(), self.words, 1)
            meant = (
                f"did you mean {self.words[near[0]]}?"
                if near
                else f"it must be one of {', '.join(self.words.values())}"
            )
            self.fail(f"`{text[:60]}` is unknown: {meant}", param, ctx)
        return self.words[text.lower()]

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002  # click's signature
        return [CompletionItem(word) for word in self.words.values() if word.lower().startswith(incomplete.lower())]
