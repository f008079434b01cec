"""``python -m rota.as_apscheduler``: a program or a module run as Python runs it, with the alias.

It stays ``__main__`` until the process ends, so that its functions are found under the references that they are stored by.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import PathFinder
from importlib.util import find_spec
from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from typing import NoReturn

USAGE = """usage: python -m rota.as_apscheduler PROGRAM [ARGUMENT …]
       python -m rota.as_apscheduler -m MODULE [ARGUMENT …]

Runs a program that was written for APScheduler 3 on Rota. PROGRAM is a file, or a folder or archive that holds a __main__.py."""


def main(arguments: list[str]) -> None:
    """Run what the command line names, in place of the module that was started.

    :param arguments: what stands behind ``python -m rota.as_apscheduler``
    :raises SystemExit: if there is no such program
    """
    if arguments[:1] in (["-h"], ["--help"]):
        sys.stdout.write(f"{USAGE}\n")
        return
    if not arguments or arguments == ["-m"] or (arguments[0].startswith("-") and arguments[0] != "-m"):
        sys.stderr.write(f"{USAGE}\n")
        sys.exit(2)
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        _run(_spec_of_module(arguments[1]))
        return
    path = arguments[0]
    sys.argv = arguments
    if os.path.isfile(path) and not _is_archive(path):
        _put_first(os.path.dirname(os.path.abspath(path)))
        _run_file(path)
        return
    _put_first(path)
    spec = PathFinder.find_spec("__main__", [path])
    if spec is None:
        _refuse(f"can't find a program, or a folder or archive with a __main__.py, at {path!r}")
    _run(spec)


def _put_first(folder: str) -> None:
    """Have modules looked for beside the program, and not in the current folder, as Python does."""
    if not sys.flags.safe_path:
        sys.path[0] = folder


def _is_archive(path: str) -> bool:
    from zipimport import ZipImportError, zipimporter  # import time

    try:
        zipimporter(path)
    except ZipImportError:
        return False
    return True


def _spec_of_module(name: str) -> ModuleSpec:
    try:
        spec = find_spec(name)
        if spec is not None and spec.submodule_search_locations is not None:
            spec = find_spec(f"{name}.__main__")
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.__main__".startswith(error.name):
            raise
        spec = None
    if spec is None:
        _refuse(f"No module named {name}, or it is a package that cannot be executed")
    return spec


def _refuse(reason: str) -> NoReturn:
    sys.stderr.write(f"{sys.executable}: {reason}\n")
    sys.exit(1)


def _run(spec: ModuleSpec) -> None:
    """Execute a module that was found, as ``__main__``."""
    loader = spec.loader
    code = loader.get_code(spec.name) if loader is not None and hasattr(loader, "get_code") else None
    if code is None:
        _refuse(f"No code object available for {spec.name}")
    if spec.name != "__main__":
        sys.argv[0] = spec.origin or spec.name
    module = _main_module(spec.origin)
    module.__spec__ = spec if spec.name != "__main__" else None
    module.__package__ = spec.parent
    module.__loader__ = loader
    exec(code, vars(module))


def _run_file(path: str) -> None:
    """Execute a file of Python, as ``__main__``."""
    with open(path, "rb") as file:
        code = compile(file.read(), path, "exec", dont_inherit=True)
    exec(code, vars(_main_module(path)))


def _main_module(file: str | None) -> ModuleType:
    module = ModuleType("__main__")
    module.__builtins__ = __builtins__  # type: ignore[attr-defined]
    if file is not None:
        module.__file__ = file
    sys.modules["__main__"] = module
    return module
