"""``import rota.as_apscheduler``: from then on ``apscheduler`` means Rota, in this program and in its worker processes.

Or, without changing the program: ``python -m rota.as_apscheduler program.py …``, ``python -m rota.as_apscheduler -m module …``.
Decides nothing itself: :mod:`rota.compat.alias` does it.
"""

from __future__ import annotations

from .compat.alias import install

install()

if __name__ == "__main__":
    import sys

    from .compat.program import main

    main(sys.argv[1:])
