"""The alias: a finder that gives Rota's own modules for every ``apscheduler.*`` import, so ``isinstance`` and ``except`` work.

May not import any part of Rota that knows jobs: what is asked for is imported when it is asked for.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from types import ModuleType

import rota

from ..errors import PackageLoadedError
from . import crontab_strings, inner_names, loggers, processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from importlib.metadata import Distribution, DistributionFinder

NAME = "apscheduler"
#: The four names of APScheduler's own version, which libraries compare with what they need.
VERSION = inner_names.VERSION
VERSION_INFO = tuple(int(part) for part in VERSION.split("."))


class _RotasModule:
    """A loader that gives one of Rota's modules, the same object, under a second name."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._own_spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        try:
            module = import_module(self._name)
        except ModuleNotFoundError as error:
            if error.name == self._name:
                raise inner_names.no_such_module(spec.name) from None
            raise
        self._own_spec = module.__spec__
        inner_names.explain_missing(module, spec.name)
        return module

    def exec_module(self, module: ModuleType) -> None:
        # The import system has put the spec of the second name there.
        module.__spec__ = self._own_spec


class _Package:
    """The loader of the package itself: a module of its own, as its version is another than Rota's."""

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        module.__doc__ = "APScheduler's names for Rota (rota.as_apscheduler)."
        module.__file__ = rota.__file__
        vars(module).update(version=VERSION, __version__=VERSION, release=VERSION, version_info=VERSION_INFO)
        inner_names.load_when_asked(module)


class AliasFinder:
    """The finder for ``apscheduler`` and all below it, and for the metadata of its distribution."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a module of that name; None for other packages, and for modules that do not exist."""
        if name == NAME:
            spec = ModuleSpec(name, _Package(), origin=rota.__file__, is_package=True)  # type: ignore[arg-type]
            spec.submodule_search_locations = list(rota.__path__)
            return spec
        if not name.startswith(NAME + "."):
            return None
        own = "rota" + name[len(NAME) :]
        found = find_spec(own)
        if found is None and name not in inner_names.MODULES:
            # importlib.util.find_spec() wants None, and `import` an error that says what there is instead.
            if sys._getframe(2).f_code.co_name == "_find_and_load_unlocked":
                raise inner_names.no_such_module(name)
            return None
        is_package = found is not None and found.submodule_search_locations is not None
        origin = None if found is None else found.origin
        spec = ModuleSpec(name, _RotasModule(own), origin=origin, is_package=is_package)  # type: ignore[arg-type]
        if found is not None and is_package:
            spec.submodule_search_locations = list(found.submodule_search_locations or ())
        return spec

    def find_distributions(self, context: DistributionFinder.Context) -> Iterable[Distribution]:
        """Return APScheduler's metadata, if it is asked for by its name, or if all are and it is not installed."""
        from . import metadata  # import time: only who asks for metadata has loaded what this needs

        return metadata.find(context)


def install() -> None:
    """Have ``apscheduler`` mean Rota from now on. A second call does nothing.

    :raises PackageLoadedError: if APScheduler itself is loaded already
    """
    if is_installed():
        return
    loaded = sys.modules.get(NAME)
    if loaded is not None:
        raise PackageLoadedError(NAME, getattr(loaded, "__file__", None))
    shadowed = PathFinder.find_spec(NAME)
    sys.meta_path.insert(0, AliasFinder())
    sys.modules.pop(NAME, None)  # None there forbids the import
    loggers.install()
    processes.install()
    crontab_strings.warn_once()
    import_module(NAME)
    if shadowed is not None:
        loggers.say_shadowed(shadowed.origin)


def is_installed() -> bool:
    """Whether ``apscheduler`` means Rota in this process."""
    return any(isinstance(finder, AliasFinder) for finder in sys.meta_path)
