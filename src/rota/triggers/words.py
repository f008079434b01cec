"""The words in which triggers explain themselves, for each language.

Pure text: a language says how sets of hours, days or months are named and joined, and knows no trigger.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

#: A set of numbers in words: ("all",), ("every", n), ("range", a, b), ("steps", n, a, b) or ("list", a, b, c…).
Shape = tuple[str | int, ...]


class Words:
    """A language. The methods take shapes (see :data:`Shape`), numbers and texts that are words already."""

    weekdays: Sequence[str]
    joint: str
    either: str

    def listed(self, items: Sequence[str], joint: str | None = None) -> str:
        """Return ``a, b and c``, or with another joint."""
        if len(items) < 2:
            return "".join(items)
        return f"{', '.join(items[:-1])} {joint or self.joint} {items[-1]}"

    def numbers(self, shape: Shape) -> str:
        """Return a set of numbers that is not the whole: ``1, 3 to 5``."""
        kind, *values = shape
        if kind == "range":
            return f"{values[0]}–{values[1]}"
        return self.listed([str(value) for value in values])


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

    def workday_near(self, day: int | None) -> str:
        if day is None:
            return "the last working day (Monday to Friday)"
        return f"the working day (Monday to Friday) nearest to day {day}"

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


class Vietnamese(Words):
    """Plain Vietnamese."""

    weekdays = ("thứ Hai", "thứ Ba", "thứ Tư", "thứ Năm", "thứ Sáu", "thứ Bảy", "Chủ nhật")
    _ordinals = ("đầu tiên", "thứ hai", "thứ ba", "thứ tư", "thứ năm", "cuối cùng")
    _units = {
        "years": "năm",
        "months": "tháng",
        "weeks": "tuần",
        "days": "ngày",
        "hours": "giờ",
        "minutes": "phút",
        "seconds": "giây",
    }
    joint = "và"
    either = "hoặc"
    every_day = "mỗi ngày"

    def at_times(self, times: Sequence[str]) -> str:
        return f"lúc {self.listed(times)}"

    def seconds(self, shape: Shape) -> str:
        return self._unit("giây", shape, "của phút")

    def minutes(self, shape: Shape) -> str:
        return self._unit("phút", shape, "của giờ")

    def hours(self, shape: Shape) -> str:
        if shape[0] == "range":
            return f"từ {shape[1]:02}:00 đến {shape[2]:02}:59"
        if shape[0] == "every":
            return f"cứ {shape[1]} giờ một lần tính từ nửa đêm"
        if shape[0] == "steps":
            return f"cứ {shape[1]} giờ một lần từ {shape[2]:02}:00 đến {shape[3]:02}:59"
        return f"trong khoảng {self.listed([f'{value:02}:00–{value:02}:59' for value in shape[1:]])}"

    def hourly(self, minute: int, every: int) -> str:
        rhythm = "mỗi giờ" if every == 1 else f"cứ {every} giờ một lần tính từ nửa đêm"
        return rhythm if not minute else f"{rhythm}, vào phút {minute}"

    def _unit(self, unit: str, shape: Shape, whole: str) -> str:
        kind, *values = shape
        if kind == "all":
            return f"mỗi {unit}"
        if kind == "every":
            return f"cứ {values[0]} {unit} một lần"
        if kind == "range":
            return f"mỗi {unit} từ {values[0]} đến {values[1]} {whole}"
        if kind == "steps":
            return f"cứ {values[0]} {unit} một lần từ {unit} {values[1]} đến {values[2]} {whole}"
        return f"vào {unit} {self.numbers(shape)} {whole}"

    def on_days(self, items: Sequence[str]) -> str:
        return f"vào {self.listed(items)} của tháng"

    def days(self, shape: Shape) -> str:
        kind, *values = shape
        if kind == "steps":
            return f"cứ {values[0]} ngày một lần từ ngày {values[1]} đến ngày {values[2]}"
        return f"ngày {values[0]} đến ngày {values[1]}" if kind == "range" else f"ngày {self.numbers(shape)}"

    def nth_weekday(self, which: int, weekday: int) -> str:
        return f"{self.weekdays[weekday]} {self._ordinals[which]}"

    def last_day(self, before: int) -> str:
        return f"ngày thứ {before} trước ngày cuối" if before else "ngày cuối"

    def workday_near(self, day: int | None) -> str:
        if day is None:
            return "ngày làm việc cuối (thứ Hai đến thứ Sáu)"
        return f"ngày làm việc (thứ Hai đến thứ Sáu) gần ngày {day} nhất"

    def on_weekdays(self, shape: Shape, items: Sequence[str], joint: str) -> str:
        named = [] if not shape else self._weekdays(shape)
        special = [f"{item} của tháng" for item in items]
        return f"vào {self.listed([*named, *special], joint)}"

    def _weekdays(self, shape: Shape) -> list[str]:
        kind, *values = shape
        names = [self.weekdays[int(value)] for value in values]
        return [f"{names[0]} đến {names[1]}"] if kind == "range" else names

    def only_if(self, days: str, weekdays: str) -> str:
        return f"{days}, nếu đó là {weekdays.removeprefix('vào ')}"

    def one_or_other(self, days: str, weekdays: str) -> str:
        return f"{days} hoặc {weekdays}"

    def months(self, shape: Shape) -> str:
        kind, *values = shape
        if kind == "range":
            return f"từ tháng {values[0]} đến tháng {values[1]}"
        if kind == "steps":
            return f"cứ {values[0]} tháng một lần từ tháng {values[1]}"
        return f"trong tháng {self.numbers(shape)}"

    def weeks(self, shape: Shape) -> str:
        if shape[0] == "steps":
            return f"cứ {shape[1]} tuần ISO một lần từ tuần {shape[2]} đến tuần {shape[3]}"
        return f"trong tuần ISO {self.numbers(shape)}"

    def years(self, shape: Shape) -> str:
        kind, *values = shape
        if kind == "steps":
            return f"cứ {values[0]} năm một lần từ năm {values[1]} đến năm {values[2]}"
        return (
            f"từ năm {values[0]} đến năm {values[1]}"
            if kind == "range"
            else f"trong năm {self.numbers(shape)}"
        )

    def length(self, parts: Sequence[tuple[str, float]]) -> str:
        return self.listed([f"{number:g} {self._units[unit]}" for unit, number in parts])

    def every(self, length: str) -> str:
        return f"cứ {length} một lần"

    def elapsed(self, start: str) -> str:
        return f"theo thời gian trôi qua, tính từ {start}"

    def after_end(self, length: str) -> str:
        return f"mỗi lần {length} sau khi lần chạy trước kết thúc"

    def beginning(self, start: str) -> str:
        return f"bắt đầu từ {start}"

    def ending(self, end: str) -> str:
        return f"cho đến {end}"

    def once(self, at: str) -> str:
        return f"một lần, lúc {at}"

    def at_time(self, time: str) -> str:
        return f"lúc {time}"

    def jitter(self, seconds: float) -> str:
        return f"trễ ngẫu nhiên tối đa {seconds:g} giây"

    def all_of(self, parts: Sequence[str]) -> str:
        return f"mỗi khi tất cả những điều sau trùng nhau: ({'); ('.join(parts)})"

    def any_of(self, parts: Sequence[str]) -> str:
        return f"mỗi khi một trong những điều sau xảy ra: ({'); ('.join(parts)})"

    def own_rule(self, text: str) -> str:
        return f"theo quy tắc riêng: {text}"


LANGUAGES: dict[str, English | Vietnamese] = {"en": English(), "vi": Vietnamese()}


def _nth(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10 if number % 100 not in (11, 12, 13) else 0, "th")
    return f"{number}{ending}"


def _one(length: str) -> str:
    return length if length[0].isdigit() else f"one {length}"
