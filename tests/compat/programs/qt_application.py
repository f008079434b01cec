"""A Qt application whose scheduler lives on its event loop; jobs go to the thread pool."""

import threading

from PySide6.QtCore import QCoreApplication, QTimer

from apscheduler.schedulers.qt import QtScheduler

application = QCoreApplication([])
seen = []


def tick():
    seen.append(threading.current_thread() is threading.main_thread())


def look():
    if len(seen) >= 3:
        application.quit()


scheduler = QtScheduler()
scheduler.add_job(tick, "interval", seconds=0.1)
scheduler.start()
looking = QTimer()
looking.timeout.connect(look)
looking.start(20)
QTimer.singleShot(20000, application.quit)
application.exec()
scheduler.shutdown()
assert len(seen) >= 3, seen
assert not any(seen), seen
print("done")
