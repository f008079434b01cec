"""The scheduler is the whole program: start() blocks until shutdown(), Ctrl-C or SIGTERM.

Run:    python examples/scheduler_blocking.py
Output: hello 3; the scheduler has ended
"""

from __future__ import annotations

from itertools import count

from rota.schedulers.blocking import BlockingScheduler

scheduler = BlockingScheduler()
numbers = count(1)


@scheduler.scheduled_job("interval", seconds=0.4)
def greet() -> None:
    number = next(numbers)
    print("hello", number)
    if number == 3:
        scheduler.shutdown(wait=False)  # a real program leaves this line out and runs on


if __name__ == "__main__":
    try:
        scheduler.start()
    finally:  # Ctrl-C lets the runs under way end, and then ends the program
        print("the scheduler has ended")
