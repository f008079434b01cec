"""Loggers under the alias: what Rota logs goes to ``apscheduler.*``, where programs have set their levels, filters and handlers.

``apscheduler`` gets ``rota`` as its parent, so that what is set there counts as well. Logs one line itself: that the alias wins.
"""

from __future__ import annotations

import logging

from .. import logs


def install() -> None:
    """Have Rota's loggers go by APScheduler's names, those of objects that have not logged yet included."""
    logging.getLogger("apscheduler").parent = logging.getLogger("rota")
    logs.rename_loggers("rota.", "apscheduler.")


def say_shadowed(origin: str | None) -> None:
    """Say that an installed APScheduler is not used."""
    logging.getLogger("apscheduler").info(
        "apscheduler means Rota in this process (rota.as_apscheduler); the APScheduler that is installed in %s is not used",
        origin,
    )
