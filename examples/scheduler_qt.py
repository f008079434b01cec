"""A scheduler on Qt's event loop; jobs run in threads and hand results to widgets by signals.

Needs:  pip install 'rota[qt]'
Run:    python examples/scheduler_qt.py      (without a screen: QT_QPA_PLATFORM=offscreen)
Output: the label shows: sample 3
"""

from __future__ import annotations

from itertools import count

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QApplication, QLabel

from rota.schedulers.qt import QtScheduler

numbers = count(1)


class Samples(QObject):
    """A signal crosses from the job's thread to the thread of the widgets."""

    taken = Signal(str)


def main() -> None:
    application = QApplication([])
    label = QLabel("no sample yet")
    label.show()
    samples = Samples()

    def show(sample: str) -> None:
        label.setText(sample)
        if sample == "sample 3":
            application.quit()

    samples.taken.connect(show)

    def take_sample() -> None:
        samples.taken.emit(f"sample {next(numbers)}")

    scheduler = QtScheduler()
    scheduler.add_job(take_sample, "interval", seconds=0.4)
    scheduler.start()

    application.exec()
    scheduler.shutdown()
    print("the label shows:", label.text())


if __name__ == "__main__":
    main()
