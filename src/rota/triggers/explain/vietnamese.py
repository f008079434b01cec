"""Vietnamese words of triggers that explain themselves.

Pure text; see :mod:`rota.triggers.explain.shapes`.
"""

from __future__ import annotations

from .shapes import Words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .shapes import Shape


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

    def workday_near(self, day: int | None, before: int) -> str:
        if day is None and not before:
            return "ngày làm việc cuối (thứ Hai đến thứ Sáu)"
        near = self.last_day(before) if day is None else f"ngày {day}"
        return f"ngày làm việc (thứ Hai đến thứ Sáu) gần {near} nhất"

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

    def after_runs(self, job_id: str, on: str, delay: str | None) -> str:
        """Return when a job runs that the ends of another one's runs start."""
        ends = {"succeeded": "thành công", "failed": "thất bại", "any": "kết thúc, bất kể kết quả"}
        if delay is not None and not delay[:1].isdigit():
            delay = f"1 {delay}"
        return f"{'' if delay is None else f'{delay} '}sau mỗi lần {job_id} {ends[on]}"

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

    def spread(self, seconds: float) -> str:
        return f"rải trong {seconds:g} giây theo mã công việc"

    def only_between(self, start: str, end: str) -> str:
        return f"chỉ từ {start} đến {end}"

    def only(self, days: str) -> str:
        return f"chỉ {days}"

    def business_days(self, calendar: str) -> str:
        return f"vào ngày làm việc{calendar}"

    def rolled(self, convention: str, days: int, calendar: str) -> str:
        moved = {
            "none": "",
            "previous": "nếu không rơi vào ngày làm việc thì lùi về ngày làm việc trước đó",
            "next": "nếu không rơi vào ngày làm việc thì dời sang ngày làm việc kế tiếp",
            "modified_following": (
                "nếu không rơi vào ngày làm việc thì dời sang ngày làm việc kế tiếp trong tháng, hoặc ngày làm việc cuối tháng"
            ),
            "modified_previous": (
                "nếu không rơi vào ngày làm việc thì lùi về ngày làm việc trước đó trong tháng, hoặc ngày làm việc đầu tháng"
            ),
        }.get(convention, f"dời sang ngày làm việc theo quy ước {convention!r}")
        if not days:
            return f"{moved}{calendar}"
        shifted = f"{'sau' if days > 0 else 'trước'} {abs(days)} ngày làm việc"
        return f"{moved}, rồi {shifted}{calendar}" if moved else f"{shifted}{calendar}"

    def calendar(self, names: Sequence[str]) -> str:
        return f" ({', '.join(names)})" if names else ""

    def moved(self, length: str, later: bool) -> str:
        return f"mỗi lần {'muộn hơn' if later else 'sớm hơn'} {length}"

    def limited(self, count: int) -> str:
        return f"tổng cộng {count} lần"

    def without(self, text: str) -> str:
        return f"trừ khi điều sau xảy ra: ({text})"

    def nth_business_day(self, nth: int, period: str) -> str:
        shown = {"month": "tháng", "quarter": "quý", "half-year": "nửa năm", "year": "năm"}[period]
        if nth < 0:
            return f"vào ngày làm việc {'cuối cùng' if nth == -1 else f'thứ {-nth} từ cuối'} của {shown}"
        return f"vào ngày làm việc {'đầu tiên' if nth == 1 else f'thứ {nth}'} của {shown}"

    def calendar_rule(self, text: str) -> str:
        return f"theo quy tắc lịch {text}"
