"""The job as users hold it.

Re-exports only.
"""

from .handle import Job as Job

Job.__module__ = __name__  # what pickles and people see; where it is written is the house's business

TYPE_CHECKING = False
if not TYPE_CHECKING:  # for checkers, a name is there or not

    def __getattr__(name: str) -> object:
        from ..compat.names import of_module  # rare

        return of_module(__name__, name)
