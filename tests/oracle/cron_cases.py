"""Random cases for cron triggers, each held against the oracle: ``python -m tests.oracle.cron_cases --cases 20000 --seed 1``.

A case is an expression, a zone, a time at which the schedule begins, and a policy for the changes of the clocks. Two thirds of the
cases lie around a change in a random zone between 1970 and 2050, the others run over years. Reads no clock but for the duration.
"""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime, timedelta
from functools import cache
from random import Random
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, available_timezones

from rota.clock import SECOND, SYSTEM_CLOCK, instant, moment
from rota.errors import NeverFiresError
from rota.triggers.cron import CronTrigger
from tests.oracle.cron_oracle import LIMITS, Change, Reading, calendar_fires, changes, clock, clock_fires

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("Case", "check", "main", "random_case")

POLICIES = ("vixie", "wall", "gap-end", "shift")
_CRONTAB = ("second", "minute", "hour", "day", "month", "day_of_week", "year")
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_DAY = 86400


class Case:
    """An expression in a zone, from a start on, under a policy.

    :ivar texts: the fields by keyword
    :ivar change: the change of the clocks that it is about, None for a case that runs over years
    """

    def __init__(self, texts: dict[str, str], notation: str, zone: str, policy: str) -> None:
        self.texts = texts
        self.notation = notation
        self.zone = zone
        self.policy = policy
        self.start = 0
        self.change: Change | None = None
        self.seed = ""

    @property
    def expression(self) -> str:
        """The fields as they are written in the case's notation."""
        if self.notation == "keyword":
            return ", ".join(f"{name}={text!r}" for name, text in self.texts.items())
        return " ".join(self.texts[name] for name in _CRONTAB if name in self.texts)

    def trigger(self, **options: object) -> CronTrigger:
        """Return the trigger of the case."""
        if self.notation == "keyword":
            return CronTrigger(**self.texts, timezone=self.zone, dst=self.policy, **options)  # type: ignore[arg-type]
        return CronTrigger.from_crontab(
            self.expression,
            self.zone,
            dialect=self.notation,
            dst=self.policy,
            **options,  # type: ignore[arg-type]
        )

    def __str__(self) -> str:
        start = moment(self.start * SECOND, ZoneInfo(self.zone))
        return f"{self.notation} {self.expression!r} in {self.zone} from {start.isoformat()} dst={self.policy!r} ({self.seed})"


# -------------------------------------------------------------------------------------------------------- random cases


@cache
def zones() -> tuple[str, ...]:
    """Return the names of all zones of the tz database, without those of a machine's own."""
    return tuple(sorted(name for name in available_timezones() if name not in ("localtime", "Factory")))


def random_case(seed: str, among: tuple[str, ...] = ()) -> Case:
    """Return the case of a seed, the same on every machine with the same tz database.

    :param seed: any text
    :param among: names of zones to choose from (all by default)
    """
    random = Random(seed)
    far = random.random() < 0.35
    notation = random.choice(("cron", "cron", "cron", "quartz", "keyword", "keyword"))
    zone = random.choice(among or zones())
    while not changes(zone) and random.random() < 0.97:
        zone = random.choice(among or zones())
    around = random.choice(changes(zone)) if changes(zone) else None
    point = around.at if around else random.randrange(0, 80 * 365 * _DAY)
    wall = datetime.fromtimestamp(point, ZoneInfo(zone))
    texts = _dates(random, notation, wall, far)
    texts.update(_times(random, wall, far))
    case = Case(_in_notation(random, texts, notation), notation, zone, random.choice(POLICIES))
    case.seed = seed
    if far:
        case.start = (
            point - random.randrange(0, 400 * _DAY)
            if random.random() < 0.5
            else point - random.randrange(7200)
        )
        case.start = max(case.start, _DAY)
    else:
        case.change = around or Change(point, 0, 0)
        case.start = point - random.randrange(-4 * 3600, 20 * 3600)
    return case


def _in_notation(random: Random, texts: dict[str, str], notation: str) -> dict[str, str]:
    if notation == "keyword":
        kept = {name: with_small_steps(name, text) for name, text in texts.items()}
        return {name: text for name, text in kept.items() if text != "*" or random.random() < 0.5} or {
            "minute": "*"
        }
    result = {"minute": "0", "hour": "0", "day": "*", "month": "*", "day_of_week": "*", **texts}
    if "year" in result or notation == "quartz":
        result.setdefault("second", "0")
    if notation == "quartz":
        # Quartz has one of the two; the other is '?'.
        result["day_of_week" if result["day_of_week"] == "*" or random.random() < 0.5 else "day"] = "?"
    elif random.random() < 0.1:
        result["day" if result["day"] == "*" else "day_of_week"] = "?"
    return result


def with_small_steps(name: str, text: str) -> str:
    """Return a text without the steps that are longer than their range, which the keyword interface refuses."""
    low, high = LIMITS[name]
    items = []
    for item in text.split(","):
        body, _, step = item.partition("/")
        first, dash, last = body.partition("-")
        if step and int(step) > (high if body == "*" or not dash else int(last)) - (
            low if body == "*" else int(first)
        ):
            item = body
        items.append(item)
    return ",".join(items)


def _dates(random: Random, notation: str, near: datetime, far: bool) -> dict[str, str]:
    texts: dict[str, str] = {}
    if random.random() < (0.8 if far else 0.3):
        texts["day"] = _join(random, lambda: _day(random, notation, near))
    if random.random() < (0.6 if far else 0.25):
        texts["day_of_week"] = _join(random, lambda: _weekday(random, notation, near))
    if random.random() < (0.6 if far else 0.15):
        month = _join(random, lambda: _month(random, near))
        texts["month"] = month if far else f"{near.month},{month}"
    if notation == "keyword" and random.random() < 0.15:
        week = near.isocalendar()[1]
        texts["week"] = _join(
            random,
            lambda: random.choice((f"{week}", "53", "1", "52-53", "*/2", f"{max(1, week - 3)}-{week}")),
        )
    if random.random() < 0.08:
        year = near.year
        texts["year"] = random.choice(
            (f"{year}-{year + 3}", "*/2", "*/4", f"{year}-{year + 9}/3", f"{year},{year + 1}")
        )
    return texts


def _times(random: Random, near: datetime, far: bool) -> dict[str, str]:
    """Return hours and minutes that are likely to touch what a change touches; few times a day for cases over years."""
    hour = near.hour
    spots = [str((hour + by) % 24) for by in (-2, -1, -1, 0, 0, 1)]
    low, high = max(0, hour - 2), min(23, hour + 1)
    choices = [
        *spots,
        *spots,
        f"{low}-{high}",
        ",".join(dict.fromkeys(spots)),
        str(random.randrange(24)),
        "0",
        "23",
    ]
    if not far:
        choices += ["*", "*", "*/2", "*/3", f"{low}/2", "0-23", "*/30", "*,5", "*/5,2"]
    texts = {"hour": random.choice(choices)}
    minute = random.randrange(60)
    few = ["0", str(minute), f"{minute % 30},{minute % 30 + 30}"]
    many = [
        "*",
        "*/5",
        "*/7",
        "*/15",
        f"{minute}/9",
        f"{minute % 30}-{minute % 30 + 20}/3",
        "*/90",
        "*,5",
        "0,30",
    ]
    texts["minute"] = random.choice(few if far else [*few, *many])
    if random.random() < 0.12:
        texts["second"] = random.choice((str(random.randrange(60)), "*/20", "0-40/13", "15,45", "*/30"))
    return texts


def _join(random: Random, make: Callable[[], str]) -> str:
    return ",".join(dict.fromkeys(make() for _ in range(random.choice((1, 1, 1, 2, 3)))))


def _day(random: Random, notation: str, near: datetime) -> str:
    first = random.randrange(1, 29)
    common = [
        *[str(near.day)] * 5,
        f"{first}-{first + 3}",
        str(random.randrange(1, 32)),
        "*/2",
        "*/7",
        f"{first}/6",
        "29-31",
    ]
    if notation == "keyword":
        which, weekday = random.choice(["1st", "2nd", "3rd", "4th", "5th", "last"]), random.choice(_WEEKDAYS)
        return random.choice([*common, "last", f"{which} {weekday}", f"{which} {weekday}"])
    before = random.randrange(31)
    counted = f"L-{before}W" if before % 3 else f"L-{before}"
    return random.choice([*common, "L", counted, "LW", f"{random.randrange(1, 32)}W", f"{near.day}W"])


def _weekday(random: Random, notation: str, near: datetime) -> str:
    low, high = {"keyword": (0, 6), "cron": (0, 7), "quartz": (1, 7)}[notation]
    one, two = random.randint(low, high), random.randint(low, high)
    names = random.sample(_WEEKDAYS, 2)
    today = _WEEKDAYS[near.isoweekday() % 7]
    found = [
        str(one),
        f"{one}-{two}",
        f"{names[0]}-{names[1]}",
        names[0].upper(),
        today,
        today,
        f"{today}-{names[0]}",
    ]
    if notation != "keyword":
        which = random.randint(1, 5)
        found += [
            "*/2",
            f"{one}/2",
            f"{min(one, two)}-{max(one, two)}/2",
            f"{one}#{which}",
            f"{names[0]}#{which}",
            f"{one}L",
            f"{today}L",
        ]
    return random.choice(found)


def _month(random: Random, near: datetime) -> str:
    first, last = sorted(random.sample(range(12), 2))
    this = near.month
    found = (
        str(this),
        str(this),
        "2",
        _MONTHS[this - 1],
        f"{_MONTHS[first]}-{_MONTHS[last]}",
        "*/5",
        f"{first + 1}-{last + 1}",
        f"{first + 1}/4",
    )
    return random.choice(found)


# ------------------------------------------------------------------------------------------------------- the comparison


def expected(case: Case) -> tuple[list[int], list[int], int]:
    """Return when the oracle lets a case fire (from its start on, and had it always run), and up to when it has looked."""
    reading = Reading(case.texts, case.notation)
    if case.change is None:
        first = date(1970, 1, 1) + timedelta(days=case.start // _DAY - 3)
        days = 150 if len(reading.hours) * len(reading.minutes) * len(reading.seconds) > 4 else 1600
        end = (case.start // _DAY - 3 + days - 2) * _DAY
        both = [calendar_fires(reading, case.zone, case.policy, first, days, at) for at in (case.start, 0)]
    else:
        change = case.change
        jump = abs(change.after - change.before)
        fine = reading.seconds != [0] or change.at % 60 or change.before % 60 or change.after % 60
        reach = 5400 if fine else 12 * 3600
        low, end = change.at - reach - jump, change.at + reach + jump
        low -= low % 60 if not fine else 0
        case.start = min(max(case.start, low), end - 60)
        ticks = clock(case.zone, low, end, 1 if fine else 60)
        end = ticks[-1].at
        both = [clock_fires(reading, ticks, case.policy, at) for at in (case.start, None)]
    return [at for at in both[0] if at <= end], [at for at in both[1] if at <= end], end


def check(case: Case) -> int:
    """Compare a case with the oracle and return how many fires were compared.

    :raises AssertionError: with the case, if they differ
    """
    wanted, always, end = expected(case)
    try:
        trigger = case.trigger()
    except NeverFiresError:
        assert not wanted, f"refused, but it fires: {case}"
        return 0
    random = Random(case.seed)
    start = case.start * SECOND
    found: list[int] = []
    at = trigger.first(start)
    while at is not None and at <= end * SECOND:
        assert not found or at > found[-1] * SECOND, f"went back: {case}"
        found.append(at // SECOND)
        at = trigger.after(at, at)
    assert found == wanted, f"{case}\n{_difference(case, found, wanted)}"
    _check_looking_back(case, trigger, always, random, end)
    _check_other_zones(case, trigger, wanted, random)
    return len(found)


def _check_looking_back(
    case: Case, trigger: CronTrigger, always: list[int], random: Random, end: int
) -> None:
    """Hold ``at_or_before`` and ``latest`` against the fires of a schedule that has always run."""
    points = [random.randint(always[0], end), always[-1], always[-1] - 1] if always else []
    for point in points:
        earlier = [at for at in always if at <= point]
        if not earlier:
            continue
        back = trigger.at_or_before(point * SECOND)
        assert back == earlier[-1] * SECOND, f"at or before {point}: {back} instead of {earlier[-1]}; {case}"
        first = random.choice(earlier[-50:])
        span = trigger.latest(first * SECOND, point * SECOND)
        if first >= case.start or case.policy in ("wall", "shift"):
            count = len([at for at in earlier if at >= first])
            assert span == (earlier[-1] * SECOND, count), f"from {first} to {point}: {span}; {case}"


def _check_other_zones(case: Case, trigger: CronTrigger, wanted: list[int], random: Random) -> None:
    """Ask with equal times of several zones: the answers are equal, real, and in the trigger's zone."""
    zone = ZoneInfo(case.zone)
    answers = set()
    for other in (UTC, zone, ZoneInfo(random.choice(zones())), ZoneInfo("Australia/Lord_Howe")):
        now = moment(case.start * SECOND, other)
        answer = trigger.get_next_fire_time(None, now)
        answers.add(None if answer is None else instant(answer))
        if answer is None:
            continue
        back = answer.astimezone(UTC).astimezone(zone)
        assert (back.replace(tzinfo=None), back.fold) == (answer.replace(tzinfo=None), answer.fold), (
            f"not real: {case}"
        )
    assert len(answers) == 1, f"{answers} for equal times; {case}"
    if wanted:
        assert answers == {wanted[0] * SECOND}, f"{case}"


def _difference(case: Case, found: list[int], wanted: list[int]) -> str:
    zone = ZoneInfo(case.zone)

    def shown(times: set[int]) -> str:
        return ", ".join(moment(at * SECOND, zone).isoformat() for at in sorted(times)[:5]) or "none"

    return f"  invented: {shown(set(found) - set(wanted))}\n  skipped: {shown(set(wanted) - set(found))}"


def main(arguments: list[str] | None = None) -> int:
    """Check as many cases as asked for, print what differs, and return 1 if anything does."""
    from argparse import ArgumentParser

    parser = ArgumentParser(prog="python -m tests.oracle.cron_cases", description=__doc__)
    parser.add_argument("--cases", type=int, default=2000, help="how many (2000)")
    parser.add_argument("--seed", default="1", help="any text; the same cases for the same text")
    options = parser.parse_args(arguments)
    began, fires, wrong, silent = SYSTEM_CLOCK.monotonic(), 0, 0, 0
    seen: set[str] = set()
    points: set[tuple[str, int]] = set()
    for number in range(options.cases):
        case = random_case(f"{options.seed}:{number}")
        seen.add(case.zone)
        try:
            compared = check(case)
        except AssertionError as exc:
            wrong += 1
            sys.stdout.write(f"{exc}\n")
        else:
            fires += compared
            silent += not compared
        if case.change is not None:
            points.add((case.zone, case.change.at))
    took = (SYSTEM_CLOCK.monotonic() - began) / SECOND
    sys.stdout.write(
        f"{options.cases} cases in {len(seen)} zones around {len(points)} changes of the clocks: {fires} fires compared, "
        f"{silent} cases without a fire in the time looked at, {wrong} differences ({took:.0f} s)\n"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
