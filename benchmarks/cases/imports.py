"""What `from … import BackgroundScheduler` costs a program that has imported nothing else yet."""

import os
import time


def background(package: str) -> dict[str, object]:
    before, cpu, start = _memory(), time.process_time(), time.perf_counter()
    module = __import__(f"{package}.schedulers.background", fromlist=["BackgroundScheduler"])
    seconds, used, after = time.perf_counter() - start, time.process_time() - cpu, _memory()
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
