"""Throws random text at everything that reads schedules: nothing may hang, take much memory, fail otherwise than by an error
of Rota, or be understood in a way that does not survive being written and read again.

    pip install atheris && python fuzz/fuzz_triggers.py -max_total_time=300

Atheris is libFuzzer for Python; see its options with -help=1.
"""

from __future__ import annotations

import json
import sys

import atheris

with atheris.instrument_imports(include=["rota"]):
    from rota.crontab import read_crontab
    from rota.errors import RotaError
    from rota.triggers import trigger_from_spec
    from rota.triggers.base import BaseTrigger
    from rota.triggers.cron import CronTrigger
    from rota.triggers.rrule import RRuleTrigger

FIELDS = CronTrigger.FIELD_NAMES
DIALECTS = ("cron", "quartz", "apscheduler3")
PARTS = (
    "INTERVAL",
    "COUNT",
    "UNTIL",
    "BYMONTH",
    "BYDAY",
    "BYMONTHDAY",
    "BYYEARDAY",
    "BYWEEKNO",
    "BYSETPOS",
    "BYHOUR",
    "WKST",
)
FREQUENCIES = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY")
NOW = 1_800_000_000_000_000
#: Most of the input is made of what a grammar would let through, so that the parsers are reached in their depths.
WORDS = [
    "0", "1", "5", "7", "12", "15", "23", "28", "29", "30", "31", "53", "59", "60", "99", "1970", "2030",
    "9999", "100000000", "*", "?", "L", "W", "LW", "H", "#", "/", "-", ",", "--", "**", "//", ",,",
    "mon", "fri", "SUN", "jan", "Dec", "1st", "2nd", "last", "L-3", "L-3W", "15W", "5L", "fri#2", "*/", "*/5",
    "1-5", "5-1", "-1", "MO", "-1FR", "2TU", "20270101T000000Z", "1--100000000", "H(1-5)", "H/7", "~", "0~9", "~/7",
    "@daily", "@reboot", "@every", "90s", "1h30m", "A=1", "CRON_TZ=UTC", "TZ=UTC ",
    " ", "  ", "\t", "\n", "%", "\x00", "é", "٣", "¹",
]  # fmt: skip


def text_of(data: atheris.FuzzedDataProvider) -> str:
    """Return a text, mostly of words that schedules are made of."""
    if data.ConsumeProbability() < 0.2:
        return str(data.ConsumeUnicodeNoSurrogates(60))
    count = data.ConsumeIntInRange(0, 14)
    return "".join(WORDS[data.ConsumeIntInRange(0, len(WORDS) - 1)] for _ in range(count))


def use(trigger: BaseTrigger) -> None:
    """Use what was understood: it moves forward, looks back to where it was, and means the same when it is stored."""
    first = trigger.after(NOW)
    if first is not None:
        assert first > NOW
        assert trigger.at_or_before(first) == first
        following = trigger.after(first, first)
        assert following is None or following > first
    spec = trigger.spec()
    assert spec is not None
    again = trigger_from_spec(json.loads(json.dumps(spec)))
    assert again == trigger and again.after(NOW) == first, f"{trigger!r} is stored as {spec}"
    assert eval(repr(trigger)) == trigger
    assert trigger.explain() and trigger.explain("vi")
    if not isinstance(trigger, CronTrigger):  # @every
        return
    try:
        text = trigger.to_crontab()
    except RotaError:
        return
    try:
        written = CronTrigger.from_crontab(text, trigger.timezone, dst=trigger.dst)
    except RotaError as exc:  # 29 February of years that have none
        assert trigger.after(0) is None, f"{trigger!r} is written as {text!r}: {exc}"
        return
    assert written.after(NOW) == first, f"{trigger!r} is written as {text!r}"


def one_input(raw: bytes) -> None:
    """Let one of the readers read."""
    data = atheris.FuzzedDataProvider(raw)
    which = data.ConsumeIntInRange(0, 6)
    try:
        if which <= 1:
            parts = [text_of(data) for _ in range(data.ConsumeIntInRange(1, 7))]
            use(
                CronTrigger.from_crontab(
                    " ".join(parts),
                    "Europe/Berlin",
                    dialect=DIALECTS[data.ConsumeIntInRange(0, 2)],
                    seed="s",
                )
            )
        elif which == 2:
            chosen = {
                FIELDS[data.ConsumeIntInRange(0, 7)]: text_of(data)
                for _ in range(data.ConsumeIntInRange(1, 4))
            }
            use(CronTrigger(**chosen, timezone="Europe/Berlin"))  # type: ignore[arg-type]
        elif which == 3:
            for entry in read_crontab(text_of(data) + "\n" + text_of(data)):
                if entry.schedule != "@reboot":
                    use(entry.trigger("Europe/Berlin"))
        elif which == 4:
            flags = {"crontab": data.ConsumeBool(), "day_or_weekday": data.ConsumeBool()}
            stored = {FIELDS[data.ConsumeIntInRange(0, 7)]: text_of(data) for _ in range(3)}
            use(trigger_from_spec({"type": "cron", "timezone": "Europe/Berlin", **flags, **stored}))
        elif which == 5:
            rule = ";".join(
                f"{PARTS[data.ConsumeIntInRange(0, len(PARTS) - 1)]}={text_of(data)}"
                for _ in range(data.ConsumeIntInRange(1, 4))
            )
            recurrence = RRuleTrigger(
                f"FREQ={FREQUENCIES[data.ConsumeIntInRange(0, 6)]};{rule}", "2026-01-01", "UTC"
            )
            first = recurrence.after(NOW)
            assert first is None or first > NOW
            assert eval(repr(recurrence)) == recurrence
        else:
            kind = ("cron", "date", "interval", "calendarinterval")[data.ConsumeIntInRange(0, 3)]
            names = ("run_date", "seconds", "days", "start_date", "end_date", "timezone", "hour", "jitter")
            spec = {name: text_of(data) for name in names[: data.ConsumeIntInRange(0, 8)]}
            trigger_from_spec({"type": kind, "timezone": "UTC", **spec})
    except RotaError:
        pass


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
