"""`rota explain`: a sentence, the next times, and changes of the clocks."""

from __future__ import annotations

import json

from tests.cli.processes import rota
from tests.needs import need

need("typer", "cli")


def test_a_crontab_is_told_in_a_sentence_with_its_next_times_and_clock_changes(capsys):
    code, out, err = rota(capsys, "explain", "30 2 * * *", "--tz", "Europe/Berlin", "-n", "2", "--years", "1")
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[0] == "At 02:30, every day (Europe/Berlin)"
    assert len(lines) == 6
    assert lines[3] == "changes of the clocks:"
    assert (
        "clocks jump forward by 1 h at 02:00; one run at 03:00 makes up for what clocks do not show: 02:30"
        in lines[4]
    )
    assert lines[5].endswith("runs the first time only, though clocks show it twice: 02:30")


def test_vietnamese_is_spoken(capsys):
    code, out, _ = rota(
        capsys, "explain", "0 9 * * 1-5", "--tz", "Asia/Ho_Chi_Minh", "-l", "vi", "-n", "0", "--years", "0"
    )
    assert code == 0
    assert out.splitlines() == ["Lúc 09:00, vào thứ Hai đến thứ Sáu (Asia/Ho_Chi_Minh)"]


def test_programs_get_json(capsys):
    code, out, _ = rota(
        capsys, "explain", "cron:hour=2,minute=30", "--tz", "Europe/Berlin", "--json", "--years", "1"
    )
    told = json.loads(out)
    assert code == 0
    assert told["explanation"] == "At 02:30, every day (Europe/Berlin)"
    assert len(told["times"]) == 3
    assert [change["effect"] for change in told["clock_changes"]] == ["caught up", "first pass only"]


def test_another_language_and_a_wrong_trigger_are_refused(capsys):
    code, _, err = rota(capsys, "explain", "* * * * *", "-l", "de")
    assert code == 2
    assert "write en or vi" in err
    code, _, err = rota(capsys, "explain", "* 25 * * *")
    assert code == 1
    assert "hour: '25' at column 3" in err
