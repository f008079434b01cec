"""The name ``crontab`` of :meth:`CronTrigger.from_crontab`, for those who name triggers: ``add_job(func, "crontab", expr=…)``.

Pure; it makes the trigger and nothing else.
"""

from __future__ import annotations

from .cron import CronTrigger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import date, datetime, timedelta, tzinfo


class CrontabTrigger:
    """Makes the :class:`~rota.triggers.cron.CronTrigger` of a crontab string, or the interval of ``@every``. Alias: ``crontab``.

    The parameters are those of :meth:`~rota.triggers.cron.CronTrigger.from_crontab`; ``add_job()`` gives the id of the job as
    ``seed`` where none is given.
    """

    def __new__(  # type: ignore[misc]  # a name for another class
        cls,
        expr: str,
        timezone: tzinfo | str | None = None,
        *,
        dialect: str = "cron",
        dst: str = "vixie",
        start_date: datetime | date | str | None = None,
        end_date: datetime | date | str | None = None,
        jitter: float | timedelta | None = None,
        spread: float | timedelta | None = None,
        seed: str | None = None,
        now: int | None = None,
    ) -> CronTrigger:
        return CronTrigger.from_crontab(
            expr,
            timezone,
            dialect=dialect,
            dst=dst,
            start_date=start_date,
            end_date=end_date,
            jitter=jitter,
            spread=spread,
            seed=seed,
            now=now,
        )
