"""Two policies that meet in one job, as programs see it: in virtual time, in memory and in a database."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from rota import After, Retry, Snooze, current_run
from rota.clock import SECOND, moment
from rota.core.plan import plan
from rota.core.states import CANCELLED, CLAIMED, FAILED, MISSED, SKIPPED, SUCCEEDED, TIMED_OUT, WAITING
from rota.errors import JobValueError
from rota.testing import ManualScheduler
from rota.triggers.interval import IntervalTrigger
from tests.needs import need

#: what each call was given
calls: list[object] = []
PATIENT = Retry(wait_initial=600, wait_jitter=0)
#: what a run may wait for
KINDS = ("retry", "snooze", "rerun", "backfill", "chain", "by hand")


@pytest.fixture(autouse=True)
def forgotten():
    calls.clear()


@pytest.fixture
def scheduler():
    scheduler = ManualScheduler(timezone="UTC")
    scheduler.start()
    yield scheduler
    scheduler.shutdown(wait=False)


@pytest.fixture
def url(tmp_path):
    need("sqlalchemy", "sql")
    return f"sqlite:///{tmp_path / 'jobs.db'}"


def on(url, clock=None):
    scheduler = ManualScheduler(jobstores={"default": url}, clock=clock, lease=15, timezone="UTC")
    scheduler.start()
    return scheduler


def work(what="as before"):
    calls.append(what)


def fail_first(what="as before"):
    if current_run().tries == 0:
        raise ConnectionError("the first try")
    calls.append(what)


def snooze_first(what="as before"):
    if current_run().attempt == 1:
        raise Snooze(600)
    calls.append(what)


async def last(seconds):
    await asyncio.sleep(seconds)


def at(scheduler, seconds=0):
    return moment(scheduler.clock.now() + seconds * SECOND)


def daily(scheduler, func=work, id="job", **options):
    """Add a job that is due now and each day from then on; it has been so since ten days ago by its schedule."""
    trigger = IntervalTrigger(days=1, start_date=at(scheduler) - timedelta(days=10), timezone="UTC")
    scheduler.add_job(func, trigger, id=id, next_run_time=at(scheduler), **options)


def wait_for(scheduler, kind, **options):
    """Have a run of "job" wait: a retry or snooze for ten minutes, others until the next pass; return its time."""
    if kind == "chain":
        daily(scheduler, id="parent")
        scheduler.add_job(work, After("parent", delay=600), id="job", **options)
    else:
        func, more = {
            "retry": (fail_first, {"retry": PATIENT}),
            "snooze": (snooze_first, {}),
        }.get(kind, (work, {}))
        daily(scheduler, func, **more, **options)
    scheduler.advance(seconds=1)
    if kind == "rerun":
        (run,) = scheduler.get_runs("job")
        scheduler.rerun("job", run.scheduled_run_time)
    elif kind == "backfill":
        day = scheduler.get_job("job").next_run_time - timedelta(days=3)
        assert scheduler.backfill("job", day, day) == 1
    elif kind == "by hand":
        scheduler.run_job("job", not_before=at(scheduler, 600))
    (run,) = (run for run in scheduler.get_runs("job") if run.status == WAITING)
    calls.clear()
    return run.scheduled_run_time


def stop_by(scheduler, how):
    scheduler.pause_job("job") if how == "pause" else scheduler.hold(all=True)


def go_on(scheduler, how):
    scheduler.resume_job("job") if how == "pause" else scheduler.release(all=True)


def outcome(scheduler, time):
    run = scheduler.get_run("job", time)
    return run.status, run.reason


def records(scheduler, job_id="job"):
    return [(run.status, run.reason, run.count) for run in reversed(scheduler.get_runs(job_id))]


# ---------------------------------------------------------------------------------------------------- runs that wait


@pytest.mark.parametrize("how", ["pause", "hold"])
@pytest.mark.parametrize("kind", ["retry", "snooze", "backfill", "chain"])
def test_what_waits_by_itself_goes_on_with_its_job_that_was_paused_or_on_hold(scheduler, kind, how):
    time = wait_for(scheduler, kind)
    stop_by(scheduler, how)
    scheduler.advance(hours=1)
    assert (outcome(scheduler, time), calls) == ((WAITING, None), [])
    go_on(scheduler, how)
    scheduler.advance(minutes=1)
    assert outcome(scheduler, time) == (SUCCEEDED, None)


@pytest.mark.parametrize("how", ["pause", "hold"])
@pytest.mark.parametrize("kind", ["rerun", "by hand"])
def test_what_somebody_has_asked_for_starts_though_its_job_is_paused_or_on_hold(scheduler, kind, how):
    time = wait_for(scheduler, kind)
    stop_by(scheduler, how)
    scheduler.advance(hours=1)
    assert outcome(scheduler, time) == (SUCCEEDED, None)
    assert scheduler.get_job("job").state == "paused"


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_waits_is_cancelled_at_once_and_not_called(scheduler, kind):
    time = wait_for(scheduler, kind)
    scheduler.cancel_run("job", time, "not needed")
    assert outcome(scheduler, time) == (CANCELLED, "not needed")
    scheduler.advance(hours=1)
    assert [what for what in calls if what == "as before"] == []


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_waits_is_cancelled_with_its_job(scheduler, kind):
    time = wait_for(scheduler, kind)
    scheduler.remove_job("job")
    assert outcome(scheduler, time) == (CANCELLED, "job removed")
    scheduler.advance(hours=1)
    assert calls == []


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_waits_is_called_as_its_job_was_edited_meanwhile(scheduler, kind):
    time = wait_for(scheduler, kind)
    scheduler.modify_job("job", args=["edited"])
    scheduler.advance(hours=1)
    assert outcome(scheduler, time) == (SUCCEEDED, None)
    assert calls == ["edited"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", ["shutdown", "crash"])
def test_whatever_waits_is_carried_out_by_another_node_when_its_own_is_gone(url, kind, way):
    first = on(url)
    time = wait_for(first, kind)
    if way == "shutdown":
        first.shutdown(wait=False)
    first.clock.advance(3600)  # it makes no passes any more
    second = on(url, first.clock)
    second.advance(minutes=1)
    assert outcome(second, time) == (SUCCEEDED, None)
    assert second.get_run("job", time).tries == (kind == "retry")


@pytest.mark.parametrize("kind", KINDS)
def test_what_waits_in_memory_is_cancelled_by_a_shutdown(kind):
    scheduler = ManualScheduler(timezone="UTC")
    scheduler.start()
    time = wait_for(scheduler, kind)
    scheduler.shutdown()
    (run,) = (run for run in scheduler.get_runs("job") if run.scheduled_run_time == time)
    assert run.status == CANCELLED


@pytest.mark.parametrize("option", ["misfire_grace_time", "expires"])
@pytest.mark.parametrize("kind", KINDS)
def test_whatever_has_waited_is_never_too_late(scheduler, kind, option):
    time = wait_for(scheduler, kind, **{option: 5})
    scheduler.pause()
    scheduler.advance(hours=1)
    scheduler.resume()
    scheduler.advance(minutes=1)
    assert outcome(scheduler, time) == (SUCCEEDED, None)


@pytest.mark.parametrize("kind", ["snooze", "rerun", "backfill", "by hand"])
def test_whatever_waits_and_is_no_retry_is_superseded_by_no_later_time(scheduler, kind):
    time = wait_for(scheduler, kind, retry=PATIENT) if kind != "snooze" else wait_for(scheduler, kind)
    scheduler.pause()
    scheduler.advance(days=1)
    scheduler.resume()
    scheduler.advance(minutes=20)
    assert outcome(scheduler, time) == (SUCCEEDED, None)


@pytest.mark.parametrize("kind", ["rerun", "backfill", "by hand"])
@pytest.mark.parametrize("overlap", ["skip", "buffer_one", "buffer_all", "cancel_other"])
def test_what_was_asked_for_waits_for_a_free_place_and_hinders_nobody(scheduler, overlap, kind):
    time = wait_for(scheduler, kind, overlap=overlap, max_instances=1)
    scheduler.modify_job("job", func=last, args=[1000])
    scheduler.modify_job("job", next_run_time=at(scheduler, 1))
    if kind in ("rerun", "backfill"):  # they would start at once: a time of the schedule goes first
        scheduler.modify_job("job", next_run_time=at(scheduler))
    scheduler.advance(seconds=900)
    assert outcome(scheduler, time) == (WAITING, None)
    scheduler.advance(seconds=2000)
    assert outcome(scheduler, time) == (SUCCEEDED, None)
    assert {run.status for run in scheduler.get_runs("job")} == {SUCCEEDED}


@pytest.mark.parametrize("kind", ["rerun", "backfill", "chain", "by hand"])
def test_what_was_asked_for_finds_a_place_with_allow_all(scheduler, kind):
    time = wait_for(scheduler, kind, overlap="allow_all")
    scheduler.modify_job("job", func=last, args=[1000])
    scheduler.modify_job("job", next_run_time=at(scheduler, 1))
    scheduler.advance(seconds=900)
    assert outcome(scheduler, time) == (CLAIMED, None)
    assert len([run for run in scheduler.get_runs("job") if run.status == CLAIMED]) == 2


@pytest.mark.parametrize("kind", ["rerun", "backfill", "chain", "by hand"])
@pytest.mark.parametrize("overlap", ["skip", "buffer_one", "buffer_all", "cancel_other"])
def test_what_a_due_time_does_to_a_run_that_was_asked_for(scheduler, overlap, kind):
    time = wait_for(scheduler, kind, overlap=overlap)
    scheduler.modify_job("job", func=last, args=[1000])
    scheduler.advance(seconds=605 if kind in ("chain", "by hand") else 5)
    assert outcome(scheduler, time) == (CLAIMED, None)
    due = at(scheduler, 5)
    scheduler.modify_job("job", next_run_time=due)
    scheduler.advance(seconds=20)
    found = scheduler.get_run("job", due)
    if overlap == "cancel_other" and kind != "backfill":
        assert (outcome(scheduler, time), found.status) == ((CANCELLED, "replaced"), CLAIMED)
    elif overlap == "skip" and kind != "backfill":
        assert (outcome(scheduler, time), found.status) == ((CLAIMED, None), SKIPPED)
    else:
        assert (outcome(scheduler, time), found) == ((CLAIMED, None), None)
        scheduler.advance(seconds=1000)
        assert (outcome(scheduler, time), outcome(scheduler, due)) == ((SUCCEEDED, None), (CLAIMED, None))


# ------------------------------------------------------------------------------------------------ tries and snoozes


@pytest.mark.parametrize("overlap", ["skip", "cancel_other", "allow_all"])
def test_a_retry_that_waits_is_superseded_whatever_its_job_says_of_overlaps(scheduler, overlap):
    scheduler.add_job(
        fail_first,
        "interval",
        minutes=5,
        id="job",
        next_run_time=at(scheduler),
        overlap=overlap,
        retry=PATIENT,
    )
    scheduler.advance(seconds=301)
    assert records(scheduler) == [(FAILED, "superseded", 1), (WAITING, None, 1)]


def test_a_snooze_between_two_failures_is_no_try(scheduler):
    outcomes = iter([ConnectionError(), Snooze(60), ConnectionError(), None])

    def job():
        if (answer := next(outcomes)) is not None:
            raise answer

    scheduler.add_job(job, id="job", retry=PATIENT, max_attempts=3)
    scheduler.advance(hours=1)
    (run,) = scheduler.get_runs("job")
    assert (run.status, run.tries, run.attempt) == (SUCCEEDED, 2, 4)


def test_a_rerun_of_a_run_that_waits_is_refused_and_a_rerun_may_be_snoozed(scheduler):
    time = wait_for(scheduler, "snooze")
    with pytest.raises(ValueError, match="has not ended"):
        scheduler.rerun("job", time)
    scheduler.advance(minutes=11)

    def snooze_again():
        if current_run().attempt == 3:
            raise Snooze(600)

    scheduler.modify_job("job", func=snooze_again)
    scheduler.rerun("job", time)
    scheduler.advance(minutes=1)
    assert outcome(scheduler, time) == (WAITING, None)
    scheduler.advance(minutes=10)
    assert outcome(scheduler, time) == (SUCCEEDED, None)


def test_each_call_of_a_snoozed_run_has_its_whole_time(scheduler):
    async def job():
        await asyncio.sleep(50)
        if current_run().attempt < 3:
            raise Snooze(60)

    scheduler.add_job(job, id="job", timeout=60)
    scheduler.advance(minutes=10)
    assert records(scheduler) == [(SUCCEEDED, None, 1)]


def test_a_snoozed_run_starts_the_job_after_it_when_it_has_ended_and_once(scheduler):
    daily(scheduler, snooze_first)
    scheduler.add_job(work, After("job", on="any"), id="child", args=["child"])
    scheduler.advance(minutes=5)
    assert calls == []
    scheduler.advance(minutes=10)
    assert calls == ["as before", "child"]


@pytest.mark.parametrize("overlap", ["skip", "buffer_one", "buffer_all", "cancel_other", "allow_all"])
def test_what_a_due_time_does_to_a_snoozed_run(scheduler, overlap):
    scheduler.add_job(
        snooze_first, "interval", minutes=4, id="job", next_run_time=at(scheduler), overlap=overlap
    )
    scheduler.advance(minutes=4, seconds=1)
    expected = {
        "skip": [(WAITING, None, 1), (SKIPPED, "max_instances", 1)],
        "cancel_other": [(CANCELLED, "replaced", 1), (WAITING, None, 1)],
        "allow_all": [(WAITING, None, 1), (WAITING, None, 1)],
    }
    assert records(scheduler) == expected.get(overlap, [(WAITING, None, 1)])


def test_a_retry_of_merged_times_leaves_their_record_alone(scheduler):
    scheduler.add_job(fail_first, "interval", hours=1, id="job", retry=PATIENT, coalesce=True)
    scheduler.pause()
    scheduler.advance(hours=3, minutes=1)
    scheduler.resume()
    scheduler.advance(minutes=15)
    assert records(scheduler) == [(SKIPPED, "coalesced", 2), (SUCCEEDED, None, 1)]


def outage(scheduler, hours):
    scheduler.pause()
    scheduler.advance(hours=hours, minutes=10)
    scheduler.resume()
    scheduler.advance(seconds=1)


@pytest.mark.parametrize("options", [{}, {"coalesce": False}, {"misfire_grace_time": 5}], ids=str)
def test_times_of_an_outage_that_find_no_place_are_one_record_whatever_the_job_says_of_them(
    scheduler, options
):
    first = at(scheduler)
    scheduler.add_job(last, "interval", hours=1, id="job", args=[90000], next_run_time=first, **options)
    scheduler.advance(seconds=1)
    outage(scheduler, 3)
    assert records(scheduler) == [(CLAIMED, None, 1), (SKIPPED, "max_instances", 3)]


@pytest.mark.parametrize("options", [{}, {"misfire_grace_time": 5}], ids=str)
def test_after_an_outage_times_are_merged_and_judged_as_ever_where_there_is_no_limit(scheduler, options):
    first = at(scheduler)
    scheduler.add_job(
        last, "interval", hours=1, id="job", args=[90000], next_run_time=first, overlap="allow_all", **options
    )
    scheduler.advance(seconds=1)
    outage(scheduler, 3)
    merged = [(SKIPPED, "coalesced", 2), (CLAIMED, None, 1)]
    assert records(scheduler)[1:] == ([(MISSED, "too late", 3)] if options else merged)


def test_merged_times_expire_from_the_due_time_of_the_newest(scheduler):
    scheduler.add_job(work, "interval", hours=1, id="in time", expires=1200)
    scheduler.add_job(work, "interval", hours=1, id="late", expires=300)
    outage(scheduler, 3)
    assert records(scheduler, "in time") == [(SKIPPED, "coalesced", 2), (SUCCEEDED, None, 1)]
    assert records(scheduler, "late") == [(SKIPPED, "coalesced", 2), (MISSED, "expired", 1)]


# --------------------------------------------------------------------------------------------- pauses, holds and time


@pytest.mark.parametrize("how", ["pause", "hold"])
@pytest.mark.parametrize(
    "options",
    [
        {"coalesce": True},
        {"coalesce": False},
        {"misfire_grace_time": 5},
        {"expires": 5},
        {"overlap": "buffer_one"},
        {"overlap": "buffer_all"},
        {"overlap": "cancel_other"},
        {"overlap": "allow_all"},
    ],
    ids=str,
)
def test_what_a_pause_leaves_out_is_one_record_that_names_the_pause(scheduler, options, how):
    daily(scheduler, **options)
    scheduler.advance(seconds=1)
    stop_by(scheduler, how)
    scheduler.advance(days=3)
    go_on(scheduler, how)
    scheduler.advance(hours=1)
    reason = "paused" if how == "pause" else "on hold"
    assert records(scheduler) == [(SUCCEEDED, None, 1), (SKIPPED, reason, 3)]


@pytest.mark.parametrize("how", ["pause", "hold"])
@pytest.mark.parametrize("overlap", ["buffer_one", "buffer_all", "cancel_other"])
def test_a_time_that_has_waited_for_room_is_left_out_by_a_pause_or_a_hold(scheduler, overlap, how):
    async def stubborn():
        try:
            await asyncio.sleep(5000)
        except asyncio.CancelledError:
            await asyncio.sleep(5000)

    scheduler.add_job(stubborn, "interval", hours=1, id="job", next_run_time=at(scheduler), overlap=overlap)
    scheduler.advance(seconds=3700)
    stop_by(scheduler, how)
    scheduler.advance(hours=3)
    go_on(scheduler, how)
    first, left = records(scheduler)
    assert first[0] in (SUCCEEDED, CANCELLED)
    assert left[:2] == (SKIPPED, "paused" if how == "pause" else "on hold")


@pytest.mark.parametrize("how", ["pause", "hold"])
def test_a_run_under_way_goes_on_its_time_too_and_can_be_cancelled_while_its_job_is_paused(scheduler, how):
    daily(scheduler, last, args=[1000], timeout=900)
    daily(scheduler, last, id="other", args=[1000])
    scheduler.advance(seconds=1)
    stop_by(scheduler, how)
    (other,) = scheduler.get_runs("other")
    scheduler.cancel_run("other", other.scheduled_run_time, "enough")
    scheduler.advance(seconds=950)
    assert records(scheduler) == [(TIMED_OUT, "timeout", 1)]
    assert records(scheduler, "other")[0][:2] == (CANCELLED, "enough")


@pytest.mark.parametrize("how", ["pause", "hold"])
def test_a_paused_job_that_is_edited_stays_paused(scheduler, how):
    daily(scheduler)
    stop_by(scheduler, how)
    scheduler.modify_job("job", args=["edited"])
    scheduler.advance(hours=36)
    assert (calls, scheduler.get_job("job").state) == ([], "paused")
    go_on(scheduler, how)
    scheduler.advance(days=1)
    assert calls == ["edited"]


@pytest.mark.parametrize("way", ["a next time", "another trigger"])
def test_a_next_time_or_another_trigger_resumes_a_paused_job(scheduler, way):
    daily(scheduler)
    scheduler.pause_job("job")
    if way == "a next time":
        scheduler.modify_job("job", next_run_time=at(scheduler, 5))
    else:
        scheduler.reschedule_job("job", trigger="interval", seconds=5)
    scheduler.advance(seconds=6)
    assert scheduler.get_job("job").state == "active"
    assert calls == ["as before"]


@pytest.mark.parametrize("how", ["pause", "hold"])
def test_a_pause_outlives_a_shutdown(url, how):
    first = on(url)
    daily(first)
    stop_by(first, how)
    first.shutdown()
    first.clock.advance(3 * 86400)
    second = on(url, first.clock)
    second.advance(seconds=10)
    assert (calls, second.get_job("job").state) == ([], "paused")


@pytest.mark.parametrize("how", ["pause", "hold"])
def test_a_paused_job_that_is_removed_leaves_no_record_of_the_pause(scheduler, how):
    daily(scheduler)
    stop_by(scheduler, how)
    scheduler.advance(days=3)
    scheduler.remove_job("job")
    assert records(scheduler) == []


def lost_with_its_node(scheduler, **options):
    """Claim the first time of "job" for a node that dies."""
    daily(scheduler, **options)
    store = scheduler._jobstores["default"]
    store.renew("dead", store.now(), 5 * SECOND)
    assert store.claim([plan(scheduler.get_job("job"), store.now())], "dead", store.now())


@pytest.mark.parametrize("how", ["pause", "hold"])
def test_the_run_of_a_dead_node_is_executed_though_its_job_is_paused_or_on_hold(url, how):
    scheduler = on(url)
    lost_with_its_node(scheduler)
    stop_by(scheduler, how)
    scheduler.advance(minutes=2)
    assert (records(scheduler), calls) == ([(SUCCEEDED, None, 1)], ["as before"])


def test_the_run_of_a_dead_node_is_executed_as_its_job_was_edited_meanwhile(url):
    scheduler = on(url)
    lost_with_its_node(scheduler)
    scheduler.modify_job("job", args=["edited"])
    scheduler.advance(minutes=2)
    assert calls == ["edited"]


@pytest.mark.parametrize("option", ["misfire_grace_time", "expires"])
def test_the_run_of_a_dead_node_is_not_too_late(url, option):
    scheduler = on(url)
    lost_with_its_node(scheduler, **{option: 5})
    scheduler.advance(minutes=2)
    assert records(scheduler) == [(SUCCEEDED, None, 1)]


@pytest.mark.parametrize("overlap", ["skip", "buffer_one", "buffer_all", "cancel_other", "allow_all"])
def test_what_a_due_time_does_to_the_run_of_a_node_that_has_died(url, overlap):
    scheduler = on(url)
    lost_with_its_node(scheduler, overlap=overlap)
    scheduler.modify_job("job", next_run_time=at(scheduler, 2))
    scheduler.advance(minutes=2)
    expected = {
        "skip": [(SUCCEEDED, None, 1), (SKIPPED, "max_instances", 1)],
        "cancel_other": [(CANCELLED, "replaced", 1), (SUCCEEDED, None, 1)],
    }
    assert records(scheduler) == expected.get(overlap, [(SUCCEEDED, None, 1)] * 2)


# --------------------------------------------------------------------------------------- reruns, backfills and chains


@pytest.mark.parametrize("way", ["cancel", "time-out"])
def test_a_run_that_was_cancelled_or_has_timed_out_is_executed_once_more(scheduler, way):
    daily(scheduler, last, args=[1000], timeout=100 if way == "time-out" else None)
    scheduler.advance(seconds=1)
    (run,) = scheduler.get_runs("job")
    if way == "cancel":
        scheduler.cancel_run("job", run.scheduled_run_time, "enough")
    scheduler.advance(seconds=150)
    assert records(scheduler)[0][0] == (CANCELLED if way == "cancel" else TIMED_OUT)
    scheduler.modify_job("job", args=[10])
    scheduler.rerun("job", run.scheduled_run_time)
    scheduler.advance(seconds=50)
    assert records(scheduler) == [(SUCCEEDED, None, 1)]


@pytest.mark.parametrize("kind", ["retry", "snooze", "rerun", "backfill", "chain", "by hand"])
def test_the_time_of_whatever_has_waited_begins_with_its_start(scheduler, kind):
    time = wait_for(scheduler, kind, timeout=30, max_attempts=2)
    scheduler.modify_job("job", func=last, args=[1000])
    scheduler.advance(seconds=700)
    assert outcome(scheduler, time) == (TIMED_OUT, "timeout")


def test_a_cancelled_run_of_a_backfill_is_not_missing_any_more(scheduler):
    time = wait_for(scheduler, "backfill")
    scheduler.cancel_run("job", time, "not needed")
    scheduler.advance(minutes=1)
    assert scheduler.backfill("job", time, time, dry_run=True) == 0


def test_each_run_of_a_backfill_starts_the_job_after_it(scheduler):
    daily(scheduler)
    scheduler.advance(seconds=1)
    scheduler.add_job(work, After("job"), id="child", args=["child"])
    day = scheduler.get_job("job").next_run_time - timedelta(days=3)
    scheduler.backfill("job", day, day + timedelta(days=1))
    scheduler.advance(minutes=1)
    assert calls.count("child") == 2


def test_a_backfill_leaves_a_run_alone_that_is_opened_already_and_a_rerun_is_refused_then(scheduler):
    time = wait_for(scheduler, "rerun")
    assert scheduler.backfill("job", time, time, only_missing=False, dry_run=True) == 0
    day = time - timedelta(days=1)
    scheduler.backfill("job", day, day)
    with pytest.raises(ValueError, match="has not ended"):
        scheduler.rerun("job", day)


@pytest.mark.parametrize("how", ["pause", "hold"])
def test_a_chained_job_that_is_paused_or_on_hold_leaves_a_record_that_says_so(scheduler, how):
    scheduler.add_job(work, After("parent"), id="job")
    stop_by(scheduler, how)
    daily(scheduler, id="parent")
    if how == "hold":
        scheduler.run_job("parent")
    scheduler.advance(minutes=1)
    assert {each[:2] for each in records(scheduler)} == {(SKIPPED, "paused" if how == "pause" else "on hold")}


@pytest.mark.parametrize("options", [{"misfire_grace_time": 5}, {"expires": 5}, {"coalesce": True}], ids=str)
def test_times_that_were_missed_or_merged_start_no_job_after_them(scheduler, options):
    scheduler.add_job(work, "interval", hours=1, id="parent", **options)
    scheduler.add_job(work, After("parent", on="any"), id="job")
    scheduler.pause()
    scheduler.advance(hours=3, minutes=30)
    scheduler.resume()
    scheduler.advance(minutes=10)
    succeeded = [run for run in scheduler.get_runs("parent") if run.status == SUCCEEDED]
    assert len(scheduler.get_runs("job")) == len(succeeded) == ("coalesce" in options)
    assert len(scheduler.get_runs("parent")) > len(succeeded)


# ----------------------------------------------------------------------------------- cancels, edits, removals, the end


@pytest.mark.parametrize("overlap", ["buffer_one", "buffer_all", "cancel_other"])
def test_a_time_that_waits_for_room_starts_when_the_run_before_it_is_cancelled(scheduler, overlap):
    scheduler.add_job(
        last, "interval", hours=1, args=[5000], id="job", next_run_time=at(scheduler), overlap=overlap
    )
    scheduler.advance(seconds=3601)
    first = scheduler.get_runs("job")[-1]
    if overlap != "cancel_other":
        scheduler.cancel_run("job", first.scheduled_run_time, "enough")
    scheduler.advance(seconds=5)
    reason = "replaced" if overlap == "cancel_other" else "enough"
    assert records(scheduler) == [(CANCELLED, reason, 1), (CLAIMED, None, 1)]


@pytest.mark.parametrize("overlap", ["skip", "buffer_one", "buffer_all", "allow_all"])
def test_a_place_comes_free_when_the_time_of_a_run_is_over(scheduler, overlap):
    scheduler.add_job(
        last,
        "interval",
        hours=1,
        args=[9000],
        id="job",
        next_run_time=at(scheduler),
        overlap=overlap,
        timeout=5000,
    )
    scheduler.advance(seconds=7300)
    expected = {
        "skip": [(TIMED_OUT, "timeout", 1), (SKIPPED, "max_instances", 1), (CLAIMED, None, 1)],
        "allow_all": [(TIMED_OUT, "timeout", 1), (CLAIMED, None, 1), (CLAIMED, None, 1)],
    }
    waited = [(TIMED_OUT, "timeout", 1), (CLAIMED, None, 1)]
    assert records(scheduler) == expected.get(overlap, waited)


def test_a_time_that_was_cancelled_ahead_is_in_no_record_of_merged_times(scheduler):
    scheduler.add_job(work, "interval", hours=1, id="job", coalesce=True)
    second = scheduler.get_job("job").next_run_time + timedelta(hours=1)
    scheduler.cancel_run("job", second)
    scheduler.pause()
    scheduler.advance(hours=3, minutes=30)
    scheduler.resume()
    scheduler.advance(minutes=1)
    assert records(scheduler) == [
        (SKIPPED, "coalesced", 1),
        (CANCELLED, "skipped ahead", 1),
        (SUCCEEDED, None, 1),
    ]


@pytest.mark.parametrize("option", ["misfire_grace_time", "expires"])
def test_edits_say_what_is_too_late_also_of_times_that_are_owed_already(scheduler, option):
    scheduler.add_job(work, "interval", hours=1, id="job")
    scheduler.pause()
    scheduler.advance(hours=1, minutes=30)
    scheduler.modify_job("job", **{option: 5})
    scheduler.resume()
    scheduler.advance(minutes=1)
    assert records(scheduler)[0][0] == MISSED


def test_edits_say_whether_times_that_are_owed_already_are_merged(scheduler):
    scheduler.add_job(work, "interval", hours=1, id="job", coalesce=True)
    scheduler.pause()
    scheduler.advance(hours=3, minutes=30)
    scheduler.modify_job("job", coalesce=False)
    scheduler.resume()
    scheduler.advance(minutes=1)
    assert records(scheduler) == [(SUCCEEDED, None, 1)] * 3


@pytest.mark.parametrize("overlap", ["skip", "allow_all", "cancel_other"])
def test_an_edit_of_overlap_counts_for_the_next_due_time(scheduler, overlap):
    scheduler.add_job(
        last, "interval", hours=1, args=[9000], id="job", next_run_time=at(scheduler), overlap="skip"
    )
    scheduler.advance(seconds=1)
    scheduler.modify_job("job", overlap=overlap)
    scheduler.advance(seconds=3610)
    expected = {
        "skip": [(CLAIMED, None, 1), (SKIPPED, "max_instances", 1)],
        "allow_all": [(CLAIMED, None, 1), (CLAIMED, None, 1)],
        "cancel_other": [(CANCELLED, "replaced", 1), (CLAIMED, None, 1)],
    }
    assert records(scheduler) == expected[overlap]


@pytest.mark.parametrize("overlap", ["skip", "allow_all", "cancel_other", "buffer_all"])
def test_a_time_that_waits_for_room_follows_the_value_that_its_job_is_given(scheduler, overlap):
    scheduler.add_job(
        last, "interval", hours=1, args=[5000], id="job", next_run_time=at(scheduler), overlap="buffer_one"
    )
    scheduler.advance(seconds=3700)
    scheduler.modify_job("job", overlap=overlap)
    scheduler.advance(seconds=100)
    expected = {
        "skip": [(CLAIMED, None, 1), (SKIPPED, "max_instances", 1)],
        "allow_all": [(CLAIMED, None, 1), (CLAIMED, None, 1)],
        "cancel_other": [(CANCELLED, "replaced", 1), (CLAIMED, None, 1)],
        "buffer_all": [(CLAIMED, None, 1)],
    }
    assert records(scheduler) == expected[overlap]


@pytest.mark.parametrize("overlap", ["buffer_one", "buffer_all"])
def test_a_time_that_waits_for_room_goes_with_its_job_and_the_run_ends(scheduler, overlap):
    scheduler.add_job(
        last, "interval", hours=1, args=[5000], id="job", next_run_time=at(scheduler), overlap=overlap
    )
    scheduler.advance(seconds=3700)
    scheduler.remove_job("job")
    scheduler.advance(hours=2)
    assert records(scheduler) == [(SUCCEEDED, None, 1)]


@pytest.mark.parametrize("overlap", ["buffer_one", "buffer_all"])
def test_a_time_that_waits_for_room_is_there_after_a_shutdown(url, overlap):
    first = on(url)
    first.add_job(last, "interval", minutes=1, args=[100], id="job", next_run_time=at(first), overlap=overlap)
    first.advance(seconds=70)
    first.shutdown()
    second = on(url, first.clock)
    second.advance(seconds=10)
    assert records(second) == [(SUCCEEDED, None, 1), (CLAIMED, None, 1)]


@pytest.mark.parametrize("way", ["cancel", "time-out", "fail"])
def test_a_run_under_way_of_a_removed_job_ends_as_it_would_have(scheduler, way):
    async def job():
        await asyncio.sleep(50)
        raise ConnectionError

    daily(scheduler, job, timeout=30 if way == "time-out" else None)
    scheduler.advance(seconds=1)
    (run,) = scheduler.get_runs("job")
    scheduler.remove_job("job")
    if way == "cancel":
        scheduler.cancel_run("job", run.scheduled_run_time, "enough")
    scheduler.advance(hours=1)
    expected = {"cancel": CANCELLED, "time-out": TIMED_OUT, "fail": FAILED}
    assert records(scheduler)[0][0] == expected[way]


@pytest.mark.parametrize("way", ["fail", "time-out", "snooze"])
def test_a_run_of_a_removed_job_that_was_to_be_tried_again_ends_as_its_last_try(scheduler, way):
    async def job():
        await asyncio.sleep(50)
        raise Snooze(10) if way == "snooze" else ConnectionError

    daily(scheduler, job, retry=Retry(wait_initial=600), timeout=30 if way == "time-out" else None)
    scheduler.advance(seconds=1)
    scheduler.remove_job("job")
    scheduler.advance(minutes=1)
    expected = {
        "fail": (FAILED, "job removed"),
        "time-out": (TIMED_OUT, "timeout"),
        "snooze": (CANCELLED, "job removed"),
    }
    assert records(scheduler) == [(*expected[way], 1)]


def test_a_request_to_cancel_outlives_an_edit(scheduler):
    daily(scheduler, last, args=[1000], retry=PATIENT)
    scheduler.advance(seconds=1)
    (run,) = scheduler.get_runs("job")
    scheduler.cancel_run("job", run.scheduled_run_time, "enough")
    scheduler.modify_job("job", args=[5])
    scheduler.advance(hours=1)
    assert records(scheduler) == [(CANCELLED, "enough", 1)]


@pytest.mark.parametrize("chain", [True, False])
def test_a_backfill_starts_the_jobs_after_it_unless_that_is_not_wanted(chain):
    scheduler = ManualScheduler()
    scheduler.start()
    start = moment(scheduler.clock.now() - 1800 * SECOND)
    scheduler.add_job(int, "interval", hours=1, start_date=start, id="job")
    scheduler.add_job(int, After("job"), id="next")
    assert scheduler.backfill("job", start, start, chain=chain) == 1
    scheduler.advance(seconds=5)
    assert [run.status for run in scheduler.get_runs("job")] == [SUCCEEDED]
    assert len(scheduler.get_runs("next")) == chain
    with pytest.raises(JobValueError, match="chain must be True or False, got 'no'"):
        scheduler.backfill("job", start, start, chain="no")  # type: ignore[arg-type]
    scheduler.shutdown()
