"""Prove the promises at any size: `python -m tests.proof SETUP --events N --webhooks N --kills N --seed N`.

`python -m tests.proof judge --history FILE` judges a run again that was kept since it broke one.
"""

import argparse
import pickle
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.proof import damage, failover
from tests.proof.elasticsearch import InCluster
from tests.proof.files import Files
from tests.proof.history import History, Limits
from tests.proof.judge import judge
from tests.proof.oracle import Oracle, say
from tests.proof.postgresql import WithPostgresql
from tests.proof.power import Power
from tests.proof.report import report, summary
from tests.proof.setup import Setup

SETUPS: Mapping[str, Callable[[], Setup]] = {
    "files": Files,
    "elasticsearch": InCluster,
    "postgresql": WithPostgresql,
    "power": Power,
}
OTHERS = ("damage", "failover")
HISTORY = "history.pickle"
"""What a run that broke a promise leaves beside its agents' logs: to judge it again takes minutes, to run it hours."""


def prove(given: argparse.Namespace, folder: Path) -> bool:
    """Run one proof, print its verdict, and return whether every promise was kept."""
    command = f"make prove SETUP={given.setup} KILLS={given.kills} SEED={given.seed}"
    if given.setup in SETUPS:
        command += f" EVENTS={given.events} WEBHOOKS={given.webhooks}"
    say(command)
    if given.setup == "damage":
        done, violations = damage.run(folder, count=given.kills, seed=given.seed, say=say)
        return _print(summary(done, [violation.text for violation in violations], command))
    if given.setup == "failover":
        found = failover.run(folder, count=given.kills, seed=given.seed, say=say)
        return _print(summary(found.figures(), found.wrong, command))
    setup = SETUPS[given.setup]()
    sizes = {"events": given.events, "webhooks": given.webhooks, "kills": given.kills}
    oracle = Oracle(setup, seed=given.seed, **sizes, say=say)
    history = oracle.run(folder)
    (folder / HISTORY).write_bytes(pickle.dumps((history, oracle.limits)))
    return _judge(history, oracle.limits, setup.skipped, command)


def judge_again(file: Path) -> bool:
    """Judge a run that was kept, print the verdict, and return whether every promise was kept."""
    history, limits = pickle.loads(file.read_bytes())
    return _judge(history, limits, (), f"make judge HISTORY={file}")


def _judge(history: History, limits: Limits, skipped: Sequence[str], command: str) -> bool:
    verdict = judge(history, limits)
    for line in report(verdict, history, skipped):
        say(line)
    return _print(summary({}, [violation.text for violation in verdict.violations], command))


def _print(made: tuple[Sequence[str], bool]) -> bool:
    lines, kept = made
    for line in lines:
        say(line)
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(prog="make prove", description="Prove what the agent promises.")
    parser.add_argument("setup", choices=[*SETUPS, *OTHERS, "judge"])
    parser.add_argument("--history", type=Path, help="of a run that was kept, for `judge`")
    parser.add_argument("--events", type=int, default=2_000)
    parser.add_argument("--webhooks", type=int, default=8)
    parser.add_argument("--kills", type=int, default=10, help="kills; places of damage; failovers")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    if given.setup == "judge":
        sys.exit(not judge_again(given.history))
    folder = Path(tempfile.mkdtemp(prefix="kubectl-sew-proof-"))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # its agents end with it
    if not prove(given, folder):
        sys.exit(
            f"The agents' logs are kept in {folder}, and the run itself for `make judge HISTORY={folder / HISTORY}`"
        )
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
