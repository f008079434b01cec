"""The trigger that fires when the wall clock matches a cron expression.

Pure; see the port in :mod:`rota.triggers.base`. Fields and expressions say what matches (``fields``, ``expressions``,
``schedule``), ``crontab`` reads strings into fields, ``dst`` turns wall times into instants.
"""

from __future__ import annotations

from datetime import UTC, datetime
from sys import intern
from zoneinfo import ZoneInfo

from ...clock import LAST_INSTANT, SECOND, moment
from ...compat.absent import without
from ...errors import CronError, NeverFiresError, TriggerError
from ...texts import text_of
from ...util import astimezone, convert_to_datetime, suggestion, timezone_to_text
from .. import readings
from ..arguments import (
    checked_jitter,
    checked_spread,
    checked_state,
    is_zone_given,
    optional_instant,
    zone_for,
)
from ..fields import ZONE_GIVEN, Field, Fields
from ..terms import JITTER, SPREAD, TIMEZONE, TriggerWithTerms, terms
from .crontab import parse_crontab
from .dst import POLICIES, count_fires, effect_of, last_fire, next_fire
from .fields import FIELDS_MAP
from .schedule import Schedule
from .shared import FIELD_NAMES, dates_and_times

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import date, timedelta, tzinfo
    from typing import Any

    from .fields import BaseField


class CronTrigger(Schedule, TriggerWithTerms):
    """Fires when all fields match the wall clock of a zone. Alias: ``cron``.

    Each field takes an int or a text: ``*``, ``*/n``, ``a``, ``a/n``, ``a-b``, ``a-b/n`` and comma lists of these. Fields
    below the least significant one that is given take their minimum, those above it ``*``; ``week`` and
    ``day_of_week`` are ``*`` by default. For crontab strings see :meth:`from_crontab`.

    :param year: 1970 to 9999
    :param month: 1 to 12, or jan to dec
    :param day: 1 to 31, ``last``, or ``1st`` to ``5th`` or ``last`` and a weekday (``2nd fri``)
    :param week: ISO week, 1 to 53
    :param day_of_week: 0 (Monday) to 6, or mon to sun; a reversed range runs over Sunday
    :param hour: 0 to 23
    :param minute: 0 to 59
    :param second: 0 to 59
    :param start_date: datetime, date or string: the earliest possible time, included
    :param end_date: datetime, date or string: the last possible time, included; compared in UTC
    :param timezone: name or tzinfo of the wall clock (default: that of the dates, else the local zone)
    :param jitter: seconds by which a due time may come after its nominal time
    :param dst: what happens where the clocks change: ``"vixie"`` (as Debian's cron: a fixed time in a gap fires once
        right after it, a fixed time in an overlap once; expressions that begin with ``*`` in the second, minute or hour
        follow real time), ``"wall"`` (gaps are skipped, overlaps fire twice), ``"gap-end"`` (like vixie, with
        everything in a gap made up at its end) or ``"shift"`` (02:30 in a gap fires at 03:30)
    :param spread: seconds over which jobs with this trigger are spread by their ids
    :param now: accepted because all triggers take it; fields do not depend on the current time
    :raises CronError: if a field is not understood or out of range
    :raises NeverFiresError: if no date matches in any year (30 February)
    """

    FIELD_NAMES = FIELD_NAMES
    FIELDS_MAP = FIELDS_MAP

    __slots__ = ("_terms",)

    alias = "cron"
    declared = Fields(
        2,
        Field("start_date", None, spec="_start_text", same="_terms.start"),
        Field("end_date", None, spec="_end_text", same="_terms.end"),
        TIMEZONE,
        JITTER,
        SPREAD,
        Field("dst", "vixie"),
        Field("crontab", False, "dates.extended", same=None),
        Field("day_or_weekday", False, "dates.either"),
        Field("fields", spec=None, same="_texts"),
        ZONE_GIVEN,
        states="timezone start_date end_date fields jitter dst crontab day_or_weekday spread zone_given",
    )

    def __init__(
        self,
        year: int | str | None = None,
        month: int | str | None = None,
        day: int | str | None = None,
        week: int | str | None = None,
        day_of_week: int | str | None = None,
        hour: int | str | None = None,
        minute: int | str | None = None,
        second: int | str | None = None,
        start_date: datetime | date | str | None = None,
        end_date: datetime | date | str | None = None,
        timezone: tzinfo | str | None = None,
        jitter: float | timedelta | None = None,
        *,
        dst: str = "vixie",
        spread: float | timedelta | None = None,
        now: int | None = None,
    ) -> None:
        given = (year, month, day, week, day_of_week, hour, minute, second)
        # Parts that schedules share are cached by these texts.
        texts = tuple([None if value is None else intern(text_of(value)) for value in given])
        try:
            self._set_up(texts, False, False, (start_date, end_date), timezone, jitter, spread, dst)
        except CronError as exc:
            from .hints import for_keywords  # rare

            raise for_keywords(exc, zip(FIELD_NAMES, given, strict=True)) from None

    @classmethod
    def from_crontab(
        cls,
        expr: str,
        timezone: tzinfo | str | None = None,
        *,
        dialect: str | None = None,
        dst: str = "vixie",
        start_date: datetime | date | str | None = None,
        end_date: datetime | date | str | None = None,
        jitter: float | timedelta | None = None,
        spread: float | timedelta | None = None,
        seed: str | None = None,
        now: int | None = None,
    ) -> CronTrigger:
        """Return the trigger of a crontab string, as crontab(5) reads it.

        0 and 7 are Sunday; where both day and weekday are restricted, either may match.

        ``@every 1h30m`` is elapsed time and gives an :class:`~rota.triggers.interval.IntervalTrigger`; ``dst`` means nothing to it.

        :param expr: five fields (minute, hour, day, month, weekday), six (seconds first), seven (seconds first, year last),
            one of ``@yearly @annually @monthly @weekly @daily @midnight @hourly``, or ``@every`` and a duration of hours,
            minutes and seconds; ``CRON_TZ=Zone`` or ``TZ=Zone`` may stand before it
        :param timezone: name or tzinfo of the wall clock (default: that before the expression, else the local zone)
        :param dialect: ``"cron"`` (the default); ``"quartz"`` (Sunday is 1, ``?`` in one of the day fields); or
            ``"apscheduler3"``, the reading of APScheduler 3 (0 is Monday, day and weekday must both match)
        :param dst: as in the constructor
        :param start_date: as in the constructor
        :param end_date: as in the constructor
        :param jitter: as in the constructor
        :param spread: as in the constructor
        :param seed: what ``H`` and ``a~b`` are a hash of (``add_job(func, "crontab", expr=…, id=…)`` takes the id)
        :param now: accepted because all triggers take it; years that are over are no error, there are no times to come
        :raises CronError: if anything in the string is not understood, with field, item and column
        :raises TriggerError: if the string and ``timezone`` name different zones
        :raises NeverFiresError: if no date ever matches (30 February, 29 February 2027)
        """
        given, dialect = dialect, "cron" if dialect is None else dialect
        crontab = parse_crontab(expr, dialect, seed)
        if given is None and readings.listener is not None:
            readings.tell(expr)
        if crontab.zone is not None:
            timezone = _one_zone(crontab.zone, timezone)
        if crontab.every is not None:
            _check_policy(dst)
            bounds = {"start_date": start_date, "end_date": end_date, "timezone": timezone, "now": now}
            return _every(crontab.every, jitter=jitter, spread=spread, **bounds)
        texts = crontab.texts
        trigger = cls.__new__(cls)
        extended = dialect != "apscheduler3"
        dates = (start_date, end_date)
        trigger._set_up(texts, extended, crontab.day_or_weekday, dates, timezone, jitter, spread, dst)
        if trigger.dates.years is not None and trigger.next_wall(0) is None:
            raise NeverFiresError(f"{expr!r} has no time: no date matches in its years, {texts[0]}")
        return trigger

    def _set_up(
        self,
        texts: tuple[str | None, ...],
        extended: bool,
        day_or_weekday: bool,
        dates: tuple[Any, Any],
        timezone: Any,
        jitter: Any,
        spread: Any,
        dst: str,
        zone_given: bool | None = None,
    ) -> None:
        if dst not in POLICIES:
            _check_policy(dst)
        self.dates, self.times = dates_and_times(texts, extended, day_or_weekday, self.FIELDS_MAP)
        start, end = dates
        zone = timezone if type(timezone) is ZoneInfo else zone_for(timezone, start, end)
        if zone_given is None:
            zone_given = True if timezone else is_zone_given(None, start, end)
        self._terms = terms(
            zone,
            None if start is None else optional_instant(start, zone, "start_date"),
            None if end is None else optional_instant(end, zone, "end_date"),
            None if jitter is None else checked_jitter(jitter),
            None if spread is None else checked_spread(spread),
            POLICIES[dst][self.times.wild],
            zone_given,
        )

    @property
    def fields(self) -> list[BaseField]:
        """The eight fields, in the order of ``FIELD_NAMES``."""
        return [*self.dates.fields, *self.times.fields]

    @property
    def start_date(self) -> datetime | None:
        """The earliest possible time, or None."""
        start = self._terms.start
        return None if start is None else moment(start, self.timezone)

    @start_date.setter
    def start_date(self, start_date: datetime | date | str | None) -> None:
        self._assign("start_date", convert_to_datetime(start_date, self.timezone, "start_date"))

    @property
    def day_or_weekday(self) -> bool:
        """Whether a date matches by its day *or* its weekday, as in crontab where both are restricted."""
        return self.dates.either

    @property
    def dst(self) -> str:
        """The policy for where the clocks change."""
        policy: str = self._terms.manner.policy
        return policy

    def after(self, instant: int, previous: int | None = None) -> int | None:
        """Return the first matching time later than ``instant``.

        ``previous`` tells whether the first pass of a repeated hour has fired.
        """
        terms = self._terms
        second = instant // SECOND + 1
        start, end = terms.start, terms.end
        if start is not None and second * SECOND < start:
            second = -(-start // SECOND)
        if previous is not None:
            previous //= SECOND
        found = next_fire(self, terms.zone, terms.manner, second, previous)
        if found is None:
            return None
        # The result of a product has room for one more digit, 16 bytes for each job; that of `| 0` has not.
        found = found * SECOND | 0
        return None if found > LAST_INSTANT or (end is not None and found > end) else found

    def anchor_among(self, previous: int) -> int | None:
        return self.at_or_before(previous) if self._terms.manner.hide else None

    def origin(self) -> int | None:
        return self._terms.start

    def at_or_before(self, instant: int) -> int | None:
        """Return the last matching time up to ``instant``, of a schedule that has run since ``start_date``."""
        return self._last(instant, None)

    def latest(self, first: int, now: int) -> tuple[int, int]:
        """Return the last time from ``first`` to ``now``, and how many there are, without walking them."""
        last = self._last(now, first)
        if last is None or last <= first:
            return first, 1
        zone, rules = self._terms.zone, self._terms.manner
        return last, count_fires(self, zone, rules, first // SECOND, last // SECOND)

    def _last(self, instant: int, first: int | None) -> int | None:
        terms = self._terms
        if terms.end is not None and terms.end < instant:
            instant = terms.end
        since = None if first is None else first // SECOND
        found = last_fire(self, terms.zone, terms.manner, instant // SECOND, since)
        if found is None or (terms.start is not None and found * SECOND < terms.start):
            return None
        return found * SECOND

    def at_change(self, at: int, before: int, after: int, most: int) -> tuple[str, list[int], int]:
        """Return what happens where the clocks change: see :func:`rota.triggers.cron.dst.effect_of`."""
        return effect_of(self, self._terms.manner, at, before, after, most)

    def never_agrees_with(self, other: CronTrigger) -> bool:
        """Tell whether two triggers of the same zone match no common wall time, apart from catching up after gaps."""
        zones = timezone_to_text(self.timezone), timezone_to_text(other.timezone)
        return zones[0] is not None and zones[0] == zones[1] and self.never_meets(other)

    # ------------------------------------------------------------------------------------------------------ storing

    def to_crontab(self) -> str:
        """Return the crontab string that :meth:`from_crontab` reads as this schedule.

        It says the fields only: zone, policy, dates and jitter are parameters beside it.

        :raises TriggerError: if there is none, with the reason (an ISO week; a day *and* a weekday that must both match)
        """
        from .writing import to_crontab  # rare

        return to_crontab(self)

    def spec(self) -> dict[str, Any] | None:
        """Return ``{"type": "cron", …}`` with the fields that were given and whatever differs from the defaults.

        ``crontab`` says that the fields use crontab's extensions, ``day_or_weekday`` that either of the two may match.
        """
        return self.declared.spec(self, self.alias, **self._texts_given())

    @classmethod
    def from_spec(cls, spec: dict[str, Any]) -> CronTrigger:
        """Return the trigger of a :meth:`spec`."""
        trigger = cls.__new__(cls)
        trigger._set_up(
            tuple(spec.get(name) for name in cls.FIELD_NAMES),
            bool(spec.get("crontab")),
            bool(spec.get("day_or_weekday")),
            (spec.get("start_date"), spec.get("end_date")),
            spec["timezone"],
            spec.get("jitter"),
            spec.get("spread"),
            spec.get("dst", "vixie"),
        )
        return trigger

    def __setstate__(self, state: Any) -> None:
        state = checked_state(self, state, 2)
        texts = {field.name: str(field) for field in state["fields"] if not field.is_default}
        self._set_up(
            tuple(texts.get(name) for name in self.FIELD_NAMES),
            bool(state.get("crontab")),
            bool(state.get("day_or_weekday")),
            (state["start_date"], state["end_date"]),
            astimezone(state["timezone"]) or UTC,
            state.get("jitter"),
            state.get("spread"),
            state.get("dst", "vixie"),
            state.get("zone_given", True),
        )

    @property
    def _start_text(self) -> str | None:
        terms = self._terms
        return None if terms.start is None else terms.zone.isoformat(terms.start)

    @property
    def _texts(self) -> tuple[str, ...]:
        return tuple(str(field) for field in self.fields)

    def _texts_given(self) -> dict[str, str]:
        return {field.name: str(field) for field in self.fields if not field.is_default}

    def __str__(self) -> str:
        given = [f"{name}='{text}'" for name, text in self._texts_given().items()]
        return f"cron[{', '.join(given)}]"

    def _call(self, spec: dict[str, Any]) -> str:
        if not (self.dates.extended or self.dates.either):
            return super()._call(spec)
        from .writing import call  # rare

        return call(self, spec)


def _every(length: int, **options: Any) -> CronTrigger:
    """Return the trigger of ``@every``, the one crontab string that is no cron schedule: an IntervalTrigger."""
    from ..interval import IntervalTrigger  # import time

    whole, rest = divmod(length, SECOND)
    return IntervalTrigger(seconds=length / SECOND if rest else whole, **options)  # type: ignore[return-value]


def _check_policy(dst: str) -> None:
    if dst not in POLICIES:
        raise TriggerError(
            f"Unknown dst policy {dst!r}{suggestion(str(dst), POLICIES)}; there are {', '.join(POLICIES)}"
        )


def _one_zone(named: str, given: tzinfo | str | None) -> tzinfo | None:
    """Return the zone that stands before an expression; one that is given beside it must be the same."""
    zone, other = astimezone(named), astimezone(given) if given else None
    if zone is not None and other is not None and timezone_to_text(other) != timezone_to_text(zone):
        raise TriggerError(
            f"The zone is given twice: {named} before the expression and timezone={str(other)!r}; leave one of them out"
        )
    return zone


without(CronTrigger, "_increment_field_value", "_set_field_value")
