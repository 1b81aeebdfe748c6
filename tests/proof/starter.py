"""Starts `sew-agent` again and again without loading it each time: `python -m tests.proof.starter`.

Each line of the standard input is a JSON list: the file for what it prints, and its arguments. For each, a process is
forked that runs the command as it is; its exit code is printed. Settings come from the environment.
"""

import json
import os
import sys

from sew_agent import app  # noqa: F401 - loaded once, for all
from sew_agent.__main__ import main


def run(output: str, arguments: list[str]) -> None:
    """Become a process of sew-agent."""
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.argv = ["sew-agent", *arguments]
    main()


for line in sys.stdin:
    child = os.fork()
    if not child:
        run(*json.loads(line))
        sys.exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
