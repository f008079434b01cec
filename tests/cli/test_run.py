"""`rota run` as people use it: a process with a target, its output, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from textwrap import dedent

import pytest

from tests.cli.processes import LIMIT, Rota, environment, rota
from tests.needs import need

need("typer", "cli")
need("rich", "cli")

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")

WORK = """
def work():
    return "done"

scheduler.add_job(work, "interval", seconds=0.2, id="work")
"""

#: A job that is under way until the file "go" is there.
SLOW = """
import pathlib, threading

def slow():
    pathlib.Path("started").touch()
    while not pathlib.Path("go").exists():
        threading.Event().wait(0.02)
    return "went"

scheduler.add_job(slow, id="slow")
"""


def program(folder, name, text, host="background"):
    cls = {"asyncio": "AsyncIO"}.get(host, host.title()) + "Scheduler"
    head = f"from rota.schedulers.{host} import {cls}\nscheduler = {cls}(timezone='UTC')\n"
    (folder / name).write_text(head + dedent(text))


# -- hosts and targets -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["background", "blocking", "asyncio", "tornado", "twisted", "gevent"])
def test_every_host_runs_in_the_foreground_and_drains_on_sigterm(tmp_path, host):
    if host in ("tornado", "twisted", "gevent"):
        need(host, host)
    program(tmp_path, "app.py", WORK, host)
    with Rota("run", "app.py", cwd=tmp_path) as process:
        assert process.wait_for("work").split()[1:3] == ["succeeded", "work"]
        process.signal(signal.SIGTERM)
        assert process.end() == 0, process.told()
    assert "Traceback" not in process.errors


def test_a_scheduler_that_was_started_by_its_module_is_attached_to(tmp_path):
    program(tmp_path, "app.py", WORK + "scheduler.start()\n")
    with Rota("run", "app.py", cwd=tmp_path) as process:
        process.wait_for("succeeded")
        process.signal(signal.SIGINT)
        assert process.end() == 0, process.told()


def test_a_scheduler_that_is_shut_down_by_its_job_ends_the_program(tmp_path):
    for host in ("background", "blocking", "asyncio"):
        program(
            tmp_path,
            "app.py",
            "def last():\n    scheduler.shutdown(wait=False)\nscheduler.add_job(last)\n",
            host,
        )
        with Rota("run", "app.py", cwd=tmp_path) as process:
            assert process.end() == 0, process.told()


@pytest.mark.parametrize(
    "target", ["pkg.app", "pkg.app:scheduler", "pkg/app.py", "pkg/app.py:make", "pkg.app:Holder.inside"]
)
def test_a_target_is_a_module_or_a_file_with_or_without_an_attribute(tmp_path, target):
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").touch()
    (tmp_path / "pkg" / "names.py").write_text("JOB = 'work'\n")
    program(
        tmp_path / "pkg",
        "app.py",
        """
        from .names import JOB

        def work():
            return __name__

        def make():
            return scheduler

        class Holder:
            inside = scheduler

        scheduler.add_job(work, "interval", seconds=0.2, id=JOB)
        """,
    )
    with Rota("run", target, "--for", "30", cwd=tmp_path) as process:
        assert process.wait_for("succeeded").endswith("pkg.app")  # the name that other processes import it by
        process.signal(signal.SIGTERM)
        assert process.end() == 0, process.told()


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("missing.py", "there is no file missing.py"),
        ("missing.module", "there is no file and no module missing.module"),
        ("./missing", "there is no file ./missing"),
        ("empty.py", "there is no scheduler in empty.py"),
        ("two.py", "there are 2 schedulers in two.py; say which: two.py:one, two.py:two"),
        ("two.py:three", "two has no attribute 'three'; its schedulers are: one, two"),
        ("two.py:number", "two:number is a int, not a scheduler"),
        ("sub/json.py", "that name belongs to"),
        ("broken.py", "broken.py cannot be imported: ModuleNotFoundError: No module named 'nowhere'"),
        ("window.py", "a QtScheduler lives on the event loop of its application"),
    ],
)
def test_a_wrong_target_is_refused_with_a_message_and_no_traceback(tmp_path, target, message):
    (tmp_path / "empty.py").write_text("x = 1\n")
    (tmp_path / "two.py").write_text(
        "from rota.schedulers.background import BackgroundScheduler as B\none, two, number = B(), B(), 5\n"
    )
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "json.py").write_text("x = 1\n")
    (tmp_path / "broken.py").write_text("\nimport nowhere\n")
    (tmp_path / "window.py").write_text(
        "from rota.schedulers.qt import QtScheduler\nscheduler = QtScheduler()\n"
    )
    if target == "window.py":
        need("PySide6", "qt")
    with Rota("run", target, cwd=tmp_path) as process:
        assert process.end() == 1, process.told()
    assert process.lines == []
    assert process.errors.startswith("error: ")
    assert message in process.errors
    assert "Traceback" not in process.errors


def test_the_traceback_of_a_broken_target_is_shown_on_request(tmp_path):
    (tmp_path / "broken.py").write_text("\nimport nowhere\n")
    with Rota("--debug", "run", "broken.py", cwd=tmp_path) as process:
        assert process.end() == 1
    assert "Traceback" in process.errors
    assert 'broken.py", line 2' in process.errors


def test_a_store_that_cannot_be_opened_is_an_error(tmp_path):
    need("sqlalchemy", "sql")
    program(tmp_path, "app.py", WORK)
    with Rota("run", "app.py", "-s", "sqlite:///no/such/folder.sqlite", cwd=tmp_path) as process:
        assert process.end() == 1
    assert process.errors == "error: there is no folder no/such for folder.sqlite; make it first\n"
    (tmp_path / "text.sqlite").write_text("this is no database" * 100)
    with Rota("run", "app.py", "-s", "sqlite:///text.sqlite", cwd=tmp_path) as process:
        assert process.end() == 1
    assert process.errors.startswith("error: ")
    assert "not a database" in process.errors
    assert "Traceback" not in process.errors


def test_a_programs_jobs_can_be_kept_in_a_store_from_the_command_line(tmp_path, capsys):
    need("sqlalchemy", "sql")
    program(tmp_path, "app.py", WORK)
    url = f"sqlite:///{tmp_path}/rota.sqlite"
    with Rota("run", "app.py", "-s", url, cwd=tmp_path) as process:
        process.wait_for("succeeded")
        process.signal(signal.SIGTERM)
        assert process.end() == 0, process.told()
    _, out, _ = rota(capsys, "-s", url, "jobs", "--json")
    assert [(job["id"], job["func"]) for job in json.loads(out)] == [("work", "app:work")]


def test_a_store_of_the_programs_own_is_not_replaced(tmp_path):
    need("sqlalchemy", "sql")
    program(tmp_path, "app.py", WORK + "scheduler.add_jobstore('memory')\n")
    with Rota("run", "app.py", "-s", "sqlite:///x.sqlite", cwd=tmp_path) as process:
        assert process.end() == 1
    assert "has a default job store already; leave --jobstore out" in process.errors
    with Rota("run", "app.py", cwd=tmp_path, ROTA_JOBSTORE="sqlite:///x.sqlite") as process:
        process.wait_for("succeeded")
        process.signal(signal.SIGTERM)
        assert process.end() == 0, process.told()
    assert not (tmp_path / "x.sqlite").exists()


# -- what is printed ---------------------------------------------------------------------------------------------


def test_plain_lines_tell_when_how_which_and_what(tmp_path):
    program(
        tmp_path,
        "app.py",
        "def wrong():\n    raise ValueError('no such thing')\nscheduler.add_job(wrong, id='wrong')\n",
    )
    with Rota("run", "app.py", "--timezone", "Asia/Kolkata", cwd=tmp_path) as process:
        line = process.wait_for("wrong")
        process.signal(signal.SIGTERM)
        assert process.end() == 0
    at, outcome, job, *rest = line.split()
    assert at.endswith("+05:30")
    assert (outcome, job) == ("failed", "wrong")
    assert " ".join(rest).endswith("ValueError: no such thing")
    assert "ValueError" in process.errors  # the log has the traceback


def test_json_lines_are_one_object_for_each_event(tmp_path):
    program(tmp_path, "app.py", WORK)
    with Rota("run", "app.py", "--json", cwd=tmp_path) as process:
        process.wait_for("job_executed")
        process.signal(signal.SIGTERM)
        assert process.end() == 0
    events = [json.loads(line) for line in process.lines]
    names = [event["event"] for event in events]
    assert names.index("scheduler_started") < names.index("job_submitted") < names.index("job_executed")
    assert names[-1] == "scheduler_shutdown"
    executed = events[names.index("job_executed")]
    assert (executed["job_id"], executed["run"]["status"], executed["run"]["result"]) == (
        "work",
        "succeeded",
        "done",
    )


def test_a_reader_that_goes_away_ends_the_program(tmp_path):
    program(tmp_path, "app.py", WORK)
    process = subprocess.Popen(
        [sys.executable, "-m", "rota.cli", "run", "app.py"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(LIMIT) == 0
    assert process.stderr is not None
    errors = process.stderr.read()
    process.stderr.close()
    assert "Traceback" not in errors


def test_it_stops_by_itself_after_the_time_it_was_given(tmp_path):
    program(tmp_path, "app.py", WORK)
    with Rota("run", "app.py", "--for", "0.5", cwd=tmp_path) as process:
        assert process.end() == 0
    assert any("succeeded" in line for line in process.lines), process.told()


# -- logging -----------------------------------------------------------------------------------------------------

LOGS = """
import logging

def tell():
    log = logging.getLogger("rota")
    print("level", log.level, log.getEffectiveLevel(), logging.getLogger().handlers, flush=True)
    logging.getLogger("rota.something").info("an info of Rota")
    logging.getLogger("rota.something").warning("a warning of Rota")
    logging.getLogger("app").warning("a warning of the program")

scheduler.add_job(tell, id="tell")
"""


def told(folder, text, *options):
    program(folder, "app.py", text + LOGS)
    with Rota("run", "app.py", *options, cwd=folder) as process:
        level = process.wait_for("level")
        process.wait_for("succeeded")
        process.signal(signal.SIGTERM)
        assert process.end() == 0, process.told()
    return level, process.errors


def test_the_levels_and_handlers_of_a_program_stay_as_they_are(tmp_path):
    level, errors = told(tmp_path, "")
    assert level == "level 0 30 []"
    assert errors.count("a warning of Rota") == errors.count("a warning of the program") == 1
    assert "an info of Rota" not in errors
    level, errors = told(tmp_path, "import logging\nlogging.getLogger('rota').setLevel(logging.ERROR)\n")
    assert level == "level 40 40 []"
    assert "a warning of Rota" not in errors


def test_a_program_that_sets_up_logging_shows_its_lines_once_and_at_its_own_levels(tmp_path):
    level, errors = told(
        tmp_path, "import logging\nlogging.basicConfig(level='INFO', format='own %(message)s')\n"
    )
    assert level.startswith("level 0 20 [<StreamHandler")
    assert errors.count("an info of Rota") == errors.count("own an info of Rota") == 1
    handler = "import logging\nlogging.getLogger('rota.something').addHandler(logging.FileHandler('log'))\n"
    _, errors = told(tmp_path, handler)
    assert "a warning of Rota" not in errors
    assert "a warning of Rota" in (tmp_path / "log").read_text()


def test_a_level_that_is_asked_for_is_set(tmp_path):
    level, errors = told(tmp_path, "", "--log-level", "info")
    assert level == "level 20 20 []"
    assert errors.count("an info of Rota") == 1


# -- the end -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["background", "blocking", "asyncio"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_drain_waits_for_the_run_that_is_under_way(tmp_path, host, number):
    program(tmp_path, "app.py", SLOW + WORK, host)
    with Rota("run", "app.py", cwd=tmp_path) as process:
        process.wait_for("work")
        process.signal(number)
        process.wait_for_error("draining: 1 run under way")
        assert process.process.poll() is None
        (tmp_path / "go").touch()
        assert process.end() == 0, process.told()
    assert process.lines[-1].split()[1:3] == ["succeeded", "slow"]
    assert process.lines[-1].endswith("went")


@pytest.mark.parametrize("host", ["background", "blocking", "asyncio"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_second_signal_stops_at_once(tmp_path, host, number, code):
    program(tmp_path, "app.py", SLOW + WORK, host)
    with Rota("run", "app.py", cwd=tmp_path) as process:
        process.wait_for("work")
        process.signal(number)
        process.wait_for_error("draining: 1 run under way")
        process.signal(number)
        assert process.end() == code, process.told()


# -- crontab files -----------------------------------------------------------------------------------------------


def test_the_commands_of_a_crontab_run_and_their_outcomes_are_told(tmp_path):
    (tmp_path / "crontab").write_text(
        "WHO=world\n@reboot echo hello $WHO; echo $ROTA_JOB_ID\n@reboot echo no >&2; exit 4\n@reboot cat%from the line\n"
    )
    with Rota("run", "crontab", cwd=tmp_path) as process:
        while len(process.lines) < 3:
            process.wait_for(lambda line: True)
        process.signal(signal.SIGTERM)
        assert process.end() == 0, process.told()
    told = {line.split()[2].rpartition("-")[0]: line for line in process.lines if "echo-" not in line}
    assert told["cat"].endswith("exit 0, 1 line: from the line")
    (good,) = (line for line in process.lines if "hello world echo-" in line)
    assert good.split()[1] == "succeeded"
    (bad,) = (line for line in process.lines if "exit 4, 1 line: no" in line)
    assert bad.split()[1] == "failed"
    assert "Traceback" not in process.errors


def test_successful_runs_of_a_quiet_line_print_nothing_and_others_do(tmp_path):
    (tmp_path / "crontab").write_text(
        "-@reboot echo quiet; touch done\n-@reboot echo wrong; exit 3\n"
        "@reboot while [ ! -e done ]; do sleep 0.05; done; sleep 0.2; echo loud\n"
    )
    with Rota("run", "crontab", cwd=tmp_path) as process:
        process.wait_for("1 line: loud")
        process.signal(signal.SIGTERM)
        assert process.end() == 0, process.told()
    assert any("exit 3, 1 line: wrong" in line for line in process.lines)
    assert not any("quiet" in line for line in process.lines)


def test_a_system_crontab_runs_its_commands_as_the_users_in_it(tmp_path):
    import pwd

    own = pwd.getpwuid(os.geteuid()).pw_name
    other = "nobody" if os.geteuid() == 0 else own
    (tmp_path / "site").write_text(f"@reboot {other} id -un\n@reboot {own} echo $LOGNAME in $PWD\n")
    with Rota("run", "site", cwd=tmp_path) as process:
        assert process.end() == 1, process.told()
    assert "--system" in process.errors
    with Rota("run", "--system", "site", cwd=tmp_path) as process:
        while len(process.lines) < 2:
            process.wait_for(lambda line: True)
        process.signal(signal.SIGTERM)
        assert process.end() == 0, process.told()
    home = os.path.realpath(pwd.getpwnam(own).pw_dir)
    assert {line.rpartition("1 line: ")[2] for line in process.lines} == {other, f"{own} in {home}"}
    program(tmp_path, "app.py", WORK)
    with Rota("run", "--system", "app.py", cwd=tmp_path) as process:
        assert process.end() == 2, process.told()


def test_the_command_of_a_line_is_told_where_its_id_says_little(tmp_path, capsys):
    need("sqlalchemy", "sql")
    url = f"sqlite:///{tmp_path}/cron.sqlite"
    (tmp_path / "crontab").write_text("@reboot true --first\n# id: named\n@reboot true --second\n")
    with Rota("run", "crontab", "-s", url, cwd=tmp_path) as process:
        while len(process.lines) < 2:
            process.wait_for(lambda line: True)
        process.signal(signal.SIGTERM)
        assert process.end() == 0, process.told()
    assert any(" [$ true --first]  " in line for line in process.lines), process.told()
    (named,) = (line for line in process.lines if " named " in line)
    assert "[" not in named
    _, out, _ = rota(capsys, "-s", url, "runs")
    lines = {line.split()[3]: line for line in out.splitlines()}
    assert "  $ true --first  " in next(line for id, line in lines.items() if id.startswith("true-"))
    assert "$" not in lines["named"]


def test_options_of_the_command_line_are_refused_before_anything_runs(tmp_path, capsys):
    path = tmp_path / "crontab"
    path.write_text("@reboot true\n")
    code, _, err = rota(capsys, "run", str(path), "--timeout", "soon")
    assert code == 2
    assert "--timeout: timeout must be either None or a positive number of seconds" in err
    (tmp_path / "program.py").write_text("")
    code, _, err = rota(capsys, "run", str(tmp_path / "program.py"), "--retry", "3")
    assert code == 2
    assert "--retry is for crontab files" in err


def test_a_command_is_tried_again_where_the_command_line_says_so(tmp_path):
    (tmp_path / "crontab").write_text("# id: flaky\n@reboot test -e there || { touch there; exit 1; }\n")
    url = f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    with Rota("run", "crontab", "-s", url, "--retry", "1", "--for", "1", cwd=tmp_path) as process:
        process.end()
    with closing(sqlite3.connect(tmp_path / "jobs.sqlite")) as connection:
        rows = connection.execute("SELECT status, attempt, error_type FROM rota_runs").fetchall()
    assert rows == [("waiting", 1, "CommandError")]


def test_a_time_waits_for_the_last_run_where_the_command_line_says_so(tmp_path):
    (tmp_path / "crontab").write_text("# id: slow\n@daily true\n")
    url = f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    with Rota("run", "crontab", "-s", url, "--overlap", "buffer_one", "--for", "1", cwd=tmp_path) as process:
        process.end()
    with closing(sqlite3.connect(tmp_path / "jobs.sqlite")) as connection:
        ((options,),) = connection.execute("SELECT options FROM rota_jobs").fetchall()
    assert json.loads(options)["overlap"] == "buffer_one"


def test_a_faulty_crontab_is_refused_before_anything_runs(tmp_path):
    (tmp_path / "crontab").write_text("@reboot touch ran\n\n* * 0 * * ls\n")
    with Rota("run", "crontab", cwd=tmp_path) as process:
        assert process.end() == 1
    assert process.errors.startswith("error: crontab:3:5: day: '0' at column 5")
    assert not (tmp_path / "ran").exists()


def test_a_durable_crontab_keeps_its_history_and_forgets_lines_that_are_gone(tmp_path, capsys):
    need("sqlalchemy", "sql")
    url = f"sqlite:///{tmp_path}/cron.sqlite"
    (tmp_path / "crontab").write_text("@reboot echo first\n0 3 * * * echo kept\n0 4 * * * echo gone\n")
    with Rota("run", "crontab", "-s", url, cwd=tmp_path) as process:
        process.wait_for("first")
        process.signal(signal.SIGTERM)
        assert process.end() == 0, process.told()
    _, out, _ = rota(capsys, "-s", url, "jobs", "--json")
    before = {job["name"]: job for job in json.loads(out)}
    assert set(before) == {"echo kept", "echo gone"}
    (tmp_path / "crontab").write_text("# tidied up\n@reboot echo first\n0 3 * * * echo kept\n")
    with Rota("run", "crontab", "-s", url, cwd=tmp_path) as process:
        process.wait_for("first")
        process.signal(signal.SIGTERM)
        assert process.end() == 0, process.told()
    assert f"removed {before['echo gone']['id']}" in process.errors
    _, out, _ = rota(capsys, "-s", url, "jobs", "--json")
    assert [(job["name"], job["next_run_time"]) for job in json.loads(out)] == [
        ("echo kept", before["echo kept"]["next_run_time"])
    ]
    _, out, _ = rota(capsys, "-s", url, "runs", "--json")
    runs = json.loads(out)
    assert [(run["status"], run["result"]) for run in runs] == [("succeeded", "exit 0, 1 line: first")] * 2
    assert len({run["job_id"] for run in runs}) == 1


def test_what_a_durable_crontab_missed_while_nobody_was_there_is_accounted_for(tmp_path, capsys):
    need("sqlalchemy", "sql")
    url = f"sqlite:///{tmp_path}/cron.sqlite"
    (tmp_path / "crontab").write_text("@reboot echo up\n* * * * * echo minute\n")
    with Rota("run", "crontab", "-s", url, cwd=tmp_path) as process:
        process.wait_for("up")
        process.signal(signal.SIGTERM)
        assert process.end() == 0, process.told()
    hour = 3600 * 1_000_000
    with sqlite3.connect(tmp_path / "cron.sqlite") as db:
        db.execute(f"UPDATE rota_jobs SET next_nominal = next_nominal - {hour}, next_due = next_due - {hour}")
        db.execute("DELETE FROM rota_runs")
    db.close()
    with Rota("-s", url, "run", "crontab", cwd=tmp_path) as process:
        process.wait_for("1 line: minute")
        process.signal(signal.SIGTERM)
        assert process.end() == 0, process.told()
    _, out, _ = rota(capsys, "-s", url, "runs", "--json")
    runs = [
        run
        for run in reversed(json.loads(out))
        if run["job_id"].startswith("echo") and run["result"] != "exit 0, 1 line: up"
    ]
    assert [run["status"] for run in runs][:2] == ["skipped", "succeeded"]
    assert runs[0]["reason"] == "coalesced"
    assert 58 <= runs[0]["count"] <= 62


def test_a_drain_waits_for_a_command_and_ctrl_c_does_not_reach_it(tmp_path):
    (tmp_path / "crontab").write_text(
        "@reboot touch started; while [ ! -e go ]; do sleep 0.05; done; echo went\n"
    )
    with Rota("run", "crontab", cwd=tmp_path) as process:
        wait_for_file(tmp_path / "started")
        process.signal(signal.SIGINT)
        process.wait_for_error("draining: 1 run under way")
        (tmp_path / "go").touch()
        assert process.end() == 0, process.told()
    assert process.lines[-1].endswith("exit 0, 1 line: went")


def test_a_second_signal_ends_the_commands_too_and_the_ledger_says_so(tmp_path, capsys):
    need("sqlalchemy", "sql")
    url = f"sqlite:///{tmp_path}/cron.sqlite"
    (tmp_path / "crontab").write_text("@reboot echo $$ > pid; exec sleep 600\n")
    with Rota("run", "crontab", "-s", url, cwd=tmp_path) as process:
        wait_for_file(tmp_path / "pid")
        process.signal(signal.SIGTERM)
        process.wait_for_error("draining: 1 run under way")
        process.signal(signal.SIGTERM)
        assert process.end() == 143, process.told()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
    _, out, _ = rota(capsys, "-s", url, "runs", "--json")
    (run,) = json.loads(out)
    assert (run["status"], run["error"]) == ("cancelled", None)
    assert run["reason"] == "the program stopped: ended by SIGTERM, no output"


def test_a_command_whose_process_was_killed_is_recorded_as_lost_and_not_started_again(tmp_path, capsys):
    need("sqlalchemy", "sql")
    url = f"sqlite:///{tmp_path}/cron.sqlite"
    (tmp_path / "crontab").write_text("@reboot echo $$ >> pid; exec sleep 600\n")
    with Rota("run", "crontab", "-s", url, cwd=tmp_path) as process:
        wait_for_file(tmp_path / "pid")
        process.signal(signal.SIGKILL)
        assert process.end() == -signal.SIGKILL
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    with sqlite3.connect(tmp_path / "cron.sqlite") as db:
        db.execute("UPDATE rota_nodes SET lease_until = 0")
    db.close()
    (tmp_path / "crontab").write_text("# nothing\n")
    with Rota("run", "crontab", "-s", url, cwd=tmp_path) as process:
        line = process.wait_for("echo-")
        process.signal(signal.SIGTERM)
        assert process.end() == 0, process.told()
    assert line.split()[1] == "lost"
    _, out, _ = rota(capsys, "-s", url, "runs", "--json")
    (run,) = json.loads(out)
    assert (run["status"], run["attempt"]) == ("lost", 1)
    assert len((tmp_path / "pid").read_text().split()) == 1


def test_a_closed_terminal_drains_too(tmp_path):
    program(tmp_path, "app.py", WORK)
    with Rota("run", "app.py", cwd=tmp_path) as process:
        process.wait_for("succeeded")
        process.signal(signal.SIGHUP)
        assert process.end() == 0, process.told()


def wait_for_file(path):
    import threading
    import time

    until = time.monotonic() + LIMIT
    while not path.exists() or (path.name == "pid" and not path.read_text().strip()):
        assert time.monotonic() < until, f"{path} did not come"
        threading.Event().wait(0.02)


def test_without_typer_the_command_says_what_to_install(tmp_path):
    (tmp_path / "typer.py").write_text("raise ModuleNotFoundError('No module named typer', name='typer')\n")
    env = environment()
    env["PYTHONPATH"] = f"{tmp_path}{os.pathsep}{env['PYTHONPATH']}"
    done = subprocess.run(
        [sys.executable, "-m", "rota.cli", "jobs"],
        env=env,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: The command line needs an optional dependency")
    assert "pip install 'rota[cli]'" in done.stderr


def test_the_store_that_it_makes_can_be_read_by_nobody_else(tmp_path):
    need("sqlalchemy", "sql")
    (tmp_path / "crontab.txt").write_text("@reboot echo done\n")
    before = os.umask(0)
    try:
        with Rota("run", "crontab.txt", "-s", "sqlite:///jobs.sqlite", "--plain", cwd=tmp_path) as process:
            process.wait_for("succeeded")
            made = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.glob("jobs.sqlite*")}
    finally:
        os.umask(before)
    assert "jobs.sqlite" in made
    assert set(made.values()) == {0o600}, made
