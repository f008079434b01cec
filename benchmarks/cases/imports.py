"""What `from … import BackgroundScheduler` costs a program that has imported nothing else yet."""

import os
import time


def background(package: str, start: str = "no") -> dict[str, object]:
    """Import the class; with ``start`` "yes", make a scheduler and start it as well."""
    before, cpu, begin = _memory(), time.process_time(), time.perf_counter()
    module = __import__(f"{package}.schedulers.background", fromlist=["BackgroundScheduler"])
    scheduler = None
    if start == "yes":
        scheduler = module.BackgroundScheduler()
        scheduler.start()
    seconds, used, after = time.perf_counter() - begin, time.process_time() - cpu, _memory()
    if scheduler is not None:
        scheduler.shutdown()
    found = hasattr(module, "BackgroundScheduler")
    return {
        "figures": {"ms": seconds * 1e3, "mb": (after - before) / 1e6},
        "cpu": used,
        "count": int(found),
        "expected": 1,
    }


def _memory() -> int:
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
