"""``Inject``: marks a parameter of a job that is filled with a resource of the scheduler when the job is called.

A value; who reads it is :mod:`rota.callables`, which looks at no annotation before this module is loaded.
"""

from __future__ import annotations

from .errors import JobTypeError
from .texts import repr_of

__all__ = ("Inject",)


class Inject:
    """Marks a parameter: ``def greet(name: str, bot: Annotated[Bot, Inject]) -> None``.

    The class itself stands for the resource of the parameter's name; ``Inject("telegram")`` for that of another name.

    :param name: the name of the resource in ``scheduler.resources``
    :raises JobTypeError: if it is no name
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        given: object = name
        if not isinstance(given, str) or not given:
            raise JobTypeError(
                f"Inject() must be given the name of a resource, got {repr_of(name)}; write Annotated[Bot, Inject] for "
                f"the resource that is called like the parameter"
            )
        self.name = name

    def __repr__(self) -> str:
        return f"Inject({self.name!r})"
