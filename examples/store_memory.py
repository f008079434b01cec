"""The memory store: any callable, any argument, nothing survives the process. It is the default.

Run:    python examples/store_memory.py
Output: a lambda with a live object: ['kept']; 1 run in the ledger: succeeded
"""

from __future__ import annotations

import threading

from rota.jobstores.memory import MemoryJobStore
from rota.schedulers.background import BackgroundScheduler


def main() -> None:
    scheduler = BackgroundScheduler(jobstores={"default": MemoryJobStore()})
    scheduler.start()

    live: list[str] = []
    done = threading.Event()
    scheduler.add_job(lambda: (live.append("kept"), done.set()), id="lambda")
    done.wait()
    print("a lambda with a live object:", live)

    scheduler.shutdown()
    runs = scheduler.get_runs("lambda")
    print(len(runs), "run in the ledger:", runs[0].status)


if __name__ == "__main__":
    main()
