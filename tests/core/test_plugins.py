"""Plug-ins: classes that an installed package registers are found by their names, like the built-in ones."""

from __future__ import annotations

from typing import Any

import pytest

from rota.errors import JobTypeError, UnknownAliasError
from rota.schedulers import plugins
from rota.testing import ManualScheduler

MODULE = """
from rota.executors.debug import DebugExecutor
from rota.jobstores.memory import MemoryJobStore
from rota.triggers.interval import IntervalTrigger


class Tides(IntervalTrigger):
    def __init__(self, seconds=44712, timezone=None):
        super().__init__(seconds=seconds, timezone=timezone)


class Inline(DebugExecutor):
    pass


class Shelf(MemoryJobStore):
    def __init__(self, url=None, label=None):
        super().__init__()
        self.url, self.label = url, label


def no_class():
    pass
"""
ENTRIES = """
[rota.triggers]
tides = shore:Tides
broken = shore:no_class

[rota.executors]
inline = shore:Inline

[rota.jobstores]
shelf = shore:Shelf

[apscheduler.triggers]
tides = shore:no_class
ebb = shore:Tides
foreign = shore:no_class
rethinkdb = apscheduler.jobstores.rethinkdb:RethinkDBJobStore
"""


@pytest.fixture(autouse=True)
def package(tmp_path, monkeypatch):
    """An installed package with entry points."""
    (tmp_path / "shore.py").write_text(MODULE)
    info = tmp_path / "shore-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shore\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRIES)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(plugins, "_loaded", {})


def test_registered_classes_are_used_by_name_in_every_place():
    scheduler = ManualScheduler(
        jobstores={"default": {"type": "shelf", "label": "left"}, "other": "shelf://attic/7"},
        executors={"default": {"type": "inline"}},
    )
    scheduler.start()
    scheduler.add_job(int, "tides", id="j")
    scheduler.advance(hours=25)
    # Two or three: this trigger begins by the real clock.
    assert {run.status for run in scheduler.get_runs("j")} == {"succeeded"}
    stores: dict[str, Any] = scheduler._jobstores
    assert stores["default"].label == "left"
    assert stores["other"].url == "shelf://attic/7"
    scheduler.add_executor("inline", "second")
    scheduler.add_jobstore("shelf", "third", label="right")
    assert type(scheduler._executors["second"]).__name__ == "Inline"


def test_a_name_that_leads_to_no_such_class_is_refused():
    scheduler = ManualScheduler()
    with pytest.raises(JobTypeError, match=r'"broken" of rota.triggers does not lead to a trigger class'):
        scheduler.add_job(int, "broken")
    with pytest.raises(UnknownAliasError, match='did you mean "tides"'):
        scheduler.add_job(int, "tide")


def test_classes_that_were_registered_for_apscheduler_are_found_behind_rotas_own():
    scheduler = ManualScheduler()
    scheduler.start()
    assert type(scheduler.add_job(int, "ebb", id="j").trigger).__name__ == "Tides"
    assert type(scheduler.add_job(int, "tides", id="k").trigger).__name__ == "Tides"
    with pytest.raises(
        JobTypeError, match=r'"foreign" of apscheduler.triggers .* import rota.as_apscheduler first'
    ):
        scheduler.add_job(int, "foreign")


def test_apschedulers_own_entry_points_are_not_read():
    with pytest.raises(UnknownAliasError, match='No trigger by the name "rethinkdb"'):
        ManualScheduler().add_job(int, "rethinkdb")
