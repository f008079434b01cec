"""Public holidays by country and market, from the ``holidays`` library.

The only module that imports it; nothing else may.
"""

from __future__ import annotations

from ..errors import MissingExtraError, TriggerError
from ..util import suggestion

try:
    import holidays
except ImportError as exc:
    raise MissingExtraError("A business calendar by country or market", "holidays") from exc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date


def check_names(countries: Iterable[str], markets: Iterable[str]) -> None:
    """Refuse names that the library does not know.

    :raises TriggerError: with the nearest name
    """
    known = holidays.list_supported_countries(include_aliases=True)
    for name in countries:
        code, _, part = name.partition("-")
        if code not in known:
            raise TriggerError(
                f"There are no holidays of the country {name!r}{suggestion(code, known)}; write its ISO code, as in DE or US-NY"
            )
        if part and part not in {known_part.upper() for known_part in known[code]}:
            raise TriggerError(
                f"There are no holidays of the part {part!r} of {code}{suggestion(part, known[code])}; there are "
                f"{', '.join(known[code]) or 'none'}"
            )
    exchanges = holidays.list_supported_financial(include_aliases=True)
    for name in markets:
        if name not in exchanges:
            raise TriggerError(
                f"There are no holidays of the market {name!r}{suggestion(name, exchanges)}; there are {', '.join(exchanges)}"
            )


def holidays_of(countries: Iterable[str], markets: Iterable[str], year: int) -> frozenset[date]:
    """Return the days of a year on which any of the countries or markets has a holiday."""
    found: set[date] = set()
    for name in countries:
        code, _, part = name.partition("-")
        parts = holidays.list_supported_countries(include_aliases=True)[code] if part else ()
        spelled = next((known for known in parts if known.upper() == part), None)
        found.update(holidays.country_holidays(code, subdiv=spelled, years=year))
    for name in markets:
        found.update(holidays.financial_holidays(name, years=year))
    return frozenset(found)
