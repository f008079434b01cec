"""What a trigger may take to find its times: counted, bounded, the same on every machine, and refused in words."""

from __future__ import annotations

import pickle
from functools import reduce
from typing import TYPE_CHECKING, Any

import pytest

from rota import work
from rota.clock import DAY, SECOND
from rota.core.plan import plan
from rota.core.states import QUARANTINED
from rota.errors import DeserializationError, NeverFiresError, TooMuchWorkError, TriggerError
from rota.schedulers.background import BackgroundScheduler
from rota.testing import ManualScheduler
from rota.triggers import trigger_from_spec
from rota.triggers.combining import AndTrigger, OrTrigger
from rota.triggers.cron import CronTrigger
from rota.triggers.interval import IntervalTrigger
from rota.triggers.rrule import RRuleTrigger
from tests.present import present

if TYPE_CHECKING:
    from collections.abc import Callable

    from rota.triggers.base import BaseTrigger

NOW = 1_790_000_000 * SECOND
SECONDS = ",".join(map(str, range(60)))
HOURS = ",".join(map(str, range(24)))
DAYS = ",".join(map(str, range(1, 367)))


def cron(**fields: Any) -> CronTrigger:
    return CronTrigger(timezone="UTC", **fields)


def rule(text: str) -> RRuleTrigger:
    return RRuleTrigger(text, dtstart="2026-01-01", timezone="UTC")


def nothing_left() -> BaseTrigger:
    """Every second, without the even and the odd ones: no part shows that nothing is left."""
    return cron(second="*") - cron(second="*/2") - cron(second="1-59/2")


def doubled(levels: int) -> BaseTrigger:
    """A few objects that are thousands of parts, as each level has the one below twice."""
    trigger: BaseTrigger = cron(minute="*")
    for _ in range(levels):
        trigger = OrTrigger([trigger, trigger])
    return trigger


TOO_LARGE: dict[str, Callable[[], object]] = {
    "a union of thousands": lambda: OrTrigger([cron(second=n % 60, minute=n // 60) for n in range(1200)]),
    "shared parts, again and again": lambda: doubled(18),
    "very many that have to agree": lambda: AndTrigger([cron(hour=9)] * 101),
    "a tower": lambda: reduce(lambda inner, n: inner.offset(seconds=n), range(1, 60), cron(hour=9)),  # type: ignore[arg-type, return-value]
    "all seconds of a year as a rule of years": lambda: rule(
        f"FREQ=YEARLY;BYSECOND={SECONDS};BYMINUTE={SECONDS};BYHOUR={HOURS};BYYEARDAY={DAYS}"
    ),
    "hundreds of positions": lambda: rule(f"FREQ=YEARLY;BYYEARDAY={DAYS};BYSETPOS={DAYS}"),
    "a number a thousand times": lambda: rule(f"FREQ=DAILY;BYHOUR={','.join(['9'] * 1001)}"),
    "two thousand rules": lambda: rule("\n".join(["RRULE:FREQ=DAILY;COUNT=10000"] * 2000)),
    "dates left out by the thousand": lambda: rule(
        "FREQ=SECONDLY\nEXDATE:"
        + ",".join(f"20260101T{n // 3600:02}{n // 60 % 60:02}{n % 60:02}" for n in range(10_001))
    ),
    "counted rules that are long together": lambda: rule("\n".join(["RRULE:FREQ=DAILY;COUNT=10000"] * 40)),
}


@pytest.mark.thorough
@pytest.mark.parametrize("make", TOO_LARGE.values(), ids=TOO_LARGE.keys())
def test_what_is_too_large_is_refused_when_it_is_made(make: Callable[[], object]) -> None:
    with pytest.raises(TriggerError, match="must"):
        make()


def test_what_is_too_large_is_refused_when_it_is_read() -> None:
    member = present(cron(minute="*").spec())
    for _ in range(12):
        member = {"type": "or", "triggers": [member, member]}
    with pytest.raises(DeserializationError, match="1,000 triggers at most"):
        trigger_from_spec(member)


COSTLY: dict[str, Callable[[], BaseTrigger]] = {
    "nothing is left": nothing_left,
    "what two have in common, without it": lambda: (
        (cron(second="*") & cron(second="*/2")) - cron(second="*/2")
    ),
}


@pytest.mark.thorough
@pytest.mark.parametrize("make", COSTLY.values(), ids=COSTLY.keys())
@pytest.mark.parametrize("ask", ["first", "after", "latest"])
def test_a_search_that_takes_too_much_work_ends_and_says_of_which_trigger(
    make: Callable[[], BaseTrigger], ask: str
) -> None:
    trigger = make()
    arguments = (NOW, NOW + 400 * DAY) if ask == "latest" else (NOW,)
    with pytest.raises((TooMuchWorkError, NeverFiresError), match="cron"):
        getattr(trigger, ask)(*arguments)


@pytest.mark.thorough
def test_searches_among_the_times_of_a_rule_are_counted_too() -> None:
    with pytest.raises(TooMuchWorkError, match="MinusTrigger must find"):
        (cron(second="*") - rule(f"FREQ=SECONDLY;BYMINUTE={SECONDS}")).after(NOW)


def test_a_search_takes_the_same_steps_each_time() -> None:
    """Nothing that a slower machine would change."""

    def steps(trigger: BaseTrigger) -> int:
        def count() -> int:
            trigger.latest(trigger.after(NOW) or 0, NOW + 20 * DAY)
            return work._count.left or 0

        return work.within(work.STEPS, count)

    trigger = (cron(minute="*/7") | cron(hour="*/2")) - cron(hour=4)
    assert steps(trigger) == steps(pickle.loads(pickle.dumps(trigger))) < work.STEPS


def test_plain_triggers_count_nothing() -> None:
    for plain in (cron(second="*"), IntervalTrigger(seconds=1, timezone="UTC")):
        assert not plain.counts_work
        assert work.within(5, lambda plain=plain: plain.latest(plain.after(NOW), NOW + 400 * DAY))


@pytest.mark.thorough
def test_a_count_that_was_given_up_leaves_no_trace() -> None:
    with pytest.raises(TooMuchWorkError):
        nothing_left().after(NOW)
    assert work._count.left is None
    assert (cron(hour=9) | cron(hour=10)).after(NOW) is not None


@pytest.mark.thorough
@pytest.mark.parametrize("started", [False, True])
def test_add_job_refuses_a_trigger_whose_times_take_too_much_work(started: bool) -> None:
    scheduler = BackgroundScheduler()
    if started:
        scheduler.start()
    try:
        with pytest.raises(TooMuchWorkError, match="fewer or plainer parts"):
            scheduler.add_job(print, nothing_left())
        assert scheduler.get_jobs() == []
    finally:
        if started:
            scheduler.shutdown()


@pytest.mark.thorough
def test_a_stored_job_whose_times_take_too_much_work_is_quarantined_and_its_neighbours_run() -> None:
    ran: list[int] = []
    scheduler = ManualScheduler()
    scheduler.start()
    scheduler.add_job(lambda: ran.append(1), "interval", minutes=1, id="healthy")
    costly = scheduler.add_job(print, cron(second="0") | cron(second="1"), id="costly")
    costly.trigger = (
        nothing_left()
    )  # a memory store holds the job itself; elsewhere another tool has written it
    scheduler.advance(minutes=5)
    found = scheduler.get_job("costly")
    assert found is not None
    assert found.state == QUARANTINED
    assert "100,000 steps" in (found.error or "")
    assert len(ran) == 5
    scheduler.shutdown()


@pytest.mark.thorough
def test_no_way_leads_around_the_refusal() -> None:
    scheduler = ManualScheduler()
    scheduler.start()
    scheduler.add_job(print, "interval", minutes=1, id="job")
    for way in (
        lambda: scheduler.add_job(print, nothing_left(), next_run_time=None),
        lambda: scheduler.add_job(print, nothing_left(), next_run_time="2030-01-01 00:00:00"),
        lambda: scheduler.add_jobs([{"func": print, "trigger": nothing_left()}]),
        lambda: scheduler.reschedule_job("job", trigger=nothing_left()),
        lambda: scheduler.modify_job("job", trigger=nothing_left()),
    ):
        with pytest.raises(TooMuchWorkError):
            way()
    assert [job.id for job in scheduler.get_jobs()] == ["job"]
    scheduler.shutdown()


@pytest.mark.slow
@pytest.mark.parametrize("jitter", [None, 60])
def test_an_outage_of_a_month_is_one_run_for_a_dense_union_that_coalesces(jitter: float | None) -> None:
    """Comparing what its members have in common is left out where it takes too much; the last time is the last."""
    trigger = OrTrigger([cron(second="*"), cron(second="*/7"), cron(second="*/11")], jitter=jitter)
    scheduler = ManualScheduler()
    scheduler.start()
    job = scheduler.add_job(print, trigger, misfire_grace_time=None, coalesce=True)
    now = (job.next_nominal or 0) + 30 * DAY
    decision = plan(job, now)
    (run,) = decision.runs
    assert now - 61 * SECOND <= run.nominal <= now
    assert sum(record.count for record in decision.records) > 30 * 86_000
    scheduler.shutdown()


@pytest.mark.slow
def test_a_long_outage_is_caught_up_in_pieces_where_counting_takes_too_much_work() -> None:
    """What was off for long is no reason for quarantine."""
    trigger = reduce(
        lambda made, n: made | (cron(second=n) - cron(second=n, minute=n)),
        range(1, 30),
        cron(second=0) | cron(second=0),
    )
    scheduler = ManualScheduler()
    scheduler.start()
    job = scheduler.add_job(print, trigger, id="dense")
    assert job.next_nominal is not None
    decision = plan(job, job.next_nominal + 3 * DAY)
    assert decision.state != QUARANTINED
    assert decision.next_nominal is not None
    assert sum(record.count for record in decision.records) + len(decision.runs) >= 100
    scheduler.shutdown()


@pytest.mark.parametrize("mixed", ["FREQ=MONTHLY;BYDAY=SU,1SA", "FREQ=YEARLY;BYMONTH=2;BYDAY=SU,1SA"])
def test_days_with_and_without_a_number_are_a_union(mixed: str) -> None:
    """RFC 5545, 3.3.10; February 2026 begins on a Sunday."""
    trigger = RRuleTrigger(mixed, dtstart="2026-02-01", timezone="UTC")
    found = [at for at in trigger.next(5, "2026-02-01") if at.month == 2]
    assert {at.day for at in found} == {1, 7, 8, 15, 22}


def test_positions_choose_among_the_union_of_days() -> None:
    trigger = RRuleTrigger("FREQ=MONTHLY;BYDAY=SU,1SA;BYSETPOS=2", dtstart="2026-02-01", timezone="UTC")
    assert [at.day for at in trigger.next(2, "2026-02-01")] == [7, 7]
    counted = RRuleTrigger("FREQ=MONTHLY;BYDAY=SU,1SA;COUNT=3", dtstart="2026-02-01", timezone="UTC")
    assert [at.day for at in counted.next(5, "2026-02-01")] == [1, 7, 8]
