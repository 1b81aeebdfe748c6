"""What the packages' docstrings name exists, a class name stands once, and the tree of errors is whole."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from kubectl_sew import errors
from kubectl_sew.cli.program import PLUGIN

ROOT = Path(__file__).parents[2]
ROOTS = {"kubectl_sew": ROOT / "kubectl_sew", "sew_agent": ROOT / "agent" / "sew_agent"}
PACKAGES = sorted(page.parent for root in ROOTS.values() for page in root.rglob("__init__.py"))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def dotted(path: Path) -> str:
    """The import name of a module or package."""
    root = next(root for root in ROOTS.values() if path.is_relative_to(root))
    return ".".join(path.relative_to(root.parent).with_suffix("").parts)


def modules() -> Iterator[Path]:
    return (path for root in ROOTS.values() for path in root.rglob("*.py"))


NAMES = {dotted(path).removesuffix(".__init__") for path in modules()}


def defined(package: Path) -> set[str]:
    """The modules and sub-packages of a package, and what its modules define."""
    inside = {path.stem for path in package.iterdir()}
    bodies = [node for path in package.glob("*.py") for node in parsed(path).body]
    return inside | {node.name for node in bodies if isinstance(node, ast.ClassDef | ast.FunctionDef)}


def exists(name: str, package: Path) -> bool:
    program, _, command = name.partition(" sew ")
    if program == "kubectl" and command:
        return command in PLUGIN.list_commands(None)  # type: ignore[arg-type]  # it asks no context
    if "/" in name or name.endswith(".md"):
        return (ROOT / name).exists()
    libraries = re.findall(r"^    ([a-z0-9-]+)>=", (ROOT / "setup.cfg").read_text("utf-8"), re.MULTILINE)
    return name in defined(package) or name in NAMES or name in libraries


def named(text: str) -> list[str]:
    """What a text has in backticks, and the files, folders and modules that it names without."""
    files = r"(?:docs|tests|manifests|examples|kubectl_sew|agent)/[\w/.-]*\w"
    return re.findall(r"`([^`]+)`", text) + re.findall(rf"{files}|(?:kubectl_sew|sew_agent)\.[\w.]*\w", text)


@pytest.mark.parametrize("package", PACKAGES, ids=dotted)
def test_what_a_packages_docstring_names_exists(package: Path) -> None:
    text = ast.get_docstring(parsed(package / "__init__.py"))
    assert text, "a package says what it is for"
    assert [name for name in named(text) if not exists(name, package)] == []


def test_a_name_that_does_not_exist_is_found() -> None:
    package = ROOTS["kubectl_sew"] / "query"
    assert [
        name
        for name in ("parse", "lexer", "sew_agent.store", "parsimonious", "docs/design.md")
        if exists(name, package)
    ]
    for gone in ("judging", "kubectl sew fly", "docs/nowhere.md", "kubectl_sew.concealing"):
        assert not exists(gone, package)


def descendants() -> set[str]:
    """Every class below SewError, with its module."""
    classes = [
        (f"{dotted(path)}.{node.name}", [base.id for base in node.bases if isinstance(base, ast.Name)])
        for path in modules()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ClassDef)
    ]
    below = {"kubectl_sew.errors.SewError"}
    while True:
        known = {name.rpartition(".")[2] for name in below}
        more = {name for name, bases in classes if known.intersection(bases)} - below
        if not more:
            return below - {"kubectl_sew.errors.SewError"}
        below |= more


def test_the_tree_of_errors_holds_every_error_and_nothing_else() -> None:
    lines = re.findall(r"─ ([\w.]+)", errors.__doc__ or "")
    tree = [name if name.startswith("sew_agent.") else f"kubectl_sew.{name}" for name in lines]
    assert sorted(tree) == sorted(descendants())


def test_a_class_name_stands_once() -> None:
    classes = [
        (node.name, dotted(path))
        for path in modules()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ClassDef)
    ]
    places: dict[str, list[str]] = {}
    for name, module in classes:
        places.setdefault(name, []).append(module)
    assert {name: modules_of for name, modules_of in places.items() if len(modules_of) > 1} == {}
