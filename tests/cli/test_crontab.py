"""Crontab files: what a line means, which job it becomes, and what is wrong with it."""

from __future__ import annotations

from datetime import UTC

import pytest

from rota.schedulers.background import BackgroundScheduler
from tests.needs import need

need("typer", "cli")
need("rich", "cli")

from rota.cli.crontab import Crontab, add_jobs  # noqa: E402
from rota.cli.output import CliError  # noqa: E402


def crontab(tmp_path, text, name="crontab"):
    path = tmp_path / name
    path.write_text(text)
    return Crontab(path)


@pytest.fixture
def scheduler():
    scheduler = BackgroundScheduler(timezone="UTC")
    scheduler.start(paused=True)
    yield scheduler
    scheduler.shutdown()


def test_comments_blank_lines_assignments_and_commands_are_told_apart(tmp_path):
    read = crontab(
        tmp_path,
        "# a comment\n\n   # another\nPATH = /usr/bin\n"
        "GREETING=\"hello there\"\n'odd name'=x\n"
        "*/5 1-3 * jan mon-fri   echo a=b\n  @daily  ls\n",
    )
    assert [(line.number, line.schedule, line.command) for line in read.lines] == [
        (7, "*/5 1-3 * jan mon-fri", "echo a=b"),
        (8, "@daily", "ls"),
    ]
    assert read.lines[0].settings == {"PATH": "/usr/bin", "GREETING": "hello there", "odd name": "x"}


def test_an_assignment_holds_for_the_lines_below_it(tmp_path):
    read = crontab(tmp_path, "* * * * * one\nA=1\n* * * * * two\nA=2\n* * * * * three\n")
    assert [line.settings.get("A") for line in read.lines] == [None, "1", "2"]


def test_a_percent_sign_begins_the_input_and_further_ones_end_its_lines(tmp_path):
    read = crontab(tmp_path, "* * * * * mail -s hi joe%Joe,%%Where are you?\n* * * * * date +\\%Y\n")
    assert (read.lines[0].command, read.lines[0].input) == ("mail -s hi joe", "Joe,\n\nWhere are you?\n")
    assert (read.lines[1].command, read.lines[1].input) == ("date +%Y", None)


def test_shell_home_and_time_zone_are_settings_of_the_job(tmp_path):
    read = crontab(tmp_path, "SHELL=/bin/bash\nHOME=/srv\nCRON_TZ=Asia/Tokyo\nA=1\n0 3 * * * backup\n")
    assert read.lines[0].arguments("crontab") == {
        "crontab": "crontab",
        "shell": "/bin/bash",
        "environment": {"HOME": "/srv", "A": "1"},
        "directory": "/srv",
    }
    (_, _, trigger), *_ = read.jobs(UTC)
    assert str(trigger.timezone) == "Asia/Tokyo"


def test_mailto_has_no_effect_and_says_so(tmp_path):
    read = crontab(tmp_path, "MAILTO=root\n* * * * * true\n")
    assert read.lines[0].settings == {}
    assert len(read.notes) == 1
    assert "crontab:1: MAILTO has no effect" in read.notes[0]


def test_the_id_of_a_job_comes_from_its_line_and_from_nothing_else(tmp_path):
    one = crontab(tmp_path, "0 3 * * *   /usr/bin/backup.sh --all\n* * * * * true\n")
    two = crontab(tmp_path, "# moved\nA=1\n* * * * * true\n0  3 * * * /usr/bin/backup.sh --all\n")
    other = crontab(tmp_path, "0 4 * * * /usr/bin/backup.sh --all\n")
    ids = [{id for id, _, _ in read.jobs(UTC)} for read in (one, two, other)]
    assert ids[0] == ids[1]
    assert not ids[0] & ids[2]
    assert any(id.startswith("backup.sh-") for id in ids[0])


def test_the_same_line_twice_is_two_jobs(tmp_path):
    ids = [id for id, _, _ in crontab(tmp_path, "* * * * * true\n* * * * * true\n").jobs(UTC)]
    assert ids[1] == f"{ids[0]}-2"


def test_the_same_line_in_two_crontabs_is_two_jobs(tmp_path):
    ids = {
        id
        for name in ("a.cron", "b.cron")
        for id, _, _ in crontab(tmp_path, "* * * * * true\n", name).jobs(UTC)
    }
    assert len(ids) == 2


def test_a_hashed_field_is_hashed_by_the_jobs_id(tmp_path):
    read = crontab(tmp_path, "H H * * * true\n")
    assert read.jobs(UTC)[0][2] == read.jobs(UTC)[0][2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("* * * * *\n", "crontab:1: not understood"),
        ("\n* * * hello\n", "crontab:2: not understood"),
        ("@daily\n", "crontab:1: not understood"),
        ("@fortnightly ls\n", "crontab:1: Unknown alias '@fortnightly'"),
        ("  5 24 * * * ls\n", "crontab:1:5: hour: '24'"),
        ("0 0 30 2 * ls\n", "crontab:1: No date matches"),
        ("CRON_TZ=Europe/Berln\n* * * * * ls\n", "did you mean 'Europe/Berlin'"),
    ],
)
def test_a_fault_is_reported_with_its_line_and_column(tmp_path, text, message):
    with pytest.raises(CliError) as caught:
        crontab(tmp_path, text).jobs(UTC)
    assert message in str(caught.value)


def test_the_caret_stands_under_the_fault(tmp_path):
    with pytest.raises(CliError) as caught:
        crontab(tmp_path, " 0 3 * * 1,fry  ls\n").jobs(UTC)
    *_, line, caret = str(caught.value).splitlines()
    assert line[caret.index("^") :].startswith("fry")


def test_lines_that_are_gone_lose_their_jobs_and_others_are_left_alone(tmp_path, scheduler):
    scheduler.add_job(print, "interval", hours=1, id="not-from-a-crontab")
    before = crontab(tmp_path, "0 3 * * * one\n0 4 * * * two\n")
    assert add_jobs(scheduler, before, None) == []
    add_jobs(scheduler, crontab(tmp_path, "0 5 * * * three\n", "other"), None)
    kept = scheduler.get_job(before.jobs(None)[0][0])
    gone = add_jobs(scheduler, crontab(tmp_path, "0 3 * * * one\n"), None)
    assert gone == [before.jobs(None)[1][0]]
    assert {job.name for job in scheduler.get_jobs()} == {"print", "one", "three"}
    assert scheduler.get_job(kept.id).next_run_time == kept.next_run_time


def test_changed_settings_reach_a_job_that_is_there_already(tmp_path, scheduler):
    add_jobs(scheduler, crontab(tmp_path, "A=1\n0 3 * * * one\n"), None)
    add_jobs(scheduler, crontab(tmp_path, "A=2\n0 3 * * * one\n"), None)
    (job,) = scheduler.get_jobs()
    assert job.kwargs["environment"] == {"A": "2"}
