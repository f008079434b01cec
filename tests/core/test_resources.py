"""Resources: which parameters are filled, what is refused, and what becomes of jobs that need what a node does not have."""

from __future__ import annotations

import os
import threading
from functools import partial
from typing import TYPE_CHECKING, Annotated

import pytest

from rota import BackgroundScheduler, Inject, ProcessPoolExecutor, ThreadPoolExecutor
from rota.callables import needs_of
from rota.clock import DAY, moment
from rota.errors import (
    ArgumentMismatchError,
    ConfigurationError,
    JobTypeError,
    OptionTypeError,
    ResourceMissingError,
)
from rota.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED
from rota.executors.steps import perform
from rota.testing.manual import ManualScheduler
from tests.needs import need

if TYPE_CHECKING:
    from decimal import Decimal as OnlyForCheckers


class Bot:
    def __init__(self, name="bot"):
        self.name = name


BotNamedTelegram = Annotated[Bot, "something else", Inject("telegram")]


def greet(name: str, bot: Annotated[Bot, Inject]) -> str:
    return f"{bot.name} greets {name}"


async def greet_async(name: str, bot: Annotated[Bot, Inject]) -> str:
    return f"{bot.name} greets {name}"


def by_alias(telegram_bot: BotNamedTelegram) -> str:
    return telegram_bot.name


def keyword_only(*, bot: Annotated[Bot, Inject], n: int = 1) -> str:
    return bot.name * n


def with_default(bot: Annotated[Bot | None, Inject] = None) -> str:
    return "no bot" if bot is None else bot.name


def unreadable_beside(bot: Annotated[Bot, Inject], price: OnlyForCheckers = 0) -> str:  # type: ignore[assignment]
    return bot.name


def unreadable(price: Annotated[OnlyForCheckers, Inject]) -> None: ...


def unreadable_with_default(price: Annotated[OnlyForCheckers, Inject] = 0) -> None: ...  # type: ignore[assignment]


class Greeter:
    def method(self, bot: Annotated[Bot, Inject]) -> str:
        return bot.name

    @classmethod
    def of_class(cls, bot: Annotated[Bot, Inject]) -> str:
        return bot.name

    @staticmethod
    def static(bot: Annotated[Bot, Inject]) -> str:
        return bot.name

    def __call__(self, bot: Annotated[Bot, Inject]) -> str:
        return bot.name


class Made:
    def __init__(self, bot: Annotated[Bot, Inject]) -> None:
        self.bot = bot

    def __repr__(self):
        return f"made with {self.bot.name}"


def make_bot() -> Bot:
    return Bot(f"bot of process {os.getpid()}")


def broken_factory() -> Bot:
    raise ConnectionError("no bot today")


def which_bot(bot: Annotated[Bot, Inject]) -> tuple[str, int, int]:
    return bot.name, id(bot), os.getpid()


@pytest.fixture
def scheduler():
    scheduler = ManualScheduler()
    scheduler.resources["bot"] = Bot()
    scheduler.start()
    yield scheduler
    scheduler.shutdown(wait=False)


def outcome(scheduler, func, *args, **kwargs):
    scheduler.add_job(func, args=args, kwargs=kwargs, id="j", replace_existing=True)
    scheduler.advance(seconds=1)
    (run,) = scheduler.get_runs("j", limit=1)
    return run.retval if run.status == "succeeded" else (run.error_type, run.error)


def durable(path, **options):
    need("sqlalchemy", "sql")
    return ManualScheduler(jobstores={"default": f"sqlite:///{path}/jobs.db"}, lease=15, **options)


# --------------------------------------------------------------------------------------------------- what is filled


@pytest.mark.parametrize("func", [greet, greet_async])
def test_a_parameter_is_filled_at_each_call(scheduler, func):
    assert outcome(scheduler, func, "Lan") == "bot greets Lan"
    scheduler.resources["bot"] = Bot("another")
    assert outcome(scheduler, func, "Lan") == "another greets Lan"


def test_a_resource_may_have_another_name_than_the_parameter_and_stand_in_an_alias(scheduler):
    scheduler.resources["telegram"] = Bot("telegram")
    assert outcome(scheduler, by_alias) == "telegram"


@pytest.mark.parametrize(
    "func",
    [
        keyword_only,
        partial(greet, "Lan"),
        partial(keyword_only, n=1),
        Greeter().method,
        Greeter.of_class,
        Greeter.static,
        Greeter(),
        unreadable_beside,
        Made,
    ],
    ids=lambda func: getattr(func, "__qualname__", type(func).__name__),
)
def test_whatever_can_be_called_is_filled(scheduler, func):
    assert "bot" in str(outcome(scheduler, func))


def test_what_is_given_is_not_filled(scheduler):
    assert outcome(scheduler, greet, "Lan", Bot("mine")) == "mine greets Lan"
    assert outcome(scheduler, greet, "Lan", bot=Bot("mine")) == "mine greets Lan"
    assert outcome(scheduler, partial(greet, bot=Bot("mine")), "Lan") == "mine greets Lan"


def test_a_default_stands_for_a_resource_that_is_not_there(scheduler):
    assert outcome(scheduler, with_default) == "bot"
    del scheduler.resources["bot"]
    assert outcome(scheduler, with_default) == "no bot"


def test_annotations_are_only_looked_at_where_they_speak_of_inject():
    assert list(needs_of(int)) == list(needs_of(print)) == []
    assert [need[1:] for need in needs_of(greet)] == [("bot", "bot", True)]
    assert [need[1:] for need in needs_of(by_alias)] == [("telegram_bot", "telegram", True)]
    assert [need[1:] for need in needs_of(with_default)] == [("bot", "bot", False)]
    assert list(needs_of(greet, ("Lan", Bot()))) == []
    with pytest.raises(
        JobTypeError, match=r"^the annotation of price must be one that can be evaluated, got "
    ):
        needs_of(unreadable)


def test_an_annotation_that_cannot_be_read_costs_its_own_runs(scheduler):
    scheduler.add_job(unreadable_with_default, "interval", seconds=1, id="unreadable")
    scheduler.add_job(greet, "interval", seconds=1, args=["Lan"], id="other")
    scheduler.advance(seconds=3)
    assert {run.retval for run in scheduler.get_runs("other")} == {"bot greets Lan"}
    assert {run.error_type for run in scheduler.get_runs("unreadable")} == {"JobTypeError"}
    assert scheduler.health()["stores"]["default"]["ok"]


@pytest.mark.thorough
def test_a_job_stores_nothing_of_it_and_finds_it_where_it_runs(tmp_path):
    scheduler = durable(tmp_path)
    scheduler.resources["bot"] = Bot("first")
    scheduler.start()
    scheduler.add_job(greet, "interval", minutes=1, args=["Lan"], id="j")
    job = scheduler.get_job("j")
    assert (list(job.args), dict(job.kwargs)) == (["Lan"], {})
    scheduler.shutdown()
    with durable(tmp_path) as again:
        again.resources["bot"] = Bot("second")
        again.advance(minutes=1)
        assert again.get_runs("j")[0].retval == "second greets Lan"


def test_middleware_is_around_the_filling(scheduler):
    seen = []

    class Seeing:
        def __init__(self, run): ...
        def __enter__(self): ...

        def __exit__(self, kind, error, traceback):
            seen.append(repr(error))

    scheduler.add_middleware(Seeing)
    scheduler.add_job(greet, args=["Lan"], id="j")
    del scheduler.resources["bot"]
    scheduler._lacking = lambda job: ()  # it goes between the claim and the call
    scheduler.advance(seconds=1)
    assert scheduler.get_runs("j")[0].error_type == "ResourceMissingError"
    assert "There is no resource 'bot' here" in seen[0]


# --------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("name", ["", 5, None, Bot])
def test_a_name_that_no_parameter_could_ask_for_is_refused(scheduler, name):
    with pytest.raises(OptionTypeError, match=r"^the name of a resource must be a nonempty string"):
        scheduler.resources[name] = Bot()
    assert list(scheduler.resources) == ["bot"]


@pytest.mark.parametrize("name", ["", 5])
def test_inject_takes_names_only(name):
    with pytest.raises(JobTypeError, match=r"^Inject\(\) must be given the name of a resource"):
        Inject(name)


@pytest.mark.parametrize("factory", [5, None, greet, broken_factory.__class__.__call__])
def test_what_makes_no_resource_is_refused(scheduler, factory):
    with pytest.raises(OptionTypeError, match=r"^in_workers\['bot'\] must be a function without arguments"):
        scheduler.resources.in_workers["bot"] = factory
    assert list(scheduler.resources.in_workers) == []


def test_a_factory_that_is_async_is_refused(scheduler):
    async def make(): ...

    with pytest.raises(OptionTypeError, match="of which a call returns none"):
        scheduler.resources.in_workers["bot"] = make


def test_a_resource_that_is_removed_twice_is_an_error_like_that_of_any_mapping(scheduler):
    del scheduler.resources["bot"]
    with pytest.raises(KeyError):
        del scheduler.resources["bot"]


def test_a_job_whose_resource_is_not_there_is_refused_where_the_scheduler_runs_jobs(scheduler):
    del scheduler.resources["bot"]
    with pytest.raises(
        ResourceMissingError,
        match=r"There is no resource 'bot' here; set scheduler\.resources\['bot'\] first",
    ):
        scheduler.add_job(greet, args=["Lan"])
    with pytest.raises(ResourceMissingError):
        scheduler.add_jobs([{"func": int}, {"func": greet, "args": ["Lan"]}])
    assert scheduler.get_jobs() == []
    job = scheduler.add_job(int, "interval", minutes=1)
    with pytest.raises(ResourceMissingError):
        job.modify(func=greet, args=["Lan"])
    assert scheduler.get_jobs()[0].func is int


def test_arguments_that_do_not_fit_are_refused_as_ever(scheduler):
    with pytest.raises(ArgumentMismatchError, match="have not been supplied: name"):
        scheduler.add_job(greet)
    with pytest.raises(ArgumentMismatchError, match="does not accept the following keyword arguments: more"):
        scheduler.add_job(greet, args=["Lan"], kwargs={"more": 1})


def test_a_job_that_waits_for_the_start_is_asked_then():
    scheduler = ManualScheduler()
    scheduler.add_job(greet, args=["Lan"], id="j")
    with pytest.raises(ResourceMissingError):
        scheduler.start()
    scheduler.resources["bot"] = Bot()
    scheduler.start()
    scheduler.advance(seconds=1)
    assert scheduler.get_runs("j")[0].retval == "bot greets Lan"
    scheduler.shutdown()


@pytest.mark.thorough
def test_a_scheduler_that_only_adds_leaves_it_to_the_nodes(tmp_path):
    adding = durable(tmp_path, runs_jobs=False)
    adding.start()
    adding.add_job(greet, args=["Lan"], id="j")
    adding.shutdown()
    with durable(tmp_path) as node:
        node.resources["bot"] = Bot()
        node.advance(seconds=2)
        assert node.get_runs("j")[0].retval == "bot greets Lan"


# --------------------------------------------------------------------------------------------------- who lacks it


@pytest.mark.thorough
def test_a_node_that_lacks_it_does_not_take_the_run_and_says_so_after_a_minute(tmp_path, caplog):
    adding = durable(tmp_path, runs_jobs=False)
    adding.start()
    adding.add_job(greet, args=["Lan"], id="j")
    adding.add_job(int, "interval", seconds=10, id="other")
    adding.shutdown()
    with durable(tmp_path) as node:
        node.advance(seconds=30)
        assert node.get_runs("j") == []
        assert node.health()["stores"]["default"]["lacking"] == {}
        assert node.get_job("j").lacks is None
        node.advance(seconds=60)
        assert node.get_runs("j") == []
        why = node.get_job("j").lacks
        assert (
            "no living node has the resource 'bot' that it needs; set scheduler.resources on one of them"
            in why
        )
        assert "it is due since 2029-01-01" in why
        assert node.health()["stores"]["default"]["lacking"] == {"j": why}
        assert caplog.text.count('Job "j" does not run: it is due since') == 1
        assert len(node.get_runs("other")) > 5
        node.resources["bot"] = Bot("late")
        node.advance(seconds=2)
        assert node.get_runs("j")[0].retval == "late greets Lan"
        assert node.health()["stores"]["default"]["lacking"] == {}


@pytest.mark.thorough
def test_a_job_that_another_node_runs_meanwhile_is_not_reported(tmp_path):
    lacks, has = durable(tmp_path), durable(tmp_path)
    has.clock = lacks.clock
    has.resources["bot"] = Bot("able")
    adding = durable(tmp_path, runs_jobs=False)
    adding.start()
    adding.add_job(greet, "interval", minutes=1, args=["Lan"], id="j")
    adding.shutdown()
    lacks.start()
    has.start()
    for _ in range(20):
        lacks.advance(seconds=15)
        has.run_pending()
    assert {run.retval for run in has.get_runs("j")} == {"able greets Lan"}
    assert lacks.health()["stores"]["default"]["lacking"] == {}
    lacks.shutdown()
    has.shutdown()


@pytest.mark.thorough
def test_a_run_that_is_asked_for_goes_to_a_node_that_can(tmp_path, caplog):
    adding = durable(tmp_path, runs_jobs=False)
    adding.start()
    adding.add_job(greet, "interval", days=1, args=["Lan"], id="j")
    adding.run_job("j")
    adding.shutdown()
    with durable(tmp_path) as lacks:
        lacks.advance(seconds=30)
        assert [run.status for run in lacks.get_runs("j")] == ["waiting"]
        assert lacks.health()["stores"]["default"]["lacking"] == {}
        lacks.advance(seconds=60)
        why = lacks.get_job("j").lacks
        assert "a run of it waits since 2029-01-01" in why
        assert "no living node has the resource 'bot' that it needs" in why
        assert lacks.health()["stores"]["default"]["lacking"] == {"j": why}
        assert caplog.text.count('Job "j" does not run: a run of it waits since') == 1
        with durable(tmp_path) as able:
            able.clock = lacks.clock
            able.resources["bot"] = Bot("able")
            able.advance(seconds=5)
            assert [run.retval for run in able.get_runs("j")] == ["able greets Lan"]
        lacks.advance(seconds=60)
        assert lacks.health()["stores"]["default"]["lacking"] == {}


@pytest.mark.thorough
def test_a_run_that_waits_for_its_time_lacks_nothing(tmp_path):
    adding = durable(tmp_path, runs_jobs=False)
    adding.start()
    adding.add_job(greet, "interval", days=1, args=["Lan"], id="j")
    adding.run_job("j", not_before=moment(adding.clock.now() + 2 * DAY))
    adding.shutdown()
    with durable(tmp_path) as lacks:
        lacks.advance(seconds=120)
        assert lacks.health()["stores"]["default"]["lacking"] == {}


@pytest.mark.thorough
def test_a_run_that_is_asked_for_goes_to_a_node_that_can_later(tmp_path):
    adding = durable(tmp_path, runs_jobs=False)
    adding.start()
    adding.add_job(greet, "interval", days=1, args=["Lan"], id="j")
    adding.run_job("j")
    adding.shutdown()
    with durable(tmp_path) as has:
        has.resources["bot"] = Bot("able")
        has.advance(seconds=30)
        assert [run.retval for run in has.get_runs("j")] == ["able greets Lan"]


def test_a_run_by_hand_of_a_memory_store_is_refused_where_the_resource_is_gone(scheduler):
    scheduler.add_job(greet, "interval", days=1, args=["Lan"], id="j")
    del scheduler.resources["bot"]
    with pytest.raises(ResourceMissingError):
        scheduler.run_job("j")


@pytest.mark.thorough
def test_many_jobs_that_lack_something_do_not_hold_up_the_others(scheduler):
    for number in range(1500):
        scheduler.add_job(greet, args=["Lan"], id=f"lacking {number}")
    scheduler.add_job(int, "interval", seconds=1, id="other")
    del scheduler.resources["bot"]
    scheduler.advance(seconds=10)
    assert len(scheduler.get_runs("other")) >= 9
    scheduler.resources["bot"] = Bot()
    scheduler.advance(seconds=5)
    assert sum(run.job_id != "other" for run in scheduler.get_runs(limit=5000)) == 1500


# --------------------------------------------------------------------------------------------------- executors


def test_a_scheduler_without_resources_carries_runs_out_by_the_very_same_steps():
    executor = ThreadPoolExecutor(1)
    scheduler = BackgroundScheduler(executors={"default": executor})
    assert executor._perform is perform
    scheduler.resources["bot"] = Bot()
    assert executor._perform is not perform
    del scheduler.resources["bot"]
    assert executor._perform is perform


def run_in_workers(scheduler, *funcs):
    """Run functions one after another in the scheduler's worker processes; return how they ended."""
    found = []
    for func in funcs:
        ended = threading.Event()
        scheduler.add_listener(lambda event, ended=ended: ended.set(), EVENT_JOB_EXECUTED | EVENT_JOB_ERROR)
        job = scheduler.add_job(func)
        assert ended.wait(30)
        found += scheduler.get_runs(job.id)
    return found


@pytest.mark.thorough
def test_a_worker_process_makes_its_own_resource_once():
    with BackgroundScheduler(executors={"default": ProcessPoolExecutor(1)}) as scheduler:
        scheduler.resources["bot"] = Bot("of the program")
        with pytest.raises(
            ResourceMissingError, match=r"makes its own: set scheduler\.resources\.in_workers\['bot'\]"
        ):
            scheduler.add_job(which_bot)
        scheduler.resources.in_workers["bot"] = make_bot
        first, second = run_in_workers(scheduler, which_bot, which_bot)
        scheduler.resources.in_workers["bot"] = broken_factory
        (broken,) = run_in_workers(scheduler, which_bot)
    name, _, pid = first.retval
    assert name == f"bot of process {pid}"
    assert pid != os.getpid()
    assert first.retval == second.retval
    assert (broken.status, broken.error_type, broken.error) == ("failed", "ConnectionError", "no bot today")


def test_a_factory_that_workers_could_not_import_is_refused_and_changes_nothing():
    scheduler = BackgroundScheduler(executors={"default": ProcessPoolExecutor(1)})
    scheduler.resources.in_workers["good"] = make_bot
    with pytest.raises(ConfigurationError, match="the factory of resource 'bot' must be importable"):
        scheduler.resources.in_workers["bot"] = lambda: None
    assert list(scheduler.resources.in_workers) == ["good"]
