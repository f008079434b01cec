"""The trigger that fires once, at a given time.

Pure; see the port in :mod:`rota.triggers.base`.
"""

from __future__ import annotations

from datetime import UTC, datetime

from ..clock import instant as to_instant
from ..clock import moment
from ..compat.absent import inner_name
from ..util import astimezone, convert_to_datetime, datetime_repr
from ..zone_maps import zone_map
from .arguments import carries_zone, checked_state, current_instant, optional_instant, zone_for
from .base import InstantTrigger, check_own
from .fields import ZONE_GIVEN, Field, Fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import date, tzinfo
    from typing import Any


class DateTrigger(InstantTrigger):
    """Fires once, at ``run_date``. Alias: ``date``.

    A time that is past when the job is added is due at once (whether that is too late is for the job's
    ``misfire_grace_time`` to say).

    :param run_date: datetime, date or string; None means the current time
    :param timezone: name or tzinfo; the zone of a ``run_date`` that carries none (the local zone by default)
    :param now: instant that counts as the current time (the system's time by default)
    :raises TriggerError: if ``run_date`` is no date

    A wall time in a gap is read with the offset before the gap, one in an overlap as the first (RFC 5545, 3.3.5).
    """

    __slots__ = ("_run", "_timezone", "start_given", "zone_given")

    _timezone: tzinfo | None
    zone_given: bool
    start_given: bool

    alias = "date"
    declared = Fields(
        1,
        Field("run_date", same="_run", write=datetime.isoformat),
        Field("timezone", held=None, spec="_zone_text"),
        ZONE_GIVEN,
    )

    def __init__(
        self,
        run_date: datetime | date | str | None = None,
        timezone: tzinfo | str | None = None,
        *,
        now: int | None = None,
    ) -> None:
        zone = zone_for(timezone)
        run = optional_instant(run_date, zone, "run_date")
        if isinstance(run_date, datetime) and run_date.tzinfo is not None:
            zone = run_date.tzinfo
        self.zone_given = bool(timezone) or carries_zone(run_date, "run_date")
        self.start_given = run is not None
        self._run = current_instant(now) if run is None else run
        self._timezone = zone

    @property
    def timezone(self) -> tzinfo | None:
        """The zone in which ``run_date`` is shown."""
        return self._timezone

    @timezone.setter
    def timezone(self, timezone: tzinfo | str | None) -> None:
        check_own(self, "timezone")
        self._timezone, self.zone_given = astimezone(timezone), True

    @property
    def run_date(self) -> datetime:
        """When the trigger fires."""
        return moment(self._run, self.timezone or UTC)

    @run_date.setter
    def run_date(self, run_date: datetime | date | str) -> None:
        check_own(self, "run_date")
        found = convert_to_datetime(run_date, self.timezone or UTC, "run_date")
        self.__setstate__({"version": 1, "run_date": found, "zone_given": self.zone_given})

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """Return the run date if it has not fired yet, past or not."""
        return self.run_date if previous_fire_time is None else None

    def first(self, now: int) -> int | None:
        """Return the run date, past or not."""
        return self._run

    def after(self, instant: int, previous: int | None = None) -> int | None:
        """Return the run date if it is later than ``instant``."""
        return self._run if self._run > instant else None

    def at_or_before(self, instant: int) -> int | None:
        """Return the run date if it is not later than ``instant``."""
        return self._run if self._run <= instant else None

    def origin(self) -> int | None:
        return self._run

    def moved(self, delta: int) -> DateTrigger:
        """Return the same trigger, at another time if that was the time of construction."""
        if self.start_given or type(self) is not DateTrigger:
            return self
        trigger = DateTrigger.__new__(DateTrigger)
        trigger._run = self._run + delta
        trigger._timezone, trigger.zone_given, trigger.start_given = self._timezone, self.zone_given, False
        return trigger

    def latest(self, first: int, now: int) -> tuple[int, int]:
        """Return the only time."""
        return first, 1

    def plain_text(self) -> str | None:
        """Return the :meth:`spec` as JSON text, None if it takes more than the zone's quick way."""
        try:
            zone = zone_map(self.timezone or UTC)
            if zone.quoted is None:
                return None
            return f'{{"type":"date","run_date":"{zone.isoformat(self._run)}","timezone":{zone.quoted}}}'
        except Exception:  # a foreign zone, or an offset with a fraction of a second: spec() can tell
            return None

    @classmethod
    def from_spec(cls, spec: dict[str, Any]) -> DateTrigger:
        """Return the trigger of a :meth:`spec`."""
        return cls.plain(to_instant(datetime.fromisoformat(spec["run_date"])), spec["timezone"])

    @classmethod
    def plain(cls, run: int, timezone: str) -> DateTrigger:
        """Return the trigger of a :meth:`spec`.

        :param run: the instant of its ``run_date``
        :raises UnknownTimezoneError: if there is no such zone
        """
        trigger = cls.__new__(cls)
        trigger._run = run
        trigger._timezone = astimezone(timezone)
        trigger.zone_given = trigger.start_given = True
        return trigger

    def __setstate__(self, state: Any) -> None:
        state = checked_state(self, state, 1)
        run_date = state["run_date"]
        self.zone_given = state.get("zone_given", True)
        self.start_given = True
        self._run = to_instant(run_date)
        self._timezone = astimezone(run_date.tzinfo)

    def __str__(self) -> str:
        return f"date[{datetime_repr(self.run_date)}]"


if not TYPE_CHECKING:  # for checkers, a name is there or not

    def __getattr__(name: str) -> Any:
        return inner_name(__name__, name)
