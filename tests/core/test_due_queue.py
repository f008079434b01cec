"""The order of due jobs in the memory store, compared with a list that is searched from end to end."""

from hypothesis import given
from hypothesis import strategies as st

from rota.job import Job
from rota.jobstores.memory.due_queue import DueQueue
from tests.present import present

MINUTE = 60_000_000


def job_due(due: int, executor: str = "default") -> Job:
    job: Job = Job.__new__(Job)
    job.id = "job"
    job.executor = executor
    job.version = 1
    job.set_next(due)
    return job


def due_of(job: Job) -> int:
    return present(job.next_due)


def taken(queue: DueQueue, now: int, limit: int = 100) -> list[int]:
    return [entry[0] for entry in queue.take(now, limit)]


# Times that meet in a bucket, and times that do not.
times = st.integers(1, 10 * MINUTE) | st.sampled_from([5, MINUTE, 5 * MINUTE, 400 * MINUTE])
steps = st.lists(
    st.tuples(st.just("add"), times)
    | st.tuples(st.sampled_from(["move", "remove", "pause"]), times)
    | st.tuples(st.just("take"), st.integers(1, 4)),
    max_size=40,
)


@given(steps)
def test_the_queue_gives_out_each_due_job_once_earliest_first_whatever_was_changed(steps):
    queue, now = DueQueue("default", 0), 0
    waiting: list[Job] = []
    for step, value in steps:
        if step == "add":
            waiting.append(job_due(now + value))
            queue.put(waiting[-1], now + value)
        elif step == "take":
            now += value * MINUTE
            found = [entry[3] for entry in queue.take(now, value)]
            due = sorted((job for job in waiting if due_of(job) <= now), key=due_of)[:value]
            assert [job.next_due for job in found] == [job.next_due for job in due]
            waiting = [job for job in waiting if all(job is not other for other in found)]
        elif waiting:
            job = waiting[value % len(waiting)]
            job.version += 1
            if step == "move":
                job.set_next(now + value)
                queue.put(job, now + value)
                continue
            waiting = [other for other in waiting if other is not job]
            if step == "remove":
                job.version = -job.version
            else:
                job.set_next(None)
        assert queue.earliest() == min(map(due_of, waiting), default=None)


def test_jobs_of_one_time_come_out_in_the_order_in_which_they_were_put_in():
    queue = DueQueue("default", 0)
    for due in (400 * MINUTE, 5):
        jobs = [job_due(due) for _ in range(20)]
        for job in jobs:
            queue.put(job, due)
        assert [id(entry[3]) for entry in queue.take(due, 100)] == [id(job) for job in jobs]


def test_a_job_that_was_given_to_another_executor_is_not_given_out():
    queue = DueQueue("default", 0)
    job = job_due(400 * MINUTE)
    queue.put(job, 400 * MINUTE)
    job.executor, job.version = "other", 2
    assert queue.earliest() is None
    assert taken(queue, 500 * MINUTE) == []


def test_a_clock_that_was_set_back_does_not_hide_earlier_jobs():
    queue = DueQueue("default", 0)
    queue.put(job_due(10 * MINUTE), 10 * MINUTE)
    assert taken(queue, 9 * MINUTE) == []
    queue.take(10 * MINUTE, 0)  # the bucket is open now
    queue.put(job_due(MINUTE), MINUTE)
    assert queue.earliest() == MINUTE
    assert taken(queue, 10 * MINUTE) == [MINUTE, 10 * MINUTE]


def test_what_was_taken_can_be_put_back():
    queue = DueQueue("default", 0)
    queue.put(job_due(5), 5)
    queue.put(job_due(6), 6)
    entries = queue.take(10, 100)
    for entry in entries:
        queue.put_back(entry)
    assert taken(queue, 10) == [5, 6]
