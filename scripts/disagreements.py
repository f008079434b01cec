"""Writes docs/triggers/disagreements.md: where other libraries answer otherwise than Rota, on the oracle's random cases.

pip install rota APScheduler==3.11.3 croniter cronsim && python scripts/disagreements.py --cases 26000 --seed 1
"""

from __future__ import annotations

import argparse
import platform
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger as ApschedulerTrigger
from croniter import croniter
from cronsim import CronSim

from rota.triggers.cron import CronTrigger
from tests.oracle.cron_cases import Case, random_case, with_small_steps
from tests.oracle.cron_oracle import Reading

PAGE = Path(__file__).resolve().parents[1] / "docs" / "triggers" / "disagreements.md"
#: How many fire times of a case are compared, and how long a package may take for them (seconds).
TIMES, PATIENCE = 8, 3
HORIZON = timedelta(days=1500)

Answer = list[datetime] | str


class Timeout(Exception):
    """A package took too long."""


@contextmanager
def patience() -> Iterator[None]:
    """Raise Timeout in what takes too long."""

    def ring(*_: Any) -> None:
        raise Timeout

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def answer(make: Callable[[], Iterator[datetime | None]]) -> Answer:
    """Return the next times, or "refused", "hangs" or "fails" with the reason."""
    found: list[datetime] = []
    try:
        with patience():
            try:
                times = make()
            except Timeout:
                raise
            except Exception as exc:
                return f"refused: {exc}"
            for at in times:
                if at is None or len(found) == TIMES or (found and at - found[0] > HORIZON):
                    break
                found.append(at)
    except Timeout:
        return "hangs"
    except Exception as exc:
        if found or type(exc).__name__ not in ("CroniterBadDateError", "CronSimError", "StopIteration"):
            return f"fails: {type(exc).__name__}"
        return "refused: no time found"
    return found


def walk(trigger: Any, start: datetime) -> Iterator[datetime | None]:
    """Yield the times of a trigger with APScheduler's interface."""
    at = trigger.get_next_fire_time(None, start)
    while at is not None:
        yield at
        at = trigger.get_next_fire_time(at, at)


def of_croniter(times: Any) -> Iterator[datetime | None]:
    """Yield the times of a croniter object."""
    while True:
        yield times.get_next(datetime)


def packages(case: Case, zone: Any) -> dict[str, Callable[[datetime], Iterator[datetime | None]]]:
    """Return how each package walks a case from a start on; Rota is first."""
    expression = case.expression
    if case.notation == "keyword":
        return {
            "rota": lambda start: walk(CronTrigger(**case.texts, timezone=zone), start),  # type: ignore[arg-type]
            "APScheduler, fields": lambda start: walk(ApschedulerTrigger(**case.texts, timezone=zone), start),
        }
    return {
        "rota": lambda start: walk(CronTrigger.from_crontab(expression, zone, now=0), start),
        "APScheduler, crontab": lambda start: walk(ApschedulerTrigger.from_crontab(expression, zone), start),
        "croniter": lambda start: of_croniter(croniter(expression, start - timedelta(seconds=1))),
        "cronsim": lambda start: CronSim(expression, start - timedelta(seconds=1)),
    }


# ---------------------------------------------------------------------------------------------------- why they differ

WHY = {
    "refused: L, W, #, ?": (
        "The extensions `L`, `L-n`, `LW`, `nW`, `5#3`, `5L` and `?` are not all understood."
    ),
    "refused: reversed weekdays": (
        "A range of weekdays that runs over the end of the package's week (`fri-mon`, `5-1`) is not "
        "understood."
    ),
    "refused: weekday 7": "7 is not understood as Sunday; crontab(5) knows both 0 and 7.",
    "refused: long step": (
        "A step that is longer than its range (`*/90`, `52/9`) is refused. Vixie cron reads it as the first"
        " value, and so does Rota in crontab strings."
    ),
    "refused: star in a list": "A star within a list (`*,5`) is not understood.",
    "refused: no date": (
        "The package finds no date at all where an n-th weekday (`sun#1`) or a working day (`1W`) stands beside a "
        "restricted day or weekday: it wants both, crontab(5) wants either."
    ),
    "refused: other": (
        "Another form that crontab(5) or APScheduler's documentation allows is not understood."
    ),
    "hangs": f"No answer within {PATIENCE} seconds.",
    "fails": ("The expression is understood, and the search for the next time raises an exception."),
    "reads: weekday numbers": ("0 is Monday in the package's crontab strings; in crontab(5) it is Sunday."),
    "reads: day and weekday": (
        "Where both day and weekday are restricted, crontab(5) fires when *either* matches, and when *both*"
        " do where one begins with `*` (`*/2` too); the package joins them otherwise."
    ),
    "reads: L, W, #": (
        "The extension means something else there, or not all of it is evaluated where it stands in a list "
        "or beside another restriction."
    ),
    "reads: weekday steps": (
        "`*/n`, `a/n` and ranges in the weekday field are counted otherwise; in crontab(5) they run from "
        "Sunday = 0 to Sunday = 7."
    ),
    "reads: ignored text": (
        "Text that the package does not understand is left out in silence: `sat#3` is every Saturday."
    ),
    "reads: reversed weekdays": (
        "A range of weekdays that runs over the end of the week comes out otherwise."
    ),
    "reads: otherwise": "The same expression matches other dates or times, in UTC too.",
    "invents a time that does not exist": (
        "The answer is a wall time that clocks do not show on that date. What it is as an instant depends "
        "on who converts it."
    ),
    "goes back or stands still": "An answer is not later than the start, or than the answer before it.",
    "fires twice in an overlap": (
        "A job at a fixed time fires in both passes of a repeated hour. Vixie cron runs it once, and so "
        'does Rota (`dst="wall"`: twice).'
    ),
    "leaves out the second pass": (
        "A job that follows real time (its minute or hour begins with `*`) misses the second pass of a "
        "repeated hour; Vixie cron and Rota run it."
    ),
    "loses a start between the passes": (
        "A schedule that begins after the first pass of its time and before the second does not run on that"
        " date; in Rota it runs on the second pass, so no date is lost."
    ),
    "does not make up for a gap": (
        'A fixed time that falls into a gap is left out, as Kubernetes does (`dst="wall"`), or comes as '
        'long after the gap as it lies in it (`dst="shift"`). Vixie cron runs it right after the gap, once,'
        " and so does Rota."
    ),
    "fires elsewhere for a gap": (
        "A time in a gap fires where the clocks come out of it, though the job follows real time or the "
        "jump is longer than three hours; or a fixed one at another time than right after the gap."
    ),
    "skips a time": "A real, matching time is left out.",
    "invents a time": (
        "The package fires once too often, or at a time that the expression does not match "
        "(where it reads it otherwise, which the same walk in UTC did not show)."
    ),
}


def refusal(case: Case, name: str) -> str:
    """Return what in an expression a package is likely to have refused."""
    day, weekday = case.texts.get("day", "*"), case.texts.get("day_of_week", "*")
    if case.notation != "keyword" and _special(day, weekday):
        return "refused: L, W, #, ?"
    if _reversed_weekdays(case, name):
        return "refused: reversed weekdays"
    if case.notation != "keyword" and "7" in weekday:
        return "refused: weekday 7"
    if any(with_small_steps(field, text) != text for field, text in case.texts.items()):
        return "refused: long step"
    if any("*," in text for text in case.texts.values()):
        return "refused: star in a list"
    return "refused: other"


def _special(day: str, weekday: str) -> bool:
    ends = any(item.upper().endswith("L") for item in weekday.split(","))
    return ends or "#" in weekday or "?" in day + weekday or "L" in day or "W" in day


def _reversed_weekdays(case: Case, name: str) -> bool:
    """Tell whether a range of weekdays runs over the end of a package's week, which in APScheduler is Sunday."""
    names = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
    if name.startswith("APScheduler"):
        names = [*names[1:], names[0]]
    for item in case.texts.get("day_of_week", "*").split(","):
        first, dash, last = item.partition("/")[0].partition("-")
        if dash:
            low, high = (
                names.index(end.lower()) if end.lower() in names else int(end) for end in (first, last)
            )
            if low > high:
                return True
    return False


def reading(case: Case, name: str) -> str:
    """Return why a package reads an expression otherwise, from what the expression has."""
    day, weekday = case.texts.get("day", "*"), case.texts.get("day_of_week", "*")
    if name.startswith("APScheduler"):
        if "#" in weekday or any(item.upper().endswith("L") for item in weekday.split(",")) or "L" in day:
            return "reads: ignored text"
        if any(sign.isdigit() for sign in weekday):
            return "reads: weekday numbers"
    if day not in ("*", "?") and weekday not in ("*", "?"):
        return "reads: day and weekday"
    if _special(day, weekday):
        return "reads: L, W, #"
    if _reversed_weekdays(case, name):
        return "reads: reversed weekdays"
    return (
        "reads: weekday steps"
        if weekday not in ("*", "?") and ("/" in weekday or "-" in weekday)
        else "reads: otherwise"
    )


def clock_change(case: Case, ours: list[datetime], theirs: list[datetime]) -> str:
    """Return what is otherwise where the clocks change."""
    zone = ZoneInfo(case.zone)
    rule = Reading(case.texts, case.notation)
    before: datetime = datetime.fromtimestamp(case.start - 1, UTC)
    for number in range(max(len(ours), len(theirs))):
        mine = ours[number] if number < len(ours) else None
        other = theirs[number] if number < len(theirs) else None
        if (
            mine is not None
            and other is not None
            and mine.astimezone(UTC) == other.astimezone(UTC)
            and _is_real(other, zone)
        ):
            before = other
            continue
        if other is None:
            return "skips a time"
        if not _is_real(other, zone):
            return "invents a time that does not exist"
        if other.astimezone(UTC) <= before.astimezone(UTC):
            return "goes back or stands still"
        matches = rule.matches(_wall(other, zone))
        if mine is None or other.astimezone(UTC) < mine.astimezone(UTC):
            if not matches:
                return "fires elsewhere for a gap" if _near_gap(other, zone) else "invents a time"
            return "fires twice in an overlap" if other.astimezone(zone).fold else "invents a time"
        if not rule.matches(_wall(mine, zone)):
            return "does not make up for a gap" if matches else "fires elsewhere for a gap"
        if not mine.astimezone(zone).fold:
            return "skips a time"
        return "leaves out the second pass" if rule.wild else "loses a start between the passes"
    raise AssertionError("they do not differ")


def _wall(at: datetime, zone: ZoneInfo) -> datetime:
    return at.astimezone(UTC).astimezone(zone).replace(tzinfo=None, fold=0)


def _is_real(at: datetime, zone: ZoneInfo) -> bool:
    return at.replace(tzinfo=None, fold=0) == _wall(at, zone)


def _near_gap(at: datetime, zone: ZoneInfo) -> bool:
    earlier = at.astimezone(UTC) - timedelta(hours=25)
    return earlier.astimezone(zone).utcoffset() != at.astimezone(UTC).astimezone(zone).utcoffset()


def difference(case: Case, name: str, ours: Answer, theirs: Answer) -> str | None:
    """Return in which way a package differs on a case, or None."""
    if isinstance(ours, str):
        return None
    if isinstance(theirs, str):
        if theirs.startswith("refused"):
            return "refused: no date" if "no time found" in theirs else refusal(case, name)
        return theirs.partition(":")[0]
    zone = ZoneInfo(case.zone)
    same = [at.astimezone(UTC) for at in ours] == [at.astimezone(UTC) for at in theirs]
    if same and all(_is_real(at, zone) for at in theirs):
        return None
    start = datetime.fromtimestamp(case.start, UTC)
    plain = packages(case, UTC)
    if answer(lambda: plain["rota"](start)) != answer(lambda: plain[name](start)):
        return reading(case, name)
    return clock_change(case, ours, theirs)


# -------------------------------------------------------------------------------------------------------- the page


class Found:
    """How often something was found, and the shortest case that shows it."""

    def __init__(self) -> None:
        self.count = 0
        self.example: tuple[int, str, str, str] | None = None

    def add(self, case: Case, ours: Answer, theirs: Answer) -> None:
        self.count += 1
        if self.example is None or len(case.expression) < self.example[0]:
            shown, other = _first_difference(case, ours, theirs)
            start = datetime.fromtimestamp(case.start, ZoneInfo(case.zone))
            self.example = (
                len(case.expression),
                f"`{case.expression}`, {case.zone}, from {_short(start)}",
                shown,
                other,
            )


def _short(at: datetime) -> str:
    return at.isoformat(timespec="minutes" if not at.second else "seconds").replace("T", " ")


def _first_difference(case: Case, ours: Answer, theirs: Answer) -> tuple[str, str]:
    assert not isinstance(ours, str)
    if isinstance(theirs, str):
        return (_short(ours[0]) if ours else "no time"), theirs.partition(":")[0]
    zone = ZoneInfo(case.zone)
    for number in range(max(len(ours), len(theirs))):
        mine = ours[number] if number < len(ours) else None
        other = theirs[number] if number < len(theirs) else None
        if (
            mine is None
            or other is None
            or mine.astimezone(UTC) != other.astimezone(UTC)
            or not _is_real(other, zone)
        ):
            return ("no more" if mine is None else _short(mine)), (
                "no more" if other is None else _short(other)
            )
    return "", ""


def main() -> int:
    """Ask all packages about all cases and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=26000)
    parser.add_argument("--seed", default="1")
    parser.add_argument(
        "--print", action="store_true", dest="show", help="print the page instead of writing it"
    )
    options = parser.parse_args()
    asked: dict[str, int] = {}
    found: dict[str, dict[str, Found]] = {}
    for number in range(options.cases):
        case = random_case(f"{options.seed}:{number}")
        if case.notation == "quartz" or (case.notation == "cron" and len(case.expression.split()) != 5):
            continue
        zone = ZoneInfo(case.zone)
        start = datetime.fromtimestamp(case.start, zone)
        walks = packages(case, zone)
        ours = answer(lambda walks=walks, start=start: walks["rota"](start))  # type: ignore[misc]
        for name, make in walks.items():
            if name == "rota":
                continue
            asked[name] = asked.get(name, 0) + 1
            theirs = answer(lambda make=make, start=start: make(start))  # type: ignore[misc]
            what = difference(case, name, ours, theirs)
            if what is not None:
                found.setdefault(name, {}).setdefault(what, Found()).add(case, ours, theirs)
    page = "\n".join(_page(options, asked, found))
    if options.show:
        print(page)
    else:
        PAGE.write_text(page + "\n", encoding="utf-8")
    return 0


def _page(
    options: argparse.Namespace, asked: dict[str, int], found: dict[str, dict[str, Found]]
) -> Iterator[str]:
    yield "# Where other libraries answer otherwise"
    yield ""
    yield (
        f"Written by `scripts/disagreements.py --cases {options.cases} --seed {options.seed}` with APScheduler "
        f"{version('APScheduler')}, croniter {version('croniter')} and cronsim {version('cronsim')} on Python "
        f"{platform.python_version()}. The cases are those on which Rota's cron triggers are held against an oracle (see "
        "[how it is proven](cron.md#how-it-is-proven)), as far as the other library has the notation: "
        "they are made to lie around changes of the clocks and to use every corner of the notation, so the shares tell nothing of "
        'ordinary schedules on ordinary days. Rota uses its default policy, `dst="vixie"`; a case counts once, by the first time '
        "that differs."
    )
    yield ""
    yield "| library | cases | answers like Rota |"
    yield "|---|---|---|"
    for name, count in asked.items():
        other = sum(item.count for item in found.get(name, {}).values())
        yield f"| {name} | {count:,} | {count - other:,} ({(count - other) / count:.0%}) |"
    for name in asked:
        yield ""
        yield f"## {name}"
        yield ""
        yield "| what | cases | why | example | Rota | there |"
        yield "|---|---|---|---|---|---|"
        for what, item in sorted(found.get(name, {}).items(), key=lambda pair: -pair[1].count):
            assert item.example is not None
            _, case, ours, theirs = item.example
            yield f"| {what} | {item.count:,} | {WHY[what]} | {case.replace('|', '∣')} | {ours} | {theirs} |"


if __name__ == "__main__":
    sys.exit(main())
