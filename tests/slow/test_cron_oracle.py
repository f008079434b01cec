"""Cron triggers against the slow oracle: random expressions, zones, starts and policies, around clock changes and over years."""

from __future__ import annotations

import pytest

from rota.triggers.cron import CronTrigger
from rota.triggers.cron import dst as dst_module
from rota.triggers.cron.dates import Dates
from rota.triggers.cron.schedule import Schedule
from tests.oracle.cron_cases import POLICIES, Case, check, random_case, zones
from tests.oracle.cron_oracle import changes
from tests.present import present

pytestmark = pytest.mark.slow


@pytest.mark.timeout(300)
@pytest.mark.parametrize("part", range(4))
def test_cron_triggers_fire_when_the_oracle_says(part):
    fires = sum(check(random_case(f"part {part}:{number}")) for number in range(90))
    assert fires > 900


class Stubborn(Case):
    """A case whose trigger follows another policy than the one it is asked for."""

    def trigger(self, **options) -> CronTrigger:
        policy = self.policy
        self.policy = POLICIES[(POLICIES.index(policy) + 1) % 4]
        try:
            return super().trigger(**options)
        finally:
            self.policy = policy


@pytest.mark.timeout(120)
def test_the_oracle_notices_a_trigger_of_another_policy():
    noticed = 0
    for number in range(60):
        case = random_case(f"another:{number}")
        case.__class__ = Stubborn
        try:
            check(case)
        except AssertionError:
            noticed += 1
    assert noticed > 5


@pytest.mark.timeout(120)
def test_an_answer_takes_a_bounded_number_of_steps(monkeypatch):
    steps = [0]
    for owner, name in ((Schedule, "next_wall"), (Dates, "of_year")):
        original = getattr(owner, name)

        def counted(self, *args, original=original):
            steps[0] += 1
            return original(self, *args)

        monkeypatch.setattr(owner, name, counted)
    most = 0
    for number in range(150):
        case = random_case(f"steps:{number}")
        try:
            trigger = case.trigger()
        except ValueError:
            continue
        at = case.start * 1_000_000
        for _ in range(20):
            steps[0] = 0
            at = present(trigger.after(at, at))
            most = max(most, steps[0])
            if at is None:
                break
    # A 29 February on one weekday is 40 years away at the most; a year in the field that is over ends the search at once.
    assert most < 60


def test_the_cases_reach_every_kind_of_change():
    seen = {(change.after - change.before) for key in zones() for change in changes(key, 2008, 2012)}
    assert {3600, -3600, 1800, -1800, 86400} <= seen
    assert dst_module.POLICIES.keys() == set(POLICIES)
