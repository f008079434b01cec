"""A stored job in APScheduler's form, as stores of ours hand it to a ``_reconstitute_job()`` that a program has overridden.

It restores nothing: the job that was restored comes with it.
"""

from __future__ import annotations

import pickle

from ..errors import DeserializationError
from ..texts import repr_of, shortened

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..job.handle import Job


class StoredState(bytes):
    """A pickle of a job's state, and the job that was restored of it."""

    job: Job

    @classmethod
    def of(cls, job: Job) -> StoredState:
        """Return the state of a job; it is empty if the job cannot be pickled, and then only ours can read it."""
        try:
            made = cls(pickle.dumps(job.__getstate__(), pickle.HIGHEST_PROTOCOL))
        except Exception:
            made = cls()
        made.job = job
        return made


def reconstituted(store: Any, job_state: bytes) -> Job:
    """Return the job of a stored state, for programs that call ``super()._reconstitute_job(job_state)``.

    :raises DeserializationError: if the state is not one that the store has handed to the program
    """
    if type(job_state) is StoredState:
        return job_state.job.copy()
    raise DeserializationError(
        f"job_state must be what {type(store).__name__} hands to _reconstitute_job(), got {shortened(repr_of(job_state), 100)}; "
        f"a state that you have stored yourself goes into Job.__new__(Job) by __setstate__()"
    )
