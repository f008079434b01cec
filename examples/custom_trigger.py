"""A trigger of one's own: get_next_fire_time() is all it takes.

This one fires at full moon, by the mean length of a lunation.

Run:    python examples/custom_trigger.py
Output: the next full moons; full moon on 2
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from rota.schedulers.background import BackgroundScheduler
from rota.triggers.base import BaseTrigger

A_FULL_MOON = datetime(2000, 1, 21, 4, 40, tzinfo=UTC)
LUNATION = timedelta(days=29.530588853)


class FullMoonTrigger(BaseTrigger):
    """Fires at (mean) full moon.

    A trigger is pure: it keeps no state and does not read the clock, so the same question has the same answer.
    """

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        since = previous_fire_time or now
        lunations = (since - A_FULL_MOON) // LUNATION + 1
        return A_FULL_MOON + lunations * LUNATION

    def __str__(self) -> str:
        return "full moon"


def howl() -> None:
    print("awooo")


def main() -> None:
    trigger = FullMoonTrigger()
    scheduler = BackgroundScheduler()
    scheduler.start()
    job = scheduler.add_job(howl, trigger)

    print(f"the next full moons (trigger: {job.trigger})")
    at = job.next_run_time
    for _ in range(3):
        assert at is not None
        print(f"full moon on {at:%Y-%m-%d}")
        at = trigger.get_next_fire_time(at, at)
    scheduler.shutdown()


if __name__ == "__main__":
    main()
