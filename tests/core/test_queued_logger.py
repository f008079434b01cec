"""The engine's logger: what it logs is written elsewhere, and looks as if it had been written at once."""

from __future__ import annotations

import logging
from threading import Event, Thread, current_thread

from rota.schedulers.queued_logger import QueuedLogger


def written(logger):
    while not logger.queue.wait_empty(5.0):
        pass


def test_a_line_tells_where_when_and_by_whom_it_was_logged(caplog):
    logger = QueuedLogger(logging.getLogger("rota.tests.queued"))
    logger.error("%s is %r", "this", ValueError)
    written(logger)
    (record,) = caplog.records
    assert record.getMessage() == f"this is {ValueError!r}"
    assert (record.filename, record.funcName) == (
        "test_queued_logger.py",
        "test_a_line_tells_where_when_and_by_whom_it_was_logged",
    )
    assert record.threadName == current_thread().name
    assert record.levelname == "ERROR"
    logger.queue.close()


def test_a_handler_that_hangs_does_not_hold_up_who_logs():
    gate, entered, lines = Event(), Event(), []

    class Hanging(logging.Handler):
        def emit(self, record):
            entered.set()
            gate.wait(20)
            lines.append(record.getMessage())

    target = logging.getLogger("rota.tests.hanging")
    handler = Hanging()
    target.addHandler(handler)
    try:
        logger = QueuedLogger(target)
        logger.error("first")
        assert entered.wait(5)
        logger.error("second")
        assert lines == []
        gate.set()
        written(logger)
        assert lines == ["first", "second"]
    finally:
        target.removeHandler(handler)
        logger.queue.close()


def test_a_filter_that_always_raises_is_called_once_for_each_line():
    seen = []

    def refuse(record):
        seen.append(record.getMessage())
        raise ValueError("no line")

    target = logging.getLogger("rota.tests.refusing")
    target.addFilter(refuse)
    try:
        logger = QueuedLogger(target)
        logger.error("first")
        logger.error("second")
        written(logger)
        assert seen == ["first", "second"]
    finally:
        target.removeFilter(refuse)
        logger.queue.close()


def test_lines_are_written_by_the_caller_if_there_can_be_no_more_threads(caplog, monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    logger = QueuedLogger(logging.getLogger("rota.tests.queued"))
    with monkeypatch.context() as patch:
        patch.setattr(Thread, "start", refuse)
        logger.error("first")
        assert caplog.messages == ["first"]
    logger.error("second")
    written(logger)
    assert caplog.messages == ["first", "second"]
    logger.queue.close()


def test_an_exception_is_logged_as_it_was_when_it_was_caught(caplog):
    logger = QueuedLogger(logging.getLogger("rota.tests.queued"))
    try:
        raise KeyError("gone")
    except KeyError:
        logger.exception("caught")
    written(logger)
    assert "KeyError: 'gone'" in caplog.text
    logger.queue.close()


def test_after_its_end_lines_are_written_at_once(caplog):
    logger = QueuedLogger(logging.getLogger("rota.tests.queued"))
    logger.queue.close()
    logger.error("late")
    assert caplog.messages == ["late"]


def test_a_logger_of_another_kind_gets_the_same_calls():
    lines = []

    class Five:
        def debug(self, message, *args, exc_info=None):
            lines.append((message % args, exc_info))

        info = warning = error = exception = debug

    logger = QueuedLogger(Five())
    logger.warning("%d", 3)
    written(logger)
    assert lines == [("3", None)]
    logger.queue.close()
