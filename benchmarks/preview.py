"""Time `preview-query --events` as a whole process, beside one that only reads the events with json.loads.

    python -m benchmarks.preview [EVENTS [ROUNDS]]

EVENTS (default 1,000,000) of about 500 bytes are written to a temporary file; at most twice the time of reading them
is wanted for the query of strings.
"""

import random
import sys
import tempfile
from pathlib import Path

from benchmarks.processes import in_turns, least
from benchmarks.query import QUERIES, make_event

READ = "import json, sys\nfor line in open(sys.argv[1], encoding='utf-8'): json.loads(line)"
READING = "json.loads"
DISTINCT = 80_000


def main() -> None:
    """Print the figures."""
    count = int(sys.argv[1].replace(",", "")) if len(sys.argv) > 1 else 1_000_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    program = str(Path(sys.executable).parent / "kubectl-sew")
    with tempfile.NamedTemporaryFile(suffix=".ndjson") as file:
        size = _write(Path(file.name), count)
        print(f"{count:,} events of {size // count} bytes; least of {rounds} runs, in turns")
        commands = {READING: [sys.executable, "-c", READ, file.name]}
        commands |= {name: [program, "preview-query", query, "--events", file.name] for name, query in QUERIES.items()}
        measured = {name: least(times) for name, times in in_turns(commands, rounds).items()}
    for name, times in measured.items():
        wall, cpu = times.wall / measured[READING].wall, times.cpu / measured[READING].cpu
        print(f"  {name:10} {times.wall:6.2f} s ({wall:.2f}), processor {times.cpu:6.2f} s ({cpu:.2f})")


def _write(path: Path, count: int) -> int:
    lines = [make_event(random.Random(seed)) + "\n" for seed in range(min(count, DISTINCT))]
    with path.open("w", encoding="utf-8") as file:
        for start in range(0, count, len(lines)):
            file.writelines(lines[: count - start])
    return path.stat().st_size


if __name__ == "__main__":
    main()
