"""Schedulers: the public facade, the engine behind it, and one host for each setting."""

from ..errors import SchedulerAlreadyRunningError, SchedulerNotRunningError

__all__ = ("SchedulerAlreadyRunningError", "SchedulerNotRunningError")
