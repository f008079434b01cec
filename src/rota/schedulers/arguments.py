"""What calls about jobs and runs are given: the store that is meant, and times.

It looks nothing up; whoever searches or governs does.
"""

from __future__ import annotations

from datetime import datetime

from ..clock import instant, is_shown_everywhere
from ..errors import OptionTypeError, QueryError
from ..texts import repr_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from ..core.run import Run
    from ..jobstores.base import BaseJobStore
    from .book import JobBook


def store_of(book: JobBook, jobstore: str | None) -> tuple[str, BaseJobStore]:
    """Return the store to look into: the one that is named, else the only one, else "default".

    :raises OptionTypeError: if there are several, and none is named
    """
    book.require_started("a look into its stores")
    if jobstore is not None:
        return jobstore, book.scheduler._lookup_jobstore(jobstore)
    stores = book.stores(None)
    for alias, store in stores:
        if len(stores) == 1 or alias == "default":
            return alias, store
    raise OptionTypeError(
        f"jobstore must be the alias of a job store, got None; there are {', '.join(alias for alias, _ in stores)}"
    )


def instant_of(name: str, value: Any) -> int:
    """Return a time as an instant.

    :raises QueryError: if it is no datetime with a zone
    """
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise QueryError(f"{name} must be a datetime with a time zone, got {repr_of(value)}")
    return instant(value)


def key_of(name: str, value: Any) -> int:
    """Return the nominal time of a run as an instant: given as ``run.scheduled_run_time``, or as ``run.nominal`` has it.

    :raises QueryError: if it is neither
    """
    if type(value) is int and is_shown_everywhere(value):
        return value
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise QueryError(
            f"{name} must be a datetime with a time zone, such as run.scheduled_run_time, or the integer run.nominal, "
            f"got {repr_of(value)}"
        )
    return instant(value)


def in_zone(book: JobBook, runs: Iterable[Run]) -> None:
    """Have records show their times in the scheduler's zone."""
    for run in runs:
        run.timezone = book.scheduler.timezone
