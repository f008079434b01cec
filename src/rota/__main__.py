"""``python -m rota``: the command line where the console script is not on the PATH.

Hands over to :mod:`rota.cli`, which says what to install where Typer and Rich are missing.
"""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
