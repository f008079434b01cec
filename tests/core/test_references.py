"""Durable stores run the callable that they were given: its reference leads to it, or the job is refused."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from rota.core.states import QUARANTINED
from rota.errors import CallableMismatchError, CallableReferenceError, TransientJobError
from rota.references import AWAITED, check_reference, decorating, same_callable
from rota.testing import ManualScheduler, VirtualClock
from tests.present import present

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def with_lock(func: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(func)
    def locked(*args: Any) -> Any:
        return "locked", func(*args)

    return locked


def report() -> str:
    return "report"


locked_report = with_lock(report)


@with_lock
def decorated() -> str:
    return "decorated"


def shadowed() -> int:
    return 1


first_shadowed = shadowed


def shadowed() -> int:  # type: ignore[no-redef]
    return 2


class Clerk:
    def work(self) -> None: ...

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]  # equal ones may change

    @classmethod
    def make(cls) -> None: ...

    @staticmethod
    def help() -> None: ...

    @with_lock
    def guarded(self) -> None: ...

    class Desk:
        @staticmethod
        def tidy() -> None: ...


class Trainee(Clerk):
    pass


def reference(func: Any) -> str:
    from rota.callables import obj_to_ref

    return obj_to_ref(func)


@pytest.fixture
def make() -> Iterator[Callable[..., Any]]:
    """Make a module from its text, under a name; without ``loaded`` it is still being executed."""
    made = []

    def make(name: str, text: str = "", loaded: bool = True, **names: Any) -> Any:
        module = sys.modules.get(name) or ModuleType(name)
        if loaded:
            import importlib.machinery

            module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        module.__file__ = f"/nowhere/{text!r:.20}.py"
        sys.modules[name] = module
        made.append(name)
        vars(module).update(names)
        exec(compile(text, module.__file__, "exec"), vars(module))
        return module

    yield make
    for name in made:
        sys.modules.pop(name, None)
    AWAITED.clear()


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[ManualScheduler]:
    scheduler = ManualScheduler(clock=VirtualClock(), jobstores={"default": f"sqlite:///{tmp_path / 'jobs'}"})
    yield scheduler
    if scheduler.running:
        scheduler.shutdown()
    AWAITED.clear()


# --------------------------------------------------------------------------------------------- where the name is bound


@pytest.mark.parametrize(
    "func",
    [
        report,
        decorated,
        Clerk,
        Clerk.Desk.tidy,
        Clerk.help,
        Clerk.make,
        Trainee.make,
        Clerk().work,
        Trainee().work,
        Clerk().guarded,
        Clerk.work,
        print,
        os.getpid,
        dict,
        len,
        Path.exists,
    ],
    ids=lambda func: getattr(func, "__qualname__", str(func)),
)
def test_what_is_bound_under_its_name_is_accepted(func: Any) -> None:
    assert check_reference(reference(func), func)


@pytest.mark.parametrize("func", [locked_report, first_shadowed, type(None), type(report)])
def test_what_is_not_bound_under_its_name_is_refused(func: Any) -> None:
    with pytest.raises(CallableMismatchError, match="func must be what its name leads to"):
        check_reference(reference(func), func)


def test_a_set_qualname_names_another_function(make: Any) -> None:
    module = make("rota_test_named", "def f(): ...\ndef g(): ...\ng.__qualname__ = 'f'")
    with pytest.raises(CallableMismatchError, match=r"got g \(.*\), and rota_test_named:f is f \("):
        check_reference("rota_test_named:f", module.g)


def test_a_classmethod_of_another_class_is_another_callable() -> None:
    assert not same_callable(Clerk.make, Trainee.make)
    assert same_callable(Clerk.make, Clerk.make)
    one, other = Clerk(), Clerk()
    assert not same_callable(one.work, other.work), "equal objects are not the same object"
    assert same_callable(one.work, one.work)


def test_a_module_that_is_loaded_twice_has_one_function(make: Any) -> None:
    text = "def f(x=1): return x"
    main, twin = make("rota_test_main", text), make("rota_test_twin", text)
    main.f.__module__ = "rota_test_twin"
    assert main.f is not twin.f
    assert check_reference("rota_test_twin:f", main.f)


def test_a_reload_without_a_change_keeps_a_function_and_one_with_other_defaults_does_not(make: Any) -> None:
    old = make("rota_test_reloaded", "def f(x=[1]): return x").f
    make("rota_test_reloaded", "def f(x=[1]): return x")
    assert check_reference("rota_test_reloaded:f", old)
    make("rota_test_reloaded", "def f(x=[2]): return x")
    with pytest.raises(CallableMismatchError):
        check_reference("rota_test_reloaded:f", old)


@pytest.mark.thorough
def test_a_textual_reference_means_what_it_leads_to(scheduler: Any) -> None:
    scheduler.start()
    job = scheduler.add_job(f"{__name__}:locked_report", "interval", seconds=10, id="text")
    assert job.func is locked_report
    scheduler.advance(seconds=10)
    assert [run.status for run in scheduler.get_runs("text")] == ["succeeded"]


@pytest.mark.parametrize("started", [True, False])
def test_a_durable_store_refuses_a_callable_whose_name_leads_to_another(
    scheduler: Any, started: bool
) -> None:
    if started:
        scheduler.start()
    with pytest.raises(CallableReferenceError, match=f'pass "{__name__}:locked_report"') as caught:
        scheduler.add_job(locked_report, "interval", seconds=10)
    assert "with_lock.<locals>.locked (test_references.py, line" in str(caught.value)
    assert "which a durable store would run instead" in str(caught.value)
    with pytest.raises(CallableReferenceError):
        scheduler.scheduled_job("interval", seconds=10)(locked_report)
    assert scheduler.get_jobs() == []
    if started:
        job = scheduler.add_job(report, "interval", seconds=10)
        with pytest.raises(CallableReferenceError):
            job.modify(func=locked_report)


def test_the_memory_store_keeps_the_callable_itself_and_cannot_export_it() -> None:
    scheduler = ManualScheduler(clock=VirtualClock())
    scheduler.start()
    job = scheduler.add_job(locked_report, "interval", seconds=10, id="job")
    scheduler.advance(seconds=10)
    assert scheduler.get_runs("job")[0].status == "succeeded"
    with pytest.raises(CallableMismatchError):
        job.__getstate__()
    scheduler.shutdown()


# ------------------------------------------------------------------------------------------- where it is not bound yet


@pytest.mark.thorough
def test_a_decorator_is_checked_when_the_scheduler_starts(scheduler: Any, make: Any) -> None:
    text = "@scheduler.scheduled_job('interval', seconds=10, id='job')\ndef f(): return 1"
    make("rota_test_decorated", text, scheduler=scheduler)
    scheduler.start()
    scheduler.advance(seconds=10)
    assert [run.retval for run in scheduler.get_runs("job")] == [1]
    assert not AWAITED


UNDER = """
@with_lock
@scheduler.scheduled_job('interval', seconds=10, id='job')
def f(): return 1
"""


@pytest.mark.thorough
@pytest.mark.parametrize("started", [False, True])
def test_a_decorator_above_the_scheduled_job_quarantines_it(
    scheduler: Any, make: Any, started: bool, tmp_path: Path
) -> None:
    if started:
        scheduler.start()
    make("rota_test_under", UNDER, scheduler=scheduler, with_lock=with_lock)
    if not started:
        scheduler.add_job(report, "interval", seconds=10, id="neighbour")
        scheduler.start()
    scheduler.advance(seconds=600)
    assert scheduler.get_runs("job") == []
    job = scheduler.get_job("job")
    assert job.state == QUARANTINED
    assert "put @scheduled_job above the other decorators" in job.error
    assert started or scheduler.get_runs("neighbour")
    # It is no cure that another process can read it.
    AWAITED.clear()
    url = f"sqlite:///{tmp_path / 'jobs'}"
    other = ManualScheduler(clock=scheduler.clock, jobstores={"default": url})
    other.start()
    other.advance(seconds=600)
    assert present(other.get_job("job")).state == QUARANTINED
    assert other.get_runs("job") == []
    other.shutdown()
    # Mended, and started again.
    mended = "@scheduler.scheduled_job('interval', seconds=10, id='job')\n@with_lock\ndef f(): return 1"
    make("rota_test_under", mended, scheduler=scheduler, with_lock=with_lock)
    scheduler.advance(seconds=10)
    assert scheduler.get_job("job").error is None
    assert scheduler.get_runs("job")[0].status == "succeeded"


def test_of_two_decorated_functions_of_one_name_the_second_runs(scheduler: Any, make: Any) -> None:
    text = "\n".join(
        f"@scheduler.scheduled_job('interval', seconds=10, id='{n}')\ndef f(): return {n}" for n in (1, 2)
    )
    scheduler.start()
    make("rota_test_twice", text, scheduler=scheduler)
    scheduler.advance(seconds=20)
    assert {run.job_id: run.retval for run in scheduler.get_runs()} == {"2": 2}
    assert scheduler.get_job("1").state == QUARANTINED


def test_a_module_that_is_loaded_again_replaces_its_decorated_job(scheduler: Any, make: Any) -> None:
    text = "@scheduler.scheduled_job('interval', seconds=10, id='job')\ndef f(): return {}"
    scheduler.start()
    for number in (1, 2):
        make("rota_test_again", text.format(number), scheduler=scheduler)
        scheduler.advance(seconds=10)
        assert scheduler.get_runs("job")[0].retval == number


def test_a_name_that_is_still_to_come_when_the_job_is_due_is_no_fault(scheduler: Any, make: Any) -> None:
    scheduler.start()
    text = """
def passing(f):
    scheduler.advance(seconds=10)
    return f

@passing
@scheduler.scheduled_job('interval', seconds=10, id='job')
def f(): return 1
"""
    make("rota_test_early", text, scheduler=scheduler, loaded=False)
    assert [run.retval for run in scheduler.get_runs("job")] == [1]
    assert list(AWAITED) == ["job"]
    scheduler.advance(seconds=10)
    assert not AWAITED


def test_a_name_that_a_loaded_module_does_not_have_is_refused(make: Any) -> None:
    module = make("rota_test_gone", "def f(): ...\nkept = f\ndel f")
    with pytest.raises(
        CallableMismatchError, match=r'there is no f in rota_test_gone; pass "rota_test_gone:kept"'
    ):
        check_reference("rota_test_gone:f", module.kept)
    with decorating(module.kept):
        assert not check_reference("rota_test_gone:f", module.kept)
    assert not check_reference("rota_test_elsewhere:f", report), "that module is not loaded"


@pytest.mark.parametrize(
    ("func", "remedy"),
    [
        (functools.partial(print, 1, sep=2), r"write add_job\(print, args=\[1\], kwargs=\{'sep': 2\}, …\)"),
        (lambda: None, "define it as a function"),
        (functools.cache(report), "pass a module-level function"),
    ],
)
def test_a_callable_without_a_name_is_refused_with_what_to_write_instead(
    scheduler: Any, func: Any, remedy: str
) -> None:
    scheduler.start()
    with pytest.raises(TransientJobError, match=remedy):
        scheduler.add_job(func)
