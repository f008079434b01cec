"""The stored form of a job: readable, complete, and kept when it cannot be restored."""

from __future__ import annotations

import importlib
import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from rota.clock import HELD
from rota.codec import register_type
from rota.codec.files import decode_job, encode_job
from rota.codec.jobs import JobFormat
from rota.core.states import PAUSED, QUARANTINED
from rota.errors import DeserializationError, SerializationError, TransientJobError
from rota.testing.contracts.store_jobs import START, Worker, make_job, task
from rota.triggers.base import BaseTrigger
from rota.triggers.combining import OrTrigger
from rota.triggers.cron import CronTrigger
from rota.triggers.date import DateTrigger
from rota.triggers.interval import IntervalTrigger

if TYPE_CHECKING:
    from pathlib import Path

PARTS = (
    "id",
    "name",
    "func",
    "func_ref",
    "args",
    "kwargs",
    "executor",
    "policy",
    "next_nominal",
    "next_due",
    "state",
    "error",
)


class EveryLeapYear(BaseTrigger):
    """A trigger of an application, with a state of its own."""

    def __init__(self, month: int) -> None:
        self.month = month

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        return datetime(2028, self.month, 29, tzinfo=UTC)


class Slotted(EveryLeapYear):
    __slots__ = ("extra",)


class MyInterval(IntervalTrigger):
    """A user's class derived from a built-in one."""


@register_type
class Mailer:
    """An object with a method that is a job."""

    def __init__(self, host: str) -> None:
        self.host = host

    def send(self, to: str) -> None: ...

    def model_dump(self) -> dict[str, str]:
        return {"host": self.host}

    @classmethod
    def model_validate(cls, data: dict[str, str]) -> Mailer:
        return cls(**data)


def through_json(data: dict[str, Any]) -> Any:
    return json.loads(json.dumps(data))


def test_a_job_comes_back_whole() -> None:
    job = make_job(
        name="n",
        args=(1, {2, 3}),
        kwargs={"when": datetime(2026, 1, 1, tzinfo=UTC)},
        executor="x",
        max_instances=4,
    )
    job.set_next(START, START + 5)
    found = decode_job(through_json(encode_job(job)))
    for part in PARTS:
        assert getattr(found, part) == getattr(job, part), part
    assert found.trigger == job.trigger


def test_the_document_is_readable() -> None:
    document = encode_job(make_job(args=("a",), every=60, coalesce=False))
    assert document["func"] == "rota.testing.contracts.store_jobs:task"
    assert document["args"] == ["a"]
    assert document["options"] == {"coalesce": False}
    assert document["next"] == "2026-01-01T00:00:00+00:00"
    assert document["trigger"]["type"] == "interval"


def test_paused_and_held_jobs_come_back_as_they_are() -> None:
    paused = decode_job(encode_job(make_job(due=None)))
    assert (paused.state, paused.next_nominal) == (PAUSED, None)
    held = make_job()
    held.next_due = HELD
    assert decode_job(encode_job(held)).next_due == HELD


@pytest.mark.parametrize(
    "trigger",
    [
        DateTrigger(datetime(2026, 1, 1, tzinfo=UTC)),
        IntervalTrigger(minutes=3, jitter=2, timezone="Asia/Ho_Chi_Minh"),
        CronTrigger(hour="3", timezone="Europe/Berlin"),
        OrTrigger([CronTrigger(hour="3", timezone="UTC"), IntervalTrigger(hours=1, timezone="UTC")]),
        MyInterval(seconds=9, timezone="UTC"),
    ],
)
def test_triggers_come_back_as_what_they_were(trigger: BaseTrigger) -> None:
    found = decode_job(through_json(encode_job(make_job(trigger=trigger)))).trigger
    assert type(found) is type(trigger)
    assert str(found) == str(trigger)
    assert found.first(START) == trigger.first(START)


@pytest.mark.parametrize("cls", [EveryLeapYear, Slotted])
def test_a_custom_trigger_is_kept_by_its_class_and_state(cls: type[EveryLeapYear]) -> None:
    trigger = cls(2)
    if cls is Slotted:
        trigger.extra = (1, 2)  # type: ignore[attr-defined]
    document = through_json(encode_job(make_job(trigger=trigger)))
    assert document["trigger"]["class"] == f"{__name__}:{cls.__name__}"
    found = decode_job(document).trigger
    assert type(found) is cls
    assert found.month == 2
    assert getattr(found, "extra", None) == getattr(trigger, "extra", None)


def test_a_custom_trigger_whose_state_does_not_fit_is_refused_with_the_path() -> None:
    trigger = EveryLeapYear(2)
    trigger.month = Worker()  # type: ignore[assignment]
    with pytest.raises(SerializationError, match=r"trigger\['month'\]: .*Worker"):
        encode_job(make_job(trigger=trigger))


@pytest.mark.parametrize("reference", ["builtins:dict", "os:system", "os:path"])
def test_data_cannot_name_a_class_that_is_no_trigger(reference: str) -> None:
    document = encode_job(make_job())
    document["trigger"] = {"type": "custom", "class": reference, "state": None}
    job = decode_job(document)
    assert job.state == QUARANTINED
    assert "is no trigger class" in (job.error or "")


def test_a_bound_method_is_kept_as_a_function_with_its_object() -> None:
    document = encode_job(make_job(func=Mailer("mx").send, args=("me",)))
    assert document["func"] == f"{__name__}:Mailer.send"
    found = decode_job(through_json(document))
    assert found.func is Mailer.send
    assert (found.args[0].host, found.args[1]) == ("mx", "me")
    assert encode_job(found) == document


def test_a_callable_without_a_name_is_refused() -> None:
    with pytest.raises(TransientJobError):
        encode_job(make_job(func=lambda: None))


@pytest.mark.parametrize(
    ("part", "data"),
    [
        ("func", "no_such_module:f"),
        ("func", "rota.clock:SECOND"),
        ("trigger", {"type": "moon"}),
        ("args", [{"~type": ["gone:Class", 1]}]),
        ("kwargs", {"x": {"~unknown": 1}}),
        ("options", {"max_instances": -1}),
    ],
)
def test_a_part_that_cannot_be_restored_quarantines_the_job_and_is_kept(part: str, data: Any) -> None:
    document = encode_job(make_job(args=("a",), kwargs={"k": 1}))
    document[part] = data
    job = decode_job(document)
    assert job.state == QUARANTINED
    assert (job.error or "").startswith("it could not be restored: ")
    again = encode_job(job)
    if part != "options":
        assert again[part] == data
    assert (str(job), job.name, job.next_nominal) == (str(job), "task", START)


def test_a_module_that_exits_when_it_is_imported_quarantines_its_job(
    tmp_path: Path, monkeypatch: Any
) -> None:
    (tmp_path / "rota_exits.py").write_text("raise SystemExit(3)")
    monkeypatch.syspath_prepend(str(tmp_path))
    document = encode_job(make_job())
    document["func"] = "rota_exits:f"
    assert decode_job(document).state == QUARANTINED


@pytest.mark.parametrize("data", [{}, {"id": 1}, {"id": "x", "name": "x", "func": "x"}])
def test_a_document_that_is_no_job_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(DeserializationError, match="is no job"):
        decode_job(data)


def test_a_reloaded_module_gives_its_new_function(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "rota_reloaded.py"
    path.write_text("def f(): return 'old'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    document = encode_job(make_job())
    document["func"] = "rota_reloaded:f"
    assert decode_job(document).func() == "old"
    path.write_text("def f(): return 'renewed'\n")
    importlib.reload(sys.modules["rota_reloaded"])
    assert decode_job(document).func() == "renewed"
    del sys.modules["rota_reloaded"]


def test_with_pickle_everything_that_fits_into_json_stays_readable() -> None:
    pickles = JobFormat("pickle")
    job = make_job(args=(1,), kwargs={"worker": Worker()})
    document = through_json(encode_job(job, pickles))
    assert document["args"] == [1]
    assert list(document["kwargs"]) == ["~pickle"]
    assert isinstance(decode_job(document, format=pickles).kwargs["worker"], Worker)
    trigger = EveryLeapYear(2)
    trigger.month = Worker()  # type: ignore[assignment]
    document = encode_job(make_job(trigger=trigger), pickles)
    assert isinstance(decode_job(document, format=pickles).trigger.month, Worker)  # type: ignore[attr-defined]


def test_pickled_data_is_never_unpickled_without_being_asked_to() -> None:
    document = encode_job(make_job(args=(Worker(),)), JobFormat("pickle"))
    job = decode_job(document)
    assert job.state == QUARANTINED
    assert 'serializer="pickle"' in (job.error or "")
    assert job.func is task


# ------------------------------------------------------------------------------------------------------ signed or not


@pytest.mark.parametrize("options", [{}, {"max_instances": 3}], ids=str)
def test_what_is_signed_is_read_with_its_key_and_without_one_and_not_with_another(
    options: dict[str, Any],
) -> None:
    job = make_job("job", **options)
    signed = JobFormat(signing_key="k" * 16).texts(job)
    plain = JobFormat().texts(job)
    assert signed[:4] == plain[:4]
    for key, texts, trusted in (
        ("k" * 16, signed, True),
        (["new" * 6, "k" * 16], signed, True),
        (None, signed, True),
        (None, plain, True),
        ("another" * 3, signed, False),
        ("k" * 16, plain, False),
    ):
        read = make_job("job")
        JobFormat(signing_key=key).restore(read, *texts)
        assert (read.state == QUARANTINED) is not trusted
        assert (read.error or "").startswith("" if trusted else "it is not trusted: ")
        if trusted:
            assert (read.policy, read.trigger, read.func) == (job.policy, job.trigger, job.func)
            assert (read.sealed is not None) is (key is None and texts is signed)
        else:
            assert read.sealed == texts[4]


def test_what_can_be_restored_of_a_job_in_quarantine_is() -> None:
    job = make_job("job", args=(1,), kwargs={"a": 2})
    reference, trigger, args, kwargs, options = JobFormat().texts(job)
    read = make_job("job", due=None)
    JobFormat().restore(read, reference, "no trigger", args, kwargs, options)
    assert (read.state, read.func, read.args, read.kwargs) == (QUARANTINED, task, (1,), {"a": 2})
    read = make_job("job", due=None)
    JobFormat().restore(read, "no.such.module:task", trigger, args, kwargs, options)
    assert (read.state, read.trigger, read.args, read.kwargs) == (QUARANTINED, job.trigger, (1,), {"a": 2})


@pytest.mark.parametrize("place", range(4))
def test_a_part_that_is_no_text_is_no_job(place: int) -> None:
    texts: list[Any] = list(JobFormat().texts(make_job("job", max_instances=2)))
    texts[place] = 5
    with pytest.raises(TypeError, match=r"a part is no text|has no len"):
        JobFormat().restore(make_job("job"), *texts)


@pytest.mark.parametrize("restored", [False, True])
@pytest.mark.parametrize(
    ("make", "name", "value"),
    [
        (lambda: CronTrigger(hour=3, timezone="UTC"), "jitter", 30),
        (lambda: IntervalTrigger(hours=3, jitter=1, timezone="UTC"), "end_date", "2035-01-01"),
        (lambda: DateTrigger(datetime(2035, 1, 1, tzinfo=UTC)), "run_date", "2036-01-01"),
        (lambda: DateTrigger(datetime(2035, 1, 1, tzinfo=UTC)), "timezone", "Europe/Berlin"),
        (lambda: OrTrigger([CronTrigger(hour=3, timezone="UTC")]), "jitter", 30),
    ],
)
def test_a_trigger_that_stored_jobs_share_refuses_to_be_changed(make, name, value, restored):
    format, trigger = JobFormat(), make()
    setattr(trigger, name, value)  # until a job with it is stored, it is the program's own
    texts = format.texts(make_job(trigger=trigger))
    found = (
        trigger
        if not restored
        else format.job_of(
            (None, None), "j", "j", *texts, "default", START, START, 1, "active", 0, None
        ).trigger
    )
    before = getattr(found, name)
    with pytest.raises(
        AttributeError, match=f"{name} must be assigned before a job with the trigger is stored"
    ):
        setattr(found, name, None)
    assert getattr(found, name) == before
