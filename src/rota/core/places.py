"""The places of a job's runs, of which it has ``max_instances``: when one came free, and which run is to make room.

Pure: decisions about records.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .run import Run


def room_came(due: int, limit: int, runs: Iterable[Run]) -> int | None:
    """Return when a place came free for a due time that has waited for room (instant); None: it need not have waited.

    Lateness counts from then. A run counts as under way at a time if it is for an earlier one, and had not ended before.

    :param due: the due time
    :param limit: how many runs may be under way
    :param runs: records of the job with earlier nominal times
    """
    ends = sorted(
        run.finished_at
        for run in runs
        if run.started_at is not None and run.finished_at is not None and run.finished_at >= due > run.due
    )
    return ends[len(ends) - limit] if len(ends) >= limit else None


def oldest(runs: Iterable[Run]) -> Run | None:
    """Return the run that is to make room for a later time: the one with the oldest nominal time; None: there is none."""
    return min(runs, key=lambda run: run.nominal, default=None)
