"""Modules of Rota under APScheduler's names: they give the inner names that :mod:`rota.compat.names` knows, and explain others.

May not import anything else of Rota before it is asked for.
"""

from __future__ import annotations

import sys
from functools import partial
from importlib import import_module
from opcode import opmap

from .names import instead, of_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, ModuleType
    from typing import Any

#: The release whose interface the alias answers for.
VERSION = "3.11.3"
#: Modules of APScheduler that Rota does not have: what to use instead.
MODULES = {
    "apscheduler.jobstores.rethinkdb": "Rota has no store for RethinkDB; use SQL, Redis, MongoDB, etcd or ZooKeeper",
}
#: The modules below the package; programs reach them as attributes when anything else has imported them.
_SUBMODULES = ("events", "executors", "job", "jobstores", "schedulers", "triggers", "util")


def no_such_module(name: str) -> ModuleNotFoundError:
    """Return the error for a module that Rota does not have under that name of APScheduler's."""
    instead = MODULES.get(name, "Rota has the modules of APScheduler 3.11; see docs/migration.md")
    return ModuleNotFoundError(
        f"No module named {name!r} in Rota (rota.as_apscheduler); {instead}", name=name
    )


def load_when_asked(package: ModuleType) -> None:
    """Have the package import its modules when they are asked for as attributes."""

    def getattr_(name: str) -> Any:
        if name in _SUBMODULES:
            return import_module(f"{package.__name__}.{name}")
        raise _no_such_name(package.__name__, name, vars(package), sys._getframe(1))

    vars(package)["__getattr__"] = getattr_


def explain_missing(module: ModuleType, alias: str) -> None:
    """Have a module of Rota's give the names that APScheduler's has from its other modules, and explain what is not there.

    :param alias: its name in APScheduler
    """
    own = vars(module).get("__getattr__") or partial(of_module, module.__name__)
    if getattr(own, "explains", False):
        return

    def getattr_(name: str) -> Any:
        if not name.startswith("__"):  # the import system asks while the spec is another
            try:
                return own(name)
            except AttributeError:
                pass
        raise _no_such_name(alias, name, vars(module), sys._getframe(1))

    getattr_.explains = True  # type: ignore[attr-defined]
    vars(module)["__getattr__"] = getattr_


def _no_such_name(place: str, name: str, there: dict[str, Any], asking: FrameType) -> Exception:
    """Return the error for a name that a module does not have."""
    own = "rota" + place[len("apscheduler") :]
    if name.startswith("__"):  # asked for by tools
        return AttributeError(f"module {place!r} has no attribute {name!r}")
    remedy = instead(name)
    if not remedy:
        public = [known for known, value in there.items() if known[0] != "_" and _is_from(value, own)]
        remedy = "; see docs/migration.md"
        if public:
            remedy = f"; the public names there are {', '.join(sorted(public))}"
    message = f"module {place!r} stands for {own} (rota.as_apscheduler), which has no {name!r}{remedy}"
    # `from module import name` drops the text of an AttributeError, so it gets the error that it would raise itself.
    code = asking.f_code.co_code
    if asking.f_lasti >= 0 and code[asking.f_lasti] == opmap["IMPORT_FROM"]:
        return ImportError(f"cannot import name {name!r}: {message}", name=place)
    return AttributeError(message, name=name)


def _is_from(value: Any, module: str) -> bool:
    try:
        return bool(value.__module__ == module)
    except Exception:  # values of all kinds are looked at
        return False
