"""APScheduler's BasePoolExecutor, for programs that derive from it.

It makes no pool; Rota's own executors are none of this kind.
"""

from __future__ import annotations

from ..compat.executors import submit_to_pool
from .base import BaseExecutor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

    from ..job.handle import Job


class BasePoolExecutor(BaseExecutor):
    """Base class of executors that hand jobs to a pool of concurrent.futures.

    :param pool: the pool
    """

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        submit_to_pool(self, job, run_times)

    def shutdown(self, wait: bool = True) -> None:
        """Shut the pool down.

        :param wait: whether to wait until all that it was given has ended
        """
        self._pool.shutdown(wait)
