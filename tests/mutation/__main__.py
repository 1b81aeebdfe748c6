"""Mutation testing: change one decision at a time, and list the changes that the quick tests do not notice.

mutmut writes the mutants, by its section in `setup.cfg`. Two of three are refused by mypy, which reads all of them at
once. The others are tried here, in children of a process that has collected the tests: a mutant costs a fork and the
tests that run through its function, and no start of pytest. Tests that noticed the last mutants of a function go first.
`mutmut show NAME` and `mutmut browse` know the results.
"""

import argparse
import json
import os
import pickle
import resource
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import chdir, redirect_stdout
from fnmatch import fnmatch
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

import pytest
from mutmut.__main__ import create_mutants
from mutmut.configuration import config as mutmut_config
from mutmut.mutation.data import MutantLineSpans, SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state
from mutmut.utils.file_utils import copy_also_copy_files, copy_src_dir, setup_source_paths, walk_mutatable_files
from mutmut.utils.format_utils import (
    get_module_from_key,
    get_mutant_name,
    mangled_name_from_mutant_name,
    orig_function_and_class_names_from_key,
)

from tests.mutation.equivalents import Change, equivalents, is_same_sql

SURVIVED, KILLED, NO_TESTS, TIMEOUT, REFUSED = 0, 1, 33, 36, 37  # as mutmut keeps them
_OF_ALL_MUTANTS = {"unused-ignore", "no-redef", "has-type"}
"""Errors of mypy that come from all mutants of a function together, and not from one."""
_MEMORY = 4 << 30
_IDLE = 60.0
"""Seconds after which a test hangs that waits: the processor did next to nothing for it."""
_NEXT_TO_NOTHING = 0.02
"""Seconds of the processor: beside much other work, a test that goes on has more in a minute."""
_HANGS = (-signal.SIGPROF, -signal.SIGALRM)
_EQUIVALENTS = Path(__file__).with_name("equivalents.txt")
_OPTIONS = ["--rootdir=.", "-qqs", "-pno:cacheprovider", "-pno:times", "-otmp_path_retention_policy=none"]


class Trial:
    """A plugin of pytest that tries each mutant with the collected tests, in children of this process."""

    def __init__(self, modules: list[SourceFileMutationData], selects: Callable[[str], bool], children: int) -> None:
        self._modules = modules
        self._selects = selects
        self._children = children
        self._failed = False
        self._killers: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._running: dict[int, tuple[SourceFileMutationData, str, int]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._failed = self._failed or report.failed

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self._items = {item.nodeid: item for item in session.items}
        session.config._tmp_path_factory.getbasetemp()  # here, and not by each child
        self._seconds, self._tests = self._measured(session)
        for module, mutant in self._selected():
            self._start(session, module, mutant)
            while len(self._running) >= self._children:
                self._wait()
        while self._running:
            self._wait()
        failed = _answer(lambda: self._killer(session, "", list(self._items)).encode())
        if failed:
            pytest.exit(f"Believe no result: at the end a test fails without any mutant: {failed.decode()}", 1)
        return True

    def _selected(self) -> Iterator[tuple[SourceFileMutationData, str]]:
        for module in self._modules:
            for mutant, code in module.exit_code_by_key.items():
                if self._selects(mutant) and code != REFUSED:
                    yield module, mutant

    def _measured(self, session: pytest.Session) -> tuple[dict[str, float], dict[str, set[str]]]:
        """Return the seconds of the processor for each test, and the tests that run through each function."""
        measured = _answer(lambda: pickle.dumps(self._measure(session)))
        if not measured:
            pytest.exit("The tests fail without any mutant: run them alone first", 1)
        return pickle.loads(measured)

    def _measure(self, session: pytest.Session) -> tuple[dict[str, float], dict[str, set[str]]]:
        set_mutant_under_test("stats")
        _be_silent(session)
        seconds: dict[str, float] = {}
        tests: defaultdict[str, set[str]] = defaultdict(set)
        for item in session.items:
            started = time.process_time()
            self._run(item)
            seconds[item.nodeid] = time.process_time() - started
            for function in state()._stats:
                tests[function].add(item.nodeid)
            state()._stats.clear()
            if self._failed:
                print(item.nodeid, file=sys.__stderr__)
                os._exit(1)
        return seconds, dict(tests)

    def _start(self, session: pytest.Session, module: SourceFileMutationData, mutant: str) -> None:
        function = mangled_name_from_mutant_name(mutant)
        killers = self._killers[function]
        tests = sorted(self._tests.get(function, ()), key=lambda test: (-killers[test], self._seconds[test]))
        if not tests:
            self._record(module, mutant, NO_TESTS)
            return
        pid, pipe = _child(lambda: self._killer(session, mutant, tests).encode())
        self._running[pid] = module, mutant, pipe

    def _killer(self, session: pytest.Session, mutant: str, tests: list[str]) -> str:
        """Return the first test that fails with a mutant, or an empty text."""
        set_mutant_under_test(mutant)
        _be_silent(session)
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        _end_when_idle()
        for test in tests:
            signal.setitimer(signal.ITIMER_PROF, 5 + 10 * self._seconds[test])  # ends this process
            self._run(self._items[test])
            if self._failed:
                return test
        return ""

    def _run(self, item: pytest.Item) -> None:
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)

    def _wait(self) -> None:
        pid, status = os.wait()
        module, mutant, pipe = self._running.pop(pid)
        killer = _read(pipe).decode()
        if killer:
            self._killers[mangled_name_from_mutant_name(mutant)][killer] += 1
        code = os.waitstatus_to_exitcode(status)
        if code > 0:
            pytest.exit(f"The process that tried {mutant} ended with {code}", 1)
        self._record(module, mutant, TIMEOUT if code in _HANGS else KILLED if code or killer else SURVIVED)

    def _record(self, module: SourceFileMutationData, mutant: str, code: int) -> None:
        module.exit_code_by_key[mutant] = code
        if code in (SURVIVED, NO_TESTS):
            print(mutant, "(no test runs through it)" if code == NO_TESTS else "", file=sys.__stdout__, flush=True)


def _end_when_idle() -> None:
    """End this process as soon as it waits for what never comes."""
    worked = time.process_time()

    def look(*_: object) -> None:
        nonlocal worked
        before, worked = worked, time.process_time()
        if worked - before < _NEXT_TO_NOTHING:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.raise_signal(signal.SIGALRM)

    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, _IDLE, _IDLE)


def _child(work: Callable[[], bytes]) -> tuple[int, int]:
    """Return the process that does some work, and the pipe that its answer is read from."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        _write(work, writing)
    os.close(writing)
    return pid, reading


def _answer(work: Callable[[], bytes]) -> bytes:
    """Return the answer of a process that does some work, when it has ended."""
    pid, pipe = _child(work)
    answer = _read(pipe)
    os.waitpid(pid, 0)
    return answer


def _read(pipe: int) -> bytes:
    with os.fdopen(pipe, "rb") as answer:
        return answer.read()


def _write(work: Callable[[], bytes], pipe: int) -> NoReturn:
    code = 1
    try:
        with os.fdopen(pipe, "wb") as answer:
            answer.write(work())
        code = 0
    finally:
        os._exit(code)


def _be_silent(session: pytest.Session) -> None:
    session.config.pluginmanager.unregister(name="terminalreporter")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def _write_mutants(children: int) -> list[SourceFileMutationData]:
    """Write all mutants into `mutants/`, beside a copy of the tests; return what is known of each module."""
    set_mutant_under_test("mutant_generation")
    Path("mutants").mkdir(exist_ok=True)
    _clear_stale()
    copy_src_dir()
    copy_also_copy_files()
    setup_source_paths()
    create_mutants(children)
    modules = [SourceFileMutationData(path=path) for path in walk_mutatable_files()]
    for module in modules:
        module.load()
    return modules


def _clear_stale() -> None:
    """Remove copies that mutmut would take for mutated though they are not, and those of tests that are no more."""
    for path in walk_mutatable_files():
        if not Path(f"mutants/{path}.spans").exists():
            Path("mutants", path).unlink(missing_ok=True)
    for copy in Path("mutants/tests").rglob("*.py"):
        if not copy.relative_to("mutants").exists():
            copy.unlink()


def _refuse(modules: list[SourceFileMutationData]) -> None:
    """Mark the mutants that mypy refuses."""
    command, settings = [sys.executable, "-m", "mypy", "--output=json"], {**os.environ, "MYPYPATH": "src"}
    checked = subprocess.run(command, check=False, cwd="mutants", env=settings, stdout=subprocess.PIPE)
    lines: defaultdict[str, set[int]] = defaultdict(set)
    for error in (json.loads(line) for line in checked.stdout.splitlines() if line.strip()):
        if error["severity"] == "error" and error["code"] not in _OF_ALL_MUTANTS:
            lines[error["file"]].add(error["line"])
    for module in modules:
        known = module.exit_code_by_key
        for function, span in MutantLineSpans.load(module.path).span_by_function_name.items():
            mutant = get_mutant_name(Path(module.path), function)
            if mutant in known:
                of_mutant = lines[str(module.path)].intersection(range(span.start, span.end + 1))
                known[mutant] = REFUSED if of_mutant else None if known[mutant] == REFUSED else known[mutant]
        module.save()


def _report(modules: list[SourceFileMutationData], selects: Callable[[str], bool]) -> None:
    """Print each mutant that nothing noticed and no entry explains, the entries that explain none, and the counts."""
    explained = equivalents(_EQUIVALENTS.read_text())
    seen = set()
    lines = []
    for module in modules:
        codes = {mutant: code for mutant, code in module.exit_code_by_key.items() if selects(mutant)}
        survivors = [mutant for mutant, code in codes.items() if code in (SURVIVED, NO_TESTS)]
        diffs = {mutant: _diff(module, mutant) for mutant in survivors}
        changes = {mutant: Change.of_diff(_function(mutant), diff) for mutant, diff in diffs.items()}
        equivalent = {
            mutant
            for mutant in survivors
            if changes[mutant] in explained or is_same_sql(changes[mutant].function, diffs[mutant])
        }
        seen.update(changes.values())
        missed = [mutant for mutant in survivors if mutant not in equivalent]
        for mutant in missed:
            print(f"# {mutant}", f"{changes[mutant].function}:", *diffs[mutant], "", sep="\n")
        if codes:
            module.save()
            counts = Counter(codes.values())
            numbers = len(codes), counts[REFUSED], counts[TIMEOUT], len(equivalent), len(missed)
            lines.append("".join(f"{number:11}" for number in numbers) + f"  {module.path}")
    for change in (change for change in explained if selects(change.function) and change not in seen):
        print(f"No mutant that survives is this one any more: {change.function}: {explained[change]}")
    columns = "mutants", "refused", "timeout", "equivalent", "survived"
    print("".join(f"{column:>11}" for column in columns) + "  module", *lines, sep="\n")


def _diff(module: SourceFileMutationData, mutant: str) -> list[str]:
    lines = get_diff_for_mutant(mutant, path=module.path).splitlines()
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


def _function(mutant: str) -> str:
    """Return the function of a mutant as people name it."""
    function, owner = orig_function_and_class_names_from_key(mutant)
    return ".".join(filter(None, (get_module_from_key(mutant), owner, function)))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description="Try mutants with the quick tests.")
    parser.add_argument("--children", type=int, default=os.cpu_count() or 2, help="mutants that are tried at once")
    parser.add_argument("--tests", action="append", help="tests in place of those that setup.cfg names")
    parser.add_argument("patterns", nargs="*", default=["*"], help="the mutants' names, with wildcards")
    given = parser.parse_args()

    def selects(mutant: str) -> bool:
        return any(fnmatch(mutant, pattern) for pattern in given.patterns)

    with redirect_stdout(StringIO()):
        modules = _write_mutants(given.children)
    _refuse(modules)
    set_mutant_under_test("")
    with chdir("mutants"), TemporaryDirectory() as folder:
        options = [*_OPTIONS, f"--basetemp={folder}/tests"]  # another run of pytest may remove that of this one
        tests = given.tests or mutmut_config().pytest_add_cli_args_test_selection
        code = pytest.main([*options, *tests], plugins=[Trial(modules, selects, given.children)])
    _report(modules, selects)
    sys.exit(code)


if __name__ == "__main__":
    main()
