"""Jobs that fail, want to be called later, take too long or look whether they are asked to stop, and write down which it was.

Each attempt writes "begin", and in the end "end" (it returns in time, asked by nobody), "late" (it returns, asked to stop),
"failed" (it raises) or "snoozed". They know no store.
"""

from __future__ import annotations

import os
import random
import time

from rota import Snooze
from rota.executors.base import current_run
from tests.faults.worker import append

#: How long one look whether somebody asks to stop lasts (seconds).
LOOK = 0.05


def _tell(path: str, kind: str) -> None:
    run = current_run()
    append(path, kind, run.job_id, run.nominal, run.attempt, os.getpid(), time.monotonic())


def _fail(path: str, message: str) -> None:
    _tell(path, "failed")
    raise RuntimeError(message)


def _return(path: str) -> None:
    run = current_run()
    _tell(path, "late" if run.cancelled or run.past_timeout else "end")


def fail_first(path: str, seconds: float, times: int = 1) -> None:
    """Fail until it was tried so often."""
    _tell(path, "begin")
    time.sleep(seconds)
    if current_run().tries < times:
        _fail(path, f"failure {current_run().tries + 1}")
    _return(path)


def hang_first(path: str, seconds: float, until: float = 0) -> None:
    """Take so many seconds in the first try, and no time in others.

    :param until: look whether somebody asks to stop, after so many seconds, and fail then; 0: never look
    """
    _tell(path, "begin")
    if current_run().tries == 0:
        began = time.monotonic()
        while time.monotonic() < began + seconds:
            time.sleep(LOOK)
            if until and time.monotonic() > began + until and current_run().cancelled:
                _fail(path, "asked to stop")
    _return(path)


def hang(path: str, seconds: float) -> None:
    """Take so many seconds, whatever is asked."""
    _tell(path, "begin")
    time.sleep(seconds)
    _return(path)


def erratic(path: str, seconds: float, too_long: float) -> None:
    """Fail, want another call, take too long or do what is to be done, by chance; whoever is asked to stop stops mostly.

    :param too_long: how long it takes if it takes too long
    """
    _tell(path, "begin")
    what = random.random()
    end = time.monotonic() + (too_long if 0.35 <= what < 0.45 else seconds)
    while time.monotonic() < end:
        time.sleep(min(LOOK, seconds))
        if current_run().cancelled and random.random() < 0.5:
            break
    if what < 0.25:
        _fail(path, "by chance")
    if what < 0.35:
        _tell(path, "snoozed")
        raise Snooze(0.5)
    _return(path)
