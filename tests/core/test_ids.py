"""Ids of jobs: which there can be, and what a look-up of another one answers, on every store."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

import pytest

from rota.errors import JobLookupError, JobTypeError, JobValueError
from rota.testing import ManualScheduler, VirtualClock
from tests.core.test_eight_methods import EightMethods

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Names(StrEnum):
    NIGHTLY = "nightly"


@pytest.fixture(params=["memory", "sqlite", "eight methods", "pending"])
def scheduler(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    stores: dict[str, Any] = {}
    if request.param == "sqlite":
        stores["default"] = f"sqlite:///{tmp_path / 'jobs'}"
    elif request.param == "eight methods":
        stores["default"] = EightMethods()
    scheduler = ManualScheduler(clock=VirtualClock(), jobstores=stores)
    if request.param != "pending":
        scheduler.start()
    scheduler.add_job(int, "interval", hours=1, id="nightly")
    yield scheduler
    if scheduler.running:
        scheduler.shutdown()


@pytest.mark.parametrize(
    "id", ["a\0b", "\ud800", "é\0", 5, 5.0, b"nightly", None, [], {}, object(), "", "x" * 5000]
)
def test_an_id_that_no_job_has_is_answered_alike_by_every_store(scheduler: Any, id: Any) -> None:
    assert scheduler.get_job(id) is None
    if scheduler.running and id is not None:
        assert scheduler.get_runs(id) == []
    for act in (scheduler.modify_job, scheduler.pause_job, scheduler.resume_job, scheduler.remove_job):
        with pytest.raises(JobLookupError, match=r"No job by the id of .* was found") as caught:
            act(id)
        str(caught.value).encode()
        assert caught.value.job_id is id
    with pytest.raises(JobLookupError):
        scheduler.reschedule_job(id, trigger="crontab", expr="0 3 * * *")
    if scheduler.running:
        with pytest.raises(JobLookupError):
            scheduler.run_job(id)
    assert [job.id for job in scheduler.get_jobs()] == ["nightly"]


@pytest.mark.parametrize("id", ["a\0b", "\ud800", "é\0"])
def test_an_id_that_a_store_could_not_keep_is_refused_by_all(scheduler: Any, id: str) -> None:
    with pytest.raises(JobValueError, match="id must be a text that every store can keep"):
        scheduler.add_job(int, id=id)


def test_an_id_of_another_type_is_refused(scheduler: Any) -> None:
    with pytest.raises(JobTypeError, match="id must be a nonempty string, got 5"):
        scheduler.add_job(int, id=5)


def test_an_id_may_be_of_a_class_derived_from_str(scheduler: Any) -> None:
    job = scheduler.add_job(int, "interval", hours=1, id=Names.NIGHTLY, replace_existing=True)
    assert type(job.id) is str
    assert scheduler.get_job("nightly") is not None
    assert scheduler.get_job(Names.NIGHTLY) is not None
    scheduler.remove_job(Names.NIGHTLY)
    assert scheduler.get_jobs() == []


def test_a_near_id_is_suggested_where_it_costs_nothing() -> None:
    scheduler = ManualScheduler()
    scheduler.add_job(int, "interval", hours=1, id="nightly-report")
    for _ in range(2):
        for act in (scheduler.remove_job, scheduler.pause_job):
            with pytest.raises(JobLookupError) as caught:
                act("nightly-reprot")
            assert str(caught.value) == (
                "No job by the id of nightly-reprot was found; did you mean 'nightly-report'?"
            )
        with pytest.raises(JobLookupError, match=r"No job by the id of unlike was found$"):
            scheduler.remove_job("unlike")
        if not scheduler.running:
            scheduler.start()
    scheduler.shutdown()


def test_a_job_in_place_of_its_id_is_refused_with_its_id(scheduler: Any) -> None:
    job = scheduler.get_job("nightly")
    with pytest.raises(JobLookupError, match=r"; pass its id, 'nightly'$"):
        scheduler.remove_job(job)
    with pytest.raises(JobLookupError, match=r"; ids are strings, this is a int$"):
        scheduler.remove_job(5)
