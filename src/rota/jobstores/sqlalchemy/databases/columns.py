"""The types of the columns of the store's tables, as each database declares them.

Knows no table.
"""

from __future__ import annotations

from sqlalchemy import String, Text
from sqlalchemy.ext.compiler import compiles

from .lookup import of_dialect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Exact(String):
    """Text that is compared byte by byte, so that ``job``, ``Job`` and ``job␠`` are three ids."""

    inherit_cache = True


class Long(Text):
    """Text of any length."""

    inherit_cache = True


@compiles(Exact)
def _exact(element: Exact, compiler: Any, **kw: Any) -> Any:
    declared = of_dialect(compiler.dialect).exact_text(element.length)
    return compiler.visit_string(element, **kw) if declared is None else declared


@compiles(Long)
def _long(element: Long, compiler: Any, **kw: Any) -> Any:
    declared = of_dialect(compiler.dialect).long_text
    return compiler.visit_text(element, **kw) if declared is None else declared
