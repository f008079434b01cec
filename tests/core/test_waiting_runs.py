"""The waiting runs in memory: by job, by key, and in the order in which they may start, beside a list that is sorted anew."""

from __future__ import annotations

from random import Random

from rota.core.extras import Extra
from rota.core.run import Run
from rota.jobstores.waiting_runs import FEW, WaitingRuns


def waiting(job_id: str, nominal: int, not_before: int) -> Run:
    run = Run(job_id, nominal, nominal)
    run.extra = Extra()
    run.extra.not_before = not_before
    return run


def order(run: Run) -> tuple[int | None, str, int]:
    return run.extra.not_before, run.job_id, run.nominal


def test_runs_come_in_the_order_of_their_times_whatever_was_put_and_taken_out() -> None:
    draw, runs = Random(7), WaitingRuns()
    known: dict[tuple[str, int], Run] = {}
    for step in range(2000):
        if known and draw.random() < 0.45:
            run = known.pop(draw.choice(sorted(known)))
            runs.take_out(run)
        else:
            run = waiting(f"j{draw.randrange(20)}", draw.randrange(50), draw.randrange(30))
            if (run.job_id, run.nominal) in known:
                continue
            known[run.job_id, run.nominal] = run
            runs.put(run)
        if step % 50 == 0:
            assert list(runs.earliest_first()) == sorted(known.values(), key=order)
            assert len(runs) == len(known) == len(list(runs))
            for number in range(20):
                job_id = f"j{number}"
                expected = [run for key, run in known.items() if key[0] == job_id]
                assert sorted(runs.of(job_id), key=order) == sorted(expected, key=order)


def test_a_run_that_was_taken_out_and_waits_again_comes_once() -> None:
    runs, run = WaitingRuns(), waiting("j", 1, 5)
    runs.put(run)
    runs.take_out(run)
    runs.put(run)
    assert list(runs.earliest_first()) == [run]
    runs.take_out(run)
    run.extra.not_before = 9
    runs.put(run)
    assert list(runs.earliest_first()) == [run]
    assert runs.get("j", 1) is run
    assert runs.get("j", 2) is None


def test_what_waits_no_more_leaves_nothing_behind() -> None:
    runs = WaitingRuns()
    for nominal in range(10 * FEW):
        run = waiting("j", nominal, nominal)
        runs.put(run)
        runs.take_out(run)
        assert len(runs._times) <= FEW + 1
    assert (len(runs), list(runs), list(runs.of("j"))) == (0, [], [])
    assert runs._of_job == {}
