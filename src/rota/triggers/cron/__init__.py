"""The trigger that fires when the wall clock matches a cron expression.

Re-exports only.
"""

from .trigger import CronTrigger as CronTrigger

__all__ = ("CronTrigger",)

CronTrigger.__module__ = __name__  # what pickles and people see

TYPE_CHECKING = False
if not TYPE_CHECKING:  # for checkers, a name is there or not

    def __getattr__(name: str) -> object:
        from ...compat.names import of_module  # rare

        return of_module(__name__, name)
