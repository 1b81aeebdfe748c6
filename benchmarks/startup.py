"""Measure how long the plugin takes to start, beside kubectl itself.

    python -m benchmarks.startup [ROUNDS [FOLDER]]

ROUNDS (default 20) in turns; at most twice kubectl's time is wanted. FOLDER holds the programs, by default those beside
this Python. There they are installed in editable form, which costs each start about 10 ms: `pip install .` into an
environment of its own, and name its folder `bin`, to see what a person has; `~/.krew/bin` is what krew installs.
"""

import sys
from pathlib import Path

from benchmarks.processes import in_turns, least

KUBECTL = "kubectl version --client"


def main() -> None:
    """Print the figures."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(sys.executable).parent
    plugin = str(folder / "kubectl-sew")
    commands = {
        KUBECTL: KUBECTL.split(),
        "kubectl-sew --help": [plugin, "--help"],
        "kubectl-sew version": [plugin, "version"],
        "kubectl-sew preview-query": [plugin, "preview-query", "type = waf AND severity >= 90"],
        "kubectl_complete-sew": [str(folder / "kubectl_complete-sew"), "preview-"],
    }
    measured = {name: least(times) for name, times in in_turns(commands, rounds).items()}
    print(f"least of {rounds} runs, in turns, and how often kubectl's")
    for name, times in measured.items():
        wall, cpu = times.wall / measured[KUBECTL].wall, times.cpu / measured[KUBECTL].cpu
        print(f"  {name:26} {times.wall * 1e3:6.1f} ms ({wall:.2f}), processor {times.cpu * 1e3:6.1f} ms ({cpu:.2f})")


if __name__ == "__main__":
    main()
