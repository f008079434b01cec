"""Jobs after other jobs, as programs see them: in virtual time, in memory and in SQLite."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rota import After, Cancel, OrTrigger, Retry, Skip
from rota.clock import SECOND, moment
from rota.core.chains import LONGEST_CHAIN, MOST_CHILDREN
from rota.errors import ChainError, JobLookupError, TriggerError, UnknownOptionError
from rota.jobstores.base import BaseJobStore
from rota.jobstores.memory import MemoryJobStore
from rota.testing import ManualScheduler
from rota.triggers.interval import IntervalTrigger
from tests.core.queued import Queue
from tests.present import present

pytestmark = pytest.mark.thorough

CALLS = []


def note(name):
    CALLS.append(name)


def fail(name):
    CALLS.append(name)
    raise ValueError(name)


def stop(name):
    raise Cancel(name)


def skip(name):
    raise Skip(name)


@pytest.fixture(params=["memory", "sqlite:///{}/jobs.sqlite"], ids=["memory", "sqlite"])
def scheduler(request, tmp_path):
    CALLS.clear()
    store = request.param.format(tmp_path)
    scheduler = ManualScheduler(jobstores={"default": store} if store != "memory" else {}, timezone="UTC")
    scheduler.start()
    yield scheduler
    scheduler.shutdown()


def add(scheduler, id, trigger=None, func=note, **options):
    if trigger is None:
        options = {"minutes": 1, **options}
    return scheduler.add_job(func, trigger or "interval", id=id, args=(id,), **options)


def runs(scheduler, id):
    return [(run.status, run.reason, run.origin) for run in reversed(scheduler.get_runs(id))]


# --------------------------------------------------------------------------------------------------------- what it does


def test_a_job_runs_after_each_run_of_another_one(scheduler):
    add(scheduler, "first")
    add(scheduler, "second", After("first"))
    add(scheduler, "third", After("second", delay=30))
    scheduler.advance(minutes=1)
    assert CALLS == ["first", "second"]
    scheduler.advance(seconds=30)
    assert CALLS == ["first", "second", "third"]
    scheduler.advance(minutes=1)
    assert CALLS == ["first", "second", "third", "first", "second", "third"]
    assert runs(scheduler, "third") == [("succeeded", None, "after")] * 2
    first, second = scheduler.get_runs("first", limit=1)[0], scheduler.get_runs("second", limit=1)[0]
    assert (second.parent, second.nominal) == (first.id, first.finished_at)


def test_it_is_named_like_other_triggers(scheduler):
    job = scheduler.add_job(note, "after", args=("child",), id="child", job_id="first", on="any", delay=5)
    assert job.trigger == After("first", "any", 5)
    with pytest.raises(UnknownOptionError, match="dealy"):
        scheduler.add_job(note, "after", job_id="first", dealy=5)


def test_each_end_starts_what_counts_it(scheduler):
    for name, func in (("good", note), ("bad", fail), ("cancelled", stop), ("skipped", skip)):
        add(scheduler, name, func=func)
        for on in ("succeeded", "failed", "any"):
            add(scheduler, f"{name} {on}", After(name, on))
    scheduler.advance(minutes=1)
    started = {job.id for job in scheduler.get_jobs() if " " in job.id and scheduler.get_runs(job.id)}
    assert started == {"good succeeded", "good any", "bad failed", "bad any", "cancelled any"}


def test_a_run_by_hand_starts_it_and_a_run_of_its_own_does_not(scheduler):
    add(scheduler, "first", hours=1)
    add(scheduler, "second", After("first"))
    scheduler.run_job("second")
    scheduler.advance(seconds=1)
    scheduler.run_job("first")
    scheduler.advance(seconds=1)
    assert CALLS == ["second", "first", "second"]
    assert [origin for _, _, origin in runs(scheduler, "second")] == ["manual", "after"]


def test_a_rerun_starts_it_again_unless_it_is_not_to(scheduler):
    add(scheduler, "first", hours=1)
    add(scheduler, "second", After("first"))
    scheduler.run_job("first")
    scheduler.advance(seconds=1)
    time = scheduler.get_runs("first")[0].scheduled_run_time
    scheduler.rerun("first", time)
    scheduler.advance(seconds=1)
    assert CALLS == ["first", "second"] * 2
    scheduler.rerun("first", time, chain=False)
    scheduler.advance(seconds=1)
    assert CALLS == ["first", "second", "first", "second", "first"]
    scheduler.rerun("first", time)
    scheduler.advance(seconds=1)
    assert CALLS[-2:] == ["first", "second"]


def test_only_the_last_try_counts(scheduler):
    add(scheduler, "first", func=fail, hours=1, retry=Retry(wait_initial=10, wait_jitter=0), max_attempts=2)
    add(scheduler, "alarm", After("first", "failed"))
    scheduler.run_job("first")
    scheduler.advance(seconds=5)
    assert CALLS == ["first"]
    scheduler.advance(seconds=30)
    assert CALLS == ["first", "first", "alarm"]


def test_it_is_paused_and_resumed_like_others(scheduler):
    add(scheduler, "first")
    add(scheduler, "second", After("first"))
    scheduler.pause_job("second")
    scheduler.advance(minutes=2)
    assert CALLS == ["first", "first"]
    assert runs(scheduler, "second") == [("skipped", "paused", "after")] * 2
    job = scheduler.resume_job("second")
    assert (job.state, job.next_run_time) == ("active", None)
    scheduler.advance(minutes=1)
    assert CALLS == ["first", "first", "first", "second"]
    scheduler.hold(all=True)
    scheduler.release(all=True)
    assert scheduler.get_job("second").state == "active"
    scheduler.advance(minutes=1)
    assert CALLS[-2:] == ["first", "second"]


def test_what_waits_stays_while_it_is_paused(scheduler):
    add(scheduler, "first", hours=1)
    add(scheduler, "second", After("first", delay=60))
    scheduler.run_job("first")
    scheduler.advance(seconds=1)
    scheduler.pause_job("second")
    scheduler.advance(seconds=65)
    assert CALLS == ["first"]
    scheduler.resume_job("second")
    scheduler.advance(seconds=1)
    assert CALLS == ["first", "second"]


def test_a_job_that_is_added_paused_can_be_resumed(scheduler):
    add(scheduler, "first")
    add(scheduler, "second", After("first"), next_run_time=None)
    scheduler.advance(minutes=1)
    assert runs(scheduler, "second") == [("skipped", "paused", "after")]
    scheduler.resume_job("second")
    scheduler.advance(minutes=1)
    assert CALLS == ["first", "first", "second"]


def test_the_parent_may_come_later_go_and_come_back(scheduler):
    add(scheduler, "second", After("first"))
    add(scheduler, "first")
    scheduler.advance(minutes=1)
    scheduler.remove_job("first")
    scheduler.advance(minutes=1)
    add(scheduler, "first")
    scheduler.advance(minutes=1)
    add(scheduler, "first", minutes=2, replace_existing=True)
    scheduler.advance(minutes=2)
    assert CALLS == ["first", "second"] * 3


def test_a_job_gets_such_a_trigger_later_and_loses_it(scheduler):
    add(scheduler, "first")
    add(scheduler, "second", hours=5)
    scheduler.reschedule_job("second", trigger=After("first"))
    scheduler.advance(minutes=1)
    assert CALLS == ["first", "second"]
    scheduler.modify_job("second", trigger=After("nobody"))
    scheduler.advance(minutes=1)
    assert CALLS == ["first", "second", "first"]
    scheduler.reschedule_job("second", trigger="interval", hours=5)
    scheduler.advance(minutes=1)
    assert CALLS == ["first", "second", "first", "first"]
    assert scheduler.get_job("second").next_run_time is not None


def test_it_is_shown_as_what_it_is(scheduler):
    add(scheduler, "first")
    job = add(scheduler, "second", After("first"))
    assert (job.state, job.next_run_time) == ("active", None)
    assert str(job) == "note (trigger: after first, runs after first)"
    paused = add(scheduler, "paused", minutes=1)
    scheduler.pause_job(paused.id)
    assert [job.id for job in scheduler.get_jobs()] == ["first", "second", "paused"]
    assert "runs after first" in scheduler.explain("second")


def test_a_cancelled_run_of_the_parent_starts_what_follows_any_end(scheduler):
    add(scheduler, "first", hours=1)
    add(scheduler, "any", After("first", "any"))
    add(scheduler, "good", After("first"))
    run = scheduler.run_job(
        "first", not_before=scheduler.get_job("first").next_run_time - timedelta(minutes=9)
    )
    scheduler.cancel_run("first", run.scheduled_run_time)
    scheduler.advance(seconds=1)
    assert CALLS == ["any"]
    following = scheduler.get_job("first").next_run_time
    scheduler.cancel_run("first", following)
    scheduler.advance(seconds=1)
    assert CALLS == ["any"]


def test_runs_wait_for_each_other_at_a_job_that_may_run_once(scheduler):
    add(scheduler, "first", hours=1, max_instances=5)
    add(scheduler, "second", After("first"), overlap="buffer_all")
    for _ in range(3):
        scheduler.run_job("first")
    scheduler.advance(seconds=5)
    assert sorted(CALLS) == ["first"] * 3 + ["second"] * 3
    parents = [run.parent for run in scheduler.get_runs("second")]
    assert len(set(parents)) == 3


def test_jobs_that_wait_for_the_start_make_chains_too(tmp_path):
    CALLS.clear()
    scheduler = ManualScheduler(jobstores={"default": f"sqlite:///{tmp_path}/jobs.sqlite"}, timezone="UTC")
    add(scheduler, "second", After("first"))
    add(scheduler, "first")
    assert present(scheduler.get_job("second")).next_run_time is None
    with pytest.raises(ChainError, match="closes a circle"):
        add(scheduler, "first", After("second"), replace_existing=True)
    with pytest.raises(ChainError, match="closes a circle"):
        scheduler.reschedule_job("first", trigger=After("second"))
    scheduler.start()
    scheduler.advance(minutes=1)
    assert CALLS == ["first", "second"]
    scheduler.shutdown()


def test_several_jobs_are_added_together(scheduler):
    scheduler.add_jobs(
        [
            {"func": note, "trigger": After("first"), "id": "second", "args": ("second",)},
            {"func": note, "trigger": "interval", "minutes": 1, "id": "first", "args": ("first",)},
        ]
    )
    scheduler.advance(minutes=1)
    assert CALLS == ["first", "second"]


def test_another_process_adds_a_job_after_one_that_runs_here(tmp_path):
    CALLS.clear()
    url = f"sqlite:///{tmp_path}/jobs.sqlite"
    here = ManualScheduler(jobstores={"default": url}, timezone="UTC")
    here.start()
    add(here, "first")
    here.advance(minutes=1)
    other = ManualScheduler(jobstores={"default": url}, timezone="UTC")
    other.start(paused=True)
    add(other, "second", After("first"))
    here.advance(minutes=1)
    assert CALLS == ["first", "first", "second"]
    other.shutdown()
    here.shutdown()


# ------------------------------------------------------------------------------------------------------ what is refused


def test_a_job_after_itself_is_refused(scheduler):
    with pytest.raises(ChainError) as refusal:
        add(scheduler, "first", After("first"))
    assert str(refusal.value) == (
        'trigger of job "first" must be one that it can have, got after first: that closes a circle: "first" after "first"; '
        "start one of them by a schedule of its own"
    )
    assert scheduler.get_jobs() == []


def test_circles_are_refused_by_every_way_in(scheduler):
    add(scheduler, "a", hours=1)
    add(scheduler, "b", After("a"))
    add(scheduler, "c", After("b"))
    for change in (
        lambda: add(scheduler, "a", After("c"), replace_existing=True),
        lambda: scheduler.modify_job("a", trigger=After("c")),
        lambda: scheduler.reschedule_job("a", trigger=After("c")),
        lambda: scheduler.add_jobs(
            [{"func": note, "trigger": After("c"), "id": "a", "args": ("a",)}], replace_existing=True
        ),
        lambda: scheduler.add_jobs(
            [
                {"func": note, "trigger": After("y"), "id": "x", "args": ("x",)},
                {"func": note, "trigger": After("x"), "id": "y", "args": ("y",)},
            ]
        ),
    ):
        with pytest.raises(ChainError, match="closes a circle"):
            change()
    assert sorted(job.id for job in scheduler.get_jobs()) == ["a", "b", "c"]
    assert scheduler.get_job("a").next_run_time is not None


def test_the_twenty_first_job_after_one_is_refused(scheduler):
    add(scheduler, "first", hours=1)
    for number in range(MOST_CHILDREN):
        add(scheduler, f"child{number}", After("first"))
    with pytest.raises(ChainError, match='the 21st job after "first"'):
        add(scheduler, "one-more", After("first"))
    add(scheduler, "child3", After("first", "any"), replace_existing=True)
    scheduler.remove_job("child3")
    add(scheduler, "one-more", After("first"))
    scheduler.run_job("first")
    scheduler.advance(seconds=5)
    assert len(CALLS) == 1 + MOST_CHILDREN


def test_a_chain_of_more_than_a_hundred_jobs_is_refused(scheduler):
    add(scheduler, "job0", hours=1)
    scheduler.add_jobs(
        [
            {"func": note, "trigger": After(f"job{number - 1}"), "id": f"job{number}", "args": (str(number),)}
            for number in range(1, LONGEST_CHAIN)
        ]
    )
    with pytest.raises(ChainError, match="more than 100 jobs"):
        add(scheduler, "one-more", After(f"job{LONGEST_CHAIN - 1}"))
    with pytest.raises(ChainError, match="more than 100 jobs"):
        scheduler.reschedule_job("job0", trigger=After("top"))


def test_one_inside_another_trigger_is_refused(scheduler):
    with pytest.raises(ChainError, match="must be After"):
        add(scheduler, "child", OrTrigger([After("first"), After("second")]))


def test_a_parent_in_another_store_is_refused(scheduler):
    scheduler.add_jobstore(MemoryJobStore(), "other")
    add(scheduler, "first", jobstore="other")
    with pytest.raises(ChainError, match="which is in 'other'"):
        add(scheduler, "second", After("first"))
    add(scheduler, "second", After("first"), jobstore="other")


class EightMethods(BaseJobStore):
    """A store of the eight methods."""

    def __init__(self):
        self.jobs = {}

    def lookup_job(self, job_id):
        return self.jobs.get(job_id)

    def get_due_jobs(self, now):
        return []

    def get_next_run_time(self):
        return None

    def get_all_jobs(self):
        return list(self.jobs.values())

    def add_job(self, job):
        self.jobs[job.id] = job

    def update_job(self, job):
        self.jobs[job.id] = job

    def remove_job(self, job_id):
        if self.jobs.pop(job_id, None) is None:
            raise JobLookupError(job_id)

    def remove_all_jobs(self):
        self.jobs.clear()


@pytest.mark.parametrize("started", [True, False])
def test_a_store_of_eight_methods_refuses_it(started):
    scheduler = ManualScheduler(jobstores={"default": EightMethods()}, timezone="UTC")
    if started:
        scheduler.start()
    with pytest.raises(ChainError, match="EightMethods, which has no ledger of its own"):
        add(scheduler, "second", After("first"))
    if started:
        scheduler.shutdown()


def test_what_the_trigger_cannot_mean_is_refused_before_anything_is_stored(scheduler):
    for arguments in ({"delay": -1}, {"on": "success"}, {"job_id": ""}):
        with pytest.raises(TriggerError):
            scheduler.add_job(note, "after", **{"job_id": "first", **arguments})
    assert scheduler.get_jobs() == []


def test_a_job_that_gets_times_instead_of_another_jobs_ends_is_planned_from_now_on(scheduler):
    add(scheduler, "first")
    add(scheduler, "second", After("first"))
    scheduler.modify_job("second", trigger=IntervalTrigger(minutes=1))
    scheduler.advance(seconds=61)
    assert [origin for _, _, origin in runs(scheduler, "second")] == ["schedule"]


def test_what_is_left_at_another_job_while_the_store_is_asked_what_waits_is_not_forgotten(monkeypatch):
    """The run of the first job ends in another thread, right after the store has said that nothing waits."""
    queue = Queue()
    scheduler = ManualScheduler(executors={"queue": queue})
    scheduler.start()
    scheduler.add_job(int, "date", id="first", executor="queue")
    scheduler.add_job(int, After("first"), id="second")
    scheduler.add_job(int, "interval", days=1, id="other")
    scheduler.advance(seconds=1)
    original = MemoryJobStore.next_waiting

    def ask(store):
        answer = original(store)
        if queue.groups and scheduler.get_runs("other"):
            queue.work()
        return answer

    monkeypatch.setattr(MemoryJobStore, "next_waiting", ask)
    scheduler.run_job("other", not_before=moment(scheduler.clock.now() + SECOND))
    scheduler.advance(seconds=2)
    assert [run.status for run in scheduler.get_runs("first")] == ["succeeded"]
    assert [run.status for run in scheduler.get_runs("second")] == ["succeeded"]
    scheduler.shutdown(wait=False)
