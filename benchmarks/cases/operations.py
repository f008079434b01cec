"""What the calls cost that look at, change and remove one job among many."""

from __future__ import annotations

from random import Random
from typing import Any

from .common import Watch, background, idle


def everything(package: str, jobs: int, sample: int) -> dict[str, Any]:
    """Do each operation on the same jobs, chosen at random; the scheduler runs, and none of the jobs is due."""
    scheduler = background(package)
    scheduler.start()
    for index in range(jobs):
        scheduler.add_job(idle, "interval", seconds=36_000 + index % 3_600, id=str(index))
    chosen = [str(index) for index in Random(1).sample(range(jobs), min(sample, jobs))]
    figures, processor, found = {}, {}, 0
    for name, operation in {
        "get": lambda id: scheduler.get_job(id).id == id,
        "modify": lambda id: scheduler.modify_job(id, name="changed"),
        "reschedule": lambda id: scheduler.reschedule_job(id, trigger="interval", seconds=50_000),
        "pause": scheduler.pause_job,
        "resume": scheduler.resume_job,
        "remove": scheduler.remove_job,
    }.items():
        watch = Watch()
        done = [operation(id) for id in chosen]
        figures[name], processor[name] = watch.seconds() / len(chosen) * 1e6, watch.cpu()
        if name == "get":
            found = done.count(True)
    kept = len(scheduler.get_jobs())
    scheduler.shutdown()
    return {"figures": figures, "cpu": processor, "count": kept + found, "expected": jobs}
