"""The memory store: any callable, any argument, nothing survives the process. It is the default.

Run:    python examples/store_memory.py
Output: a lambda with a live object: kept; 1 run in the ledger: succeeded
"""

from __future__ import annotations

from queue import Queue

from rota.jobstores.memory import MemoryJobStore
from rota.schedulers.background import BackgroundScheduler


def main() -> None:
    scheduler = BackgroundScheduler(jobstores={"default": MemoryJobStore()})
    scheduler.start()

    queue: Queue[str] = Queue()  # nothing that a file could keep
    scheduler.add_job(lambda: queue.put("kept"), id="lambda")
    print("a lambda with a live object:", queue.get(timeout=10))

    scheduler.shutdown()
    runs = scheduler.get_runs("lambda")
    print(len(runs), "run in the ledger:", runs[0].status)


if __name__ == "__main__":
    main()
