"""Names that users give: options and aliases, refused with a suggestion where there is no such thing.

Pure; it knows no scheduler.
"""

from __future__ import annotations

from ..errors import JobLookupError, UnknownOptionError
from ..jobchecks import usable_id
from ..texts import shortened, text_of, type_name
from ..util import nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def check_names(names: Iterable[str], known: Iterable[str], what: str, others: Iterable[str] = ()) -> None:
    """Refuse names that are not known, with a suggestion.

    :param what: whose names they are, for the message
    :param others: names of arguments of add_job() that could have been meant instead
    :raises UnknownOptionError: for the first unknown name
    """
    known = tuple(known)
    for name in names:
        if name not in known:
            near = nearest(text_of(name), (*known, *others))
            if near is not None and near not in known:
                both = f"Neither add_job() nor {what[:1].lower()}{what[1:]}"
                raise UnknownOptionError(
                    f"{both} has an option {name!r}; did you mean {near!r} of add_job()?"
                )
            hint = f"did you mean {near!r}?" if near else f"it takes {', '.join(known)}"
            raise UnknownOptionError(f"{what} has no option {name!r}; {hint}")


def no_such(what: str, alias: str, known: Iterable[str], remedy: str) -> str:
    """Return the message for an alias that does not exist.

    :param remedy: how such a thing is added
    """
    known = sorted(known)
    near = nearest(text_of(alias), known)
    hint = f'did you mean "{near}"?' if near else f"the scheduler has {', '.join(known) or 'none'}"
    return f"No such {what}: {text_of(alias)}; {hint} (or add it by {remedy})"


def no_such_job(job_id: object, ids: Iterable[str]) -> JobLookupError:
    """Return the error for an id that no job has.

    :param ids: ids that there are, for a suggestion
    """
    hint = ""
    if not isinstance(job_id, str):
        found = getattr(job_id, "id", None)
        hint = (
            f"; pass its id, {found!r}"
            if type(found) is str
            else f"; ids are strings, this is a {type_name(job_id)}"
        )
    elif usable_id(job_id):
        near = nearest(shortened(job_id, 200), ids)
        hint = f"; did you mean {near!r}?" if near else ""
    shown = shortened(text_of(job_id), 200).encode("utf-8", "backslashreplace").decode()
    error = JobLookupError(shown, hint)
    error.job_id = job_id  # type: ignore[assignment]
    return error
