"""Schedulers: the public facade, its parts, and one host for each kind of program."""

from ..errors import SchedulerAlreadyRunningError, SchedulerNotRunningError

__all__ = ("SchedulerAlreadyRunningError", "SchedulerNotRunningError")
