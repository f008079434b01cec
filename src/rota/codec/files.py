"""A job as one readable document: what ``export_jobs()`` writes and ``import_jobs()`` reads.

Reads and writes data, no file.
"""

from __future__ import annotations

from ..clock import HELD, instant, moment
from ..core.states import JOB_TRANSITIONS, NEW, set_job_state
from ..errors import DeserializationError, JobTypeError
from ..job import Job
from .jobs import JobFormat
from .values import to_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

_JSON = JobFormat()


def encode_job(job: Job, format: JobFormat = _JSON) -> dict[str, Any]:
    """Return a job as one readable JSON document.

    :raises TransientJobError: if the callable has no importable name
    :raises SerializationError: if an argument or the trigger does not fit
    """
    reference, trigger, args, kwargs, options = format.texts(job)
    return {
        "id": job.id,
        "name": job.name,
        "func": reference,
        "trigger": _as_json(trigger),
        "args": _as_json(args),
        "kwargs": _as_json(kwargs),
        "options": _as_json(options),
        "executor": job.executor,
        "state": job.state,
        "error": job.error,
        "next": _iso(job.next_nominal),
        "due": "held" if job.next_due == HELD else _iso(job.next_due),
    }


def _as_json(text: str) -> Any:
    """Return what a JSON text says; a damaged one as a text that nothing reads again."""
    import json  # import time

    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return {"~damaged": text}


def decode_job(
    data: Mapping[str, Any], scheduler: Any = None, alias: str | None = None, format: JobFormat = _JSON
) -> Job:
    """Return the job of a document; what cannot be restored gives a quarantined job with the reason in ``error``.

    :param scheduler: the scheduler that the job's methods go through
    :param alias: the store that the job is in
    :raises DeserializationError: if the document is no job at all
    """
    try:
        job = Job.__new__(Job)
        job._scheduler, job._jobstore_alias = scheduler, alias
        job.id, job.name, job.executor = _texts_of(data, "id", "name", "executor")
        state, job.error = data.get("state", NEW), data.get("error")
        if state not in JOB_TRANSITIONS:
            raise DeserializationError(
                f"state must be one of {', '.join(JOB_TRANSITIONS)}, got {state!r:.80}"
            )
        set_job_state(job, state)
        nominal = _instant(data.get("next"))
        due = HELD if data.get("due") == "held" else _instant(data.get("due"))
        job.next_nominal, job.next_due = nominal, nominal if due is None else due
        texts = [to_text(data[part], part) for part in ("trigger", "args", "kwargs", "options")]
        format.restore(job, *_texts_of(data, "func"), *texts)
    except (KeyError, TypeError, AttributeError, ValueError) as exc:
        raise DeserializationError(f"{data!r:.80} is no job: {type(exc).__name__}: {exc}") from exc
    return job


def _texts_of(data: Mapping[str, Any], *names: str) -> Sequence[str]:
    texts = [data[name] for name in names]
    for name, text in zip(names, texts, strict=True):
        if not isinstance(text, str) or not text:
            raise JobTypeError(f"{name} must be a nonempty string, got {text!r}")
    return texts


def _iso(instant: int | None) -> str | None:
    return None if instant is None else moment(instant).isoformat()


def _instant(text: str | None) -> int | None:
    from datetime import datetime  # import time

    return None if text is None else instant(datetime.fromisoformat(text))
