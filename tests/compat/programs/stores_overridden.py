"""Programs that derive from the job stores that come with the library, or replace methods on them, and call what they replace."""

import threading
import types

from apscheduler.events import EVENT_JOB_EXECUTED
from apscheduler.job import Job
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.background import BackgroundScheduler

notes = []


class Gate:
    """Gives out nothing that is due while another process is the active one."""

    active = False

    def get_due_jobs(self, now):
        return super().get_due_jobs(now) if self.active else []

    def get_next_run_time(self):
        return super().get_next_run_time() if self.active else None


class Diary:
    """Notes what is stored, moved and removed."""

    def add_job(self, job):
        super().add_job(job)
        notes.append(("added", job.id))

    def update_job(self, job):
        super().update_job(job)
        notes.append(("updated", job.id, job.next_run_time is not None))

    def remove_job(self, job_id):
        super().remove_job(job_id)
        notes.append(("removed", job_id))


class GatedMemory(Gate, MemoryJobStore):
    pass


class GatedSQL(Gate, SQLAlchemyJobStore):
    pass


class MemoryWithDiary(Diary, MemoryJobStore):
    pass


class SQLWithDiary(Diary, SQLAlchemyJobStore):
    pass


class Handle:
    """An object that cannot be stored; a text stands for it."""

    def __init__(self, number):
        self.number = number
        self.lock = threading.Lock()


class HandleStore(SQLAlchemyJobStore):
    """Stores something else in the place of such objects, and makes them anew, as bots do."""

    def add_job(self, job):
        super().add_job(self.prepared(job))

    def update_job(self, job):
        super().update_job(self.prepared(job))

    def prepared(self, job):
        args = job.args
        copy = Job.__new__(Job)
        job.args = ()
        state = job.__getstate__()
        job.args = args
        state["args"] = tuple(f"handle {arg.number}" if isinstance(arg, Handle) else arg for arg in args)
        copy.__setstate__(state)
        return copy

    def _reconstitute_job(self, job_state):
        job = super()._reconstitute_job(job_state)
        job.args = tuple(Handle(int(arg.partition(" ")[2])) for arg in job.args)
        return job


def answer():
    return 42


def use(handle):
    with handle.lock:
        return handle.number


def started(store):
    events, came = [], threading.Event()

    def listener(event):
        events.append(event)
        came.set()

    scheduler = BackgroundScheduler(jobstores={"default": store}, timezone="UTC")
    scheduler.add_listener(listener, EVENT_JOB_EXECUTED)
    scheduler.start()
    return scheduler, events, came


for number, store in enumerate([GatedMemory(), GatedSQL("sqlite:///gated.sqlite")]):
    scheduler, events, came = started(store)
    scheduler.add_job(answer, id="a", misfire_grace_time=None)
    assert not came.wait(0.5), "the standby has run a job"
    assert scheduler.get_job("a") is not None
    Gate.active = True
    scheduler.wakeup()
    assert came.wait(20)
    assert scheduler.get_job("a") is None
    scheduler.shutdown()
    Gate.active = False

for store in [MemoryWithDiary(), SQLWithDiary("sqlite:///diary.sqlite")]:
    del notes[:]
    scheduler, events, came = started(store)
    scheduler.add_job(answer, "interval", hours=1, id="hourly")
    scheduler.modify_job("hourly", name="each hour")
    scheduler.add_job(answer, id="once", misfire_grace_time=None)
    assert came.wait(20)
    assert scheduler.get_job("once") is None
    came.clear()
    scheduler.add_job(answer, "interval", seconds=0.3, id="often", misfire_grace_time=None)
    assert came.wait(20)
    scheduler.remove_job("often")
    scheduler.shutdown()
    assert notes[:2] == [("added", "hourly"), ("updated", "hourly", True)], notes
    for note in [("removed", "once"), ("updated", "often", True), ("removed", "often")]:
        assert note in notes, (note, notes)

scheduler, events, came = started(HandleStore("sqlite:///handles.sqlite"))
scheduler.add_job(use, "interval", hours=1, args=[Handle(7)], id="handle")
scheduler.modify_job("handle", name="changed")
job = scheduler.get_job("handle")
assert isinstance(job.args[0], Handle) and job.args[0].number == 7 and job.name == "changed"
assert [job.args[0].number for job in scheduler.get_jobs()] == [7]
scheduler.add_job(use, args=[Handle(8)], id="now", misfire_grace_time=None)
assert came.wait(20)
assert events[0].retval == 8, events
scheduler.shutdown()

# On a running object: what a library for dependency injection does.


def inject(store):
    def get_due_jobs(self, now):
        jobs = type(self).get_due_jobs(self, now)
        for job in jobs:
            job.func = lambda: "injected"
        return jobs

    store.get_due_jobs = types.MethodType(get_due_jobs, store)


for store in [MemoryJobStore(), SQLAlchemyJobStore("sqlite:///injected.sqlite")]:
    scheduler, events, came = started(store)
    inject(store)
    scheduler.add_job(answer, id="a", misfire_grace_time=None)
    assert came.wait(20)
    assert events[0].retval == "injected"
    scheduler.shutdown()
print("done")
