"""Values as YAML that kubectl, and `scalars`, read back as what they are."""

import re
from collections.abc import Iterable
from typing import Any

import yaml

from kubectl_sew.resource.scalars import read_plain

_BLOCK = re.compile(r"\S(?:[^\n]*\S)?\n(?:(?:[^\n]*\S)?\n)*[^\n]*\S\n?")
"""Lines that a person can read as they are: none ends with blanks, and the first begins with none."""
_TEXT = "tag:yaml.org,2002:str"


def to_yaml(*documents: Any, width: int = 110) -> str:
    """Documents as YAML. What could steer a terminal is written as an escape."""
    text = _dump(documents, width, allow_unicode=True)
    return text if _is_harmless(text) else _dump(documents, width, allow_unicode=False)


class _ManifestDumper(yaml.SafeDumper):
    """PyYAML itself leaves `1e5` and `y` without quotes, which kubectl reads as a number and a boolean."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    if _BLOCK.fullmatch(text) and _is_harmless(text):
        return dumper.represent_scalar(_TEXT, text, style="|")
    return dumper.represent_scalar(_TEXT, text, style=None if read_plain(text) == text else "'")


_ManifestDumper.add_representer(str, _text)


def _dump(documents: Iterable[Any], width: int, *, allow_unicode: bool) -> str:
    dumped: str = yaml.dump_all(
        documents, Dumper=_ManifestDumper, sort_keys=False, width=width, allow_unicode=allow_unicode
    )
    return dumped


def _is_harmless(text: str) -> bool:
    return text.replace("\n", "").isprintable()
