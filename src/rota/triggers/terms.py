"""What triggers have in common besides their times: zone, bounds, jitter, spread. Triggers with the same share one object.

Pure, apart from a bounded memory of the objects there are.
"""

from __future__ import annotations

from functools import lru_cache

from ..clock import moment
from ..compat.overrides import is_foreign
from ..util import astimezone, convert_to_datetime
from ..zone_maps import zone_map
from .arguments import checked_jitter, zone_for
from .base import InstantTrigger, check_own
from .fields import Field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import date, datetime, timedelta, tzinfo
    from typing import Any

    from ..zone_maps import ZoneMap


class Terms:
    """The terms of a trigger. Instants are microseconds since the epoch.

    :ivar zone: the map of its time zone
    :ivar start: the earliest possible time, or None
    :ivar end: the last possible time, or None
    :ivar manner: whatever else the kind of trigger has
    :ivar zone_given: see :attr:`rota.triggers.base.BaseTrigger.zone_given`
    :ivar punctual: whether there is neither jitter nor spread
    """

    __slots__ = ("end", "jitter", "manner", "punctual", "spread", "start", "zone", "zone_given")

    def __init__(
        self,
        zone: ZoneMap,
        start: int | None,
        end: int | None,
        jitter: float | None,
        spread: float | None,
        manner: Any,
        zone_given: bool = True,
    ) -> None:
        self.zone = zone
        self.start = start
        self.end = end
        self.jitter = jitter
        self.spread = spread
        self.manner = manner
        self.zone_given = zone_given
        self.punctual = not jitter and not spread


#: for those without jitter and spread
plain_terms = lru_cache(maxsize=4096)(Terms)
# A jitter of 5 and one of 5.0 are equal, and are shown differently.
_shared_by_type = lru_cache(maxsize=512, typed=True)(Terms)


def terms(
    timezone: tzinfo,
    start: int | None,
    end: int | None,
    jitter: float | None,
    spread: float | None,
    manner: Any,
    zone_given: bool = True,
) -> Terms:
    """Return the terms, the same object for equal ones."""
    shared = plain_terms if jitter is None and spread is None else _shared_by_type
    if zone_given:
        return shared(zone_map(timezone), start, end, jitter, spread, manner)
    return shared(zone_map(timezone), start, end, jitter, spread, manner, False)


TIMEZONE = Field("timezone", held="_terms.zone.text", state="_terms.zone.zone")
JITTER = Field("jitter", None, held="_terms.jitter")
SPREAD = Field("spread", None, held="_terms.spread", sparse=True)


class AssignableTrigger(InstantTrigger):
    """Base class of the triggers whose parameters may be assigned: what is assigned is checked as in the constructor."""

    __slots__ = ()

    def _assign(self, name: str, value: Any) -> None:
        """Change a parameter in place, as programs for APScheduler do with a trigger that they have just made."""
        check_own(self, name)
        ours = next(cls for cls in type(self).__mro__ if "__setstate__" in vars(cls) and not is_foreign(cls))
        given = {"zone_given": True} if name == "timezone" else {}
        ours.__setstate__(self, {**self.declared.state(self), name: value, **given})  # type: ignore[attr-defined]


class TriggerWithJitter(AssignableTrigger):
    """Base class of the triggers that keep jitter and spread for themselves."""

    __slots__ = ("_jitter", "_spread")

    _jitter: float | None
    _spread: float | None

    @property
    def jitter(self) -> float | None:
        """Seconds by which a due time may come after its nominal time, or None."""
        return self._jitter

    @jitter.setter
    def jitter(self, jitter: float | timedelta | None) -> None:
        check_own(self, "jitter")
        self._jitter = checked_jitter(jitter)

    @property
    def spread(self) -> float | None:  # type: ignore[override]  # it is not assigned
        """Seconds over which jobs are spread by their ids, or None."""
        return self._spread


class TriggerWithZone(TriggerWithJitter):
    """Base class of those of them that keep their time zone, too."""

    __slots__ = ("_timezone",)

    _timezone: tzinfo

    @property
    def timezone(self) -> tzinfo:
        """The zone in which wall times are meant."""
        return self._timezone

    @timezone.setter
    def timezone(self, timezone: tzinfo | str | None) -> None:
        self._assign("timezone", zone_for(timezone))


class TriggerWithTerms(AssignableTrigger):
    """Base class of the triggers of which programs have many; each of them has a slot ``_terms``."""

    __slots__ = ()

    _terms: Terms

    @property
    def timezone(self) -> tzinfo:
        """The zone in which wall times are meant."""
        return self._terms.zone.zone

    @timezone.setter
    def timezone(self, timezone: tzinfo | str | None) -> None:
        self._assign("timezone", astimezone(timezone))

    @property
    def zone_given(self) -> bool:  # type: ignore[override]  # it is not assigned
        """False where wall times are read in the zone of this machine because no zone was given."""
        return self._terms.zone_given

    @property
    def jitter(self) -> float | None:
        """Seconds by which a due time may come after its nominal time, or None."""
        return self._terms.jitter

    @jitter.setter
    def jitter(self, jitter: float | timedelta | None) -> None:
        self._assign("jitter", checked_jitter(jitter))

    @property
    def spread(self) -> float | None:  # type: ignore[override]  # it is not assigned
        """Seconds over which jobs are spread by their ids, or None."""
        return self._terms.spread

    @property
    def regular(self) -> bool:
        """Whether a run is due at its nominal time, and the next one counted from it."""
        return self._terms.punctual

    @property
    def _end_text(self) -> str | None:
        terms = self._terms
        return None if terms.end is None else terms.zone.isoformat(terms.end)

    @property
    def end_date(self) -> datetime | None:
        """The last possible time, or None."""
        end = self._terms.end
        return None if end is None else moment(end, self.timezone)

    @end_date.setter
    def end_date(self, end_date: datetime | date | str | None) -> None:
        self._assign("end_date", convert_to_datetime(end_date, self.timezone, "end_date"))
