"""The allow-list of callables: which functions the jobs in a durable store may name.

Compares names; it imports nothing.
"""

from __future__ import annotations

from types import MethodType

from .errors import CallableNotAllowedError, ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

__all__ = ("AllowList", "allow_list_of")

#: Where the triggers are that every job may have.
_OWN_TRIGGERS = "rota.triggers."


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

    def check_reference(self, reference: str) -> None:
        """Refuse a textual reference to a callable or class before anything is imported for it.

        :raises CallableNotAllowedError: if no pattern covers it
        """
        if not self._covers(reference):
            raise self._error(f"the callable {reference}")

    def check(self, reference: str, found: Any) -> None:
        """Refuse a callable.

        :param reference: the reference by which it is known
        :param found: what the reference leads to
        :raises CallableNotAllowedError: if no pattern covers the reference, or only one that does not cover where the callable
            is defined
        """
        if reference in self._names:
            return
        self.check_reference(reference)
        home = _home(found)
        if not self._has_module(home):
            raise self._error(f"the callable {reference}, which is defined in {home or 'no module'},")

    def check_trigger_class(self, reference: str) -> None:
        """Refuse the class of a custom trigger; those of Rota are always allowed.

        :raises CallableNotAllowedError: if no pattern covers it
        """
        if not (reference.startswith(_OWN_TRIGGERS) or self._covers(reference)):
            raise self._error(f"the trigger class {reference}")

    def _covers(self, reference: str) -> bool:
        return reference in self._names or self._has_module(reference.partition(":")[0])

    def _has_module(self, module: str) -> bool:
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
    return str(getattr(found, "__module__", None) or "")  # an instance has the one of its class


def _is_path(name: str) -> bool:
    return all(part.isidentifier() for part in name.split("."))
