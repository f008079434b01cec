"""What holds for the project as a whole: importing a scheduler stays cheap, and optional libraries stay optional."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

import rota
from tests.needs import need

#: Standard modules that a scheduler with the memory store does not need to start.
HEAVY = {
    "asyncio",
    "concurrent.futures",
    "dataclasses",
    "importlib",
    "importlib.metadata",
    "inspect",
    "json",
    "rota.compat.names",
    "rota.core.chains",
    "typing",
    "uuid",
    "zoneinfo",
}


def test_importing_the_background_scheduler_loads_nothing_heavy() -> None:
    program = "import sys; before = set(sys.modules); import rota.schedulers.background; print(*(set(sys.modules) - before))"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30
    )
    assert not HEAVY & set(result.stdout.split())


def test_the_version_has_apschedulers_four_names() -> None:
    assert rota.version == rota.__version__ == rota.release == ".".join(map(str, rota.version_info))


LOOKS = {
    "a star": "from rota import *; names = dir()",
    "dir": "import rota; names = dir(rota)",
    "members": "import inspect, rota; names = [name for name, _ in inspect.getmembers(rota)]",
    "help": "import pydoc, rota; names = pydoc.plain(pydoc.render_doc(rota)).replace('(', ' ').split()",
}
WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {libraries!r}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
{look}
print(*names)
try:
    from rota import GeventScheduler
except ImportError as error:
    print(error)
"""


@pytest.mark.thorough
@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_looking_at_the_package_needs_no_optional_library(look: str) -> None:
    libraries = {"gevent", "tornado", "twisted", "sqlalchemy", "PySide6", "PyQt6", "PySide2", "PyQt5"}
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(libraries=libraries, look=look)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    assert {"BackgroundScheduler", "CronTrigger", "current_run"} <= set(result.stdout.split())
    assert not {"SQLAlchemyJobStore", "QtScheduler"} & set(result.stdout.split())
    assert "pip install 'rota[gevent]'" in result.stdout, "the error of the name itself names the extra"


def test_a_name_whose_library_is_there_is_listed() -> None:
    need("sqlalchemy", "sql")
    assert "SQLAlchemyJobStore" in dir(rota)
    listed: Any = rota.__all__
    assert "SQLAlchemyJobStore" in listed
