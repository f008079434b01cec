"""The allow-list of callables: which functions the jobs in a durable store may name.

Compares names; it imports nothing. It is asked in :mod:`rota.trust.names`.
"""

from __future__ import annotations

from types import MethodType, ModuleType

from ..errors import CallableNotAllowedError, ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

__all__ = ("AllowList", "NO_NAMES", "allow_list_of")


def allow_list_of(patterns: str | Iterable[str] | None) -> AllowList | None:
    """Return the allow-list of an ``allowed_callables`` option, None for None.

    :param patterns: a list, or a text with commas or spaces between the patterns, as ini files have it
    :raises ConfigurationError: if a pattern is not understood
    """
    if patterns is None:
        return None
    return AllowList(patterns.replace(",", " ").split() if isinstance(patterns, str) else patterns)


class AllowList:
    """Tells which callables may be called.

    A pattern is ``package.*`` (what is defined in a package and the modules below it), ``package.module:*`` (what is
    defined in one module), or ``package.module:name`` (one callable, wherever it was defined).

    With the first two it does not suffice that the *reference* begins so: ``myapp.tasks:os.system`` does. What it leads to must
    be defined in an allowed module, too.

    :param patterns: the patterns
    :raises ConfigurationError: if one is not understood
    """

    __slots__ = ("_modules", "_names", "_packages", "patterns")

    def __init__(self, patterns: Iterable[str]) -> None:
        self.patterns = tuple(patterns)
        self._names: set[str] = set()
        self._modules: set[str] = set()
        packages = []
        for pattern in self.patterns:
            module, colon, name = str(pattern).partition(":")
            if colon and _is_path(module) and (name == "*" or _is_path(name)):
                if name == "*":
                    self._modules.add(module)
                else:
                    self._names.add(pattern)
            elif not colon and module.endswith(".*") and _is_path(module[:-2]):
                self._modules.add(module[:-2])
                packages.append(module[:-1])
            else:
                raise ConfigurationError(
                    f"allowed_callables: {pattern!r} is no pattern; write 'package.*', 'package.module:*' or "
                    f"'package.module:function'"
                )
        self._packages = tuple(packages)

    def names(self, reference: str) -> bool:
        """Whether a reference is among the patterns as it stands: it is allowed wherever it leads."""
        return reference in self._names

    def check_reference(self, reference: str, what: str = "callable") -> None:
        """Refuse a textual reference before anything is imported for it.

        :param what: what the reference is said to lead to
        :raises CallableNotAllowedError: if no pattern covers it
        """
        if reference not in self._names and not self.covers_module(reference.partition(":")[0]):
            raise self._error(f"the {what} {reference}")

    def check_step(self, reference: str, found: Any) -> None:
        """Refuse a reference that leads through what is defined elsewhere, such as a module that an allowed one has imported.

        :param found: an object on the way, of which an attribute is to be looked up
        :raises CallableNotAllowedError: if it is not defined in an allowed module
        """
        home = _home(found)
        if not self.covers_module(home):
            raise self._error(
                f"the callable {reference}, which leads through what is defined in {home or 'no module'},"
            )

    def check(self, reference: str, found: Any, what: str = "callable") -> None:
        """Refuse a callable or class.

        :param reference: the reference by which it is known
        :param found: what the reference leads to
        :param what: what it is
        :raises CallableNotAllowedError: if no pattern covers the reference, or only one that does not cover where the callable
            is defined
        """
        if reference in self._names:
            return
        self.check_reference(reference, what)
        home = _home(found)
        if not self.covers_module(home):
            raise self._error(f"the {what} {reference}, which is defined in {home or 'no module'},")

    def covers_module(self, module: str) -> bool:
        """Whether everything that is defined in a module is allowed."""
        return module in self._modules or module.startswith(self._packages)

    def _error(self, what: str) -> CallableNotAllowedError:
        return CallableNotAllowedError(
            f"{what} is not among the allowed_callables ({', '.join(self.patterns) or 'none'})"
        )

    def __repr__(self) -> str:
        return f"<AllowList ({', '.join(self.patterns)})>"


def _home(found: Any) -> str:
    """Return the name of the module in which a callable is defined."""
    if isinstance(found, MethodType):
        found = found.__func__
    if isinstance(found, ModuleType):
        return found.__name__
    home = getattr(found, "__module__", None)  # an instance has the one of its class
    return home if type(home) is str else ""


def _is_path(name: str) -> bool:
    return all(part.isidentifier() for part in name.split("."))


#: Allows none but Rota's own triggers: for who looks at jobs and imports nothing.
NO_NAMES = AllowList(())
