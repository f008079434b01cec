"""Every durable store keeps to signatures and to the allow-list: what is stored without the key, or beside the list, is not run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rota.core.states import QUARANTINED
from rota.errors import CallableNotAllowedError
from rota.schedulers.background import BackgroundScheduler

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.adapters.places import Place

KEY, OTHER = "the-first-of-two-keys", "the-second-of-two-keys"


@pytest.fixture
def make(place: Place) -> Callable[..., Any]:
    """Return a function that opens the same store again and again, with more options."""
    return place.make


def with_scheduler(store, do, **options):
    scheduler = BackgroundScheduler(jobstores={"default": store}, timezone="UTC", **options)
    scheduler.start(paused=True)
    try:
        return do(scheduler)
    finally:
        scheduler.shutdown()


def add(scheduler):
    return scheduler.add_job("builtins:len", "interval", args=[[1]], hours=1, id="job", max_instances=3)


def test_a_job_is_accepted_by_the_key_that_signed_it_and_by_no_other(make):
    with_scheduler(make(signing_key=KEY), add)
    get = lambda scheduler: scheduler.get_job("job")  # noqa: E731
    found = with_scheduler(make(signing_key=[OTHER, KEY]), get)
    assert (found.error, found.args, found.max_instances) == (None, ([1],), 3)
    refused = with_scheduler(make(signing_key=OTHER), get)
    assert refused.state == QUARANTINED
    assert "not trusted" in refused.error


def test_a_job_without_a_signature_is_not_claimed(make):
    with_scheduler(make(), add)

    def look(scheduler):
        job = scheduler.get_job("job")
        assert job.state == QUARANTINED
        due = scheduler._lookup_jobstore("default").due(job.next_nominal + 1, {"default": 10})
        assert [job.state for job in due] in ([], [QUARANTINED])
        scheduler.pause_job("job")
        assert scheduler.get_job("job").state == QUARANTINED

    with_scheduler(make(signing_key=KEY), look)
    assert with_scheduler(make(), lambda scheduler: scheduler.get_job("job").args) == ([1],)


def test_a_callable_beside_the_list_is_refused_and_quarantined(make):
    with_scheduler(make(), add)

    def look(scheduler):
        assert scheduler.get_job("job").state == QUARANTINED
        with pytest.raises(CallableNotAllowedError):
            scheduler.add_job("builtins:max", "interval", args=[[1]], hours=1)

    with_scheduler(make(), look, allowed_callables=["myapp.*"])
    error = with_scheduler(
        make(), lambda scheduler: scheduler.get_job("job").error, allowed_callables=["builtins:len"]
    )
    assert error is None
