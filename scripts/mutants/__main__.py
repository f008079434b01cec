"""Tells which small changes of Rota no test of tests/core fails for.

make mutants [ARGS="[--seed N] [--count N] [--tests PATH …] [PATH …]"]

By default: every change of src/rota/core, and 300 of triggers/cron and codec, drawn by the seed. With paths: every change of
these, or so many. Only tests that make no scheduler count; they are read once. Each change is tried in a fork, by those that
execute its line.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import pickle
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, TextIO

import pytest
from changes import ROOT, SOURCE, Change, changes_of, put_in

WHOLE = (SOURCE / "rota" / "core",)
DRAWN = (SOURCE / "rota" / "triggers" / "cron", SOURCE / "rota" / "codec")
COUNT = 300
#: How long a test may take with a change: seconds, and so many times what it takes without one. That is time of the processor; if
#: the test waits instead, the clock ends it.
PATIENCE, FACTOR = 5, 3
#: How long all tests may take while what they execute is written down (seconds).
LONGEST = 3600


class Known(NamedTuple):
    """What is known of the tests that count: by their number, how many seconds they take, and what they execute."""

    failing: list[str]
    lasting: dict[int, float]
    #: for each file and line the tests that execute it
    executing: dict[str, dict[int, set[int]]]

    def executed(self, change: Change) -> set[int]:
        """Return the tests that execute a line of a change, or of its file if it acts when that is imported."""
        lines = self.executing[str(change.path)]
        return {number for line in change.lines or lines for number in lines.get(line, ())}


class Mutants:
    """A plug-in of pytest that tries changes when the tests are to be run."""

    def __init__(self, changes: list[Change], folder: Path, output: TextIO) -> None:
        self.changes, self.folder, self.output = changes, folder, output
        self.survivors: list[Change] = []
        self.failed = self.skipped = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_load_initial_conftests(self) -> None:
        """Have the same examples each time, as many as in the fast gate, and none that an earlier change has failed for."""
        from hypothesis import HealthCheck, settings

        quiet = [HealthCheck.too_slow]
        settings.register_profile(
            "mutants",
            deadline=None,
            derandomize=True,
            database=None,
            max_examples=25,
            suppress_health_check=quiet,
        )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take note of what a test has come to."""
        self.failed = self.failed or report.failed
        self.skipped = self.skipped or report.skipped

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Try the changes."""
        from rota.schedulers.base import BaseScheduler

        BaseScheduler.__init__ = _refuse  # type: ignore[method-assign]
        gc.freeze()
        self._say(f"{len(session.items)} tests are read; which of them execute what is changed? …")
        file = self.folder / "known"
        in_a_fork(lambda: file.write_bytes(pickle.dumps(self._learn(session.items))) and False, LONGEST)
        known: Known = pickle.loads(file.read_bytes())
        for name in known.failing:
            self._say(f"left out, as it fails without a change: {name}")
        self._say(f"{len(known.lasting)} tests make no scheduler; {len(self.changes)} changes")
        for number, change in enumerate(self.changes, 1):
            self._try(session.items, known, change)
            if number % 50 == 0:
                self._say(f"… {number} of {len(self.changes)}, {len(self.survivors)} survive")
        self._sum_up()
        return True

    def _learn(self, items: list[pytest.Item]) -> Known:
        known = Known([], {}, {str(change.path): {} for change in self.changes})
        number = 0

        def trace(frame: FrameType, event: str, argument: object) -> Any:
            lines = known.executing.get(frame.f_code.co_filename)
            if lines is None:
                return None

            def take_note(frame: FrameType, event: str, argument: object) -> Any:
                lines.setdefault(frame.f_lineno, set()).add(number)
                return take_note

            return take_note(frame, event, argument)

        threading.settrace(trace)
        for number, item in enumerate(items):
            self.failed = self.skipped = False
            started = time.perf_counter()
            sys.settrace(trace)
            _run(items, [number, number + 1])
            sys.settrace(None)
            if self.failed:
                known.failing.append(item.nodeid)
            elif not self.skipped:
                known.lasting[number] = time.perf_counter() - started
            if (number + 1) % 500 == 0:
                self._say(f"… {number + 1} of {len(items)}")
        for lines in known.executing.values():
            for line in lines:
                lines[line] &= known.lasting.keys()
        return known

    def _try(self, items: list[pytest.Item], known: Known, change: Change) -> None:
        chosen = known.executed(change)
        if change.lines is None:
            chosen |= {
                number for number in known.lasting if change.names & vars(_module(items[number])).keys()
            }
        order = sorted(chosen, key=known.lasting.__getitem__)

        def is_noticed() -> bool:
            put_in(change)
            for place, number in enumerate(order):
                signal.setitimer(signal.ITIMER_VIRTUAL, PATIENCE + FACTOR * known.lasting[number])
                _run(items, order[place:])
                if self.failed:
                    return True
            return False

        limit = 2 * PATIENCE + FACTOR * sum(known.lasting[number] for number in chosen)
        if not (chosen and in_a_fork(is_noticed, limit)):
            self.survivors.append(change)
            self._say(f"{change}   ({f'{len(chosen)} tests pass' if chosen else 'no test executes it'})")

    def _sum_up(self) -> None:
        survivors = [change.path for change in self.survivors]
        tried = [change.path for change in self.changes]
        for path in dict.fromkeys(tried):
            self._say(_rate(str(path.relative_to(ROOT)), tried.count(path), survivors.count(path)))
        self._say(_rate("all", len(tried), len(survivors)))

    def _say(self, line: str) -> None:
        print(line, file=self.output, flush=True)


def _rate(name: str, tried: int, survive: int) -> str:
    return f"{name:<40} {tried - survive:>5} of {tried:>5} noticed, {(tried - survive) / max(tried, 1):6.1%}"


def _refuse(self: object, *args: object, **options: object) -> None:
    pytest.skip("it makes a scheduler")


def _module(item: pytest.Item) -> object:
    return getattr(item, "module", None) or item


def _run(items: list[pytest.Item], numbers: list[int]) -> None:
    """Run the test of the first number, and keep the fixtures that that of the second needs too."""
    item = items[numbers[0]]
    following = items[numbers[1]] if len(numbers) > 1 and numbers[1] < len(items) else None
    item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)


def in_a_fork(call: Callable[[], object], limit: float) -> bool:
    """Call something in a fork; return whether it returned something true, raised, or did not end in ``limit`` seconds."""
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            null = os.open(os.devnull, os.O_RDWR)
            for number in range(3):
                os.dup2(null, number)
            os._exit(bool(call()))
        finally:
            os._exit(1)
    timer = threading.Timer(limit, _end_group, [child])
    timer.start()
    _, status = os.waitpid(child, 0)
    timer.cancel()
    timer.join()
    _end_group(child)  # what its tests have started
    return status != 0


def _end_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def drawn(changes: list[Change], count: int | None, seed: int) -> list[Change]:
    """Return so many of some changes, in their order; all of them by default."""
    if count is None or count >= len(changes):
        return changes
    return [changes[place] for place in sorted(random.Random(seed).sample(range(len(changes)), count))]


def main() -> int:
    """Try the changes that the arguments ask for."""
    parser = argparse.ArgumentParser(prog="make mutants", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "paths", nargs="*", type=lambda text: Path(text).resolve(), help="files and folders in src/rota"
    )
    parser.add_argument("--seed", type=int, default=1, help="what is drawn depends on it (1)")
    parser.add_argument(
        "--count", type=int, help=f"how many changes are drawn ({COUNT}, or all of the paths)"
    )
    parser.add_argument(
        "--tests", nargs="+", default=["tests/core"], help="the tests that are to notice (tests/core)"
    )
    options = parser.parse_args()
    if options.paths:
        changes = drawn(changes_of(options.paths), options.count, options.seed)
    else:
        changes = changes_of(WHOLE) + drawn(changes_of(DRAWN), options.count or COUNT, options.seed)

    os.chdir(ROOT)
    sys.path.insert(0, str(SOURCE))
    os.environ["HYPOTHESIS_PROFILE"] = "mutants"
    with tempfile.TemporaryDirectory() as name, os.fdopen(os.dup(1), "w") as output:
        arguments = ["-q", "-s", "-p", "no:cacheprovider", "--continue-on-collection-errors"]
        arguments += ["-m", "not slow and not server", "--basetemp", f"{name}/files", *options.tests]
        pytest.main(arguments, plugins=[Mutants(changes, Path(name), output)])
    return 0


if __name__ == "__main__":
    sys.exit(main())
