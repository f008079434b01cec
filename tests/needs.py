"""For tests that need an optional library or a server: a visible skip, or a failure where ROTA_REQUIRE_SERVICES=1."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from types import ModuleType


def missing(what: str, how_to_get_it: str) -> NoReturn:
    """Skip this test (or, at module level, this module), or fail where everything is required.

    :param what: what is not there
    :param how_to_get_it: the command or package that brings it
    """
    message = f"{what} is not here; {how_to_get_it}"
    if os.environ.get("ROTA_REQUIRE_SERVICES") == "1":
        pytest.fail(f"ROTA_REQUIRE_SERVICES=1, but {message}", pytrace=False)
    pytest.skip(message, allow_module_level=True)


def need(module: str, extra: str) -> ModuleType:
    """Return an optional library, or say that it is missing.

    :param module: its import name
    :param extra: the extra of Rota that installs it
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        missing(f"{module} ({error})", f"install it with: pip install 'rota[{extra}]'")
