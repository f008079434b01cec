"""Every name, signature and constant of APScheduler 3's public surface is in Rota after the search-and-replace."""

from __future__ import annotations

import ast
import fnmatch
import importlib
import inspect
import logging
import pickle
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from tests.compat import surface
from tests.needs import need

#: The library that a module needs, and the extra that brings it.
OPTIONAL = {
    "rota.schedulers.gevent": ("gevent", "gevent"),
    "rota.schedulers.tornado": ("tornado", "tornado"),
    "rota.schedulers.twisted": ("twisted", "twisted"),
    "rota.schedulers.qt": ("PySide6", "qt"),
    "rota.executors.gevent": ("gevent", "gevent"),
    "rota.executors.tornado": ("tornado", "tornado"),
    "rota.executors.twisted": ("twisted", "twisted"),
    "rota.jobstores.sqlalchemy": ("sqlalchemy", "sql"),
}
TYPES = {"str": str, "int": int, "tuple": tuple, "property": property, "object": object}


def switched(text: str) -> str:
    """What a program looks like after switching over."""
    return text.replace("apscheduler", "rota")


def load(module: str) -> Any:
    if module in OPTIONAL:
        need(*OPTIONAL[module])
    return importlib.import_module(module)


def resolve(path: str) -> Any:
    module, _, name = switched(path).rpartition(".")
    return getattr(load(module), name)


def declarations() -> list[Any]:
    """One test for each declaration of the surface: (module, class or None, syntax node)."""
    cases = []
    for module, text in surface.SURFACE.items():
        path = switched(module)
        for node in ast.parse(switched(text)).body:
            cases.append(pytest.param(path, None, node, id=f"{path}.{name_of(node)}"))
            if isinstance(node, ast.ClassDef):
                for member in node.body:
                    if not isinstance(member, ast.Expr):
                        label = f"{path}.{node.name}.{name_of(member)}"
                        cases.append(pytest.param(path, node.name, member, id=label))
    return cases


def name_of(node: ast.stmt) -> str:
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return node.name
    target: Any = node.targets[0] if isinstance(node, ast.Assign) else node.target  # type: ignore[attr-defined]
    return str(target.id)


@pytest.mark.parametrize(("module", "owner", "node"), declarations())
def test_the_name_exists_as_apscheduler_declares_it(module: str, owner: str | None, node: Any) -> None:
    holder = load(module) if owner is None else getattr(load(module), owner)
    name = name_of(node)
    found = inspect.getattr_static(holder, name) if owner else getattr(holder, name)
    where = f"{module}.{owner}.{name}" if owner else f"{module}.{name}"
    if isinstance(node, ast.ClassDef):
        check_class(where, found, node)
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        check_function(where, holder, found, node, in_class=owner is not None)
    elif isinstance(node, ast.Assign):
        assert found == ast.literal_eval(node.value), where
    else:
        kind = TYPES[node.annotation.id]
        assert isinstance(found, kind), f"{where} is {found!r}, not a {kind.__name__}"


def check_class(where: str, found: Any, node: ast.ClassDef) -> None:
    assert inspect.isclass(found), f"{where} is not a class"
    ancestors = {ancestor.__name__ for ancestor in found.__mro__[1:]}
    for base in node.bases:
        assert ast.unparse(base) in ancestors, f"{where} does not derive from {ast.unparse(base)}"
    abstract = {
        member.name
        for member in node.body
        if isinstance(member, ast.FunctionDef) and "abstractmethod" in map(ast.unparse, member.decorator_list)
    }
    assert getattr(found, "__abstractmethods__", frozenset()) == abstract, f"{where}: abstract methods"


def check_function(where: str, holder: Any, found: Any, node: Any, *, in_class: bool) -> None:
    is_class_method = "classmethod" in map(ast.unparse, node.decorator_list)
    assert isinstance(found, classmethod) == is_class_method, where
    own_init = node.name == "__init__" and holder.__init__ is not object.__init__
    signature = inspect.signature(
        holder if node.name == "__init__" and not own_init else getattr(holder, node.name)
    )
    assert inspect.iscoroutinefunction(found) == isinstance(node, ast.AsyncFunctionDef), where
    wanted = declared_parameters(node)[1 if in_class else 0 :]
    if in_class and not is_class_method and (own_init or node.name != "__init__"):
        signature = signature.replace(parameters=list(signature.parameters.values())[1:])
    compare(where, wanted, signature)


def declared_parameters(node: Any) -> list[tuple[str, str, str | None]]:
    """The parameters of a declaration: (name, kind, default as written or None)."""
    arguments = node.args
    plain = arguments.posonlyargs + arguments.args
    defaults = [None] * (len(plain) - len(arguments.defaults)) + list(arguments.defaults)
    found = [(a.arg, "plain", d) for a, d in zip(plain, defaults, strict=True)]
    found += [(a.arg, "keyword", d) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    if arguments.vararg:
        found.append((arguments.vararg.arg, "*", None))
    if arguments.kwarg:
        found.append((arguments.kwarg.arg, "**", None))
    return [(name, kind, None if default is None else ast.unparse(default)) for name, kind, default in found]


def compare(where: str, wanted: list[tuple[str, str, str | None]], signature: inspect.Signature) -> None:
    empty = inspect.Parameter.empty
    found = signature.parameters
    positional = [p.name for p in found.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    wanted_plain = [name for name, kind, _ in wanted if kind == "plain"]
    assert positional[: len(wanted_plain)] == wanted_plain, (
        f"{where}{signature}: wanted {wanted_plain} in this order"
    )
    for name, kind, default in wanted:
        if kind == "**":
            assert any(p.kind is p.VAR_KEYWORD for p in found.values()), (
                f"{where}{signature} takes no **{name}"
            )
            continue
        assert name in found, f"{where}{signature} has no {name}"
        if default is None:
            assert found[name].default is empty, f"{where}{signature}: {name} has no default in APScheduler"
        elif excused(f"{where}({name})"):
            assert found[name].default is not empty, f"{where}{signature}: {name} must be optional"
        else:
            assert found[name].default == value_of(default), f"{where}{signature}: {name} is not {default}"
    extra = [p for p in found.values() if p.name not in {name for name, _, _ in wanted}]
    demanded = [
        p.name for p in extra if p.default is empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
    ]
    assert not demanded, f"{where}{signature}: programs for APScheduler do not give {demanded}"


def excused(parameter: str) -> bool:
    return any(fnmatch.fnmatchcase(parameter, pattern) for pattern in surface.OTHER_DEFAULTS)


def value_of(default: str) -> Any:
    return (
        importlib.import_module("rota.util").undefined
        if default == "undefined"
        else ast.literal_eval(default)
    )


@pytest.mark.parametrize("pattern", surface.OTHER_DEFAULTS)
def test_every_exception_names_a_parameter_of_the_surface(pattern: str) -> None:
    names = [
        f"{case.values[0]}.{case.values[1]}.{name_of(case.values[2])}({parameter})"
        for case in declarations()
        if isinstance(case.values[2], ast.FunctionDef) and case.values[1]
        for parameter, _, _ in declared_parameters(case.values[2])
    ]
    assert fnmatch.filter(names, pattern)


def test_names_that_are_not_kept_are_not_in_the_surface_too() -> None:
    listed = {switched(case.id) for case in declarations()}
    assert not listed & {switched(name) for name in (*surface.NOT_KEPT, *surface.LATER)}


# -- what programs hold in their hands ---------------------------------------------------------------------------------


@pytest.fixture
def scheduler() -> Any:
    from rota.schedulers.background import BackgroundScheduler

    scheduler = BackgroundScheduler(timezone="UTC")
    yield scheduler
    if scheduler.running:
        scheduler.shutdown()


def work() -> str:
    return "done"


TRIGGER_ARGUMENTS: dict[str, dict[str, Any]] = {
    "date": {"run_date": datetime(2100, 1, 1, tzinfo=UTC)},
    "interval": {"hours": 2, "start_date": "2026-01-01 00:00:00", "timezone": "UTC"},
    "cron": {"hour": "3", "minute": "*/5", "timezone": "UTC"},
    "calendarinterval": {"months": 1, "start_date": date(2026, 1, 31), "timezone": "UTC"},
}


def make_trigger(scheduler: Any, alias: str) -> Any:
    if alias in ("and", "or"):
        return scheduler._create_trigger(alias, {"triggers": [make_trigger(scheduler, "cron")]})
    return scheduler._create_trigger(alias, dict(TRIGGER_ARGUMENTS[alias]))


@pytest.mark.parametrize("alias", surface.TRIGGER_ALIASES)
def test_a_trigger_is_made_by_its_alias_and_has_apschedulers_attributes(scheduler: Any, alias: str) -> None:
    trigger = make_trigger(scheduler, alias)
    assert type(trigger) is resolve(surface.TRIGGER_ALIASES[alias])
    for attribute in surface.TRIGGER_ATTRIBUTES[alias]:
        assert hasattr(trigger, attribute), f"{type(trigger).__name__}.{attribute}"


@pytest.mark.parametrize(
    ("alias", "text"),
    [
        ("date", "date[2100-01-01 00:00:00 UTC]"),
        ("interval", "interval[2:00:00]"),
        ("cron", "cron[hour='3', minute='*/5']"),
        ("and", "and[cron[hour='3', minute='*/5']]"),
        ("or", "or[cron[hour='3', minute='*/5']]"),
    ],
)
def test_the_text_of_a_trigger_is_the_one_in_peoples_logs(scheduler: Any, alias: str, text: str) -> None:
    assert str(make_trigger(scheduler, alias)) == text


def test_the_fields_of_a_cron_trigger_can_be_listed(scheduler: Any) -> None:
    trigger = make_trigger(scheduler, "cron")
    assert [(field.name, str(field)) for field in trigger.fields if not field.is_default] == [
        ("hour", "3"),
        ("minute", "*/5"),
    ]
    assert [field.name for field in trigger.fields] == list(trigger.FIELD_NAMES)


def test_the_interval_of_an_interval_trigger_is_a_timedelta(scheduler: Any) -> None:
    trigger = make_trigger(scheduler, "interval")
    assert (trigger.interval, trigger.interval_length) == (timedelta(hours=2), 7200)


@pytest.mark.parametrize("alias", surface.EXECUTOR_ALIASES)
def test_an_executor_is_made_by_its_alias(scheduler: Any, alias: str) -> None:
    load(switched(surface.EXECUTOR_ALIASES[alias]).rpartition(".")[0])
    scheduler.add_executor(alias, "other")
    assert type(scheduler._lookup_executor("other")) is resolve(surface.EXECUTOR_ALIASES[alias])


def test_an_executor_counts_its_running_instances_by_job() -> None:
    from rota.executors.debug import DebugExecutor

    assert dict(DebugExecutor()._instances) == {}


@pytest.mark.parametrize("alias", surface.JOBSTORE_ALIASES)
def test_a_job_store_is_made_by_its_alias(scheduler: Any, alias: str) -> None:
    options = {"url": "sqlite://"} if alias == "sqlalchemy" else {}
    scheduler.add_jobstore(alias, "other", **options)
    assert type(scheduler._lookup_jobstore("other")) is resolve(surface.JOBSTORE_ALIASES[alias])


def test_a_job_has_apschedulers_attributes(scheduler: Any) -> None:
    scheduler.start(paused=True)
    job = scheduler.add_job(work, "cron", hour=3, id="j")
    missing = [name for name in surface.JOB_ATTRIBUTES if not hasattr(job, name)]
    assert not missing


def test_the_state_of_a_job_has_apschedulers_keys(scheduler: Any) -> None:
    scheduler.start(paused=True)
    state = scheduler.add_job(work, "cron", hour=3, id="j").__getstate__()
    assert set(surface.JOB_STATE_KEYS) <= set(state)
    assert (state["version"], state["id"], state["func"]) == (1, "j", f"{work.__module__}:work")


def test_jobs_are_equal_by_their_id_and_cannot_be_hashed(scheduler: Any) -> None:
    scheduler.start(paused=True)
    job = scheduler.add_job(work, "cron", hour=3, id="j")
    assert job == scheduler.get_job("j")
    with pytest.raises(TypeError):
        hash(job)


def test_the_texts_of_a_job_are_apschedulers(scheduler: Any) -> None:
    job = scheduler.add_job(work, "cron", hour=3, id="j")
    assert str(job) == "work (trigger: cron[hour='3'], pending)"
    assert repr(job) == "<Job (id=j name=work)>"
    scheduler.start(paused=True)
    job.modify(next_run_time=datetime(2100, 1, 1, tzinfo=UTC))
    assert str(job) == "work (trigger: cron[hour='3'], next run at: 2100-01-01 00:00:00 UTC)"
    job.pause()
    assert str(job) == "work (trigger: cron[hour='3'], paused)"


def test_a_job_can_be_built_for_anything_that_has_a_timezone() -> None:
    from rota.job import Job
    from rota.triggers.interval import IntervalTrigger

    class Owner:
        timezone = UTC

    job = Job(
        Owner(), id="j", func=work, trigger=IntervalTrigger(seconds=5, timezone=UTC), executor="default",
        args=(), kwargs={}, name="a job", misfire_grace_time=1, coalesce=True, max_instances=1,
        next_run_time=datetime(2100, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    twin = Job.__new__(Job)
    twin.__setstate__(job.__getstate__())
    assert (twin.id, twin.func, twin.name, twin.next_run_time) == ("j", work, "a job", job.next_run_time)
    assert (twin.misfire_grace_time, twin.coalesce, twin.max_instances) == (1, True, 1)


@pytest.mark.parametrize("kind", surface.EVENT_ATTRIBUTES)
def test_an_event_has_apschedulers_attributes(kind: str) -> None:
    from rota import events

    now = datetime(2026, 1, 1, tzinfo=UTC)
    event = {
        "SchedulerEvent": lambda: events.SchedulerEvent(1, "alias"),
        "JobEvent": lambda: events.JobEvent(512, "j", "default"),
        "JobSubmissionEvent": lambda: events.JobSubmissionEvent(32768, "j", "default", [now]),
        "JobExecutionEvent": lambda: events.JobExecutionEvent(4096, "j", "default", now, retval=5),
    }[kind]()
    for attribute in surface.EVENT_ATTRIBUTES[kind]:
        assert hasattr(event, attribute), f"{kind}.{attribute}"
    assert event.alias == ("alias" if kind == "SchedulerEvent" else None)


def test_event_all_covers_every_event_of_apscheduler() -> None:
    from rota import events

    assert events.EVENT_ALL & 131071 == 131071


def test_the_job_defaults_are_apschedulers_but_for_the_grace_time(scheduler: Any) -> None:
    scheduler.start(paused=True)
    job = scheduler.add_job(work, "cron", hour=3)
    assert (job.coalesce, job.max_instances) == (True, 1)
    assert job.misfire_grace_time is None, surface.OTHER_BEHAVIOUR["misfire_grace_time"]


@pytest.mark.parametrize("prefix", ["apscheduler.", "rota."])
def test_the_flat_options_are_read_with_either_prefix(prefix: str) -> None:
    from rota.schedulers.background import BackgroundScheduler

    scheduler = BackgroundScheduler(
        {
            f"{prefix}jobstores.other.type": "memory",
            f"{prefix}executors.default.class": "rota.executors.pool:ThreadPoolExecutor",
            f"{prefix}executors.default.max_workers": "3",
            f"{prefix}job_defaults.coalesce": "false",
            f"{prefix}job_defaults.max_instances": "3",
            f"{prefix}job_defaults.misfire_grace_time": "60",
            f"{prefix}jobstore_retry_interval": "2.5",
            f"{prefix}timezone": "Asia/Ho_Chi_Minh",
            f"{prefix}daemon": "no",
        }
    )
    scheduler.start(paused=True)
    try:
        job = scheduler.add_job(work, "cron", hour=3, jobstore="other")
        assert (job.coalesce, job.max_instances, job.misfire_grace_time) == (False, 3, 60)
        assert str(scheduler.timezone) == str(job.trigger.timezone) == "Asia/Ho_Chi_Minh"
    finally:
        scheduler.shutdown()


def test_a_scheduler_refuses_to_be_pickled(scheduler: Any) -> None:
    with pytest.raises(TypeError):
        pickle.dumps(scheduler)


def test_the_state_of_a_scheduler_is_the_constant_that_programs_compare(scheduler: Any) -> None:
    from rota.schedulers.base import STATE_PAUSED, STATE_RUNNING, STATE_STOPPED

    assert (scheduler.state, scheduler.running) == (STATE_STOPPED, False)
    scheduler.start()
    assert (scheduler.state, scheduler.running) == (STATE_RUNNING, True)
    scheduler.pause()
    assert (scheduler.state, scheduler.running) == (STATE_PAUSED, True)
    scheduler.resume()
    assert scheduler.state == STATE_RUNNING
    scheduler.shutdown()
    assert (scheduler.state, scheduler.running) == (STATE_STOPPED, False)


def test_the_loggers_have_apschedulers_names(scheduler: Any, caplog: Any) -> None:
    from rota.executors.debug import DebugExecutor
    from rota.jobstores.memory import MemoryJobStore

    executor, store = DebugExecutor(), MemoryJobStore()
    scheduler.add_executor(executor, "inline")
    scheduler.add_jobstore(store, "shelf")
    with caplog.at_level(logging.DEBUG):
        scheduler.start(paused=True)
    assert executor._logger.name == "rota.executors.inline"
    assert store._logger.name == "rota.jobstores.shelf"
    assert "rota.scheduler" in {record.name for record in caplog.records}


def test_the_undefined_marker_is_false_and_shows_itself() -> None:
    from rota.util import undefined

    assert not undefined
    assert repr(undefined) == "<undefined>"


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("rota.schedulers.SchedulerAlreadyRunningError", "Scheduler is already running"),
        ("rota.schedulers.SchedulerNotRunningError", "Scheduler is not running"),
    ],
)
def test_the_messages_of_scheduler_errors_begin_as_apschedulers_do(name: str, error: str) -> None:
    assert str(resolve(name)()).startswith(error)
