"""What to write instead of a name that is no time zone: an abbreviation (PST), or an offset with letters before it (UTC+2).

Texts only; it looks nothing up.
"""

from __future__ import annotations

import re

#: Abbreviations that are no zones of the tz database, and the zones whose clocks show them; some have several.
_ABBREVIATIONS = {
    "ACDT": "Australia/Adelaide",
    "ACST": "Australia/Adelaide or Australia/Darwin",
    "ADT": "America/Halifax",
    "AEDT": "Australia/Sydney",
    "AEST": "Australia/Sydney or Australia/Brisbane",
    "AKDT": "America/Anchorage",
    "AKST": "America/Anchorage",
    "ART": "America/Argentina/Buenos_Aires",
    "AST": "America/Halifax or Asia/Riyadh",
    "AWST": "Australia/Perth",
    "BRT": "America/Sao_Paulo",
    "BST": "Europe/London or Asia/Dhaka",
    "CAT": "Africa/Maputo",
    "CDT": "America/Chicago",
    "CEST": "Europe/Paris (or CET)",
    "CST": "America/Chicago or Asia/Shanghai",
    "EAT": "Africa/Nairobi",
    "EDT": "America/New_York",
    "EEST": "Europe/Athens (or EET)",
    "GST": "Asia/Dubai",
    "HKT": "Asia/Hong_Kong",
    "ICT": "Asia/Ho_Chi_Minh or Asia/Bangkok",
    "IDT": "Asia/Jerusalem",
    "IST": "Asia/Kolkata, Asia/Jerusalem or Europe/Dublin",
    "JST": "Asia/Tokyo",
    "KST": "Asia/Seoul",
    "MDT": "America/Denver",
    "MSK": "Europe/Moscow",
    "NDT": "America/St_Johns",
    "NST": "America/St_Johns",
    "NZDT": "Pacific/Auckland",
    "NZST": "Pacific/Auckland",
    "PDT": "America/Los_Angeles",
    "PHT": "Asia/Manila",
    "PKT": "Asia/Karachi",
    "PST": "America/Los_Angeles or Asia/Manila",
    "SAST": "Africa/Johannesburg",
    "SGT": "Asia/Singapore",
    "TRT": "Europe/Istanbul",
    "WAT": "Africa/Lagos",
    "WEST": "Europe/Lisbon (or WET)",
    "WIB": "Asia/Jakarta",
    "Z": "UTC",
}
_OFFSET = re.compile(r"(?:UTC|GMT|Z)?\s*([+-])([01]?\d|2[0-3])(?::?([0-5]\d))?", re.IGNORECASE)


def zone_hint(name: str) -> str:
    """Return what to write instead, as the end of a sentence (``"; …"``), or an empty string.

    >>> zone_hint("PDT")
    "; PDT is an abbreviation: write the zone's own name, America/Los_Angeles"
    >>> zone_hint("UTC+2")
    "; write the offset alone, +02:00, or the name of a zone, which knows daylight saving time"
    """
    zones = _ABBREVIATIONS.get(name.strip().upper())
    if zones is not None:
        return f"; {name} is an abbreviation: write the zone's own name, {zones}"
    offset = _OFFSET.fullmatch(name.strip())
    if offset is not None:
        sign, hours, minutes = offset.groups()
        text = f"{sign}{int(hours):02}:{minutes or '00'}"
        return f"; write the offset alone, {text}, or the name of a zone, which knows daylight saving time"
    return ""
