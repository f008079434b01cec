"""Which exceptions belong to the program and not to the code in which they were raised: Ctrl-C, and what signal handlers raise.

Every guard asks this before it keeps a BaseException to itself. It catches nothing.
"""

from __future__ import annotations

import sys

# Not from signal, which makes an enumeration of each number and handler: sixty of them for each exception that is guarded.
from _signal import getsignal, valid_signals  # type: ignore[import-not-found]
from functools import cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Attributes as they are, whatever a metaclass or a property of the program makes of them.
_name_of = type.__dict__["__name__"].__get__
_traceback_of = BaseException.__dict__["__traceback__"].__get__


def is_interrupt(exc: BaseException) -> bool:
    """Whether an exception came from a signal, so that a guard has to let it through.

    That is a KeyboardInterrupt in the main thread, and whatever a signal handler of the program raised there: the usual
    ``signal.signal(SIGTERM, lambda *_: sys.exit())`` must end the program wherever the signal arrives. A SystemExit or
    CancelledError that a trigger, a store or a listener raises by itself is none. How gevent ends a greenlet is one, too.
    """
    # By its name, so that gevent need not be loaded: somebody kills the greenlet.
    if _name_of(type(exc)) == "GreenletExit":
        return True
    threading = sys.modules.get(
        "threading"
    )  # pure parts may not load it; where nobody has, there is one thread only
    if threading is not None and threading.current_thread() is not threading.main_thread():
        return False
    # Not isinstance(), which asks the object for its class.
    return issubclass(type(exc), KeyboardInterrupt) or _passed_a_handler(exc)


def _passed_a_handler(exc: BaseException) -> bool:
    """Whether one of the program's signal handlers is among the frames of an exception."""
    codes = set()
    traceback = _traceback_of(exc)
    while traceback is not None:
        codes.add(traceback.tb_frame.f_code)
        traceback = traceback.tb_next
    return any(_code_of(handler) in codes for handler in map(getsignal, _signals()) if callable(handler))


@cache
def _signals() -> tuple[int, ...]:
    return tuple(valid_signals())


def _code_of(handler: Any) -> Any:
    """Return the code object that calling a signal handler executes, None for one that is not made of Python code."""
    func = getattr(handler, "func", handler)  # a partial
    code = getattr(func, "__code__", None)
    return getattr(getattr(type(func), "__call__", None), "__code__", None) if code is None else code  # noqa: B004
