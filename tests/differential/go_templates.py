"""Compare random templates and events with the real Go: `make fuzz-template N=… SEED=…`.

A difference is another body, or a failure on one side alone.
"""

import sys
from collections.abc import Iterator
from random import Random
from typing import Any

from kubectl_sew.consumers.base import RenderError
from kubectl_sew.consumers.template import check_template, render_body
from testbed.servers.go_templates import Rendered, render_all
from tests.differential.random_templates import event, template

AT_ONCE = 2_000
NOT_TAKEN = ("cannot be used", "cannot be escaped here", "another place of HTML")
"""Words of what we refuse and Go does not: `%x` of a float, and a value in a place of HTML of its own."""


def differences(pairs: list[tuple[str, Any]]) -> Iterator[str]:
    """Yield what differs, for people."""
    for (source, document), real in zip(pairs, render_all(pairs), strict=True):
        ours = _ours(source, document)
        if _is_refused(ours):
            continue
        if (real.error == "") != isinstance(ours, bytes) or (isinstance(ours, bytes) and ours != real.body):
            yield _described(source, document, real, ours)


def _is_refused(ours: bytes | str) -> bool:
    return isinstance(ours, str) and any(words in ours for words in NOT_TAKEN)


def _ours(source: str, document: Any) -> bytes | str:
    if problems := check_template(source, html=True):
        return problems[0].message
    try:
        return render_body(source, document, as_json=False)
    except RenderError as error:
        return str(error)


def _described(source: str, document: Any, real: Rendered, ours: bytes | str) -> str:
    return f"template {source!r}\nevent    {document!r}\nGo       {real.error or real.body!r}\nours     {ours!r}"


def main(count: int, seed: int) -> int:
    differing = rendered = refused = 0
    for start in range(0, count, AT_ONCE):
        rng = Random(f"{seed}/{start}")
        pairs = [(template(rng), event(rng)) for _ in range(min(AT_ONCE, count - start))]
        ours = [_ours(*pair) for pair in pairs]
        rendered += sum(isinstance(result, bytes) for result in ours)
        refused += sum(_is_refused(result) for result in ours)
        for difference in differences(pairs):
            differing += 1
            print(difference, end="\n\n", flush=True)
    print(
        f"{count} templates of seed {seed}: {rendered} rendered, {refused} not taken, {differing} differences",
        flush=True,
    )
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
