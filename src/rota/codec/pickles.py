"""Pickles in the texts of jobs, for stores with ``serializer="pickle"``: what does not fit into JSON.

Whether a store reads them is its :class:`~rota.codec.jobs.JobFormat`'s decision; reading one executes what it says.
"""

from __future__ import annotations

from ..errors import DeserializationError, SerializationError
from ..texts import error_text
from ..trust.names import module_now
from .bounds import TooMuch, check_text
from .values import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: How the text of a pickled value begins.
PICKLED = '{"~pickle":"'


def pickled(value: Any, where: str, protocol: int) -> str:
    """Return a value as the text of its pickle.

    :param where: what to call the value in an error message
    :raises SerializationError: if it cannot be pickled, or the text would be too long
    """
    # import time: few stores hold pickles
    import pickle
    from base64 import b64encode

    try:
        data = pickle.dumps(value, protocol)
    except Exception as exc:
        raise SerializationError(
            f"{where} can neither be written as JSON nor pickled: {error_text(exc)}"
        ) from exc
    text = f'{PICKLED}{b64encode(data).decode()}"}}'
    try:
        check_text(text)
    except TooMuch as exc:
        raise SerializationError(f"{where}: {exc}") from None
    return text


def load_pickled(text: str) -> Any:
    """Return the value of a text, which may be that of a pickle.

    :raises DeserializationError: if the text is damaged or too long; unpickling may raise anything
    """
    if not text.startswith(PICKLED):
        return loads(text)
    try:
        check_text(text)
    except TooMuch as exc:
        raise DeserializationError(f"A pickle is not read: {exc}") from None
    # import time: few stores hold pickles
    import pickle
    from base64 import b64decode
    from io import BytesIO

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            return super().find_class(module_now(module), name)

    return Unpickler(BytesIO(b64decode(text[len(PICKLED) : -2]))).load()
