"""Give N random inputs to each part, the same ones for the same seed: `python -m tests.fuzz N SEED [PART …]`."""

import sys
import time
from importlib import import_module
from pathlib import Path

PARTS = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in ("__main__", "alphabet"))
"""Names of the modules here. Each has a function `fuzz(n, seed)` that raises where something is wrong."""


def main(n: int, seed: int, parts: list[str]) -> None:
    for part in parts or PARTS:
        began = time.monotonic()
        import_module(f"tests.fuzz.{part}").fuzz(n, seed)
        print(f"{part}: {n:,} inputs in {time.monotonic() - began:.1f} s, seed {seed}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
