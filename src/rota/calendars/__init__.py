"""Business calendars, and what is known of recurring dates.

Re-exports only.
"""

from .business import CONVENTIONS as CONVENTIONS
from .business import BusinessCalendar as BusinessCalendar
from .business import _restored as _restored
from .business import ical_dates as ical_dates

__all__ = ("CONVENTIONS", "BusinessCalendar", "ical_dates")

# What pickles and people see.
BusinessCalendar.__module__ = ical_dates.__module__ = _restored.__module__ = __name__
