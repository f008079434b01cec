"""Resources: what a job works with is handed to it where it is called, and nothing of it is stored.

The jobs are in an SQLite file. The second scheduler finds them there, and gives them a bot of its own.

Run:    python examples/resources.py
Needs:  pip install rota[sql]
Output: stored: ['Lan']; first bot: good morning, Lan; second bot: good morning, Lan; no resource 'printer'
"""

from __future__ import annotations

import threading
from typing import Annotated

from rota import Inject
from rota.errors import ResourceMissingError
from rota.events import JobExecutionEvent
from rota.schedulers.background import BackgroundScheduler


class Bot:
    """Stands for a client that is connected to something."""

    def __init__(self, name: str) -> None:
        self.name = name

    def send(self, text: str) -> None:
        print(f"{self.name}: {text}")


def greet(user: str, bot: Annotated[Bot, Inject]) -> None:
    bot.send(f"good morning, {user}")


def print_out(page: str, printer: Annotated[Bot, Inject]) -> None:
    printer.send(page)


def run_with(bot: Bot) -> None:
    ended = threading.Event()
    scheduler = BackgroundScheduler(jobstores={"default": "sqlite:///example.db"})
    scheduler.resources["bot"] = bot
    scheduler.add_listener(lambda event: ended.set(), JobExecutionEvent)
    scheduler.start()
    job = scheduler.add_job(greet, "interval", days=1, args=["Lan"], id="greet", replace_existing=True)
    print("stored:", list(job.args))
    scheduler.run_job("greet")
    ended.wait(30)
    try:
        scheduler.add_job(print_out, args=["1"])
    except ResourceMissingError as error:
        print(error)
    scheduler.shutdown()


def main() -> None:
    run_with(Bot("first bot"))
    run_with(Bot("second bot"))


if __name__ == "__main__":
    main()
