"""What jobs log, and print in a worker process, kept in memory with their runs (``keep_log``) until these have ended.

It takes log records where they are made, not by a handler: a handler at the root would make ``logging.basicConfig()`` do nothing
afterwards, and silence what Python prints where a program has no handlers. It changes no record, and nothing here can fail a job.
"""

from __future__ import annotations

import logging
import sys
from contextvars import ContextVar
from traceback import format_exception

from ..clock import SECOND, moment
from ..core.run import said_by
from ..core.states import CLAIMED
from ..interrupts import is_interrupt
from ..texts import shortened, text_of, type_name
from .steps import _current

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..core.run import Run

#: True while a record is made into a text: what that logs itself is not kept.
_at_it: ContextVar[bool] = ContextVar("rota.kept_logs.at_it", default=False)
#: the factory of records that was found to keep logs
_checked: Any = None
#: how often factories of ours were called to find out whether they are
_calls = 0
#: The name of the logger by which they are asked.
_PROBE = "rota.kept_logs.probe"


def keep_logs() -> None:
    """Have what runs log kept from now on, as far as their jobs want it."""
    global _checked
    factory = logging.getLogRecordFactory()
    if factory is not _checked:
        if not _is_ours(factory):
            factory = _keeping(factory)
            logging.setLogRecordFactory(factory)
        _checked = factory


def _is_ours(factory: Callable[..., Any]) -> bool:
    """Whether a factory of records calls ours: the program may have put its own one around it."""
    before = _calls
    try:
        factory(_PROBE, logging.DEBUG, "", 0, "", (), None)
    except Exception:  # it is the program's
        return False
    return _calls > before


def _keeping(before: Callable[..., Any]) -> Callable[..., Any]:
    """Return a factory of records that keeps what runs log.

    :param before: the factory that makes the records
    """

    def make_record(name: Any, *args: Any, **kwargs: Any) -> Any:
        global _calls
        record = before(name, *args, **kwargs)
        run = _current.get(None)
        if name is _PROBE:
            _calls += 1
        elif run is not None and name is not None and not _at_it.get():  # makeLogRecord() gives no name
            _keep(run, record)
        return record

    return make_record


def _keep(run: Run, record: Any) -> None:
    most = 0 if run.job is None else run.job.policy.keep_log
    if not most or run.status != CLAIMED:
        return
    token = _at_it.set(True)
    try:
        said_by(run).log_kept(most).add(_line_of(record) + "\n")
    except BaseException as exc:  # of the program's own kind of record
        if is_interrupt(exc):
            raise
    finally:
        _at_it.reset(token)


def _line_of(record: Any) -> str:
    """Return a record as a line of a log, with its traceback if it has one; nothing is noted in the record."""
    try:
        message = text_of(record.getMessage())
    except BaseException as exc:  # of an argument, or of arguments that do not fit
        if is_interrupt(exc):
            raise
        message = f"{text_of(record.msg)} <its arguments cannot be shown: {type_name(exc)}>"
    at = moment(int(record.created * SECOND)).isoformat(" ", "milliseconds")
    line = f"{at} {record.levelname} {record.name}: {message}"
    if record.exc_info and record.exc_info[1] is not None:
        line += "\n" + _traceback_of(record.exc_info[1])
    if record.stack_info:
        line += f"\n{record.stack_info}"
    return line


def _traceback_of(exc: BaseException) -> str:
    try:
        return shortened("".join(format_exception(exc)).rstrip("\n"))
    except BaseException as error:  # of the exception's own methods
        if is_interrupt(error):
            raise
        return f"<{type_name(exc)} that cannot be shown>"


class Printed:
    """Keeps what is printed while it is entered, where the standard output belongs to one run: in a worker process.

    :param run: the run
    """

    __slots__ = ("_before", "_output", "_run")

    def __init__(self, run: Run) -> None:
        self._run = run
        self._before: Any = None
        self._output: Any = None

    def __enter__(self) -> None:
        keep_logs()
        job = self._run.job
        self._before = sys.stdout
        if job is None:
            return
        said = said_by(self._run)
        said.pass_log_on(job.policy.keep_log)
        if sys.stdout is not None:
            self._output = sys.stdout = _Output(sys.stdout, said.log_kept(job.policy.keep_log))

    def __exit__(self, *_: object) -> None:
        if self._output is not None:
            self._output.is_over()
            if sys.stdout is self._output:  # else the job has put something else there
                sys.stdout = self._before


class _Output:
    """A text file, what is written to which is kept as well.

    :param file: the file
    :param log: what keeps it
    """

    def __init__(self, file: Any, log: Any) -> None:
        self._file = file
        self._log = log

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __iter__(self) -> Any:
        return iter(self._file)

    def write(self, text: str) -> Any:
        written = self._file.write(text)
        if self._log is not None and isinstance(text, str):
            self._log.add(str.__str__(text))
        return written

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def is_over(self) -> None:
        """Keep nothing any more; the file is written to all the same."""
        self._log = None
