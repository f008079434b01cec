"""What earlier versions have pickled is read although the modules of its classes have moved."""

from __future__ import annotations

from rota.calendars import BusinessCalendar
from rota.codec.pickles import PICKLED, load_pickled
from rota.triggers.combining import OrTrigger
from rota.triggers.interval import IntervalTrigger

#: A trigger that an earlier version has pickled: derived ones in a combined one, each in the other's state.
WRITTEN = (
    "gASVqAIAAAAAAACMF3JvdGEudHJpZ2dlcnMuY29tYmluaW5nlIwJT3JUcmlnZ2VylJOUKYGUfZQojAd2ZXJzaW9ulEsBjAh0cmln"
    "Z2Vyc5RdlCiMInJvdGEudHJpZ2dlcnMuc3RyZWFtczpMaW1pdFRyaWdnZXKUfZQoaAVLAYwHdHJpZ2dlcpSMJXJvdGEudHJpZ2dl"
    "cnMuZmlsdGVyczpXZWVrZGF5c1RyaWdnZXKUfZQoaAVLAWgKjCZyb3RhLnRyaWdnZXJzLmludGVydmFsOkludGVydmFsVHJpZ2dl"
    "cpR9lChoBUsCjAh0aW1lem9uZZSMCGRhdGV0aW1llIwIdGltZXpvbmWUk5RoEIwJdGltZWRlbHRhlJOUSwBLAEsAh5RSlIWUUpSM"
    "CnN0YXJ0X2RhdGWUaBCMCGRhdGV0aW1llJOUQwoH6gEBAAAAAAAAlGgYhpRSlIwIZW5kX2RhdGWUTowIaW50ZXJ2YWyUaBRLAE0Q"
    "DksAh5RSlIwGaml0dGVylE51hpSMCnBhcmFtZXRlcnOUfZSMCHdlZWtkYXlzlIwDbW9ulHN1hpRoJX2UjAVjb3VudJRLA3N1hpSM"
    "InJvdGEudHJpZ2dlcnMuYnVzaW5lc3M6Um9sbFRyaWdnZXKUfZQoaAVLAWgKjCRyb3RhLnRyaWdnZXJzLmZpbHRlcnM6QmV0d2Vl"
    "blRyaWdnZXKUfZQoaAVLAWgKaA19lChoBUsCaA9oGGgZaBtDCgfqAQEAAAAAAACUaBiGlFKUaB9OaCBoFEsATRAOSwCHlFKUaCNO"
    "dYaUaCV9lCiMBXN0YXJ0lIwFMDg6MDCUjANlbmSUjAUxODowMJR1dYaUaCV9lCiMCGNhbGVuZGFylH2UjApjb252ZW50aW9ulIwE"
    "bmV4dJR1dYaUZWgjTnViLg=="
)


def test_derived_triggers_that_were_pickled_before_their_modules_moved_are_read() -> None:
    hourly = IntervalTrigger(hours=1, start_date="2026-01-01", timezone="UTC")
    expected = OrTrigger(
        [hourly.on("mon").limit(3), hourly.between("08:00", "18:00").roll(BusinessCalendar())]
    )
    assert load_pickled(PICKLED + WRITTEN + '"}') == expected
