"""Makes HTML of views: everything is escaped and cleaned, and times are marked so that the page can add local ones."""

import gzip
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from kubectl_sew.pages import HOMEPAGE
from kubectl_sew.text import clean

STATIC = Path(__file__).with_name("static")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(re.escape(HOMEPAGE) + r"/[\w./#-]*\w")
_WORTH = 1_000
"""Bytes from which an answer is compressed."""


def environment() -> Environment:
    """Return the environment of all templates."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_cleaned,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(prose=prose, segment=lambda text: quote(str(text), safe=""))
    return made


def render(made: Environment, name: str, view: Mapping[str, Any], *, part: bool) -> str:
    """Return a page, or only the part of it that moves."""
    template = made.get_template(f"{name}.html")
    if not part:
        return template.render(view)
    return "".join(template.blocks["live"](template.new_context(dict(view))))


def prose(text: str) -> Markup:
    """Return a text with its moments (RFC 3339), its commands, and the links to our own pages marked as such."""
    safe = str(escape(clean(str(text))))
    safe = _TIME.sub(r'<time datetime="\g<0>">\g<0></time>', safe)
    safe = _CODE.sub(r"<code>\g<1></code>", safe)
    return Markup(_LINK.sub(r'<a href="\g<0>" rel="noreferrer">\g<0></a>', safe))  # noqa: S704 - it was escaped above


def compressed(body: bytes, accepts: str) -> tuple[bytes, bool]:
    """Return an answer for a client that accepts these encodings, and whether it was compressed."""
    if "gzip" not in accepts or len(body) < _WORTH:
        return body, False
    return gzip.compress(body, 4, mtime=0), True


def _cleaned(value: Any) -> Any:
    """Replace what could hide text or turn it round; what is marked as markup was made by a template."""
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value
