"""What `from … import BackgroundScheduler` costs a program that has imported nothing else yet."""

import os
import time


def background(package: str, start: str = "no") -> dict[str, object]:
    """Import the class; with ``start`` "yes", make a scheduler and start it as well."""
    return _measured(f"{package}.schedulers.background", "BackgroundScheduler", start)


def _measured(name: str, scheduler_class: str, start: str = "no") -> dict[str, object]:
    before, cpu, begin = _memory(), time.process_time(), time.perf_counter()
    module = __import__(name, fromlist=[scheduler_class])
    scheduler = None
    if start == "yes":
        scheduler = module.BackgroundScheduler()
        scheduler.start()
    seconds, used, after = time.perf_counter() - begin, time.process_time() - cpu, _memory()
    if scheduler is not None:
        scheduler.shutdown()
    found = hasattr(module, scheduler_class)
    return {
        "figures": {"ms": seconds * 1e3, "mb": (after - before) / 1e6},
        "cpu": used,
        "count": int(found),
        "expected": 1,
    }


def schedule(package: str) -> dict[str, object]:
    """Import `schedule`, which is a module with everything in it."""
    return _measured("schedule", "Scheduler")


def apscheduler4(package: str) -> dict[str, object]:
    return _measured("apscheduler", "Scheduler")


def _memory() -> int:
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
