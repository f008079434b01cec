"""What stands in a job for parts that could not be restored, and keeps their texts.

Values only; it restores nothing itself.
"""

from __future__ import annotations

from ..errors import CallableLookupError, DeserializationError
from ..references import is_misnamed
from ..triggers.base import BaseTrigger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

    from ..job import Job


class UnrestoredTrigger(BaseTrigger):
    """Stands in for a trigger that could not be restored; keeps its text."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        raise DeserializationError(f"The trigger {self.text} could not be restored")

    def __str__(self) -> str:
        return f"unrestored[{self.text}]"


class UnrestoredArgs(tuple):  # type: ignore[type-arg]
    """Stands in for arguments that could not be restored; keeps their text."""

    text = ""


class UnrestoredKwargs(dict):  # type: ignore[type-arg]
    """Stands in for keyword arguments that could not be restored; keeps their text."""

    text = ""


def keep_call(job: Job, args: str, kwargs: str) -> None:
    """Let a job whose call cannot be restored keep its texts."""
    job.func, job.args, job.kwargs = unrestored, UnrestoredArgs(), UnrestoredKwargs()
    job.args.text, job.kwargs.text = args, kwargs


def unrestored(*args: Any, **kwargs: Any) -> None:
    """Stand in for a callable that could not be restored."""
    raise CallableLookupError("The callable of this job could not be restored; see the job's `error`")


def can_run(job: Job) -> bool:
    """Whether the callable and the arguments of a job are restored, and are what the job was added with."""
    return (
        job.func is not unrestored
        and not is_misnamed(job.error)
        and type(job.args) is not UnrestoredArgs
        and type(job._kwargs) is not UnrestoredKwargs
    )
