"""What every executor must do about runs that need a permission to start; for pytest.

Part of :class:`~rota.testing.contracts.executors.ExecutorContract`, whose fixtures it uses.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from ...clock import HOUR, SYSTEM_CLOCK
from ...core.run import Permission
from ...core.states import CLAIMED, SUCCEEDED, WITHHELD
from ...executors.steps import chain
from ...executors.worker_pool import WorkerPool
from .executor_jobs import Ended, add, add_async

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ...core.run import Run
    from ...executors.base import BaseExecutor


class PermissionContract:
    """No job is called without permission, and a run that is withheld is reported like others, and may come again."""

    if TYPE_CHECKING:
        inline: bool
        wait_for_file: Any
        run_of: Callable[..., Run]
        group_of: Callable[..., Run]
        wait: Callable[[Ended, int], list[Run]]
        wait_until: Callable[[Callable[[], object], str], None]
        carry_out: Callable[..., list[Run]]

    @pytest.mark.parametrize("func", [add, add_async])
    def test_a_run_without_permission_is_not_started_and_may_come_again(
        self, executor: BaseExecutor, func: Any
    ) -> None:
        """It is reported as withheld; a worker waits for nothing."""
        run = self.run_of(func, 1)
        run.permission = Permission(SYSTEM_CLOCK.monotonic())
        self.carry_out(executor, run)
        assert (run.status, run.started_at, run.retval) == (WITHHELD, None, None)
        run.status = CLAIMED
        run.permission.until += HOUR
        self.carry_out(executor, run)
        assert (run.status, run.retval) == (SUCCEEDED, 1)

    @pytest.mark.parametrize("func", [add, add_async])
    def test_what_follows_a_withheld_run_in_its_group_is_withheld(
        self, executor: BaseExecutor, func: Any
    ) -> None:
        """The members of a group keep their order, although the permission comes back while they are reported."""
        head = self.group_of(*[partial(func, 1)] * 4)
        members = chain(head)
        for run in members:
            run.permission = Permission(SYSTEM_CLOCK.monotonic() + HOUR)
        members[1].permission = Permission(SYSTEM_CLOCK.monotonic())
        self.carry_out(executor, head)
        assert [run.status for run in members] == [SUCCEEDED, WITHHELD, WITHHELD, WITHHELD]
        assert chain(members[1]) == members[1:]

    def test_a_permission_that_ends_while_runs_wait_for_a_worker_holds_them_back(
        self, executor: BaseExecutor, tmp_path: Path
    ) -> None:
        """A process that was suspended starts nothing of what lies in its queue."""
        if self.inline:
            pytest.skip("no run waits for a worker")
        ended, permission = Ended(), Permission(SYSTEM_CLOCK.monotonic() + HOUR)
        runs = [self.run_of(self.wait_for_file, str(tmp_path / "gate")) for _ in range(30)]
        for run in runs:
            run.permission = permission
        executor.submit(runs, ended)
        self.wait_until(lambda: any(run.started_at for run in runs), "a run has started")
        permission.until = 0
        (tmp_path / "gate").touch()
        self.wait(ended, len(runs))
        assert {run.status for run in runs} <= {SUCCEEDED, WITHHELD}
        if isinstance(executor, WorkerPool):  # others may have started all of them
            assert sum(run.status == WITHHELD for run in runs) >= len(runs) - executor.max_workers
        for run in runs:
            assert (run.started_at is not None) == (run.status == SUCCEEDED), run
