"""What holds for the project as a whole: each module has its layer, and importing a scheduler stays cheap."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import rota
from tests.needs import need

ROOT = Path(__file__).parents[2]
#: Modules that stand outside the layers: the package's lazy front, and folders whose own file holds names only.
OUTSIDE = {
    "rota",
    "rota.__main__",
    "rota.compat",
    "rota.version",
    "rota.schedulers",
    "rota.jobstores",
    "rota.executors",
}
#: Standard modules that a scheduler with the memory store does not need to start.
HEAVY = {
    "asyncio",
    "concurrent.futures",
    "dataclasses",
    "importlib.metadata",
    "inspect",
    "json",
    "typing",
    "uuid",
    "zoneinfo",
}


def modules() -> set[str]:
    package = ROOT / "src" / "rota"
    parts = [path.relative_to(package.parent).with_suffix("").parts for path in package.rglob("*.py")]
    return {".".join(part[:-1] if part[-1] == "__init__" else part) for part in parts}


def layered() -> set[str]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = [c for c in settings["tool"]["importlinter"]["contracts"] if c["id"] == "layers"]
    return {name.strip(" ()") for layer in contract["layers"] for name in layer.replace(":", "|").split("|")}


def test_every_module_has_its_layer() -> None:
    known = layered()
    strays = {
        module
        for module in modules() - OUTSIDE
        if not any(module == name or module.startswith(name + ".") for name in known)
    }
    assert not strays, f"put {sorted(strays)} in the contract `layers` of pyproject.toml"


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
    assert "SQLAlchemyJobStore" in rota.__all__
