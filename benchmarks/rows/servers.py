"""Job stores on servers. Who has not installed the server does not measure it."""

from .kinds import Case, Row

_TITLES = {"postgresql": "PostgreSQL", "redis": "Redis"}
_NOTES = {
    "postgresql": "The server writes each commit to its disk; Rota also records how each run ended, and the time includes that.",
    "redis": "The server appends each write to its file; Rota also records how each run ended, and the time includes that.",
}


def _server(server: str, **options: object) -> tuple[Case, ...]:
    title = _TITLES[server]
    due = Row(f"1 000 due jobs in {title}", "rate", "runs/s", _NOTES[server], more_is_better=True)
    meaning = "One transaction for each job, there and back to the server."
    return (
        Case(
            f"{server}-burst",
            "servers:burst",
            (due,),
            {"server": server, "jobs": 1_000},
            most_rounds=2,
            **options,  # type: ignore[arg-type]
        ),
        Case(
            f"{server}-add",
            "servers:adding",
            (Row(f"`add_job()` into {title}", "us", "µs each", meaning),),
            {"server": server, "jobs": 300},
            most_rounds=2,
        ),
    )


CASES = (
    *_server("postgresql", peers={"procrastinate": "peers.procrastinate_peer:burst"}),
    *_server("redis"),
)
