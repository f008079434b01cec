"""The alias: ``import rota.as_apscheduler``, then ``apscheduler`` means Rota. Each program has a process of its own."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.compat.surface import SURFACE
from tests.compat.test_inner_names import IMPORTED
from tests.needs import need

ROOT = Path(__file__).parents[2]


def run(
    program: str, folder: Path, *arguments: str, site: bool = True, expect: int = 0
) -> subprocess.CompletedProcess[str]:
    """Run a program that is written to a file, and return what it said.

    :param arguments: the interpreter's, behind which the file is named; a "{}" is replaced by the file
    :param site: whether installed packages are seen, the real APScheduler among them
    """
    path = folder / "program.py"
    path.write_text(textwrap.dedent(program), encoding="utf-8")
    given = [path.name if argument == "{}" else argument for argument in arguments or ("{}",)]
    result = subprocess.run(
        [sys.executable, *([] if site else ["-S"]), *given],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONFAULTHANDLER": "1"},
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    assert result.returncode == expect, f"{result.returncode}\n{result.stdout}{result.stderr}"
    return result


@pytest.fixture
def real() -> None:
    """The real APScheduler is installed."""
    if importlib.util.find_spec("apscheduler") is None:
        need("apscheduler", "dev")


# ------------------------------------------------------------------------------------------------------- modules


def test_each_path_leads_to_rotas_very_module(tmp_path: Path) -> None:
    paths = [path for path in SURFACE if path != "apscheduler"]
    optional = ("gevent", "tornado", "twisted", "qt", "sqlalchemy")
    run(
        f"""
        import rota.as_apscheduler
        import importlib, importlib.util
        for path in {paths!r}:
            assert importlib.util.find_spec(path) is not None, path
            try:
                module = importlib.import_module(path)
            except ImportError:
                assert path.rpartition(".")[2] in {optional!r}, path
                continue
            own = importlib.import_module(path.replace("apscheduler", "rota"))
            assert module is own and own.__name__ == own.__spec__.name == path.replace("apscheduler", "rota")
        """,
        tmp_path,
    )


def test_all_ways_to_import_lead_to_the_same_classes(tmp_path: Path) -> None:
    run(
        """
        import rota.schedulers.background
        import rota.as_apscheduler
        import apscheduler.schedulers.base as base
        from apscheduler import events, job
        from apscheduler.jobstores.base import JobLookupError
        import apscheduler, importlib, pkgutil, pickle
        import rota.errors
        from unittest import mock

        assert apscheduler.schedulers.base is base is rota.schedulers.base
        assert issubclass(rota.schedulers.background.BackgroundScheduler, base.BaseScheduler)
        assert JobLookupError is rota.errors.JobLookupError
        assert events is rota.events and job is rota.job
        assert apscheduler.triggers.__name__ == "rota.triggers", "as an attribute, without an import of its own"
        assert pkgutil.resolve_name("apscheduler.util:undefined") is rota.util.undefined
        listed = {found.name for found in pkgutil.iter_modules(apscheduler.__path__, "apscheduler.")}
        assert {"apscheduler.events", "apscheduler.schedulers"} <= listed
        assert pickle.loads(b"capscheduler.job\\nJob\\n.") is job.Job
        with mock.patch("apscheduler.schedulers.background.BackgroundScheduler.start", "patched"):
            assert rota.schedulers.background.BackgroundScheduler.start == "patched"
        importlib.reload(apscheduler.events)
        assert apscheduler.events is rota.events
        """,
        tmp_path,
    )


def test_a_second_import_and_a_later_one_change_nothing(tmp_path: Path) -> None:
    run(
        """
        import sys
        from rota.schedulers.background import BackgroundScheduler
        scheduler = BackgroundScheduler()
        import rota.as_apscheduler, importlib
        import apscheduler
        finders = list(sys.meta_path)
        importlib.reload(rota.as_apscheduler)
        from rota.compat.alias import install
        install()
        assert sys.meta_path == finders
        from apscheduler.schedulers.base import BaseScheduler
        assert isinstance(scheduler, BaseScheduler)
        """,
        tmp_path,
    )


def test_nothing_of_it_is_loaded_by_those_who_do_not_use_it(tmp_path: Path) -> None:
    loaded = set(run("import sys, rota.schedulers.background; print(*sys.modules)", tmp_path).stdout.split())
    assert "rota.schedulers.background" in loaded
    names = ("alias", "inner_names", "loggers", "metadata", "processes", "program")
    assert not loaded & {"rota.as_apscheduler", *(f"rota.compat.{name}" for name in names)}


def test_the_version_is_that_of_the_interface_and_rotas_own_stays(tmp_path: Path) -> None:
    run(
        """
        import rota.as_apscheduler, apscheduler
        assert apscheduler.__version__ == apscheduler.version == apscheduler.release == "3.11.3"
        assert apscheduler.version_info == (3, 11, 3)
        assert rota.__version__ != "3.11.3"
        """,
        tmp_path,
    )


def test_names_that_apschedulers_modules_have_from_each_other_are_found(tmp_path: Path) -> None:
    said = run(
        f"""
        IMPORTED = {IMPORTED}
        """
        """
        import rota.as_apscheduler
        import importlib
        from apscheduler.schedulers.base import EVENT_JOB_ADDED, JobLookupError, MemoryJobStore, undefined
        from apscheduler.executors.pool import BaseExecutor, run_job
        assert JobLookupError is importlib.import_module("rota.errors").JobLookupError
        assert BaseExecutor.__module__ == "rota.executors.base" and EVENT_JOB_ADDED == 512
        for place, names in IMPORTED.items():
            try:
                module = importlib.import_module(f"apscheduler.{place}")
            except ImportError:
                continue  # of an optional library
            for name in names.split():
                assert getattr(module, name) is not None, (place, name)
            print(place)
        """,
        tmp_path,
    )
    assert len(said.stdout.split()) > 15


def test_what_rota_does_not_have_is_refused_with_the_public_way(tmp_path: Path) -> None:
    said = run(
        """
        import rota.as_apscheduler
        import importlib.util

        def tried(program):
            try:
                exec(program, {})
            except Exception as error:
                print(f"{type(error).__name__}: {error}")
            else:
                raise AssertionError(program)

        tried("import apscheduler.schedulers.base as base; base.datetime")
        tried("from apscheduler.executors.base import datetime")
        tried("import apscheduler.executors.debug as debug; debug.nothing")
        tried("import apscheduler.jobstores.rethinkdb")
        tried("from apscheduler.datastores.memory import MemoryDataStore")
        tried("from apscheduler import AsyncScheduler")
        import apscheduler.schedulers.base
        assert not hasattr(apscheduler, "Scheduler")
        assert not hasattr(apscheduler.schedulers.base, "__wrapped__")
        assert importlib.util.find_spec("apscheduler.datastores") is None
        assert importlib.util.find_spec("apscheduler.executors.nothing") is None
        """,
        tmp_path,
    ).stdout.splitlines()
    expected = [
        (
            "AttributeError: module 'apscheduler.schedulers.base' stands for rota.schedulers.base",
            "give it clock=",
        ),
        ("ImportError: cannot import name 'datetime'", "stands for rota.executors.base"),
        ("AttributeError:", "the public names there are DebugExecutor"),
        ("ModuleNotFoundError: No module named 'apscheduler.jobstores.rethinkdb' in Rota", "use SQL, Redis"),
        ("ModuleNotFoundError: No module named 'apscheduler.datastores' in Rota", "APScheduler 3.11"),
        ("ImportError: cannot import name 'AsyncScheduler'", "docs/migration.md"),
    ]
    assert len(said) == len(expected)
    for line, (begin, remedy) in zip(said, expected, strict=True):
        assert line.startswith(begin), line
        assert remedy in line, line


def test_apscheduler_4_is_not_taken_for_present(tmp_path: Path) -> None:
    newer = (
        "abc",
        "datastores",
        "eventbrokers",
        "serializers",
        "marshalling",
        "structures",
        "enums",
        "_schedulers",
    )
    run(
        f"""
        import rota.as_apscheduler, importlib.util
        for name in {newer!r}:
            assert importlib.util.find_spec(f"apscheduler.{{name}}") is None, name
        assert importlib.util.find_spec("apscheduler.schedulers.async_") is None
        """,
        tmp_path,
    )


# ------------------------------------------------------------------------------------------ the real package beside it


def test_the_real_package_that_is_loaded_first_is_a_clear_error(tmp_path: Path, real: None) -> None:
    run(
        """
        import apscheduler.schedulers.background as before
        from rota.errors import PackageLoadedError
        try:
            import rota.as_apscheduler
        except PackageLoadedError as error:
            assert isinstance(error, RuntimeError)
            assert "loaded already" in str(error) and "python -m rota.as_apscheduler" in str(error), error
        else:
            raise AssertionError
        from apscheduler.schedulers.background import BackgroundScheduler
        assert BackgroundScheduler is before.BackgroundScheduler
        assert BackgroundScheduler.__module__ == "apscheduler.schedulers.background"
        """,
        tmp_path,
    )


def test_the_alias_that_comes_first_wins_and_says_so_once(tmp_path: Path, real: None) -> None:
    said = run(
        """
        import logging
        logging.basicConfig(level="INFO", format="%(name)s %(levelname)s %(message)s")
        import rota.as_apscheduler
        import apscheduler.schedulers.background, apscheduler.jobstores.memory
        from rota.compat.alias import install
        install()
        assert apscheduler.schedulers.background.__name__ == "rota.schedulers.background"
        """,
        tmp_path,
    ).stderr.splitlines()
    assert len(said) == 1, said
    assert said[0].startswith("apscheduler INFO apscheduler means Rota in this process")
    assert "is not used" in said[0]


def test_without_the_real_package_nothing_is_said(tmp_path: Path) -> None:
    said = run(
        """
        import logging
        logging.basicConfig(level="DEBUG")
        import rota.as_apscheduler
        from apscheduler.schedulers.background import BackgroundScheduler
        """,
        tmp_path,
        site=False,
    )
    assert said.stderr == ""


# ------------------------------------------------------------------------------------------------------ metadata


@pytest.mark.parametrize("site", [True, False], ids=["installed", "not installed"])
def test_the_distributions_metadata_is_answered(tmp_path: Path, site: bool) -> None:
    run(
        """
        import rota.as_apscheduler
        from importlib import metadata
        assert metadata.version("APScheduler") == metadata.version("apscheduler") == "3.11.3"
        assert metadata.distribution("APScheduler").metadata["Name"] == "APScheduler"
        assert {name for name in metadata.packages_distributions()["apscheduler"]} == {"APScheduler"}
        assert len([d for d in metadata.distributions() if d.metadata["Name"] == "APScheduler"]) == 1
        points = metadata.entry_points(group="apscheduler.triggers")
        from rota.triggers.cron import CronTrigger
        assert points["cron"].load() is CronTrigger
        try:
            metadata.version("apscheduler-of-somebody")
        except metadata.PackageNotFoundError:
            pass
        else:
            raise AssertionError
        """,
        tmp_path,
        site=site,
    )


# ------------------------------------------------------------------------------------------------------- loggers

LOGGED = """
import logging, logging.config, sys
{before}
import rota.as_apscheduler
{after}
from apscheduler.executors.debug import DebugExecutor
from apscheduler.schedulers.background import BackgroundScheduler
scheduler = BackgroundScheduler(executors={{"default": DebugExecutor()}})
assert scheduler._logger.name == "apscheduler.scheduler"
import threading
ended = threading.Event()
scheduler.add_listener(lambda event: ended.set(), 8192)
scheduler.start()
scheduler.add_job(divmod, "date", args=(1, 0), id="j")
assert ended.wait(20)
scheduler.shutdown()
"""
CONFIGURED = {
    "a handler and a level": """
logging.getLogger("apscheduler").addHandler(logging.StreamHandler(sys.stdout))
logging.getLogger("apscheduler.executors.default").setLevel("ERROR")
logging.getLogger("apscheduler.scheduler").setLevel("CRITICAL")
""",
    "a dictionary": """
logging.config.dictConfig({
    "version": 1,
    "handlers": {"out": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"}},
    "loggers": {
        "apscheduler": {"handlers": ["out"], "level": "ERROR", "propagate": False},
        "rota": {"handlers": ["out"], "level": "ERROR", "propagate": False},
    },
    "root": {"handlers": ["out"], "level": "DEBUG"},
})
""",
    "a filter": """
class Errors(logging.Filter):
    def filter(self, record):
        return record.levelno >= logging.ERROR
logging.basicConfig(stream=sys.stdout, format="%(message)s")
logging.getLogger("apscheduler.executors.default").addFilter(Errors())
""",
    "rota's own name": """
logging.getLogger("rota").setLevel("ERROR")
logging.getLogger("rota").addHandler(logging.StreamHandler(sys.stdout))
""",
}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("how", CONFIGURED)
def test_what_is_set_on_apschedulers_loggers_counts_and_no_line_comes_twice(
    how: str, when: str, tmp_path: Path
) -> None:
    places = {"before": "", "after": "", when: CONFIGURED[how]}
    said = run(LOGGED.format(**places), tmp_path)
    assert said.stdout.count("raised an exception") == 1, said.stdout
    assert said.stdout.count("ZeroDivisionError") == 1, said.stdout
    assert "Added job" not in said.stdout
    assert said.stderr == ""


def test_a_level_that_lets_nothing_through_counts(tmp_path: Path) -> None:
    silent = (
        'logging.basicConfig(stream=sys.stdout); logging.getLogger("apscheduler").setLevel(logging.CRITICAL)'
    )
    said = run(LOGGED.format(before="", after=silent), tmp_path)
    assert (said.stdout, said.stderr) == ("", "")


# ----------------------------------------------------------------------------------------------- child processes

CHILDREN = """
import multiprocessing, sys
import apscheduler.events

def look(out):
    import apscheduler.schedulers.base, rota.schedulers.base
    out.put(apscheduler.schedulers.base is rota.schedulers.base and sys.modules["apscheduler.events"].__name__)

if __name__ == "__main__":
    sys.path.append("/nowhere")
    for method in multiprocessing.get_all_start_methods():
        context = multiprocessing.get_context(method)
        out = context.SimpleQueue()
        child = context.Process(target=look, args=(out,))
        child.start()
        print(method, out.get())
        child.join()
        assert child.exitcode == 0
"""


def test_children_of_multiprocessing_have_the_alias(tmp_path: Path) -> None:
    said = run(CHILDREN, tmp_path, "-m", "rota.as_apscheduler", "{}").stdout.splitlines()
    assert said and all(line.endswith("rota.events") for line in said), said


def test_a_fork_server_that_loads_modules_for_its_children_has_the_alias(tmp_path: Path) -> None:
    (tmp_path / "loaded.py").write_text("import apscheduler.events")
    server = """
        import multiprocessing, sys
        def look(out):
            import apscheduler.events
            out.put(["loaded" in sys.modules, apscheduler.events.__name__])
        if __name__ == "__main__":
            if "forkserver" in multiprocessing.get_all_start_methods():
                context = multiprocessing.get_context("forkserver")
                context.set_forkserver_preload(["loaded"])
                out = context.SimpleQueue()
                for name in ("child", "ignore"):
                    child = context.Process(target=look, args=(out,), name=name)
                    child.start()
                    assert out.get() == [True, "rota.events"]
                    child.join()
    """
    run(server, tmp_path, "-m", "rota.as_apscheduler", "{}")


def test_workers_of_the_process_pool_have_the_alias(tmp_path: Path) -> None:
    said = run(
        """
        import sys, threading
        from apscheduler.executors.pool import ProcessPoolExecutor
        from apscheduler.schedulers.background import BackgroundScheduler
        from apscheduler.util import ref_to_obj

        def where():
            return ref_to_obj("apscheduler.schedulers.base:BaseScheduler").__module__

        def main():
            ended = threading.Event()
            got = []
            scheduler = BackgroundScheduler(executors={"default": ProcessPoolExecutor(1)})
            scheduler.add_listener(lambda event: (got.append(event.retval or event.exception), ended.set()), 4096 | 8192)
            scheduler.start()
            scheduler.add_job(where)
            assert ended.wait(40)
            scheduler.shutdown()
            print(got)

        if __name__ == "__main__":
            main()
        """,
        tmp_path,
        "-m",
        "rota.as_apscheduler",
        "{}",
    )
    assert said.stdout == "['rota.schedulers.base']\n", said.stderr


def test_references_that_name_apscheduler_are_found_by_stored_jobs(tmp_path: Path) -> None:
    need("sqlalchemy", "sql")
    said = run(
        """
        import rota.as_apscheduler
        from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
        from apscheduler.schedulers.background import BackgroundScheduler

        scheduler = BackgroundScheduler(jobstores={"default": SQLAlchemyJobStore(url="sqlite:///jobs.sqlite")})
        scheduler.start(paused=True)
        scheduler.add_job("apscheduler.util:asint", "interval", hours=1, args=["1"], id="j")
        print(scheduler.get_job("j").func.__module__)
        scheduler.shutdown()
        """,
        tmp_path,
    )
    assert said.stdout == "rota.util\n"


PICKLES = """
import datetime, pickle, sys
from apscheduler.job import Job
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.calendarinterval import CalendarIntervalTrigger
from apscheduler.triggers.combining import AndTrigger, OrTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

def job(*args, **kwargs):
    "Not called."

UTC = datetime.timezone.utc
START = datetime.datetime(2099, 1, 1, tzinfo=UTC)

def write(path):
    days = CronTrigger(hour=0, timezone="UTC", year=2099)
    triggers = {
        "date": DateTrigger(START),
        "interval": IntervalTrigger(hours=3, start_date=START, timezone="Europe/Berlin"),
        "cron": CronTrigger(year=2099, day="last", hour="3-9/2", timezone="Asia/Tokyo"),
        "calendar": CalendarIntervalTrigger(months=1, hour=4, start_date=START.date(), timezone="Europe/Berlin"),
        "or": OrTrigger([days, IntervalTrigger(days=2, start_date=START, timezone="UTC")]),
        "and": AndTrigger([days, CronTrigger(day="2nd fri", timezone="UTC", year=2099)]),
    }
    scheduler = BackgroundScheduler(timezone="UTC")
    scheduler.start(paused=True)
    options = dict(args=[1], kwargs={"at": START}, misfire_grace_time=7, coalesce=False, max_instances=4)
    states = [
        scheduler.add_job(job, trigger, id=id, name=f"the {id}", **options).__getstate__()
        for id, trigger in triggers.items()
    ]
    scheduler.shutdown()
    with open(path, "wb") as file:
        pickle.dump(states, file)

def read(path):
    with open(path, "rb") as file:
        states = pickle.load(file)
    for state in states:
        restored = Job.__new__(Job)
        restored.__setstate__(state)
        times, previous, now = [], None, START - datetime.timedelta(days=1)
        most = 1 if restored.id == "and" else 4  # APScheduler's looks for its second time for ever
        while len(times) < most and (time := restored.trigger.get_next_fire_time(previous, now)):
            times.append(time.astimezone(UTC).isoformat())
            previous = now = time
        print(restored.id, restored.name, restored.func.__name__, restored.func_ref, restored.args, restored.kwargs)
        print(restored.misfire_grace_time, restored.coalesce, restored.max_instances, restored.executor)
        print(restored.trigger, restored.next_run_time.astimezone(UTC), *times)

if __name__ == "__main__":
    {"write": write, "read": read}[sys.argv[1]](sys.argv[2])
"""


def test_what_apscheduler_pickled_is_restored_and_the_way_back_is_open(tmp_path: Path, real: None) -> None:
    alias = ("-m", "rota.as_apscheduler")
    run(PICKLES, tmp_path, "{}", "write", "of-apscheduler")
    run(PICKLES, tmp_path, *alias, "{}", "write", "of-rota")
    said = run(PICKLES, tmp_path, "{}", "read", "of-apscheduler").stdout
    assert len(said.splitlines()) == 18
    assert run(PICKLES, tmp_path, *alias, "{}", "read", "of-apscheduler").stdout == said
    assert run(PICKLES, tmp_path, *alias, "{}", "read", "of-rota").stdout == said
    # Back on APScheduler, where Rota is still installed: its triggers fire there as well.
    assert run(PICKLES, tmp_path, "{}", "read", "of-rota").stdout == said


# ------------------------------------------------------------------------------- python -m rota.as_apscheduler

SHOWS = """
import sys, apscheduler.events, beside
print(__name__, __spec__ and __spec__.name, sys.argv[1:], apscheduler.events.__name__)
print(sys.modules["__main__"].__dict__ is globals(), sys.argv[0] == __file__)
"""


def test_a_program_is_run_as_python_runs_it(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "beside.py").write_text("")
    (tmp_path / "inner" / "shows.py").write_text(SHOWS)
    said = run("", tmp_path, "-m", "rota.as_apscheduler", "inner/shows.py", "-m", "x y").stdout.splitlines()
    assert said == ["__main__ None ['-m', 'x y'] rota.events", "True True"]


def test_a_module_a_package_a_folder_and_an_archive_are_run(tmp_path: Path) -> None:
    import zipfile

    (tmp_path / "beside.py").write_text("")
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "beside.py").write_text("")
    (package / "__main__.py").write_text(SHOWS)
    (package / "inner.py").write_text(SHOWS)
    with zipfile.ZipFile(tmp_path / "program.pyz", "w") as archive:
        archive.writestr("__main__.py", SHOWS)
        archive.writestr("beside.py", "")
    command = ("-m", "rota.as_apscheduler")
    said = run("", tmp_path, *command, "-m", "package.inner", "1").stdout.splitlines()
    assert said == ["__main__ package.inner ['1'] rota.events", "True True"]
    said = run("", tmp_path, *command, "-m", "package").stdout.splitlines()
    assert said == ["__main__ package.__main__ [] rota.events", "True True"]
    for given in ("package", "program.pyz"):
        said = run("", tmp_path, *command, given, "2").stdout.splitlines()
        assert said[0] == "__main__ None ['2'] rota.events", given


def test_what_cannot_be_run_is_told(tmp_path: Path) -> None:
    command = ("-m", "rota.as_apscheduler")
    assert "usage:" in run("", tmp_path, *command, expect=2).stderr
    assert "usage:" in run("", tmp_path, *command, "--nonsense", expect=2).stderr
    assert "usage:" in run("", tmp_path, *command, "--help").stdout
    assert "'nothing.py'" in run("", tmp_path, *command, "nothing.py", expect=1).stderr
    assert "No module named nothing" in run("", tmp_path, *command, "-m", "nothing", expect=1).stderr
    (tmp_path / "broken.py").write_text("import not_there")
    assert "No module named 'not_there'" in run("", tmp_path, *command, "-m", "broken", expect=1).stderr
    (tmp_path / "ends.py").write_text("raise SystemExit(7)")
    run("", tmp_path, *command, "ends.py", expect=7)


def test_functions_of_the_program_are_found_when_it_has_come_to_its_end(tmp_path: Path) -> None:
    said = run(
        """
        import threading
        def job():
            print("found")
        def later():
            threading.main_thread().join()
            import pkgutil
            pkgutil.resolve_name("__main__:job")()
        threading.Thread(target=later).start()
        """,
        tmp_path,
        "-m",
        "rota.as_apscheduler",
        "{}",
    )
    assert said.stdout == "found\n"


# ------------------------------------------------------------------------------------------------- crontab strings


def test_a_crontab_string_that_is_read_otherwise_here_is_said_once(tmp_path: Path) -> None:
    said = run(
        """
        import rota.as_apscheduler
        from apscheduler.triggers.cron import CronTrigger

        CronTrigger.from_crontab("0 9 * * mon", "UTC")
        CronTrigger.from_crontab("0 9 * * 1", "UTC", dialect="cron")
        for weekday in "123":
            CronTrigger.from_crontab(f"0 9 * * {weekday}", "UTC")
        """,
        tmp_path,
    ).stderr
    assert said.count("APScheduler 3 read it as") == 1
    assert "At 09:00, on Monday. APScheduler 3 read it as: At 09:00, on Tuesday" in said
