"""Texts of users' objects, and the guarded logger: neither can raise."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from rota.logs import GuardedLogger
from rota.schedulers.queued_logger import QueuedLogger
from rota.texts import error_text, repr_of, shortened, text_of, traceback_of, type_name


class Liar(Exception):
    """Raises what is not even an Exception wherever somebody asks for a text."""

    def __str__(self) -> str:
        raise SystemExit("no text")

    __repr__ = __str__


class NotText(Exception):
    def __str__(self) -> str:
        return 3  # type: ignore[return-value]  # noqa: PLE0307  # that is the fault


class Loud(str):
    def __str__(self) -> str:
        raise ValueError

    def __getitem__(self, key: object) -> str:
        raise ValueError


class Meta(type):
    def __getattribute__(cls, name: str) -> object:
        raise RuntimeError("no name")


class Nameless(Exception, metaclass=Meta):
    pass


@pytest.mark.parametrize(
    "value", [Liar(), NotText(), Loud("a"), Nameless(), 10**5000, "\ud800", object()], ids=range(7)
)
def test_a_text_is_an_exact_str_whatever_the_object_does(value: object) -> None:
    for make in (text_of, repr_of, type_name):
        assert type(make(value)) is str


def test_an_error_text_is_the_last_line_of_its_traceback() -> None:
    assert error_text(ValueError("bad")) == "ValueError: bad"
    assert error_text(ValueError()) == "ValueError"
    assert "whose __str__() raises SystemExit" in error_text(Liar())


def test_a_traceback_is_a_text_whatever_it_says() -> None:
    try:
        raise Liar
    except Liar as exc:
        assert "raise Liar" in traceback_of(exc)


def test_a_long_text_keeps_its_beginning_and_its_end() -> None:
    text = shortened("a" * 100 + "z" * 100, 51)
    assert len(text) == 51
    assert text.startswith("aaa")
    assert text.endswith("zzz")
    assert " … " in text
    assert shortened("short", 51) == "short"


@pytest.mark.parametrize("broken", [SystemExit, KeyError, KeyboardInterrupt])
def test_a_filter_that_raises_costs_its_line_only(broken: type[BaseException]) -> None:
    def raising(record: logging.LogRecord) -> bool:
        raise broken

    logger = logging.getLogger("rota.tests.filtered")
    logger.addFilter(raising)
    try:
        if broken is KeyboardInterrupt:  # Ctrl-C in the main thread is the user's
            with pytest.raises(KeyboardInterrupt):
                GuardedLogger(logger).error("text")
        else:
            GuardedLogger(logger).error("text")
            GuardedLogger(logger).exception("text")
    finally:
        logger.removeFilter(raising)


def test_a_logger_needs_the_five_usual_methods_only(caplog: pytest.LogCaptureFixture) -> None:
    lines: list[str] = []

    class Five:
        def debug(self, message: str, *args: object, **kwargs: object) -> None:
            lines.append(message % args)

        info = warning = error = exception = debug

    logger = GuardedLogger(Five())
    assert logger.enabled(logging.DEBUG)
    logger.error("%s and %r", Liar(), Liar())
    assert "raises SystemExit" in lines[0]


def test_a_line_names_the_file_of_its_caller(caplog: pytest.LogCaptureFixture) -> None:
    GuardedLogger(logging.getLogger("rota.tests.caller")).error("%d of %s", 3, "x")
    assert caplog.records[0].filename == "test_texts.py"
    assert caplog.messages == ["3 of x"]


def test_an_exception_whose_traceback_cannot_be_logged_costs_no_line() -> None:
    lines: list[str] = []

    class Picky(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.exc_info:
                raise SystemExit("this traceback cannot be formatted")
            lines.append(record.getMessage())

    target = logging.getLogger("rota.tests.picky")
    handler = Picky()
    target.addHandler(handler)
    try:
        GuardedLogger(target).error("%s failed", "it", exc_info=Liar())
        queued = QueuedLogger(target)
        queued.error("%s failed", "it", exc_info=Liar())
        queued.finish(5.0)
    finally:
        target.removeHandler(handler)
    assert lines == ["it failed (its traceback cannot be logged)"] * 2


def test_a_scheduler_that_has_nothing_to_say_loads_no_logging() -> None:
    """Most of what starting one would take; lines that programs ask for before they start it are written all the same."""
    program = """
import sys
from rota.schedulers.background import BackgroundScheduler
scheduler = BackgroundScheduler()
scheduler.start()
print("logging" in sys.modules)
import logging
logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", stream=sys.stdout)
scheduler.pause()
print(scheduler._logger.name)
scheduler.shutdown()
"""
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert shown.splitlines()[:3] == [
        "False",
        "rota.scheduler: Paused scheduler job processing",
        "rota.scheduler",
    ]


def test_a_warning_is_shown_although_nobody_has_loaded_logging() -> None:
    program = """
import sys
from rota.logs import GuardedLogger
logger = GuardedLogger("rota.tests.first")
logger.info("nobody has asked for this")
assert "logging" not in sys.modules
logger.warning("but for this")
"""
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stderr
    assert told == "but for this\n"
