"""Give N random inputs to each part, the same ones for the same seed: `python -m tests.fuzz N SEED [PART …]`.

A part whose inputs take longer gets a share of N: `COST` in its module says what part.
"""

import sys
import time
from importlib import import_module
from pathlib import Path

PARTS = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in ("__main__", "alphabet"))
"""Names of the modules here. Each has a function `fuzz(n, seed)` that gives n inputs, and raises where something is
wrong; a `COST` is how many inputs of others take as long as one of its own."""


def give(part: str, n: int, seed: int) -> int:
    """Give a part its share of `n` inputs, and return how many."""
    module = import_module(f"tests.fuzz.{part}")
    share = -(-n // getattr(module, "COST", 1))
    module.fuzz(share, seed)
    return share


def main(n: int, seed: int, parts: list[str]) -> None:
    for part in parts or PARTS:
        began = time.monotonic()
        given = give(part, n, seed)
        print(f"{part}: {given:,} inputs in {time.monotonic() - began:.1f} s, seed {seed}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
