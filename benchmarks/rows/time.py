"""Waking up, being idle, and having been asleep."""

from .kinds import Case, Row


def _wake_up(kind: str, title: str, primitive: str, program: str) -> Case:
    return Case(
        f"wake-{kind}",
        f"wakeups:{program}",
        (
            Row(
                f"one job alone, {title}: lateness, median",
                "p50",
                "ms",
                f"How exactly a job begins when nothing else is due. The floor is {primitive}.",
                floors=1.5,
                timed=False,
            ),
            Row(
                "… 99th percentile",
                "p99",
                "ms",
                "The same for the latest hundredth; a busy machine shows here first.",
                floors=1.5,
                timed=False,
            ),
        ),
        {"jobs": 120},
        floor=f"floors:wake_{kind}",
        most_rounds=2,
    )


CASES = (
    _wake_up(
        "threads",
        "thread pool",
        "a thread that waits for the time and hands over to another thread",
        "threads",
    ),
    _wake_up("asyncio", "asyncio", "`loop.call_later()` and a task", "asyncio_loop"),
    Case(
        "idle",
        "idling:background_scheduler",
        (
            Row(
                "idle with 1 000 jobs: processor time",
                "cpu_ms",
                "ms per minute",
                "What a scheduler takes from the battery and the other programs while nothing is due. "
                "The floor is a process that only sleeps.",
                bound=10,
                compared=False,
            ),
            Row(
                "… wake-ups of the process",
                "switches",
                "per minute",
                "How often it keeps the processor from sleeping.",
                compared=False,
            ),
        ),
        {"jobs": 1_000, "seconds": 6},
        floor="floors:sleeping",
        most_rounds=1,
    ),
    Case(
        "catch-up",
        "catching_up:week",
        (
            Row(
                "3 one-second jobs after a week asleep, until all have run",
                "ms",
                "ms",
                "How long a program stands still when the machine wakes up, and its jobs owe 1.8 million runs.",
            ),
        ),
        {"jobs": 3},
        most_rounds=1,
    ),
)
