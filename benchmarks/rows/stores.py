"""Durable job stores."""

from .kinds import Case, Row

CASES = (
    Case(
        "sqlite-burst",
        "sqlite:burst",
        (
            Row(
                "2 000 due jobs in an SQLite file",
                "rate",
                "runs/s",
                "Jobs that survive a restart; Rota also records how each run ended, and the time includes that.",
                more_is_better=True,
                ratio=20,
            ),
        ),
        {"jobs": 2_000},
        peers={"huey": "peers.huey_peer:sqlite"},
        short={"jobs": 150},
        most_rounds=1,
    ),
    Case(
        "sqlite-add",
        "sqlite:adding",
        (
            Row(
                "`add_job()` into an SQLite file",
                "us",
                "µs each",
                "One committed transaction for each job, so mostly the speed of the disk.",
            ),
        ),
        {"jobs": 300},
        floor="floors:commits",
        most_rounds=3,
    ),
)
