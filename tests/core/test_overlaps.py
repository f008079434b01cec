"""Due times that meet as many runs of their job as may be under way: what is planned, and what programs see in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from rota import After, Retry, Snooze, current_run
from rota.clock import HELD, SECOND, instant, moment
from rota.core.overlaps import (
    BUFFERING,
    NO_LIMIT,
    OVERLAPS,
    REPLACING,
    WAITING_FOR_ROOM,
    check_overlap,
    left_out,
)
from rota.core.places import oldest, room_came
from rota.core.plan import plan
from rota.core.policy import DEFAULT_POLICY, with_options
from rota.core.run import Run
from rota.core.states import CANCELLED, CLAIMED, FAILED, MISSED, SKIPPED, SUCCEEDED
from rota.errors import JobValueError
from rota.events import EVENT_JOB_CANCEL_REQUESTED, EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED
from rota.executors.pool import ThreadPoolExecutor
from rota.job.handle import Job
from rota.jobstores.memory import MemoryJobStore
from rota.testing import ManualScheduler, VirtualClock
from rota.triggers.interval import IntervalTrigger

MINUTE = 60 * SECOND
#: the next time of the jobs that are planned
NEXT = 1000 * MINUTE


@pytest.fixture
def scheduler():
    scheduler = ManualScheduler()
    scheduler.start()
    yield scheduler
    scheduler.shutdown(wait=False)


async def last(seconds):
    await asyncio.sleep(seconds)


async def insist(seconds):
    """Take no notice of being cancelled."""
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        await asyncio.sleep(seconds)


def minutely(scheduler, seconds=150, func=last, **options):
    """Add a job that is due each minute from now on and takes so many seconds."""
    now = scheduler.clock.now()
    scheduler.add_job(
        func, "interval", minutes=1, args=[seconds], next_run_time=at(scheduler), id="j", **options
    )
    return now


def at(scheduler, seconds=0):
    return moment(scheduler.clock.now() + seconds * SECOND)


def records(scheduler, since):
    """Return the minute, status and reason of each record, oldest first; a range has its count as well."""
    return [
        (
            (run.nominal - since) // MINUTE,
            run.status,
            *([run.reason] if run.reason else []),
            *([run.count] if run.count > 1 else []),
        )
        for run in sorted(scheduler.get_runs("j"), key=lambda run: run.nominal)
    ]


# ------------------------------------------------------------------------------------------------------- what is planned


def job_of(running=1, **options):
    job = Job(
        None, id="j", func=last, args=[1], trigger=IntervalTrigger(minutes=1), executor="default", name="j"
    )
    job.policy = with_options(DEFAULT_POLICY, options)
    job.set_next(NEXT)
    job.running = running
    return job


@pytest.mark.parametrize("overlap", ["buffer_one", "buffer_all", "cancel_other", "terminate_other"])
def test_a_time_that_meets_a_full_job_waits_and_is_no_record(overlap):
    decision = plan(job_of(overlap=overlap), NEXT + 5 * MINUTE)
    assert (decision.runs, decision.records) == ([], [])
    assert (decision.next_nominal, decision.next_due, decision.waits_for_room) == (NEXT, HELD, True)


def test_there_is_always_room_with_allow_all():
    decision = plan(job_of(running=1000, overlap="allow_all"), NEXT + 1)
    assert [run.nominal for run in decision.runs] == [NEXT]


def test_what_has_waited_for_room_is_late_since_a_place_came_free():
    late = job_of(running=0, overlap="buffer_one", misfire_grace_time=10)
    assert [record.status for record in plan(late, NEXT + 55 * SECOND).records] == [MISSED]
    for came, expected in ((45 * SECOND, []), (44 * SECOND, [MISSED])):
        job = job_of(running=0, overlap="buffer_one", misfire_grace_time=10)
        assert [
            record.status for record in plan(job, NEXT + 55 * SECOND, room_came=NEXT + came).records
        ] == expected


def test_an_outage_after_that_counts_for_the_times_that_were_due_meanwhile():
    job = job_of(running=0, overlap="buffer_all", misfire_grace_time=90)
    decision = plan(job, NEXT + 300 * SECOND, room_came=NEXT + 30 * SECOND)
    assert [(record.nominal, record.count) for record in decision.records] == [(NEXT, 4)]
    assert [run.nominal - NEXT for run in decision.runs] == [240 * SECOND, 300 * SECOND]


@pytest.mark.parametrize(("overlap", "runs"), [("buffer_one", [3]), ("buffer_all", [0, 1, 2, 3])])
def test_only_the_newest_time_runs_that_has_waited_whatever_coalesce_says_of_outages(overlap, runs):
    options = {} if overlap == "buffer_all" else {"coalesce": False}
    job = job_of(running=0, overlap=overlap, **options)
    now, came = NEXT + 3 * MINUTE + 1, NEXT + 3 * MINUTE
    assert [(run.nominal - NEXT) // MINUTE for run in plan(job, now, room_came=came).runs] == runs
    job = job_of(running=0, overlap=overlap, **options)
    assert [(run.nominal - NEXT) // MINUTE for run in plan(job, now).runs] == [0, 1, 2, 3]


def ran(due, finished, started=0):
    run = Run("j", due, due)
    run.started_at, run.finished_at = started, finished
    return run


@pytest.mark.parametrize(
    ("limit", "runs", "expected"),
    [
        (1, [ran(0, 70)], 70),
        (1, [ran(0, 60)], 60),
        (1, [ran(0, 59)], None),
        (1, [ran(60, 90)], None),
        (1, [ran(0, None)], None),
        (1, [ran(0, 70, started=None)], None),
        (1, [ran(0, 70), ran(10, 80), ran(20, 90)], 90),
        (2, [ran(0, 90), ran(30, 70)], 70),
        (2, [ran(0, 90)], None),
        (1, [], None),
    ],
)
def test_a_place_came_free_when_fewer_than_the_limit_were_under_way(limit, runs, expected):
    assert room_came(60, limit, runs) == expected


def test_the_run_with_the_oldest_time_makes_room():
    runs = [ran(30, None), ran(10, None), ran(20, None)]
    assert oldest(runs) is runs[1]
    assert oldest([]) is None


def test_what_a_due_time_waits_for():
    assert {"buffer_one", "buffer_all"} == BUFFERING
    assert {"cancel_other", "terminate_other"} == REPLACING
    assert {*BUFFERING, *REPLACING} == WAITING_FOR_ROOM == {*OVERLAPS} - {"skip", "allow_all"}
    assert NO_LIMIT == 10**9


@pytest.mark.parametrize("overlap", OVERLAPS)
def test_a_trigger_that_counts_from_the_end_of_a_run_is_refused_where_times_are_buffered(overlap):
    check_overlap(overlap, IntervalTrigger(minutes=1))
    delay = IntervalTrigger(minutes=1, mode="delay")
    if overlap not in ("buffer_one", "buffer_all"):
        check_overlap(overlap, delay)
        return
    with pytest.raises(
        JobValueError, match=f"^overlap must be another than '{overlap}' with a trigger that counts"
    ):
        check_overlap(overlap, delay)


# ------------------------------------------------------------------------------------------------------------ in programs


def test_with_buffer_one_the_newest_owed_time_runs_when_the_run_ends(scheduler):
    since = minutely(scheduler, overlap="buffer_one")
    scheduler.advance(seconds=310)
    assert records(scheduler, since) == [
        (0, SUCCEEDED),
        (1, SKIPPED, "coalesced"),
        (2, SUCCEEDED),
        (3, SKIPPED, "coalesced", 2),
        (5, CLAIMED),
    ]
    assert [run.started_at - since for run in scheduler.get_runs("j", status=SUCCEEDED)] == [150 * SECOND, 0]


def test_with_buffer_all_every_time_runs_the_oldest_first(scheduler):
    since = minutely(scheduler, seconds=90, overlap="buffer_all")
    scheduler.advance(seconds=400)
    ended = scheduler.get_runs("j", status=SUCCEEDED)[::-1]
    assert [(run.nominal - since) // MINUTE for run in ended] == [0, 1, 2, 3]
    assert [(run.started_at - since) // SECOND for run in ended] == [0, 90, 180, 270]
    assert {run.status for run in scheduler.get_runs("j")} == {SUCCEEDED, CLAIMED}


@pytest.mark.parametrize(
    ("options", "ends"),
    [
        ({"max_instances": 2}, [(0, CLAIMED), (1, CLAIMED)]),
        ({"overlap": "allow_all"}, [(0, CLAIMED), (1, CLAIMED)]),
        ({"overlap": "cancel_other"}, [(0, CANCELLED), (1, CLAIMED)]),
        ({"overlap": "skip"}, [(0, CLAIMED), (1, SKIPPED)]),
    ],
    ids=str,
)
def test_a_time_that_waits_follows_the_policy_of_the_job_that_replaces_its_own(scheduler, options, ends):
    since = scheduler.clock.now()
    job = {
        "func": last,
        "trigger": IntervalTrigger(minutes=1, start_date=at(scheduler)),
        "args": [150],
        "id": "j",
    }
    scheduler.add_job(**job, overlap="buffer_one")
    scheduler.advance(seconds=70)
    assert records(scheduler, since) == [(0, CLAIMED)]
    scheduler.add_job(**{**job, "overlap": "buffer_one", "replace_existing": True, **options})
    scheduler.advance(seconds=1)
    assert [record[:2] for record in records(scheduler, since)] == ends


def test_expires_bounds_what_waits_from_its_due_time_on(scheduler):
    since = minutely(scheduler, overlap="buffer_all", expires=60)
    scheduler.advance(seconds=151)
    assert records(scheduler, since)[:3] == [(0, SUCCEEDED), (1, MISSED, "expired"), (2, CLAIMED)]


def test_a_time_that_has_waited_is_not_too_late_for_that(scheduler):
    since = minutely(scheduler, overlap="buffer_one", misfire_grace_time=5)
    scheduler.advance(seconds=151)
    assert records(scheduler, since) == [(0, SUCCEEDED), (1, SKIPPED, "coalesced"), (2, CLAIMED)]


def test_a_time_runs_as_soon_as_one_place_of_several_is_free(scheduler):
    since = minutely(scheduler, overlap="buffer_one", max_instances=2)
    scheduler.advance(seconds=155)
    assert records(scheduler, since) == [(0, SUCCEEDED), (1, CLAIMED), (2, CLAIMED)]


def test_with_cancel_other_the_oldest_run_is_asked_once_and_the_time_runs_in_its_place(scheduler):
    asked = []
    scheduler.add_listener(asked.append, EVENT_JOB_CANCEL_REQUESTED)
    since = minutely(scheduler, overlap="cancel_other")
    scheduler.advance(seconds=61)
    assert records(scheduler, since) == [(0, CANCELLED, "replaced"), (1, CLAIMED)]
    assert [event.reason for event in asked] == ["replaced"]


def test_a_run_that_does_not_stop_is_asked_once_and_keeps_its_place(scheduler):
    asked = []
    scheduler.add_listener(asked.append, EVENT_JOB_CANCEL_REQUESTED)
    since = minutely(scheduler, func=insist, overlap="cancel_other")
    scheduler.advance(seconds=200)
    assert records(scheduler, since) == [(0, CLAIMED)]
    scheduler.advance(seconds=11)
    assert records(scheduler, since)[1:] == [(1, SKIPPED, "coalesced", 2), (3, CLAIMED)]
    assert len(asked) == 1


def test_a_run_that_waits_for_another_try_is_replaced_at_once(scheduler):
    def fail():
        raise ConnectionError

    scheduler.add_job(
        fail,
        "interval",
        minutes=1,
        next_run_time=at(scheduler),
        id="j",
        overlap="cancel_other",
        retry=Retry(wait_initial=900, until=None),
    )
    since = scheduler.clock.now()
    scheduler.advance(seconds=61)
    assert records(scheduler, since) == [(0, CANCELLED, "replaced"), (1, "waiting")]


def test_with_allow_all_runs_overlap_as_they_like(scheduler):
    since = minutely(scheduler, overlap="allow_all", seconds=1000)
    scheduler.advance(minutes=9)
    assert records(scheduler, since) == [(minute, CLAIMED) for minute in range(10)]


def test_a_default_of_max_instances_is_no_limit_for_allow_all():
    scheduler = ManualScheduler(job_defaults={"max_instances": 2, "coalesce": False})
    scheduler.start()
    since = minutely(scheduler, overlap="allow_all", seconds=1000)
    scheduler.advance(minutes=3)
    assert len(records(scheduler, since)) == 4
    scheduler.add_job(last, "interval", minutes=1, args=[1], overlap="buffer_all")
    scheduler.shutdown(wait=False)


def test_a_snoozed_run_keeps_its_place_and_the_next_time_waits(scheduler):
    calls = []

    def snooze():
        calls.append(scheduler.clock.now())
        if len(calls) == 1:
            raise Snooze(150)

    scheduler.add_job(
        snooze, "interval", minutes=1, next_run_time=at(scheduler), id="j", overlap="buffer_all"
    )
    since = scheduler.clock.now()
    scheduler.advance(seconds=151)
    assert [(call - since) // SECOND for call in calls] == [0, 150, 150, 150]
    assert records(scheduler, since) == [(minute, SUCCEEDED) for minute in range(3)]


@pytest.mark.parametrize("overlap", ["buffer_one", "buffer_all"])
def test_a_retry_is_not_superseded_by_times_that_wait(scheduler, overlap):
    calls = []

    def fail_once():
        calls.append(())
        if len(calls) == 1:
            raise ConnectionError

    scheduler.add_job(
        fail_once,
        "interval",
        minutes=1,
        next_run_time=at(scheduler),
        id="j",
        overlap=overlap,
        retry=Retry(wait_initial=90, wait_jitter=0),
    )
    since = scheduler.clock.now()
    scheduler.advance(seconds=91)
    assert records(scheduler, since)[0] == (0, SUCCEEDED)
    assert scheduler.get_runs("j")[-1].attempt == 2


def test_a_retry_that_says_so_is_superseded_all_the_same(scheduler):
    scheduler.add_job(
        last,
        "interval",
        minutes=1,
        args=["x"],
        next_run_time=at(scheduler),
        id="j",
        overlap="buffer_one",
        retry=Retry(wait_initial=90, until="next"),
    )
    since = scheduler.clock.now()
    scheduler.advance(seconds=61)
    assert records(scheduler, since)[0] == (0, FAILED, "superseded")


def test_a_run_by_hand_takes_a_place_and_a_time_that_comes_then_waits(scheduler):
    scheduler.add_job(last, "interval", minutes=1, args=[90], id="j", overlap="buffer_one")
    scheduler.run_job("j")
    scheduler.advance(seconds=91)
    assert [run.status for run in scheduler.get_runs("j")] == [CLAIMED, SUCCEEDED]


def test_a_paused_job_starts_nothing_that_has_waited(scheduler):
    since = minutely(scheduler, overlap="buffer_all")
    scheduler.advance(seconds=70)
    scheduler.pause_job("j")
    scheduler.advance(seconds=100)
    assert records(scheduler, since) == [(0, SUCCEEDED)]
    scheduler.resume_job("j")
    assert records(scheduler, since)[1] == (1, SKIPPED, "paused", 2)


def test_what_waits_for_room_is_explained(scheduler):
    minutely(scheduler, overlap="buffer_one")
    scheduler.advance(seconds=70)
    assert scheduler.explain("j") == (
        'It waits for room: 1 of its runs are under way (max_instances=1, overlap="buffer_one").'
    )


# ------------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"overlap": "queue"}, 'overlap must be one of "skip", "buffer_one", .*, got \'queue\''),
        ({"overlap": None}, "overlap must be one of"),
        ({"overlap": ["skip"]}, "overlap must be one of"),
        (
            {"overlap": "allow_all", "max_instances": 2},
            'max_instances must be left out beside overlap="allow_all", got 2',
        ),
        (
            {"overlap": "buffer_all", "coalesce": True},
            'coalesce must be left out beside overlap="buffer_all", got True',
        ),
        ({"overlap": "buffer_all", "coalesce": False}, "coalesce must be left out"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(scheduler, options, message):
    with pytest.raises(JobValueError, match=message):
        scheduler.add_job(last, "interval", minutes=1, args=[1], **options)
    assert scheduler.get_jobs() == []


def test_so_it_is_when_a_job_is_changed(scheduler):
    job = scheduler.add_job(last, "interval", minutes=1, args=[1], overlap="allow_all")
    with pytest.raises(JobValueError, match="max_instances must be left out"):
        job.modify(max_instances=2)
    job.modify(overlap="skip", max_instances=2)
    assert (job.policy.limit, job.max_instances) == (2, 2)
    job.modify(overlap="allow_all")
    assert (job.policy.limit, job.max_instances) == (NO_LIMIT, 1)


@pytest.mark.parametrize("overlap", ["buffer_one", "buffer_all"])
def test_a_trigger_that_counts_from_the_end_of_a_run_has_nothing_to_wait_for(scheduler, overlap):
    with pytest.raises(
        JobValueError,
        match=f"overlap must be another than '{overlap}' with a trigger that counts from the end",
    ):
        scheduler.add_job(last, "interval", minutes=1, mode="delay", args=[1], overlap=overlap)


def test_only_worker_processes_can_be_ended(scheduler):
    with pytest.raises(
        JobValueError, match="overlap must be another than \"terminate_other\" for executor 'default'"
    ):
        scheduler.add_job(last, "interval", minutes=1, args=[1], overlap="terminate_other")
    job = scheduler.add_job(last, "interval", minutes=1, args=[1])
    with pytest.raises(JobValueError, match="terminate_other"):
        job.modify(overlap="terminate_other")
    with pytest.raises(JobValueError, match="terminate_other"):
        scheduler.add_jobs(
            [{"func": last, "trigger": "interval", "minutes": 1, "args": [1], "overlap": "terminate_other"}]
        )


def test_jobs_that_wait_for_the_start_are_refused_then():
    scheduler = ManualScheduler(
        executors={"default": ThreadPoolExecutor()}, jobstores={"default": MemoryJobStore()}
    )
    scheduler.add_job(last, "interval", minutes=1, args=[1], overlap="terminate_other")
    with pytest.raises(JobValueError, match="terminate_other"):
        scheduler.start()


@pytest.mark.parametrize("overlap", OVERLAPS)
def test_the_word_is_kept_with_the_job(overlap):
    from rota.codec.options import options_of, spare_in

    policy = with_options(DEFAULT_POLICY, {"overlap": overlap})
    assert with_options(DEFAULT_POLICY, options_of(policy)) == policy
    import json

    assert spare_in(json.dumps({"overlap": overlap, "max_instances": 3})) == (
        2 if overlap not in ("skip", "allow_all") else 0
    )


@pytest.mark.parametrize("text", [None, 5, "", "{", '{"overlap": 5}', '{"overlap": "later"}', '["overlap"]'])
def test_damaged_options_let_a_job_wait_for_all_of_its_runs(text):
    from rota.codec.options import spare_in

    assert spare_in(text) == 0


# -------------------------------------------------------------------------------------------------------------- backfills


@pytest.mark.parametrize("options", [{}, {"misfire_grace_time": 5}, {"overlap": "buffer_all"}], ids=str)
def test_a_scheduled_time_waits_for_a_backfilled_run_and_is_never_skipped_for_it(scheduler, options):
    job = scheduler.add_job(
        last, "interval", minutes=1, args=[50], id="j", start_date=at(scheduler, -90), **options
    )
    first = job.next_run_time
    assert scheduler.backfill("j", at(scheduler, -95), at(scheduler, -85)) == 1
    scheduler.advance(seconds=40)  # its run began 30 s before the first scheduled time, and takes 50
    assert [(run.origin, run.status) for run in scheduler.get_runs("j")] == [("backfill", CLAIMED)]
    scheduler.advance(seconds=20)
    later, backfilled = scheduler.get_runs("j")
    assert (backfilled.origin, backfilled.status) == ("backfill", SUCCEEDED)
    assert (later.origin, later.status, later.scheduled_run_time) == ("schedule", CLAIMED, first)


def test_no_time_is_skipped_for_a_run_of_a_backfill_that_was_cancelled_and_goes_on(scheduler):
    first = at(scheduler, -30)
    trigger = IntervalTrigger(minutes=1, start_date=first)
    scheduler.add_job(last_by_origin, trigger, args=[150, 0], misfire_grace_time=10, id="j")
    assert scheduler.backfill("j", first, first) == 1
    scheduler.advance(seconds=5)
    scheduler.cancel_backfill("j")
    scheduler.advance(seconds=150)
    skipped, ran = (1, SKIPPED, "coalesced", 2), (3, SUCCEEDED)
    assert records(scheduler, instant(first)) == [(0, SUCCEEDED), skipped, ran]


def test_no_time_is_skipped_for_a_run_of_a_backfill_that_another_node_has_just_begun(tmp_path):
    clock = VirtualClock()
    stores = {"default": f"sqlite:///{tmp_path / 'jobs.sqlite'}"}
    one, other = (ManualScheduler(clock=clock, jobstores=stores, lease=15) for _ in range(2))
    one.start()
    other.start()
    first = at(one, -30)
    trigger = IntervalTrigger(minutes=1, start_date=first)
    one.add_job(last_by_origin, trigger, args=[50, 0], id="j")
    one.advance(seconds=29)
    other.run_pending()
    assert one.backfill("j", first, first) == 1
    one.run_pending()
    clock.advance(1)
    other.run_pending()  # it has not heard of the backfill
    one.advance(seconds=60)
    assert [record[1] for record in records(one, instant(first))] == [SUCCEEDED] * 3
    one.shutdown()
    other.shutdown()


async def last_by_origin(backfill, schedule):
    await asyncio.sleep(backfill if current_run().origin == "backfill" else schedule)


def test_a_time_that_waits_beside_a_backfilled_run_goes_on_as_soon_as_a_place_is_free(scheduler):
    first = at(scheduler, -30)
    job = {"trigger": IntervalTrigger(minutes=1, start_date=first), "args": [600, 90], "max_instances": 2}
    scheduler.add_job(last_by_origin, id="j", **job)
    assert scheduler.backfill("j", first, first) == 1
    scheduler.advance(seconds=115)
    assert records(scheduler, instant(first)) == [(0, CLAIMED), (1, CLAIMED)]
    scheduler.advance(seconds=10)
    assert records(scheduler, instant(first)) == [(0, CLAIMED), (1, SUCCEEDED), (2, CLAIMED)]


def test_a_job_that_owes_times_and_was_not_paused_keeps_them_when_it_is_resumed(scheduler):
    since = minutely(scheduler, overlap="buffer_all")
    scheduler.advance(seconds=130)
    scheduler.resume_job("j")
    scheduler.advance(seconds=30)
    assert records(scheduler, since)[:2] == [(0, SUCCEEDED), (1, CLAIMED)]
    scheduler.clock.advance(300)  # an outage
    scheduler.resume_job("j")
    scheduler.advance(seconds=1000)
    assert [minute for minute, *_ in records(scheduler, since)][:6] == [0, 1, 2, 3, 4, 5]


# ---------------------------------------------------------------------------------------------------- runs of chains


@pytest.mark.parametrize(
    ("overlap", "newest", "older"),
    [
        ("skip", "max_instances", "max_instances"),
        ("buffer_one", None, "coalesced"),
        ("cancel_other", None, "coalesced"),
        ("terminate_other", None, "coalesced"),
        ("buffer_all", None, None),
    ],
)
def test_a_run_of_a_chain_that_finds_no_place_is_left_out_or_waits(overlap, newest, older):
    assert (left_out(overlap, True), left_out(overlap, False)) == (newest, older)


def chained(scheduler, func=last, seconds=150, **options):
    """Add a job that ends each minute from now on, and one after it that takes so many seconds."""
    scheduler.add_job(int, "interval", minutes=1, next_run_time=at(scheduler), id="parent")
    scheduler.add_job(func, After("parent"), args=[seconds], id="j", **options)
    return scheduler.clock.now()


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [
        (
            "skip",
            [(0, SUCCEEDED), (1, SKIPPED, "max_instances"), (2, SKIPPED, "max_instances"), (3, CLAIMED)],
        ),
        ("buffer_one", [(0, SUCCEEDED), (1, SKIPPED, "coalesced"), (2, CLAIMED), (3, "waiting")]),
        ("buffer_all", [(0, SUCCEEDED), (1, CLAIMED), (2, "waiting"), (3, "waiting")]),
        (
            "cancel_other",
            [*((minute, CANCELLED, "replaced") for minute in range(3)), (3, CLAIMED)],
        ),
        ("allow_all", [(0, SUCCEEDED), (1, CLAIMED), (2, CLAIMED), (3, CLAIMED)]),
    ],
)
def test_a_busy_job_after_another_one_follows_its_own_overlap(scheduler, overlap, expected):
    since = chained(scheduler, overlap=overlap)
    scheduler.advance(seconds=195)
    assert records(scheduler, since) == expected


def test_a_run_of_a_chain_that_finds_no_place_is_told_as_a_due_time_is(scheduler, caplog):
    told = []
    scheduler.add_listener(told.append, EVENT_JOB_MAX_INSTANCES | EVENT_JOB_MISSED)
    chained(scheduler)
    scheduler.advance(seconds=130)
    assert [(event.code, event.job_id) for event in told] == [(EVENT_JOB_MAX_INSTANCES, "j")] * 2
    warned = [record for record in caplog.records if "maximum number" in record.getMessage()]
    assert [record.levelname for record in warned if record.levelname == "WARNING"] == ["WARNING"]


def test_a_run_that_does_not_stop_for_a_run_of_a_chain_is_asked_once_and_the_newest_waits(scheduler):
    asked = []
    scheduler.add_listener(asked.append, EVENT_JOB_CANCEL_REQUESTED)
    since = chained(scheduler, insist, overlap="cancel_other")
    scheduler.advance(seconds=190)
    assert records(scheduler, since) == [
        (0, CLAIMED),
        (1, SKIPPED, "coalesced"),
        (2, SKIPPED, "coalesced"),
        (3, "waiting"),
    ]
    scheduler.advance(seconds=25)
    assert (records(scheduler, since)[3], len(asked)) == ((3, CLAIMED), 1)


def test_a_try_that_waits_makes_room_for_a_run_of_a_chain_at_once(scheduler):
    def fail(seconds):
        raise ConnectionError

    since = chained(
        scheduler, fail, overlap="cancel_other", retry=Retry(wait_initial=900, wait_jitter=0, until=None)
    )
    scheduler.advance(seconds=61)
    assert records(scheduler, since) == [(0, CANCELLED, "replaced"), (1, "waiting")]
    runs = scheduler.get_runs("j", status="waiting")
    assert [run.waiting_for for run in runs] == ["retry"]  # its own next try


async def snooze_first(seconds):
    if current_run().attempt == 1:
        raise Snooze(900)
    await asyncio.sleep(seconds)


def test_what_comes_after_a_job_starts_when_a_run_of_it_that_waits_is_replaced(scheduler):
    minutely(scheduler, func=snooze_first, overlap="cancel_other")
    scheduler.add_job(int, After("j", on="any"), id="k")
    scheduler.advance(seconds=59)
    assert scheduler.get_runs("k") == []
    scheduler.advance(seconds=2)
    assert [run.reason for run in scheduler.get_runs("j")] == [None, "replaced"]
    assert [run.status for run in scheduler.get_runs("k")] == [SUCCEEDED]


def test_a_run_of_a_chain_that_waits_for_a_paused_job_replaces_and_leaves_out_nothing(scheduler):
    since = chained(scheduler, overlap="cancel_other")
    scheduler.advance(seconds=1)
    scheduler.modify_job("j", trigger=After("parent", delay=30))
    scheduler.advance(seconds=70)
    scheduler.pause_job("j")
    scheduler.advance(seconds=30)
    assert records(scheduler, since) == [(0, CLAIMED), (1, "waiting")]
    scheduler.resume_job("j")
    scheduler.advance(seconds=5)
    assert records(scheduler, since) == [(0, CANCELLED, "replaced"), (1, CLAIMED)]


def test_a_run_that_was_taken_starts_though_its_store_fails_right_after_that(scheduler, monkeypatch):
    chained(scheduler, seconds=1)
    store, original = scheduler._jobstores["default"], MemoryJobStore.next_waiting
    failures = iter([ConnectionError("away")])

    def fails_once(self):
        if self.get_runs("j", status=CLAIMED) and (failure := next(failures, None)) is not None:
            raise failure
        return original(self)

    monkeypatch.setattr(type(store), "next_waiting", fails_once)
    scheduler.advance(seconds=30)
    assert [run.status for run in scheduler.get_runs("j")] == [SUCCEEDED]
    assert next(failures, None) is None


def test_a_scheduler_without_chains_reads_nothing_for_runs_that_find_no_place(scheduler, monkeypatch):
    """Others of the process have some, and jobs whose times wait for room."""
    monkeypatch.setattr("rota.engine.asked.ASKED", ())  # other jobs of the process may ask for resources
    looked = []
    original = MemoryJobStore.find_runs
    minutely(scheduler, seconds=30, overlap="buffer_one")
    scheduler.advance(seconds=1)
    scheduler.run_job("j", not_before=at(scheduler))
    monkeypatch.setattr(
        MemoryJobStore, "find_runs", lambda self, *args: looked.append(args) or original(self, *args)
    )
    scheduler.advance(seconds=10)
    assert len(scheduler.get_runs("j", status="waiting")) == 1
    assert looked == []
