"""Crontab files: what a line means, which job it becomes, and what is wrong with it."""

from __future__ import annotations

import os
from datetime import UTC
from pathlib import Path

import pytest

from rota import Retry
from rota.clock import SECOND
from rota.core.policy import DEFAULT_POLICY, with_options
from rota.crontab import read_crontab
from rota.schedulers.background import BackgroundScheduler
from rota.triggers.cron import CronTrigger
from tests.needs import need

need("typer", "cli")
need("rich", "cli")

from rota.cli.crontab import Crontab, add_jobs, has_user_column  # noqa: E402
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


def test_a_zone_before_the_times_holds_for_its_line_alone(tmp_path):
    read = crontab(
        tmp_path,
        "CRON_TZ=Asia/Tokyo\n0 3 * * * one\nCRON_TZ=Europe/Paris 0 3 * * * two\nTZ=America/Lima @daily three\n"
        "0 3 * * * four\n",
    )
    zones = [str(trigger.timezone) for _, _, trigger in read.jobs(UTC)]
    assert zones == ["Asia/Tokyo", "Europe/Paris", "America/Lima", "Asia/Tokyo"]
    assert [line.command for line in read.lines] == ["one", "two", "three", "four"]
    assert "environment" not in read.lines[2].arguments("crontab")


def test_tz_on_a_line_of_its_own_is_for_the_commands_and_this_is_told(tmp_path):
    read = crontab(tmp_path, "TZ=Asia/Tokyo\n0 3 * * * one\n")
    (_, line, trigger), *_ = read.jobs(UTC)
    assert (trigger.timezone, line.settings) == (UTC, {"TZ": "Asia/Tokyo"})
    assert [note.partition("crontab:1: ")[2][:26] for note in read.notes] == ["TZ is for the commands onl"]
    assert crontab(tmp_path, "TZ=Asia/Tokyo\nCRON_TZ=UTC\n0 3 * * * one\n").notes == []


def test_a_byte_order_mark_at_the_start_of_a_file_is_no_part_of_its_first_line(tmp_path):
    (tmp_path / "crontab").write_bytes(b"\xef\xbb\xbf0 3 * * * one\n")
    assert [line.command for line in Crontab(tmp_path / "crontab").lines] == ["one"]


def test_only_a_line_feed_ends_a_line(tmp_path):
    (tmp_path / "crontab").write_bytes(
        "# a\u2028b\r\n0 3 * * * echo a\x0cb\u2028c\r\nA=1\r\n0 4 * * * two\r\n".encode()
    )
    read = Crontab(tmp_path / "crontab")
    assert [(line.number, line.command) for line in read.lines] == [(2, "echo a\x0cb\u2028c"), (4, "two")]
    assert read.lines[1].settings == {"A": "1"}
    assert [entry.command for entry in read_crontab("0 3 * * * one\r\n0 4 * * * two\r\n")] == ["one", "two"]


def test_a_dash_before_the_times_makes_a_line_quiet_and_leaves_its_id_as_it_is(tmp_path):
    loud = crontab(tmp_path, "*/5 * * * * one\n@daily two\n")
    quiet = crontab(tmp_path, "-*/5 * * * * one\n -@daily two\n")
    assert [line.schedule for line in quiet.lines] == ["*/5 * * * *", "@daily"]
    assert [line.id for line in quiet.lines] == [line.id for line in loud.lines]
    assert (quiet.quiet, loud.quiet) == ({line.id for line in quiet.lines}, frozenset())


def test_a_line_that_never_runs_is_told_and_kept_for_runs_by_hand_and_the_others_run(tmp_path, scheduler):
    read = crontab(tmp_path, "0 0 31 2 * never\n0 3 * * * nightly\n")
    never, nightly = (line.id for line in read.lines)
    (note,) = read.notes
    assert "crontab:1: no date matches '0 0 31 2 *'" in note
    for _ in range(2):  # at the second start, too
        add_jobs(scheduler, read, UTC)
        assert (scheduler.get_job(never).state, scheduler.get_job(never).next_run_time) == ("paused", None)
        assert scheduler.get_job(nightly).state == "active"


def test_a_comment_above_a_line_names_its_job(tmp_path):
    read = crontab(
        tmp_path,
        "# id: nightly\n0 3 * * * backup --all\n#id:a/b\n\n0 4 * * * two\n# id: x\n# 0 3 * * * old\n0 5 * * * three\n",
    )
    ids = [line.id for line in read.lines]
    assert ids[0] == "nightly"
    assert ids[1].startswith("two-")
    assert ids[2].startswith("three-")


def test_ids_without_a_comment_are_what_they_always_were(tmp_path):
    (line,) = crontab(tmp_path, "0 3 * * *   /usr/bin/python3 nightly.py\n", "jobs.cron").lines
    assert line.id == "python3-93321843"


def test_a_job_of_somebody_else_is_not_replaced_by_a_line_of_its_id(tmp_path, scheduler):
    scheduler.add_job(print, "interval", hours=1, id="nightly")
    read = crontab(tmp_path, "# id: nightly\n0 3 * * * backup\n0 4 * * * other\n")
    with pytest.raises(CliError, match="has a job 'nightly' that is not of this crontab"):
        add_jobs(scheduler, read, None)
    assert [job.func for job in scheduler.get_jobs()] == [print]


def test_a_long_command_is_a_name_cut_with_a_mark(tmp_path, scheduler):
    add_jobs(scheduler, crontab(tmp_path, f"0 3 * * * echo {'x' * 500}\n"), None)
    (job,) = scheduler.get_jobs()
    assert len(job.name) == 200
    assert job.name.endswith("…")


@pytest.mark.skipif(os.name != "posix", reason="users as POSIX has them")
def test_a_system_crontab_is_refused_with_the_way_out(tmp_path):
    import pwd

    own = pwd.getpwuid(os.geteuid()).pw_name
    text = (
        f"SHELL=/bin/sh\n17 * * * * {own} cd / && run-parts /etc/cron.hourly\n@daily\t{own}\ttest -x /usr\n"
    )
    with pytest.raises(CliError, match=r"looks like a system crontab.*--system"):
        crontab(tmp_path, text)
    crontab(tmp_path, text + "0 3 * * * backup --all\n1 3 * * * ls -l\n")  # a user's: not every line has one
    crontab(tmp_path, f"0 3 * * * {own}\n")  # nothing is left to be the command
    (tmp_path / own).write_text("#!/bin/sh\n")
    (tmp_path / own).chmod(0o755)
    crontab(tmp_path, f"PATH={tmp_path}\n0 3 * * * {own} --all\n")  # a program that is called like a user
    read = Crontab(tmp_path / "crontab", system=False)
    assert has_user_column(Path("/etc/crontab"), read.lines)
    assert has_user_column(Path("/etc/cron.d/site"), read.lines)


@pytest.mark.skipif(os.name != "posix", reason="users as POSIX has them")
def test_the_users_of_a_system_crontab_are_read_and_looked_up(tmp_path):
    import pwd

    own = pwd.getpwuid(os.geteuid()).pw_name
    (tmp_path / "site").write_text(f"0 3 * * * {own}\tls -l | wc\n-@daily {own} true\n")
    read = Crontab(tmp_path / "site", system=True)
    assert [(line.user, line.command, line.quiet) for line in read.lines] == [
        (own, "ls -l | wc", False),
        (own, "true", True),
    ]
    assert read.lines[0].arguments("site") == {"crontab": "site", "user": own}
    (tmp_path / "site").write_text("\n0 3 * * * nobody-of-that-name ls\n")
    with pytest.raises(CliError, match="site:2: there is no user 'nobody-of-that-name' on this machine"):
        Crontab(tmp_path / "site", system=True)
    (tmp_path / "site").write_text("0 3 * * * root\n")
    with pytest.raises(CliError, match="and a user and a command"):
        Crontab(tmp_path / "site", system=True)


def test_what_the_expressions_of_one_job_may_be_the_lines_of_a_file_may_be(tmp_path, scheduler):
    text = "0~59 3 * * * random\n@every 1h30m ls -l\n- @every 90s\tpoll %in\nCRON_TZ=Asia/Tokyo 0~30 3 * * * both\n"
    read = crontab(tmp_path, text)
    assert [(line.command, line.input) for line in read.lines] == [
        ("random", None),
        ("ls -l", None),
        ("poll ", "in\n"),
        ("both", None),
    ]
    triggers = [trigger for _, _, trigger in read.jobs(UTC)]
    assert triggers[0] == CronTrigger.from_crontab("0~59 3 * * *", UTC, seed=read.lines[0].id)
    assert [triggers[1].interval_length, triggers[2].interval_length] == [5400, 90]
    assert triggers[0] == crontab(tmp_path, text).jobs(UTC)[0][2]  # the same minute at each start
    add_jobs(scheduler, read, UTC)
    before = {job.id: job.next_run_time for job in scheduler.get_jobs()}
    add_jobs(scheduler, crontab(tmp_path, text), UTC)
    assert {job.id: job.next_run_time for job in scheduler.get_jobs()} == before


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
        ("\n* * * hello\n", "and a command; this one has 4 words in all"),
        ("@every 5x ls\n", "crontab:1:8: @every: '5x'"),
        ("@daily\n", "crontab:1: not understood"),
        ("@fortnightly ls\n", "crontab:1: Unknown alias '@fortnightly'"),
        ("  5 24 * * * ls\n", "crontab:1:5: hour: '24'"),
        ("CRON_TZ=UTC 5 24 * * * ls\n", "crontab:1:15: hour: '24'"),
        ("-  5 24 * * * ls\n", "crontab:1:6: hour: '24'"),
        ("CRON_TZ=UTC 5 4 * *\n", "crontab:1: not understood"),
        ("TZ=Europe/Berln 0 3 * * * ls\n", "did you mean 'Europe/Berlin'"),
        ("# id: a\n0 3 * * * x\n# id: a\n0 4 * * * y\n", "crontab:4: the id 'a' is that of line 2 already"),
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


# ------------------------------------------------------------------------------------------------------ options of lines


def test_a_comment_above_a_line_gives_its_job_options(tmp_path, scheduler):
    text = (
        "# rota: retry=3 timeout=300, pause_on_failure=2 max_instances=2\n0 3 * * * one\n"
        "# id: named\n# rota: on_lost=rerun retry=true misfire_grace_time=none\n0 4 * * * two\n"
        "#rota: coalesce=no\n# id: other\n0 5 * * * three\n0 6 * * * four\n"
    )
    read = crontab(tmp_path, text)
    add_jobs(scheduler, read, UTC)
    one, two, three, four = (scheduler.get_job(line.id).policy for line in read.lines)
    assert (one.retry, one.max_attempts, one.timeout) == (Retry(), 4, 300 * SECOND)
    assert (one.pause_on_failure, one.max_instances, one.on_lost) == (2, 2, "lost")
    assert (two.retry, two.max_attempts, two.on_lost, two.misfire_grace) == (Retry(), 3, "rerun", None)
    assert (three.coalesce, three.retry) == (False, None)
    assert four == with_options(DEFAULT_POLICY, {"on_lost": "lost"})
    assert [line.id for line in read.lines[1:3]] == ["named", "other"]


def test_a_line_says_what_a_time_does_whose_job_still_runs(tmp_path, scheduler):
    text = "# rota: overlap=buffer_one\n0 3 * * * one\n# rota: overlap=skip\n0 4 * * * two\n0 5 * * * three\n"
    read = crontab(tmp_path, text)
    add_jobs(scheduler, read, UTC, {"overlap": "buffer_all"})
    assert [scheduler.get_job(line.id).policy.overlap for line in read.lines] == [
        "buffer_one", "skip", "buffer_all",
    ]  # fmt: skip


def test_options_of_a_line_that_contradict_those_of_all_lines_are_refused(tmp_path, scheduler):
    read = crontab(tmp_path, "0 3 * * * one\n# rota: max_instances=2\n0 4 * * * two\n")
    with pytest.raises(
        CliError, match='crontab:3: max_instances must be left out beside overlap="allow_all"'
    ):
        add_jobs(scheduler, read, UTC, {"overlap": "allow_all"})
    assert scheduler.get_jobs() == []


def test_options_leave_the_id_of_a_line_as_it_is_and_go_with_their_comment(tmp_path, scheduler):
    with_comment = crontab(tmp_path, "# rota: timeout=60\n0 3 * * * one\n")
    add_jobs(scheduler, with_comment, UTC)
    without = crontab(tmp_path, "0 3 * * * one\n")
    assert without.lines[0].id == with_comment.lines[0].id
    add_jobs(scheduler, without, UTC)
    assert scheduler.get_job(without.lines[0].id).policy.timeout is None


def test_the_options_of_a_line_go_before_those_of_all_lines(tmp_path, scheduler):
    read = crontab(tmp_path, "# rota: retry=false\n0 3 * * * one\n0 4 * * * two\n")
    add_jobs(scheduler, read, UTC, {"retry": True, "timeout": 60})
    one, two = (scheduler.get_job(line.id).policy for line in read.lines)
    assert (one.retry, one.timeout) == (None, 60 * SECOND)
    assert (two.retry, two.timeout) == (Retry(), 60 * SECOND)


@pytest.mark.parametrize(
    ("comment", "why"),
    [
        ("retries=3", "A job has no option retries; there are misfire_grace_time, "),
        ("time_out=3", "A job has no option time_out; did you mean timeout"),
        ("timeout=soon", "timeout must be either None or a positive number of seconds .* got 'soon'"),
        ("retry", "options must be written as name=value, got 'retry'; write retry=3 timeout=300"),
        ("", "options must be written as name=value"),
        ("retry=0", "retry must be true, false, or how often a run is tried again"),
        ("retry=3 max_attempts=2", "without max_attempts beside it"),
        ("timeout=3 timeout=4", "options must be given once, got timeout twice"),
        ("overlap=queue", 'overlap must be one of "skip", "buffer_one"'),
        ("overlap=allow_all max_instances=2", "max_instances"),
        ("pause_on_failure=0", "pause_on_failure must be False, True or a number from 1 to 100"),
    ],
)
def test_options_that_make_no_sense_are_refused_with_their_line(tmp_path, comment, why):
    with pytest.raises(CliError, match=why) as caught:
        crontab(tmp_path, f"\n# rota: {comment}\n0 3 * * * one\n")
    assert f"{tmp_path / 'crontab'}:2: " in str(caught.value)


@pytest.mark.parametrize(
    "below", ["", "\n0 3 * * * one\n", "A=1\n0 3 * * * one\n", "# a comment\n0 3 * * * one\n"]
)
def test_options_that_stand_above_no_command_are_refused(tmp_path, below):
    with pytest.raises(CliError, match="crontab:1: options of a job must stand right above its line"):
        crontab(tmp_path, f"# rota: timeout=3\n{below}")


def test_options_in_two_comments_are_refused(tmp_path):
    with pytest.raises(CliError, match="crontab:2: line 1 names options already; write all in one comment"):
        crontab(tmp_path, "# rota: timeout=3\n# rota: retry=3\n0 3 * * * one\n")
