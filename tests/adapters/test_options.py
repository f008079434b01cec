"""What may be said to every durable store: its options, and what they do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rota.core.states import QUARANTINED
from rota.errors import ConfigurationError
from rota.testing.contracts.store_jobs import Worker, claim, due_ids, make_job

if TYPE_CHECKING:
    from tests.adapters.places import Place


@pytest.mark.parametrize(
    "options", [{"serializer": "yaml"}, {"keep_runs": 0}, {"keep_days": 0}, {"no_such_option": 1}], ids=str
)
@pytest.mark.filterwarnings("ignore:Unknown option")
def test_a_wrong_option_is_refused_at_once(place: Place, options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(ConfigurationError, match=rf"{name}|URL or these connection options"):
        place.make(**options)


def test_stores_with_keys_or_tables_of_their_own_do_not_see_each_other(place: Place) -> None:
    one, two = place.open(), place.open_apart()
    one.add_job(make_job("one"))
    two.add_job(make_job("two"))
    claim(one)
    assert due_ids(two) == ["two"]
    two.remove_all_jobs()
    assert [job.id for job in one.get_all_jobs()] == ["one"]
    assert [run.job_id for run in one.get_runs()] == ["one"]
    assert two.get_runs() == []


def test_a_store_with_pickle_keeps_any_object_and_one_without_does_not_read_it(place: Place) -> None:
    store = place.open(serializer="pickle", pickle_protocol=2)
    store.add_job(make_job(args=(Worker(),)))
    found = store.lookup_job("job")
    assert found is not None
    assert isinstance(found.args[0], Worker)
    (job,) = place.open().get_all_jobs()
    assert job.state == QUARANTINED
    assert 'serializer="pickle"' in (job.error or "")
