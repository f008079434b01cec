"""Many threads add, look up and remove jobs of one scheduler."""

import threading

from apscheduler.schedulers.background import BackgroundScheduler

scheduler = BackgroundScheduler()
scheduler.start()
errors = []


def job():
    pass


def worker(number):
    try:
        for index in range(25):
            id_ = "{}-{}".format(number, index)
            scheduler.add_job(job, "interval", hours=1, id=id_)
            assert scheduler.get_job(id_).id == id_
            if index % 2:
                scheduler.remove_job(id_)
    except Exception as error:
        errors.append(error)


threads = [threading.Thread(target=worker, args=(number,)) for number in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(30)
assert not errors, errors
assert len(scheduler.get_jobs()) == 8 * 13
scheduler.shutdown()
print("done")
