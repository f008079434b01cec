"""Processes that are killed, stopped and crowded on one SQLite file.

Nothing is lost, and nothing is doubled beyond the runs that were under way.
"""

from __future__ import annotations

import random
import signal
import sqlite3
import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.needs import need

need("sqlalchemy", "sql")

from tests.faults.node import work  # noqa: E402
from tests.faults.processes import Site, wait_until  # noqa: E402

pytestmark = [pytest.mark.serial, pytest.mark.timeout(60)]

MANY = 1000


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path)
    yield made
    made.end()


def all_have_ended(site, count):
    return lambda: len(site.runs("succeeded")) == count


def check_each_ran(site, count, twice_at_most=()):
    """Check that each of the one-off jobs ran to its end, and once, but for those that may have run again."""
    begun = site.times_begun()
    assert len({job_id for job_id, _ in begun}) == count
    assert len({job_id for job_id, *_ in site.lines("end")}) == count
    again = {key for key, times in begun.items() if times > 1}
    assert again <= set(twice_at_most), f"doubled beyond what was under way: {again - set(twice_at_most)}"
    assert max(begun.values()) <= 2
    records = site.runs()
    assert len(records) == count
    assert {record.status for record in records} == {"succeeded"}
    for record in records:
        assert (
            record.attempt == begun[record.job_id, record.nominal]
            or (record.job_id, record.nominal) in twice_at_most
        )


@pytest.mark.parametrize("seed", [1, 2])
def test_a_process_that_is_killed_in_the_middle_of_a_thousand_runs_loses_nothing(site, seed):
    site.add_one_off_jobs(MANY, 0.002)
    enough = random.Random(seed).randint(50, 900)
    node = site.start()
    wait_until(lambda: len(site.lines("begin")) >= enough, f"{enough} runs to begin")
    site.kill(node)
    recorded = len(site.runs("succeeded"))
    under_way = site.claimed()
    assert recorded < MANY
    assert recorded + len(under_way) <= MANY
    node = site.start()
    wait_until(all_have_ended(site, MANY), "all runs to be recorded")
    site.stop(node)
    check_each_ran(site, MANY, under_way)


def test_a_process_that_dies_between_executing_and_recording_has_those_runs_executed_again(site):
    site.add_one_off_jobs(100, 0.001)
    node = site.start(die_after=50)
    node.wait(30)
    assert node.returncode == -signal.SIGKILL
    executed = {(job_id, int(nominal)) for job_id, nominal, _, _ in site.lines("end")}
    recorded = {(run.job_id, run.nominal) for run in site.runs("succeeded")}
    unrecorded = executed - recorded
    assert unrecorded, "the process was to die with outcomes that are not recorded"
    under_way = site.claimed()
    assert unrecorded <= under_way
    node = site.start()
    wait_until(all_have_ended(site, 100), "all runs to be recorded")
    site.stop(node)
    check_each_ran(site, 100, under_way)
    begun = site.times_begun()
    assert all(begun[key] == 2 for key in unrecorded)
    assert all(begun[key] == 1 for key in recorded)


def test_two_processes_on_one_file_double_nothing_and_lose_nothing(site):
    site.add_one_off_jobs(MANY, 0.005)
    nodes = [site.start(lease=15, workers=4), site.start(lease=15, workers=4)]
    wait_until(all_have_ended(site, MANY), "all runs to be recorded")
    for node in nodes:
        site.stop(node)
    check_each_ran(site, MANY)
    shares = [len(site.lines("begin", pid=node.pid)) for node in nodes]
    assert sum(shares) == MANY
    assert min(shares) > 0, f"one process did all the work: {shares}"


def test_a_process_that_was_suspended_past_its_lease_has_its_outcomes_refused(site):
    site.add_one_off_jobs(20, 0.4)
    first = site.start(lease=1.5, workers=5)
    wait_until(lambda: len(site.lines("begin")) >= 5, "runs to begin")
    first.send_signal(signal.SIGSTOP)
    taken = site.claimed()
    assert taken
    second = site.start(lease=1.5, workers=5)
    wait_until(all_have_ended(site, 20), "the second process to take over and end everything")
    first.send_signal(signal.SIGCONT)
    refused = wait_until(
        lambda: site.lines("refused", pid=first.pid), "the first process to have outcomes refused"
    )
    site.stop(first)
    site.stop(second)
    assert {(job_id, int(nominal)) for job_id, nominal, *_ in refused} <= taken
    records = {(run.job_id, run.nominal): run for run in site.runs()}
    assert len(records) == 20
    for job_id, nominal, attempt, _ in site.lines("refused"):
        record = records[job_id, int(nominal)]
        assert record.status == "succeeded"
        assert record.attempt > int(attempt)
        assert record.owner.startswith(f"{second.pid}-")
    assert {key for key, times in site.times_begun().items() if times > 1} <= taken


def test_a_schedule_has_no_gap_and_no_double_however_often_its_processes_are_killed(site):
    rng = random.Random(3)
    start = datetime.now(UTC)
    every = timedelta(milliseconds=20)
    with site.user() as scheduler:
        for name, options in {"each": {"coalesce": False}, "latest": {"coalesce": True}}.items():
            scheduler.add_job(
                work,
                "interval",
                seconds=every.total_seconds(),
                start_date=start,
                args=[site.log, 0.002],
                id=name,
                max_instances=3,
                max_attempts=20,
                **options,
            )
    killed = set()
    for _ in range(5):
        node = site.start(lease=0.6, workers=3)
        enough = len(site.lines("begin")) + rng.randint(5, 60)
        wait_until(lambda enough=enough: len(site.lines("begin")) >= enough, "some runs")
        site.kill(node)
        killed |= site.claimed()
    node = site.start(lease=0.6, workers=3)
    wait_until(lambda: not killed & site.claimed(), "the runs of the killed processes to end")
    site.stop(node)
    for name in ("each", "latest"):
        records = sorted((run for run in site.runs() if run.job_id == name), key=lambda run: run.nominal)
        with site.store() as store:
            following = store.lookup_job(name).next_nominal
        step = every // timedelta(microseconds=1)
        expected = records[0].nominal
        for record in records:
            assert record.nominal == expected, f"{name}: a gap or a double at {record!r}"
            assert record.last == record.nominal + (record.count - 1) * step
            assert record.status in ("succeeded", "skipped", "claimed")
            expected = record.last + step
        assert expected == following
    assert {key for key, times in site.times_begun().items() if times > 1} <= killed


def test_a_process_that_is_asked_to_end_gives_back_what_it_has_not_started(site):
    site.add_one_off_jobs(60, 0.2)
    first = site.start(lease=60, workers=3)
    wait_until(lambda: len(site.lines("begin")) >= 3, "runs to begin")
    site.stop(first)
    assert not site.claimed() or all(run.owner is None for run in site.runs("claimed"))
    second = site.start(lease=60, workers=20)
    wait_until(all_have_ended(site, 60), "the second process to end everything, without waiting for a lease")
    site.stop(second)
    check_each_ran(site, 60)


def test_a_database_that_somebody_else_has_locked_delays_and_loses_nothing(site):
    site.add_one_off_jobs(200, 0.005)
    node = site.start(workers=4)
    wait_until(lambda: len(site.lines("end")) >= 20, "some runs")
    connection = sqlite3.connect(site.url.removeprefix("sqlite:///"), isolation_level=None, timeout=20)
    connection.execute("BEGIN EXCLUSIVE")
    before = len(site.lines("end"))
    time.sleep(1)  # not for something to happen, but for nothing to be possible
    connection.execute("COMMIT")
    connection.close()
    assert before < 200
    wait_until(all_have_ended(site, 200), "all runs to be recorded")
    site.stop(node)
    check_each_ran(site, 200)
