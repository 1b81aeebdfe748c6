"""Run all parts of `make test-matrix`, one after the other, and say in the last lines what was run and what passed."""

import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

PARTS = (
    *("python_3.14", "python_3.13", "python_3.12", "python_3.11.2"),
    *("helm_3", "kubernetes_1.36", "security"),
    *("elasticsearch_8_19", "elasticsearch_9", "elasticsearch_9_5", "opensearch_2", "opensearch_3"),
)
"""Each is run by `make test-on-PART`. 3.11.2 is the Python of Debian 12, and so of the agent's image."""


@dataclass(frozen=True)
class Result:
    """What came of a part: its duration in seconds, its exit code, and pytest's last line; "" where no test ran."""

    part: str
    code: int
    counts: str
    seconds: float

    @property
    def passed(self) -> bool:
        return self.code == 0 and re.search(r"\b\d+ passed", self.counts) is not None

    def __str__(self) -> str:
        skipped = re.fullmatch(r"(\d+ skipped)?", self.counts)
        verdict = "passed" if self.passed else "NOT RUN" if skipped else "FAILED"
        return f"{self.part:16} {verdict:8} {self.seconds:6.0f} s  {self.counts}".rstrip()


def run(part: str) -> Result:
    """Run a part, showing its output as it comes."""
    began, counts = time.monotonic(), ""
    command = ["make", "--no-print-directory", f"test-on-{part}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            counts = counted(line) or counts
    return Result(part, process.returncode, counts, time.monotonic() - began)


def counted(line: str) -> str:
    """Return what pytest's last line counts, such as `3 passed, 1 skipped`; "" where the line is none."""
    found = re.search(r"^=* ?((?:\d+ [a-z]+(?:, )?)+) in [\d.]+s", line)
    return found[1] if found else ""


def main(parts: Sequence[str] = PARTS, run_part: Callable[[str], Result] = run) -> int:
    """Run the parts, print a line for each, and return 0 where all of them passed."""
    results = [run_part(part) for part in parts]
    print("", *results, sep="\n", flush=True)
    return 0 if all(result.passed for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
