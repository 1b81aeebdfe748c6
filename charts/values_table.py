"""Writes the table of values into the chart's README: `make chart`. Edit values.yaml, not that table."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).with_name("kubectl-sew")
_BEGIN, _END = "<!-- begin: made of values.yaml by `make chart` -->\n", "<!-- end -->\n"
_LINE = re.compile(r"(?P<indent> *)(?:# -- (?P<description>.+)|(?P<name>\w+):.*)")


def described(text: str) -> Iterator[tuple[str, str]]:
    """Yield each value that a comment `# -- …` stands above, as `image.tag`, and what the comment says."""
    description = ""
    above: list[str] = []
    for match in filter(None, map(_LINE.fullmatch, text.splitlines())):
        if match["description"]:
            description = match["description"]
            continue
        above[len(match["indent"]) // 2 :] = [match["name"]]
        if description:
            yield ".".join(above), description
        description = ""


def table(text: str) -> str:
    """Return the table of a values.yaml in Markdown: each value, its default and its description."""
    defaults = yaml.safe_load(text)
    rows = [f"| `{path}` | `{_default(defaults, path)}` | {said} |\n" for path, said in described(text)]
    return "".join(["| value | default | meaning |\n| --- | --- | --- |\n", *rows])


def _default(values: Any, path: str) -> str:
    for name in path.split("."):
        values = values[name]
    return json.dumps(values, ensure_ascii=False)


def with_table(readme: str, text: str) -> str:
    """Return the README with the table of this values.yaml."""
    before, rest = readme.split(_BEGIN)
    return f"{before}{_BEGIN}\n{table(text)}\n{_END}{rest.split(_END)[1]}"


if __name__ == "__main__":
    file = CHART / "README.md"
    file.write_text(with_table(file.read_text("utf-8"), (CHART / "values.yaml").read_text("utf-8")), "utf-8")
