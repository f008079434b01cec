"""What becomes of claimed runs that no living node owns: executed again, lost, cancelled, or left to somebody else."""

from __future__ import annotations

import pytest

from rota.codec.unrestored import UnrestoredArgs, can_run
from rota.core.details import attempts_of
from rota.core.extras import extra_of
from rota.core.orphans import Search, by_job, linked, sort_out
from rota.core.run import Run
from rota.core.states import CANCELLED, CLAIMED, LOST, SUCCEEDED, TIMED_OUT, succeed
from rota.core.timeouts import MARK, mark_of
from rota.errors import StoreConflictError
from tests.core.test_plan import START, at, every, make_job

NOW = at(100)


def job_of(name="j", running=1, executor="default", **options):
    job = make_job(every(10), START, running=running, **options)
    job.id, job.executor, job.func, job.args = name, executor, print, ()
    return job


def orphan(job="j", second=0, owner="dead", attempt=1, executor="default"):
    run = Run(job, at(second), at(second), None, executor)
    run.owner, run.attempt, run.claimed_at, run.started_at = owner, attempt, at(second), at(second)
    return run


def sorted_out(orphans, *jobs, room=None, **options):
    return sort_out(orphans, {job.id: job for job in jobs}, "me", NOW, room, can_run=can_run, **options)


def told(run):
    return run.status, run.reason, run.owner, run.attempt


# ------------------------------------------------------------------------------------------------------- one run


def with_own_arguments(run, job):
    """Return the job with the arguments of a run."""
    if run.extra.args == "damaged":
        raise ValueError("no arguments")
    found = job_of()
    found.args = run.extra.args
    return found


@pytest.mark.parametrize("owner", ["dead", "me"])
def test_a_run_with_arguments_of_its_own_is_taken_with_them(owner):
    run, job = orphan(owner=owner), job_of()
    extra_of(run).args = (7,)
    sorted_out([run], job, job_for=with_own_arguments)
    assert (run.status, run.job.id, run.job.args) == (CLAIMED, "j", (7,))


def test_a_run_without_arguments_of_its_own_has_those_of_its_job():
    for run, job_for in ((orphan(), with_own_arguments), (orphan(), None)):
        job = job_of()
        sorted_out([run], job, job_for=job_for)
        assert run.job is job


def test_a_run_whose_arguments_cannot_be_restored_is_lost():
    run, job = orphan(), job_of()
    extra_of(run).args = "damaged"
    sorted_out([run], job, job_for=with_own_arguments)
    assert (run.status, run.job) == (LOST, job)
    assert run.reason == "its arguments could not be restored: ValueError('no arguments')"


def test_a_run_that_has_ended_all_the_same_says_why_and_not_what_is_wrong_with_its_arguments():
    run, job = orphan(), job_of(on_lost="lost")
    extra_of(run).args = "damaged"
    sorted_out([run], job, job_for=with_own_arguments)
    assert (run.status, run.reason, run.job) == (LOST, "node dead is gone", job)
    gone = orphan()
    extra_of(gone).args = "damaged"
    sorted_out([gone], job_for=with_own_arguments)
    assert (gone.status, gone.job) == (LOST, None)


def test_a_run_whose_time_was_over_has_its_job():
    run, job = orphan(), job_of(timeout=5)
    sorted_out([run], job, parts_of=lambda keys: {("j", at(0)): {MARK: mark_of(run, "timeout")}})
    assert (run.status, run.job) == (TIMED_OUT, job)


def test_the_run_of_a_dead_node_is_tried_once_more():
    run, job = orphan(), job_of()
    assert sorted_out([run], job) == [run]
    assert told(run) == (CLAIMED, None, "me", 2)
    assert (run.job, run.claimed_at, run.started_at) == (job, NOW, None)


@pytest.mark.parametrize("owner", ["dead", None, "me"])
@pytest.mark.parametrize("options", [{}, {"on_lost": "lost"}, {"max_attempts": 1}])
def test_a_run_that_somebody_has_asked_to_stop_is_cancelled(owner, options):
    run, job = orphan(owner=owner), job_of(**options)
    extra_of(run).cancel = "not needed"
    assert sorted_out([run], job) == [run]
    assert told(run) == (CANCELLED, "not needed", owner, 1)
    assert (run.finished_at, run.job) == (NOW, job)


def test_a_run_that_somebody_has_asked_to_stop_needs_no_job_for_that():
    run = orphan()
    extra_of(run).cancel = "not needed"
    assert sorted_out([run]) == [run]
    assert told(run) == (CANCELLED, "not needed", "dead", 1)


@pytest.mark.parametrize("owner", [None, "me"])
def test_a_run_that_was_never_started_is_still_its_first_try(owner):
    run = orphan(owner=owner)
    assert sorted_out([run], job_of(on_lost="lost", max_attempts=1)) == [run]
    assert told(run) == (CLAIMED, None, "me", 1)
    assert (run.claimed_at, run.started_at) == (NOW, None)


def test_a_run_of_a_job_that_takes_no_second_try_is_lost():
    run, job = orphan(), job_of(on_lost="lost")
    assert sorted_out([run], job) == [run]
    assert told(run) == (LOST, "node dead is gone", "dead", 1)
    assert (run.finished_at, run.job) == (NOW, job)


@pytest.mark.parametrize(("attempt", "status"), [(1, CLAIMED), (2, LOST), (3, LOST)])
def test_a_run_is_lost_after_as_many_tries_as_it_may_have(attempt, status):
    run = orphan(attempt=attempt)
    sorted_out([run], job_of(max_attempts=2))
    assert run.status == status
    if status == LOST:
        assert run.reason == f"node dead is gone, and the run was tried {attempt} times (max_attempts)"


def test_attempts_that_were_no_tries_do_not_count():
    run = orphan(attempt=9)
    extra_of(run).uncounted = 7
    sorted_out([run], job_of(max_attempts=3))
    assert (run.status, run.tries) == (CLAIMED, 2)
    run = orphan(attempt=9)
    extra_of(run).uncounted = 6
    sorted_out([run], job_of(max_attempts=3))
    assert (run.status, run.tries, run.reason) == (
        LOST,
        3,
        "node dead is gone, and the run was tried 3 times (max_attempts)",
    )


def test_the_attempt_that_died_is_known_with_its_node():
    run = orphan()
    sorted_out([run], job_of())
    died = attempts_of(run, run.parts)[0]
    assert (died.number, died.outcome, died.node, died.started_at) == (1, "died", "dead", at(0))


@pytest.mark.parametrize("owner", [None, "me"])
def test_of_a_run_that_was_never_started_no_attempt_has_died(owner):
    run = orphan(owner=owner)
    sorted_out([run], job_of())
    assert not hasattr(run, "parts")


@pytest.mark.parametrize(
    ("options", "attempt", "cancel", "status"),
    [
        ({"retry": True}, 1, None, CLAIMED),
        ({"retry": True, "on_lost": "lost"}, 2, None, CLAIMED),
        ({"retry": True}, 3, None, TIMED_OUT),
        ({"retry": True}, 1, "enough", TIMED_OUT),
        ({}, 1, None, TIMED_OUT),
    ],
)
def test_a_run_whose_time_was_over_when_its_node_died_is_tried_again_where_it_has_a_retry(
    options, attempt, cancel, status
):
    run = orphan(attempt=attempt)
    extra_of(run).cancel = cancel
    job = job_of(timeout=5, **options)
    marks = {("j", at(0)): {MARK: mark_of(run, "timeout")}}
    sorted_out([run], job, parts_of=lambda keys: marks)
    assert run.status == status
    if status == CLAIMED:
        assert [each.outcome for each in attempts_of(run, run.parts)] == ["timed_out", "claimed"]


def test_a_started_run_of_a_job_that_is_gone_is_lost():
    run = orphan()
    assert sorted_out([run]) == [run]
    assert told(run) == (LOST, "its job was removed; it was claimed by node dead", "dead", 1)
    assert run.job is None


def test_a_run_whose_time_was_over_and_whose_job_is_gone_has_timed_out():
    run = orphan()
    marks = {("j", at(0)): {MARK: mark_of(run, "timeout")}}
    assert sorted_out([run], parts_of=lambda keys: marks) == [run]
    assert told(run) == (TIMED_OUT, "timeout", "dead", 1)


@pytest.mark.parametrize("owner", [None, "me"])
def test_a_run_that_nobody_began_of_a_job_that_is_gone_is_cancelled(owner):
    run = orphan(owner=owner)
    assert sorted_out([run]) == [run]
    assert (run.status, run.reason) == (CANCELLED, "its job was removed before it started")


def test_a_run_whose_job_cannot_be_restored_here_is_left_to_somebody_else():
    run, job = orphan(), job_of()
    job.args = UnrestoredArgs(())
    assert sorted_out([run], job) == []
    assert told(run) == (CLAIMED, None, "dead", 1)


def test_a_lost_run_ends_even_where_its_job_cannot_be_restored():
    run, job = orphan(), job_of(on_lost="lost")
    job.args = UnrestoredArgs(())
    assert sorted_out([run], job) == [run]
    assert run.status == LOST


# ------------------------------------------------------------------------------------------------------- trust


def test_a_run_that_is_not_trusted_is_lost_or_cancelled_and_says_why():
    started, waiting = orphan(), orphan("k", owner=None)

    def refusal(run):
        return "its signature is not ours"

    assert sorted_out([started, waiting], job_of(), job_of("k"), refusal=refusal) == [started, waiting]
    assert (started.status, waiting.status) == (LOST, LOST)
    assert started.reason == waiting.reason == "it is not trusted: its signature is not ours"


def test_a_run_that_is_trusted_is_taken_and_a_lost_one_is_not_asked_about():
    asked = []
    one, lost = orphan(), orphan("k")
    sorted_out([one, lost], job_of(), job_of("k", on_lost="lost"), refusal=asked.append)
    assert asked == [one]
    assert (one.status, lost.status) == (CLAIMED, LOST)


# ------------------------------------------------------------------------------------------------ several runs, and room


@pytest.mark.parametrize(("running", "limit", "taken"), [(2, 1, 2), (3, 1, 0), (3, 2, 2), (4, 2, 0)])
def test_the_runs_of_a_job_are_taken_if_living_nodes_run_it_less_often_than_it_may(running, limit, taken):
    """Two of those that are under way are the orphans themselves."""
    runs = [orphan(), orphan(second=10)]
    assert len(sorted_out(runs, job_of(running=running, max_instances=limit))) == taken


@pytest.mark.parametrize(
    ("room", "taken"),
    [(None, "aabc"), ({"default": 9}, "aabc"), ({"default": 1}, "aa"), ({"default": 2}, "aab")],
    ids=str,
)
def test_the_runs_of_as_many_jobs_are_taken_as_there_is_room_for(room, taken):
    runs = [orphan("a"), orphan("a", 10), orphan("b"), orphan("c")]
    jobs = [job_of("a", running=2), job_of("b"), job_of("c")]
    before = None if room is None else dict(room)
    assert "".join(run.job_id for run in sorted_out(runs, *jobs, room=room)) == taken
    assert room == before


def test_without_room_nothing_is_taken_but_what_is_the_node_s_own_already():
    mine, others = orphan("a", owner="me"), orphan("b")
    assert sorted_out([mine, others], job_of("a"), job_of("b"), room={"default": 0}) == [mine]


def test_room_is_counted_for_each_executor():
    runs = [orphan("a", executor="gpu"), orphan("b"), orphan("c", executor="gpu")]
    jobs = [job_of("a", executor="gpu"), job_of("b"), job_of("c", executor="gpu")]
    assert sorted_out(runs, *jobs, room={"default": 0, "gpu": 1}) == runs[:1]


def test_a_run_of_an_executor_that_is_not_here_goes_to_that_of_its_job():
    run = orphan(executor="damaged")
    assert sorted_out([run], job_of(executor="gpu"), room={"gpu": 1}) == [run]
    assert run.executor == "gpu"
    kept = orphan(executor="cpu")
    sorted_out([kept], job_of(executor="gpu"), room={"gpu": 1, "cpu": 1})
    assert kept.executor == "cpu"
    anywhere = orphan(executor="damaged")
    sorted_out([anywhere], job_of(executor="gpu"))
    assert anywhere.executor == "damaged"
    assert sorted_out([orphan(executor="damaged")], job_of(executor="nowhere"), room={"gpu": 1}) == []


def test_of_a_job_of_which_a_run_in_hand_was_taken_over_nothing_is_taken():
    runs = [orphan("a"), orphan("a", 10), orphan("b")]
    jobs = job_of("a", running=2), job_of("b")
    assert sorted_out(runs, *jobs, known={("a", at(10))}) == runs[2:]
    assert all(run.status == CLAIMED and run.owner == "dead" for run in runs[:2])


def test_a_run_in_hand_that_is_still_the_node_s_own_hinders_nothing():
    run = orphan("a", owner="me")
    assert sorted_out([run], job_of("a"), known={("a", at(0))}) == [run]


def test_a_run_that_is_left_hinders_none_that_comes_after_it():
    left, lost, taken = orphan("a"), orphan("b"), orphan("c")
    jobs = [job_of("a", running=9), job_of("b", on_lost="lost"), job_of("c")]
    assert sorted_out([left, lost, taken], *jobs) == [lost, taken]


# ------------------------------------------------------------------------------------------------------- one after another


def test_the_runs_of_each_job_are_together_in_their_order():
    one, other, two = orphan("a"), orphan("b"), orphan("a", 10)
    assert by_job([one, other, two]) == {"a": [one, two], "b": [other]}
    assert by_job([]) == {}


def test_the_runs_of_each_job_that_were_taken_are_linked_in_their_order():
    first, other, second, ended, third = (
        orphan("a"),
        orphan("b"),
        orphan("a", 10),
        orphan("a", 20),
        orphan("a", 30),
    )
    succeed(ended, None, NOW)
    linked([first, other, second, ended, third])
    assert (first.then, second.then, third.then) == (second, third, None)
    assert (other.then, ended.then, ended.status) == (None, None, SUCCEEDED)


# ------------------------------------------------------------------------------------------------------ whose they are


def search_of(room=None, known=(), in_doubt=False, ownerless=False, refusal=None, can_run=lambda job: True):
    return Search("me", room, known, in_doubt, ownerless, refusal, can_run)


@pytest.mark.parametrize(
    ("owner", "is_orphan"),
    [("dead", True), ("living", False), (None, True), ("me", False)],
)
def test_the_runs_of_nodes_that_are_not_alive_and_of_nobody_are_orphans(owner, is_orphan):
    search = search_of()
    assert search.is_orphan("j", START, owner, {"living", "me"}) is is_orphan


@pytest.mark.parametrize(
    ("owner", "is_orphan"),
    [("dead", False), ("living", False), (None, True), ("me", False)],
)
def test_where_only_ownerless_runs_are_searched_for_those_of_dead_nodes_are_left(owner, is_orphan):
    search = search_of(ownerless=True)
    assert search.is_orphan("j", START, owner, {"living", "me"}) is is_orphan


def test_a_run_that_a_node_owns_and_has_not_in_hand_is_an_orphan_while_that_is_in_doubt():
    search = search_of(known={("j", at(10))}, in_doubt=True)
    assert search.is_orphan("j", at(0), "me", {"me"})
    assert not search.is_orphan("j", at(10), "me", {"me"})
    assert search.is_orphan("k", at(10), "me", {"me"})
    assert not search.is_orphan("j", at(0), "living", {"living"})


def test_what_a_node_has_taken_is_in_its_hand_and_takes_room():
    room = {"default": 2}
    search = search_of(room, {("j", at(10))}, in_doubt=True)
    lost = orphan("l")
    lost.status = LOST
    search.rescue(lambda: [1], lambda: ([orphan("j"), orphan("k", executor="gpu"), lost], True))
    assert search.own == {("j", at(10)), ("j", at(0)), ("k", at(0))}
    assert search.left == {"default": 1, "gpu": -1}
    assert (room, search.known) == ({"default": 2}, {("j", at(10))})
    assert not search.is_orphan("j", at(0), "me", ())
    search = search_of(in_doubt=True)
    search.rescue(lambda: [1], lambda: ([orphan("j")], True))
    assert (search.left, search.own) == (None, {("j", at(0))})


def test_a_search_looks_again_as_long_as_others_change_what_it_finds():
    later, first, other = orphan("j", 10), orphan("j"), orphan("k", 5)
    answers = [([later], False), ([], False), ([first, other], True), ([orphan("l")], True)]
    search = search_of()
    assert search.rescue(lambda: range(2), lambda: answers.pop(0)) == [first, other, later]
    assert (first.then, other.then, later.then, len(answers)) == (later, None, None, 1)


def test_a_search_ends_when_its_tries_are_over():
    looks = []
    search = search_of()
    assert search.rescue(lambda: range(3), lambda: (looks.append(search), ([], False))[1]) == []
    assert len(looks) == 3


def test_a_search_that_gets_on_may_look_as_often_as_it_has_to():
    answers = [([orphan("j", number)], number == 40) for number in range(41)]
    assert len(search_of().rescue(lambda: range(2), lambda: answers.pop(0))) == 41


def test_a_search_that_ends_in_doubt_leaves_the_doubt():
    with pytest.raises(StoreConflictError):
        search_of(in_doubt=True).rescue(lambda: range(3), lambda: ([], False))


def test_a_search_decides_by_its_room_and_its_doubts_about_runs():
    search = search_of({"default": 1}, refusal=lambda run: "forged" if run.job_id == "c" else None)
    orphans = [orphan("a"), orphan("b", 1), orphan("c", 2), orphan("d", 3)]
    jobs = {name: job_of(name) for name in "abcd"}
    changed = search.sort_out(orphans, jobs, NOW)
    assert [(run.job_id, run.status, run.owner) for run in changed] == [
        ("a", CLAIMED, "me"),
        ("c", LOST, "dead"),
    ]
    unable = search_of(can_run=lambda job: False)
    assert unable.sort_out([orphan("a")], jobs, NOW) == []
