"""What several processes make of one store, for every durable store, what a page of it costs, and how much of the past it keeps."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from rota.clock import DAY, SECOND
from rota.codec.jobs import JobFormat
from rota.core.states import ACTIVE, PAUSED, SUCCEEDED
from rota.schedulers.background import BackgroundScheduler
from rota.testing.contracts.store_jobs import LEASE, NODE, START, claim, finish, make_job

if TYPE_CHECKING:
    from tests.adapters.places import Place

PATIENCE = 50
CLAIM = """
import sys
from rota.core.plan import plan
from rota.core.states import succeed
from rota.schedulers.plugins import create_plugin
from rota.testing.contracts.store_jobs import LEASE, START

store, node = create_plugin("jobstore", sys.argv[1], {}), sys.argv[2]
store.start(None, "default")
store.renew(node, START, LEASE)
print("ready", flush=True)
sys.stdin.readline()
count = 0
while jobs := store.due(START, {"default": 20}):
    won = store.claim([plan(job, START) for job in jobs], node, START)
    runs = [run for decision in won for run in decision.runs]
    for run in runs:
        succeed(run, None, START)
    assert store.finish(runs, START) == []
    count += len(runs)
print(count, flush=True)
store.shutdown()
"""
ADD = """
import sys
from rota.clock import SYSTEM_CLOCK
from rota.schedulers.plugins import create_plugin
from rota.testing.contracts.store_jobs import make_job

store = create_plugin("jobstore", sys.argv[1], {})
store.start(None, "default")
store.add_job(make_job("first", SYSTEM_CLOCK.now() + 10**10, every=None))
print("ready", flush=True)
sys.stdin.readline()
store.add_job(make_job("job", SYSTEM_CLOCK.now(), every=None))
store.shutdown()
"""


def program(text: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a Python program that says when it is ready, and goes on when it is told."""
    process = subprocess.Popen(
        [sys.executable, "-c", text, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_two_processes_claim_every_due_job_exactly_once(place: Place) -> None:
    count = 400
    store = place.open()
    store.add_jobs([make_job(f"job{number}") for number in range(count)])
    names = ("one", "two")
    processes = [program(CLAIM, place.url, name) for name in names]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    counts = [int(process.communicate(timeout=PATIENCE)[0]) for process in processes]
    runs = store.get_runs(limit=count + 1)
    assert len({run.job_id for run in runs}) == len(runs) == sum(counts) == count
    assert {run.status for run in runs} == {SUCCEEDED}
    assert [sum(run.owner == name for run in runs) for name in names] == counts
    assert {job.running for job in store.get_all_jobs()} == {0}


def test_a_job_that_another_process_adds_is_noticed(place: Place) -> None:
    # Neither the lease nor the longest wait of a host would make it look in time.
    scheduler = BackgroundScheduler(jobstores={"default": place.make()}, timezone="UTC", lease=3600)
    scheduler.start()
    try:
        process = program(ADD, place.url)
        process.communicate("\n", timeout=PATIENCE)
        deadline = time.monotonic() + PATIENCE
        while not (runs := scheduler.get_runs("job", SUCCEEDED)):
            assert time.monotonic() < deadline, "nobody ran the job"
            time.sleep(0.02)
        (run,) = runs
        assert run.claimed_at is not None
        print(f"{place.url.partition(':')[0]}: claimed {(run.claimed_at - run.nominal) / 1000:.0f} ms later")
    finally:
        scheduler.shutdown()


@pytest.mark.parametrize(("state", "page"), [((PAUSED,), ["p1", "p2"]), ((ACTIVE,), ["a01", "a02"])])
def test_a_page_of_jobs_restores_no_others(
    place: Place, monkeypatch: pytest.MonkeyPatch, state: tuple[str, ...], page: list[str]
) -> None:
    store = place.open()
    store.add_jobs([make_job(f"a{number:02}") for number in range(20)])
    store.add_jobs([make_job(f"p{number}", None) for number in range(5)])
    restored: list[str] = []
    restore = JobFormat.restore

    def note(self: JobFormat, job: Any, *texts: str) -> None:
        restored.append(job.id)
        restore(self, job, *texts)

    monkeypatch.setattr(JobFormat, "restore", note)
    assert [job.id for job in store.select_jobs(state, 2, 1)] == page
    assert sorted(restored) == page


# ------------------------------------------------------------------------------------------------------ what is kept


def run_many(store: Any, times: int, start: int = START) -> None:
    """Let all jobs run so many times, a second apart."""
    for number in range(times):
        now = start + number * SECOND
        assert finish(store, claim(store, now, f"node{now}"), now) == []


def test_only_the_newest_records_of_each_job_are_kept(place: Place) -> None:
    store = place.open(keep_runs=10)
    store.add_job(make_job("often", every=1))
    store.add_job(make_job("seldom", every=3600))
    run_many(store, 14)
    store.prune(START + 20 * SECOND)
    assert [run.nominal for run in store.get_runs("often")] == [START + n * SECOND for n in range(13, 3, -1)]
    assert len(store.get_runs("seldom")) == 1
    run_many(store, 5, START + 14 * SECOND)
    store.prune(START + 20 * SECOND)
    assert len(store.get_runs("often")) == 10


def test_old_records_are_deleted_in_batches(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for batch in place.batches:
        monkeypatch.setattr(batch, 4)
    store = place.open(keep_days=2, keep_runs=None)
    store.add_job(make_job(every=1))
    run_many(store, 14)
    store.prune(START + 2 * DAY + 11 * SECOND)
    assert [run.nominal for run in store.get_runs()] == [START + n * SECOND for n in (13, 12, 11, 10)]


def test_dead_nodes_are_remembered_for_a_day(place: Place) -> None:
    store = place.open()
    store.renew(NODE, START, LEASE)
    store.prune(START + DAY)
    assert store.renew(NODE, START + DAY, LEASE) == []
    store.prune(START + 3 * DAY)
    assert store.renew(NODE, START + 3 * DAY, LEASE) is None
