"""Cron schedules: the next time, rare dates, reading expressions, counting what was missed."""

from .kinds import Case, Row

_PEERS = ("cronsim", "croniter")

CASES = (
    Case(
        "cron-next",
        "cron:next_times",
        (
            Row(
                "the next time of a cron schedule, median of 40 expressions × 3 zones",
                "us",
                "µs each",
                "What every run of a cron job costs for finding the next one.",
            ),
            Row(
                "… the slowest of the 120",
                "slowest",
                "µs each",
                "The same for the schedule with which each package has the most trouble.",
                timed=False,
            ),
        ),
        {"rounds": 3},
        peers=dict.fromkeys(_PEERS, "cron:next_times"),
        short={},
        most_rounds=3,
    ),
    Case(
        "cron-sparse",
        "cron:sparse",
        (
            Row(
                "the next time where few dates match (29 February on a Monday, a Friday the 13th)",
                "us",
                "µs each",
                "Schedules for which naive searching walks through years.",
            ),
        ),
        {"rounds": 5},
        short={"rounds": 3},
        most_rounds=3,
    ),
    Case(
        "cron-read",
        "cron:reading",
        (
            Row(
                "reading 40 crontab expressions for 3 zones",
                "us",
                "µs each",
                "What loading a crontab costs; Rota keeps what it has read, so the same fields are read once.",
            ),
        ),
        {"zones": 3},
        peers=dict.fromkeys(_PEERS, "cron:reading"),
        most_rounds=3,
    ),
    Case(
        "cron-read-new",
        "cron:reading",
        (
            Row(
                "… for one zone: each expression is new",
                "us",
                "µs each",
                "The same where nothing has been read before.",
            ),
        ),
        {"zones": 1},
        peers=dict.fromkeys(_PEERS, "cron:reading"),
        most_rounds=3,
    ),
    Case(
        "cron-missed",
        "cron:missed_year",
        (
            Row(
                "the last of a year of missed `*/5` times, and their count",
                "ms",
                "ms",
                "What catching up costs for each cron job after a long sleep.",
            ),
        ),
        most_rounds=1,
    ),
)
