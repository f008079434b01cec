"""English words of triggers that explain themselves.

Pure text: a language says how sets of hours, days or months are named and joined, and knows no trigger.
"""

from __future__ import annotations

from .shapes import Words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .shapes import Shape


class English(Words):
    """Plain English."""

    weekdays = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
    _months = (
        *("January", "February", "March", "April", "May", "June"),
        *("July", "August", "September", "October", "November", "December"),
    )
    _ordinals = ("first", "second", "third", "fourth", "fifth", "last")
    joint = "and"
    either = "or"
    every_day = "every day"

    # ------------------------------------------------------------------------------------------------- times of day

    def at_times(self, times: Sequence[str]) -> str:
        return f"at {self.listed(times)}"

    def seconds(self, shape: Shape) -> str:
        return self._unit("second", shape, "of the minute")

    def minutes(self, shape: Shape) -> str:
        return self._unit("minute", shape, "of the hour")

    def hours(self, shape: Shape) -> str:
        if shape[0] == "range":
            return f"from {shape[1]:02}:00 to {shape[2]:02}:59"
        if shape[0] == "every":
            return f"in every {_nth(int(shape[1]))} hour from midnight on"
        if shape[0] == "steps":
            return f"in every {_nth(int(shape[1]))} hour from {shape[2]:02}:00 to {shape[3]:02}:59"
        named = self.listed([f"{value:02}:00–{value:02}:59" for value in shape[1:]])
        return f"in the hour {named}" if len(shape) == 2 else f"in the hours {named}"

    def hourly(self, minute: int, every: int) -> str:
        """Return at which minute of how many hours."""
        rhythm = "every hour" if every == 1 else f"every {every} hours from midnight on"
        return rhythm if not minute else f"{rhythm} at minute {minute}"

    def _unit(self, unit: str, shape: Shape, whole: str) -> str:
        kind, *values = shape
        if kind == "all":
            return f"every {unit}"
        if kind == "every":
            return f"every {values[0]} {unit}s"
        if kind == "range":
            return f"every {unit} from {values[0]} to {values[1]} {whole}"
        if kind == "steps":
            return f"every {values[0]} {unit}s from {unit} {values[1]} to {values[2]} {whole}"
        return f"at {unit}{'s' if len(values) > 1 else ''} {self.numbers(shape)} {whole}"

    # -------------------------------------------------------------------------------------------------------- dates

    def on_days(self, items: Sequence[str]) -> str:
        return f"on {self.listed(items)} of the month"

    def days(self, shape: Shape) -> str:
        kind, *values = shape
        if kind == "range":
            return f"days {values[0]} to {values[1]}"
        if kind == "steps":
            return f"every {_nth(int(values[0]))} day from day {values[1]} to {values[2]}"
        return f"day{'s' if len(values) > 1 else ''} {self.numbers(shape)}"

    def nth_weekday(self, which: int, weekday: int) -> str:
        return f"the {self._ordinals[which]} {self.weekdays[weekday]}"

    def last_day(self, before: int) -> str:
        if not before:
            return "the last day"
        return f"the {_nth(before + 1)} last day" if before > 1 else "the day before the last"

    def workday_near(self, day: int | None, before: int) -> str:
        if day is None and not before:
            return "the last working day (Monday to Friday)"
        near = self.last_day(before) if day is None else f"day {day}"
        return f"the working day (Monday to Friday) nearest to {near}"

    def on_weekdays(self, shape: Shape, items: Sequence[str], joint: str) -> str:
        named = [] if not shape else self._weekdays(shape)
        special = [f"{item} of the month" for item in items]
        return f"on {self.listed([*named, *special], joint)}"

    def _weekdays(self, shape: Shape) -> list[str]:
        kind, *values = shape
        if kind == "range":
            return [f"{self.weekdays[int(values[0])]} to {self.weekdays[int(values[1])]}"]
        return [self.weekdays[int(value)] for value in values]

    def only_if(self, days: str, weekdays: str) -> str:
        return f"{days}, if that is {weekdays.removeprefix('on ')}"

    def one_or_other(self, days: str, weekdays: str) -> str:
        return f"{days} or {weekdays}"

    def months(self, shape: Shape) -> str:
        kind, *values = shape
        if kind == "steps":
            return f"in every {_nth(int(values[0]))} month from {self._months[int(values[1]) - 1]} on"
        names = [self._months[int(value) - 1] for value in values]
        return f"from {names[0]} to {names[1]}" if kind == "range" else f"in {self.listed(names)}"

    def weeks(self, shape: Shape) -> str:
        if shape[0] == "steps":
            return f"in every {_nth(int(shape[1]))} ISO week from {shape[2]} to {shape[3]}"
        return f"in ISO week{'s' if len(shape) > 2 else ''} {self.numbers(shape)}"

    def years(self, shape: Shape) -> str:
        kind, *values = shape
        if kind == "steps":
            return f"in every {_nth(int(values[0]))} year from {values[1]} to {values[2]}"
        return f"from {values[0]} to {values[1]}" if kind == "range" else f"in {self.numbers(shape)}"

    # ------------------------------------------------------------------------------------------------ other triggers

    def length(self, parts: Sequence[tuple[str, float]]) -> str:
        """Return a length of time; ``parts`` are units in the plural and how many there are."""
        named = [f"{number:g} {unit[:-1] if number == 1 else unit}" for unit, number in parts]
        if len(named) == 1 and parts[0][1] == 1:
            return parts[0][0][:-1]
        return self.listed(named)

    def every(self, length: str) -> str:
        return f"every {length}"

    def elapsed(self, start: str) -> str:
        return f"in elapsed time counted from {start}"

    def after_end(self, length: str) -> str:
        return f"each time {_one(length)} after the end of the previous run"

    def beginning(self, start: str) -> str:
        return f"from {start} on"

    def ending(self, end: str) -> str:
        return f"until {end}"

    def once(self, at: str) -> str:
        return f"once, at {at}"

    def after_runs(self, job_id: str, on: str, delay: str | None) -> str:
        """Return when a job runs that the ends of another one's runs start."""
        ends = {"succeeded": "has succeeded", "failed": "has failed", "any": "has ended, whatever its end"}
        if delay is not None and not delay[:1].isdigit():
            delay = f"1 {delay}"
        return f"{'' if delay is None else f'{delay} '}after each run of {job_id} that {ends[on]}"

    def at_time(self, time: str) -> str:
        return f"at {time}"

    def jitter(self, seconds: float) -> str:
        return f"up to {seconds:g} seconds late at random"

    def all_of(self, parts: Sequence[str]) -> str:
        return f"whenever all of these fall together: ({'); ('.join(parts)})"

    def any_of(self, parts: Sequence[str]) -> str:
        return f"whenever one of these comes: ({'); ('.join(parts)})"

    def own_rule(self, text: str) -> str:
        return f"by a rule of its own: {text}"

    def spread(self, seconds: float) -> str:
        return f"spread over {seconds:g} seconds by the job's id"

    # ------------------------------------------------------------------------------------------------------- algebra

    def only_between(self, start: str, end: str) -> str:
        return f"only from {start} to {end}"

    def only(self, days: str) -> str:
        return f"only {days}"

    def business_days(self, calendar: str) -> str:
        return f"on business days{calendar}"

    def rolled(self, convention: str, days: int, calendar: str) -> str:
        moved = {
            "none": "",
            "previous": "what falls on another day than a business day comes on the one before it",
            "next": "what falls on another day than a business day comes on the next one",
            "modified_following": (
                "what falls on another day than a business day comes on the next one in the month, else on the last"
            ),
            "modified_previous": (
                "what falls on another day than a business day comes on the one before it in the month, else on the first"
            ),
        }.get(convention, f"moved to business days by the convention {convention!r}")
        if not days:
            return f"{moved}{calendar}"
        shifted = (
            f"{abs(days)} business day{'s' if abs(days) > 1 else ''} {'later' if days > 0 else 'earlier'}"
        )
        return f"{moved}, then {shifted}{calendar}" if moved else f"{shifted}{calendar}"

    def calendar(self, names: Sequence[str]) -> str:
        return f" ({', '.join(names)})" if names else ""

    def moved(self, length: str, later: bool) -> str:
        return f"each time {_one(length)} {'later' if later else 'earlier'}"

    def limited(self, count: int) -> str:
        return "once in all" if count == 1 else f"{count} times in all"

    def without(self, text: str) -> str:
        return f"except when this comes: ({text})"

    def nth_business_day(self, nth: int, period: str) -> str:
        which = "last" if nth == -1 else f"{_nth(-nth)} last" if nth < 0 else _nth(nth)
        return f"on the {'first' if nth == 1 else which} business day of the {period}"

    def calendar_rule(self, text: str) -> str:
        return f"by the calendar rule {text}"


def _nth(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10 if number % 100 not in (11, 12, 13) else 0, "th")
    return f"{number}{ending}"


def _one(length: str) -> str:
    return length if length[0].isdigit() else f"one {length}"
