"""The command line ``rota``: runs schedulers and crontab files, and looks into job stores.

Only this package imports Typer and Rich, and this file only when a command is given. It uses Rota's public interface.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out a command line; the console script ``rota``.

    :param arguments: the words after the program's name (``sys.argv[1:]`` by default)
    :return: the exit code: 0, 1 after an error, 2 for a wrong usage, 128 + the signal's number if a signal ended it at once
    """
    import sys  # import time

    from ..errors import MissingExtraError  # import time

    try:
        from .app import run  # import time
    except ImportError as exc:
        if (exc.name or "").partition(".")[0] not in ("typer", "rich", "click"):
            raise
        print(f"error: {MissingExtraError('The command line', 'cli')}", file=sys.stderr)
        return 1
    return run(arguments)
