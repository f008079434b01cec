"""What the Redis store's values look like: texts of jobs, states and runs.

Pure; the other side of the formats is in the scripts.
"""

from __future__ import annotations

import json

from ...clock import HELD
from ...codec import raw
from ...core.plan import ACTIVE, QUARANTINED
from ...core.run import is_plain
from ...errors import DeserializationError
from ...results import text_of_result, value_of
from ...texts import storable
from ..documents import healing_as, job_of, label_of, parts_of, run_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ...core.run import Run
    from ...job import Job
    from ...jobcodec import JobFormat

    Home = tuple[Any, str | None]

_quoted = json.encoder.encode_basestring_ascii
#: What a padded number is shorter than; enough for every instant.
_DIGITS = 19


# ---------------------------------------------------------------------------------------------------------------- jobs


def spec_of(job: Job, format: JobFormat) -> str:
    """Return what a job is, as JSON; written without the encoder, which takes three times as long for a list of texts.

    :raises JobValueError, TransientJobError, SerializationError: if the job does not fit
    """
    return f"[{', '.join(map(_quoted, parts_of(job, format)))}]"


def state_of(state: str, nominal: int | None, due: int | None, executor: str, error: str | None) -> str:
    """Return how a job stands, without its version and its count of runs."""
    due_text = "null" if due is None else '"held"' if due == HELD else due
    nominal_text = "null" if nominal is None else nominal
    error_text = "null" if error is None else _quoted(storable(error) or "")
    return f'"{state}",{nominal_text},{due_text},{_quoted(executor)},{error_text}]'


def time_of(state: str, due: int | None) -> str:
    """Return the time by which a job is looked up when it is due; nothing if it is not going to be."""
    return "" if due is None or due == HELD or state != ACTIVE else str(due)


def jobs_of(
    text: str, format: JobFormat, scheduler: Any, alias: str | None, healing: bool = False
) -> list[Job]:
    """Return the jobs of an answer (id, spec and state in turn); what is damaged is in quarantine.

    :param healing: take jobs out of quarantine, if they can be restored
    """
    parts = text.split("\0")
    ids, specs, states = parts[:-1:3], parts[1::3], parts[2::3]
    home = scheduler, alias
    try:  # all at once, which is faster
        found = zip(json.loads(f"[{','.join(specs)}]"), json.loads(f"[{','.join(states)}]"), strict=True)
        jobs = [_job_of(texts, standing, format, home, healing) for texts, standing in found]
        if [job.id for job in jobs] == ids:
            return jobs
    except (ValueError, TypeError):
        pass
    return [
        _job_or_damaged(id, spec, standing, format, home, healing)
        for id, spec, standing in zip(ids, specs, states, strict=True)
    ]


def ids_of(text: str) -> list[str]:
    """Return the ids of an answer (id and due time in turn) in the order of listings: by due time, those without one last."""
    parts = text.split("\0")
    # A job may be named twice, if others were added meanwhile.
    found = {
        id: (due == "", HELD if due == "held" else int(float(due or 0)), id)
        for id, due in zip(parts[:-1:2], parts[1::2], strict=True)
    }
    return sorted(found, key=found.__getitem__)


def _job_of(
    texts: Sequence[str], standing: Sequence[Any], format: JobFormat, home: Home, healing: bool
) -> Job:
    id, name, reference, trigger, args, kwargs, options, executor = texts
    version, running, state, nominal, due, _, error = standing
    if due == "held":
        due = HELD
    if healing:
        state, error = healing_as(error)
    # By position, as there are thousands of them: names take longer.
    return format.job_of(
        home, id, name, reference, trigger, args, kwargs, options, executor, nominal, due, version, state, running, error
    )  # fmt: skip


def _job_or_damaged(id: str, spec: str, standing: str, format: JobFormat, home: Home, healing: bool) -> Job:
    try:
        texts = json.loads(spec)
        texts[0] = id
        return _job_of(texts, json.loads(standing), format, home, healing)
    except (ValueError, TypeError, IndexError) as exc:
        return _damaged(id, spec, standing, exc, format, home)


def _damaged(id: str, spec: str, standing: str, exc: Exception, format: JobFormat, home: Home) -> Job:
    try:
        version, running, _, nominal, _, executor, _ = json.loads(standing)
    except (ValueError, TypeError):
        version, running, nominal, executor = 0, 0, None, "default"
    try:
        _, name, reference, trigger, args, kwargs, options, executor = json.loads(spec)
    except (ValueError, TypeError):
        name, reference, trigger, args, kwargs, options = id, "", spec, "[]", "{}", "{}"
    job = job_of(
        (id, name, reference, trigger, args, kwargs, options, executor),
        format,
        *home,
        version=version,
        running=running,
        state=QUARANTINED,
        nominal=nominal,
        due=None,
        error=None,
    )
    job.state, job.error = QUARANTINED, f"its stored data is damaged: {type(exc).__name__}: {exc}"
    return job


# ---------------------------------------------------------------------------------------------------------------- runs


def padded(nominal: int) -> str:
    """Return a number as a text that sorts like it."""
    return f"{nominal:019d}" if nominal >= 0 else f"-{10**_DIGITS + nominal:019d}"


def number_of(text: str) -> int:
    """Return the number of such a text."""
    return int(text[1:]) - 10**_DIGITS if text[0] == "-" else int(text)


def fence_of(run: Run) -> str:
    """Return how the document of a claimed run begins as long as it is this node's in this attempt."""
    return fence(run.attempt, run.owner)


def fence(attempt: int, owner: str | None) -> str:
    """Return how the document of a run begins that this node has claimed, in this attempt; None for a run that was given back."""
    return f'{{"status":"claimed","attempt":{attempt},"owner":{_quoted(owner or "")}'


def record_of(run: Run) -> str:
    """Return the document of a run: JSON; what is None, or follows from its key, is left out."""
    text = (
        f'{{"status":"{run.status}","attempt":{run.attempt},"owner":{_quoted(run.owner or "")},'
        f'"due":{run.due},"executor":{_quoted(run.executor)}'
    )
    if run.last != run.nominal or run.count != 1:
        text += f',"last":{run.last},"count":{run.count}'
    if run.claimed_at is not None:
        text += f',"claimed":{run.claimed_at}'
    if run.started_at is not None:
        text += f',"started":{run.started_at}'
    if run.finished_at is not None:
        text += f',"finished":{run.finished_at}'
    if run.retval is not None:
        text += f',"result":{text_of_result(run)}'
    if run.reason is not None:
        text += f',"reason":{_quoted(storable(run.reason) or "")}'
    if run.error_type is not None:
        text += f',"error_type":{_quoted(storable(run.error_type) or "")}'
        text += f',"error":{_quoted(storable(run.error) or "")}'
        text += f',"traceback":{_quoted(storable(run.traceback) or "")}'
    if run.signature is not None:
        text += f',"signature":{_quoted(run.signature)}'
    if run.ended:
        name, func = label_of(run)
        if name is not None:
            text += f',"name":{_quoted(name)},"func":{_quoted(func or "")}'
    return text + "}"


def run_of_text(job_id: str, nominal: str, text: str) -> Run:
    """Return the run of a document.

    :raises DeserializationError: if it is none
    """
    fields = raw(text)
    if not isinstance(fields, dict):
        raise DeserializationError(f"{text!r:.80} is no record of a run")
    result = fields.pop("result", None)
    run = run_of({**fields, "job_id": job_id, "nominal": number_of(nominal)})
    run.retval = result if result is None or is_plain(result) else value_of(json.dumps(result))
    run.owner = run.owner or None
    return run
