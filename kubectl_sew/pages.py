"""Addresses of the project and its pages: whoever installed a program has no `docs/` beside it."""

HOMEPAGE = "https://github.com/kubectl-sew/kubectl-sew"


def page(name: str, heading: str = "") -> str:
    """Return the address of docs/NAME.md, and of a heading on it."""
    return f"{HOMEPAGE}/blob/main/docs/{name}.md" + (f"#{heading}" if heading else "")
