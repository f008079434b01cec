"""`rota failures`: which jobs fail, since when, how often, and what they say.

Looks and prints; it changes nothing.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..clock import SYSTEM_CLOCK, instant
from ..core.queries import FAILURES, OUTCOMES, RunQuery
from ..core.states import SUCCEEDED
from .ledger import MOST, found_in_pages
from .output import iso, local_time, one_line, print_columns, print_json
from .stores import opened

if TYPE_CHECKING:
    from datetime import tzinfo

    from ..core.run import Run


def show_failures(
    url: str | None, tablename: str, since: datetime | None, zone: tzinfo, as_json: bool
) -> None:
    """Print which jobs fail, since when, how often, and what they say: one line for each job and error."""
    with opened(url, tablename) as (guest, _):
        query = RunQuery(statuses=FAILURES, since=since)
        groups: dict[tuple[str, str], list[Run]] = {}
        for run in found_in_pages(lambda cursor: guest.find_runs(query, 1000, cursor), MOST):
            groups.setdefault((run.job_id, run.error_type or run.status), []).append(run)
        last: dict[str, list[Run]] = {}
        ids = sorted({job_id for job_id, _ in groups})
        for start in range(0, len(ids), 500):
            last |= guest.last_runs(ids[start : start + 500], 1, OUTCOMES)
        failing = [id for id in ids if last.get(id) and last[id][0].status in FAILURES]
        good: dict[str, int] = {}
        for job_id in failing:
            succeeded = guest.find_runs(RunQuery(job_ids=job_id, statuses=SUCCEEDED), 1).items
            good |= {run.job_id: run.nominal for run in succeeded}
    now = SYSTEM_CLOCK.now()
    found: list[dict[str, Any]] = []
    for (job_id, kind), runs in sorted(groups.items(), key=lambda item: -item[1][0].nominal):
        is_failing = job_id in failing
        since_then = [run.nominal for run in runs if run.nominal > good.get(job_id, 0)]
        found.append(
            {
                "job_id": job_id,
                "error_type": kind,
                "count": len(runs),
                "first": iso(runs[-1].nominal, zone),
                "last": iso(runs[0].nominal, zone),
                "still_failing": is_failing,
                "failing_since": iso(since_then[-1], zone) if is_failing and since_then else None,
                "error": runs[0].error or runs[0].reason,
                "name": runs[0].name,
            }
        )
    if as_json:
        print_json(found)
        return
    rows = [
        (
            each["job_id"],
            each["error_type"],
            str(each["count"]),
            local_time(instant(datetime.fromisoformat(each["first"])), zone, now),
            local_time(instant(datetime.fromisoformat(each["last"])), zone, now),
            _how_it_is(each, zone, now),
            one_line(each["error"] or "", 200),
        )
        for each in found
    ]
    print_columns(("JOB", "ERROR", "TIMES", "FIRST", "LAST", "NOW", "SAYS"), rows, "no failures", 1)


def _how_it_is(found: dict[str, Any], zone: tzinfo, now: int) -> str:
    """Return how a job that has failed is now."""
    since = found["failing_since"]
    if since is not None:
        return f"fails since {local_time(instant(datetime.fromisoformat(since)), zone, now)}"
    return "fails otherwise" if found["still_failing"] else "has succeeded since"
