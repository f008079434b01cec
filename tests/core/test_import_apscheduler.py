"""Jobs of APScheduler 3.0 to 3.11 become jobs of Rota; the data was made by these versions (tests/data/apscheduler3/make.py)."""

from __future__ import annotations

import json
import pickle
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.errors import StoreError
from rota.importers.apscheduler import ADD, REFUSED, ImportPlan, plan_import
from rota.importers.apscheduler import _planned as planned_of_row
from rota.importers.pickles import read_pickle
from rota.importers.rows import UNKNOWN, Row
from rota.triggers.cron import CronTrigger
from rota.triggers.interval import IntervalTrigger
from tests.present import present

DATA = Path(__file__).parents[1] / "data" / "apscheduler3"
VERSIONS = ["3.0.6", "3.6.3", "3.9.1", "3.11.3"]
EXPORT = DATA / "export-3.11.3.json"
HANOI, BERLIN = ZoneInfo("Asia/Ho_Chi_Minh"), ZoneInfo("Europe/Berlin")
NEXT = datetime(2031, 5, 5, 12, tzinfo=UTC)


def states(version):
    return json.loads((DATA / f"states-{version}.json").read_text())["states"]


def planned(id, state, next_run=UNKNOWN, keep_grace=False):
    return planned_of_row(Row(id, state, next_run), keep_grace)


def state_of(id="interval", **changes):
    """A state of 3.11 with changes, as a pickle of plain values with the trigger in it as it was."""
    state = read_pickle(bytes.fromhex(states("3.11.3")[id]["5"]))
    return state | changes


CASES = [(version, id) for version in VERSIONS for id in states(version)]


@pytest.mark.parametrize(("version", "id"), CASES)
def test_every_protocol_says_the_same(version, id):
    found = [planned(id, bytes.fromhex(data)).to_dict() for data in states(version)[id].values()]
    assert len(found) >= 2
    assert all(other == found[0] for other in found)
    assert (found[0]["action"] == REFUSED) == (id == "foreign")


@pytest.mark.parametrize("version", VERSIONS)
def test_what_each_version_kept_is_what_rota_gets(version):
    jobs = {id: planned(id, bytes.fromhex(data["2"])) for id, data in states(version).items()}
    assert {job.func for job in jobs.values()} == {"shop:bill"}
    every = jobs["interval"]
    assert every.trigger == IntervalTrigger(
        minutes=5, start_date=datetime(2026, 1, 1, 8, tzinfo=HANOI), timezone=HANOI
    )
    assert every.next_run_time == NEXT
    assert every.document["args"] == ["a", 1, 2.5, None, True]
    bounded = jobs["bounded"]
    assert bounded.name == "Bounded by dates"
    assert bounded.trigger.interval == timedelta(days=1, milliseconds=250)
    assert bounded.trigger.end_date == datetime(2040, 1, 1, tzinfo=BERLIN)
    assert bounded.document["options"] == {"misfire_grace_time": 3600, "coalesce": False, "max_instances": 3}
    cron = jobs["cron"]
    assert cron.trigger == CronTrigger(
        year="2026-2035",
        month="1-3,6,9" if version == "3.0.6" else "jan-mar,jun,9",
        day="last,2nd fri,15-20/2",
        hour="9-17/2",
        minute="*/15",
        second=30,
        timezone=BERLIN,
    )
    assert cron.document["kwargs"]["customer"] == "Nguyễn"
    assert jobs["weeks"].trigger == CronTrigger(
        week="*/2", day_of_week="mon-fri,sun", hour=3, timezone=BERLIN
    )
    assert jobs["every-second"].trigger == CronTrigger(timezone=UTC)
    assert jobs["once"].trigger.run_date.tzinfo == BERLIN
    paused = jobs["paused"]
    assert (paused.next_run_time, paused.document["state"]) == (None, "paused")
    assert any("'processes'" in change for change in paused.changes)


def test_combined_and_calendar_triggers_are_taken_over():
    jobs = {id: planned(id, bytes.fromhex(data["5"])) for id, data in states("3.11.3").items()}
    assert (
        str(jobs["either"].trigger)
        == "or[cron[hour='21'], and[cron[day_of_week='mon-fri', hour='9'], cron[hour='9']]]"
    )
    assert jobs["either"].trigger.jitter == 20
    month = jobs["monthly"].trigger
    assert (month.months, str(month.start_date), str(month.end_date)) == (1, "2026-01-31", "2039-12-31")


def test_an_object_of_a_class_of_the_program_is_refused_with_its_path():
    for version in VERSIONS:
        found = planned("foreign", bytes.fromhex(states(version)["foreign"]["2"]))
        assert found.action == REFUSED
        assert found.problem.startswith("args[1]['who'][0]: shop.Customer is not taken over")


def test_an_export_says_the_same_as_the_store_but_for_its_tuples():
    jobs = {job.id: job for job in plan_import(str(EXPORT))}
    assert {id: job.action for id, job in jobs.items()} == {
        id: REFUSED if id == "foreign" else ADD for id in states("3.11.3")
    }
    for id, data in states("3.11.3").items():
        other = planned(id, bytes.fromhex(data["5"]))
        assert jobs[id].to_dict() == other.to_dict()
        if id != "cron":
            assert jobs[id].document == other.document
    # JSON has no tuples, so APScheduler's exports have none.
    assert jobs["cron"].document["kwargs"]["deep"]["list"] == [1, [2, 3]]


# -- what is decided about each job ------------------------------------------------------------------------------


def test_a_grace_time_of_one_second_is_taken_for_apschedulers_default_unless_it_is_to_be_kept():
    found = planned("interval", state_of())
    assert found.document["options"] == {}
    assert any("late run is not dropped" in change for change in found.changes)
    kept = planned("interval", state_of(), keep_grace=True)
    assert kept.document["options"] == {"misfire_grace_time": 1}
    for grace, options in ((None, {}), (2, {"misfire_grace_time": 2})):
        assert planned("interval", state_of(misfire_grace_time=grace)).document["options"] == options


def test_the_next_run_beside_the_job_counts_as_apscheduler_goes_by_it():
    same = planned("interval", state_of(), next_run=NEXT.timestamp())
    assert not any("beside" in change for change in same.changes)
    moved = planned("interval", state_of(), next_run=NEXT.timestamp() + 60)
    assert moved.next_run_time == NEXT + timedelta(seconds=60)
    paused = planned("interval", state_of(), next_run=None)
    assert (paused.next_run_time, paused.document["state"]) == (None, "paused")
    assert any("beside" in change for change in paused.changes)


def test_a_paused_job_of_a_zone_that_is_resumed_beside_gets_the_zone_of_its_trigger():
    found = planned("paused", state_of("paused"), next_run=NEXT.timestamp())
    assert found.next_run_time == NEXT
    assert found.next_run_time.tzinfo == HANOI


def test_attributes_that_other_stores_add_are_tolerated_and_named():
    found = planned("interval", state_of(jobstore="default", colour="red"))
    assert found.action == ADD
    assert found.changes == [
        "a misfire_grace_time of 1 s is APScheduler's default and becomes Rota's: a late run is not dropped",
        "'colour' is not an attribute of a job and is left out",
    ]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"version": 2}, "version: it is 2"),
        ({"id": "other"}, "id: the row is that of 'interval'"),
        ({"func": "no reference"}, "func: 'no reference'"),
        ({"func": "os:system; rm"}, "func:"),
        ({"func": 5}, "func: 5 is not a text"),
        ({"name": ""}, "name: '' is not a text"),
        ({"trigger": None}, "trigger: None is not a trigger"),
        ({"trigger": "date"}, "trigger: 'date' is not a trigger"),
        ({"args": 5}, "args are not a list"),
        ({"kwargs": [1]}, "kwargs are not a dictionary"),
        ({"kwargs": {"a": 2**20_000}}, "kwargs['a']: int of 20001 bits"),
        ({"max_instances": 0}, "max_instances"),
        ({"max_instances": "many"}, "max_instances"),
        ({"misfire_grace_time": -5}, "misfire_grace_time"),
        ({"next_run_time": "soon"}, "next_run_time: 'soon'"),
        ({"next_run_time": 5}, "next_run_time: 5"),
        ({"executor": None}, "executor: None is not a text"),
    ],
)
def test_what_is_wrong_with_a_job_is_said_and_costs_only_that_job(changes, problem):
    found = planned("interval", state_of() | changes)
    assert found.action == REFUSED
    assert problem in found.problem
    assert ImportPlan([found]).counts()[REFUSED] == 1


def test_a_state_that_lacks_something_is_refused():
    state = state_of()
    for name in list(state):
        found = planned("interval", {key: value for key, value in state.items() if key != name})
        assert found.action == REFUSED, name
        assert found.problem


@pytest.mark.parametrize(
    "state", [b"", b"junk", pickle.dumps(5), pickle.dumps({"version": 1}), None, 5, b"\x80\x04N."]
)
def test_a_row_that_is_no_job_is_refused(state):
    assert planned("x", state).action == REFUSED


@pytest.mark.parametrize(
    ("of", "part", "value"),
    [
        ("interval", "interval", 5),
        ("interval", "interval", timedelta(seconds=-1)),
        ("interval", "start_date", datetime(2026, 1, 1)),
        ("interval", "timezone", "UTC"),
        ("interval", "jitter", "much"),
        ("interval", "version", 3),
        ("cron", "fields", [5]),
        ("cron", "fields", None),
        ("monthly", "interval", [1]),
        ("monthly", "time", ["a", 0, 0]),
        ("monthly", "start_date", 5),
        ("either", "triggers", [("shop:Trigger", {})]),
        ("either", "triggers", [("os:system", {})]),
        ("either", "triggers", 5),
        ("once", "run_date", None),
        ("interval", "start_date", None),
    ],
)
def test_a_trigger_with_strange_content_is_refused(of, part, value):
    state = state_of(of)
    state["trigger"].state[part] = read_pickle(pickle.dumps(value))
    found = planned(of, state)
    assert found.action == REFUSED
    assert found.problem.startswith("trigger")


@given(
    of=st.sampled_from(sorted(states("3.11.3"))),
    changes=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6
    ),
)
def test_a_damaged_row_is_a_job_or_a_refusal_and_never_an_error(of, changes):
    data = bytearray.fromhex(states("3.11.3")[of]["5"])
    for at, byte in changes:
        data[int(at * len(data))] = byte
    found = planned(of, bytes(data))
    assert (found.action == REFUSED) == (found.problem is not None)


# -- files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "no list of jobs"),
        ('{"version": 1}', "no list of jobs"),
        ('{"version": 2, "jobs": []}', "version is 2"),
        ('{"version": 1, "format": "rota.jobs", "jobs": []}', "import_jobs"),
    ],
)
def test_a_file_that_is_no_export_is_refused_with_the_reason(tmp_path, text, problem):
    path = tmp_path / "export.json"
    path.write_text(text)
    with pytest.raises(StoreError, match=problem):
        plan_import(str(path))


def test_a_hostile_export_is_refused_job_by_job(tmp_path):
    content = json.loads(EXPORT.read_text())
    evil = "Y3Bvc2l4CnN5c3RlbQooUyd0cnVlJwp0Ui4="  # the pickle of os.system("true")
    content["jobs"][0]["args"] = [{"__apscheduler_pickle__": evil}]
    content["jobs"][1]["trigger"] = {
        "__apscheduler_class__": "subprocess:Popen",
        "__apscheduler_state__": {"a": 1},
    }
    content["jobs"][2]["trigger"] = {"__apscheduler_pickle__": "no base64!"}
    content["jobs"].append(5)
    path = tmp_path / "export.json"
    path.write_text(json.dumps(content))
    problems = [job.problem for job in plan_import(str(path))]
    assert "posix.system is not taken over" in present(problems[0])
    assert "subprocess.Popen is not a trigger" in present(problems[1])
    assert "not a trigger" in present(problems[2])
    assert problems[-1] is not None
    assert problems[5] is None


def test_a_source_that_is_nothing_says_what_could_be_given():
    with pytest.raises(StoreError, match="neither a file nor a URL"):
        plan_import("not-there.json")


#: What APScheduler 3.11.3 makes of ``CronTrigger.from_crontab("0 9 * * 1", timezone=UTC)``.
FROM_CRONTAB = b64decode(
    "gAWVBQMAAAAAAACMGWFwc2NoZWR1bGVyLnRyaWdnZXJzLmNyb26UjAtDcm9uVHJpZ2dlcpSTlCmBlH2UKIwHdmVyc2lvbpRLAowIdGltZXpvbmWUjAhkYXRl"
    "dGltZZSMCHRpbWV6b25llJOUaAeMCXRpbWVkZWx0YZSTlEsASwBLAIeUUpSFlFKUjApzdGFydF9kYXRllE6MCGVuZF9kYXRllE6MBmZpZWxkc5RdlCiMIGFw"
    "c2NoZWR1bGVyLnRyaWdnZXJzLmNyb24uZmllbGRzlIwJQmFzZUZpZWxklJOUKYGUfZQojARuYW1llIwEeWVhcpSMCmlzX2RlZmF1bHSUiIwLZXhwcmVzc2lv"
    "bnOUXZSMJWFwc2NoZWR1bGVyLnRyaWdnZXJzLmNyb24uZXhwcmVzc2lvbnOUjA1BbGxFeHByZXNzaW9ulJOUKYGUfZSMBHN0ZXCUTnNiYXViaBSMCk1vbnRo"
    "RmllbGSUk5QpgZR9lChoGYwFbW9udGiUaBuJaBxdlGggKYGUfZRoI05zYmF1YmgUjA9EYXlPZk1vbnRoRmllbGSUk5QpgZR9lChoGYwDZGF5lGgbiWgcXZRo"
    "ICmBlH2UaCNOc2JhdWJoFIwJV2Vla0ZpZWxklJOUKYGUfZQoaBmMBHdlZWuUaBuIaBxdlGggKYGUfZRoI05zYmF1YmgUjA5EYXlPZldlZWtGaWVsZJSTlCmB"
    "lH2UKGgZjAtkYXlfb2Zfd2Vla5RoG4loHF2UaB6MD1JhbmdlRXhwcmVzc2lvbpSTlCmBlH2UKGgjTowFZmlyc3SUSwGMBGxhc3SUSwF1YmF1YmgWKYGUfZQo"
    "aBmMBGhvdXKUaBuJaBxdlGhDKYGUfZQoaCNOaEZLCWhHSwl1YmF1YmgWKYGUfZQoaBmMBm1pbnV0ZZRoG4loHF2UaEMpgZR9lChoI05oRksAaEdLAHViYXVi"
    "aBYpgZR9lChoGYwGc2Vjb25klGgbiGgcXZRoQymBlH2UKGgjTmhGSwBoR0sAdWJhdWJljAZqaXR0ZXKUTnViLg=="
)


def test_a_crontab_string_that_is_read_otherwise_here_keeps_its_meaning_and_both_are_told():
    found = planned("interval", state_of(trigger=read_pickle(FROM_CRONTAB)))
    assert found.action == ADD
    assert found.trigger.explain() == "At 09:00, on Tuesday (UTC)"
    (change,) = [change for change in found.changes if "dialect" in change]
    assert change.startswith(
        "'0 9 * * 1' stays what it was: At 09:00, on Tuesday; from_crontab() of Rota reads it as: At 09:00, on Monday"
    )
    assert not any(
        "dialect" in change for id in ("cron", "weeks") for change in planned(id, state_of(id)).changes
    )
