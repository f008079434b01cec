"""Where a run is at the moment: the stack of the thread that carries it out.

It looks at frames; it stops and changes nothing.
"""

from __future__ import annotations

import sys
from traceback import StackSummary, walk_stack

from ..executors import steps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

#: What is said if the run is not found.
NOWHERE = "The run is in no thread at the moment: it awaits something, has not begun or has ended, or a worker process has it"


def stack_of(subject: tuple[str, int] | None) -> str:
    """Return the stack of a run that is under way in this process, as a text; of no run, the stacks of all threads.

    :param subject: job id and nominal time of the run
    """
    if subject is None:
        return "\n".join(
            f"Thread {ident}:\n{_shown(frame)}" for ident, frame in sys._current_frames().items()
        )
    for frame in sys._current_frames().values():
        if _carries_out(frame, subject):
            return _shown(frame)
    return NOWHERE


def _carries_out(frame: FrameType, subject: tuple[str, int]) -> bool:
    found: FrameType | None = frame
    while found is not None:
        if _is_of(found, subject):
            return True
        found = found.f_back
    return False


def _is_of(frame: FrameType, subject: tuple[str, int]) -> bool:
    """Whether a frame is that of a step which carries a run out."""
    if frame.f_code not in (steps.perform.__code__, steps.perform_coroutine.__code__):
        return False
    run = frame.f_locals.get("run")
    return run is not None and (run.job_id, run.nominal) == subject


def _shown(frame: FrameType) -> str:
    return "".join(StackSummary.extract(walk_stack(frame)).format()[::-1])
