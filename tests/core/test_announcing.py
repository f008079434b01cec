"""What the engine remembers for its log lines is bounded."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from rota.core.plan import plan
from rota.engine.announcements import MOST_SKIPPING, announce_rest
from rota.logs import GuardedLogger, get_logger
from tests.core.test_plan import START, every, make_job


def test_of_jobs_that_are_skipped_and_gone_only_so_many_are_remembered():
    engine: Any = SimpleNamespace(
        logger=GuardedLogger(get_logger("rota.scheduler")), dispatch=lambda event: None
    )
    engine.wanted = int
    skipping = set(map(str, range(MOST_SKIPPING)))
    job = make_job(every(10), START)
    job.running = job.max_instances
    announce_rest(engine, "default", plan(job, START), skipping, lambda: START)
    assert skipping == {job.id}
