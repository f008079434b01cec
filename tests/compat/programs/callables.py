"""What can be a job: textual references, methods, class methods, callable objects, lambdas, partials; and what cannot."""

import functools
import threading

from apscheduler.schedulers.background import BackgroundScheduler

seen = set()
all_ran = threading.Event()


def note(name):
    seen.add(name)
    if len(seen) == 7:
        all_ran.set()


def function():
    note("function")


class Worker:
    def method(self, prefix=""):
        note(prefix + "method")

    @classmethod
    def class_method(cls):
        note("class method")

    @staticmethod
    def static_method():
        note("static method")

    def __call__(self):
        note("object")


worker = Worker()
scheduler = BackgroundScheduler(job_defaults={"misfire_grace_time": 60})
scheduler.start()
by_name = scheduler.add_job("__main__:function")
assert (by_name.func, by_name.func_ref, by_name.name) == (function, "__main__:function", "function")
scheduler.add_job(worker.method)
scheduler.add_job(Worker.class_method)
scheduler.add_job("__main__:Worker.static_method")
scheduler.add_job(worker)
scheduler.add_job(lambda: note("lambda"))
scheduler.add_job(functools.partial(note, "partial"), name="a partial")
assert all_ran.wait(20), seen

scheduler.add_jobstore("sqlalchemy", "lasting", url="sqlite://")
for wrong, error, options in [
    (function, ValueError, {"args": ["too many"]}),
    (note, ValueError, {}),
    (lambda: None, ValueError, {"jobstore": "lasting"}),
    ("nothing:there", (LookupError, ImportError), {}),
    ("no colon", ValueError, {}),
    (17, TypeError, {}),
    (function, TypeError, {"id": 17}),
    (function, TypeError, {"name": ""}),
    (function, TypeError, {"max_instances": 0}),
    (function, TypeError, {"misfire_grace_time": 0}),
    (function, LookupError, {"jobstore": "unknown"}),
    (function, LookupError, {"trigger": "unknown"}),
]:
    try:
        scheduler.add_job(wrong, next_run_time=None, **options)
    except error:
        pass
    else:
        raise AssertionError((wrong, options))
assert scheduler.get_jobs() == []
scheduler.shutdown()
print("done")
