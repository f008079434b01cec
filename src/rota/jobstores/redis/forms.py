"""What the Redis store's values look like: texts of jobs, states and runs.

Pure; the scripts read and write the same formats.
"""

from __future__ import annotations

import json
import re

from ...clock import HELD
from ...codec.damaged import DAMAGED, LATEST, NO_VERSION, is_time, text_instead
from ...codec.results import text_of_result, value_of
from ...codec.values import raw
from ...core.chains import parent_of
from ...core.run import is_plain
from ...core.states import ACTIVE, CLAIMED, LOST, MANUAL, QUARANTINED, end, set_job_state
from ...errors import DeserializationError
from ...texts import shortened, storable, text_of
from ..documents import healing_as, job_of, label_of, mended_fields, parts_of, run_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

    from ...codec.jobs import JobFormat
    from ...core.extras import Extra
    from ...core.queries import JobQuery, RunQuery
    from ...core.run import Run
    from ...job.handle import Job

    Home = tuple[Any, str | None]

_quoted = json.encoder.encode_basestring_ascii
#: How many digits a padded number has; enough for every instant.
_DIGITS = 19
#: How many texts say what a job is that nobody has edited or paused; those of others are followed by revision and pause.
_PARTS = 8
#: How many words a document is searched for.
MOST_WORDS = 20
#: Versions and counts are less: the scripts take 15 digits, as Lua's numbers are exact so far.
_MOST = 10**15
_head = re.compile(r"\[(\d{1,15}),(-?\d{1,15}),\"", re.ASCII).match


# ---------------------------------------------------------------------------------------------------------------- jobs


def spec_of(job: Job, format: JobFormat) -> str:
    """Return what a job is, as JSON, written without the encoder, which is slower (redis-add-many in docs/performance.md).

    :raises JobValueError, TransientJobError, SerializationError: if the job does not fit
    """
    parts: Sequence[str] = parts_of(job, format)
    if job.revision or job.paused is not None:
        parts = (*parts, str(job.revision), job.paused or "")
    return f"[{', '.join(map(_quoted, parts))}]"


def revision_of(spec: str) -> int:
    """Return how often the job of such a text was edited; 0 if that cannot be read."""
    try:
        texts = json.loads(spec)
        return _revision(texts[_PARTS]) if len(texts) > _PARTS else 0
    except (ValueError, TypeError, KeyError, RecursionError):
        return 0


def tags_of(jobs: Iterable[Job]) -> list[str]:
    """Return tag and id of each tag of some jobs, in turn; the job that starts one counts as a tag of it (:func:`tag_after`)."""
    found: list[str] = []
    for job in jobs:
        parent = parent_of(job)
        for tag in (*job.tags, tag_after(parent)) if parent is not None else job.tags:
            found += (tag, job.id)
    return found


def tag_after(parent: str) -> str:
    """Return by what jobs are found that the ends of a job start; no tag of a user begins so."""
    return f"\x01{parent}"


def state_of(state: str, nominal: int | None, due: int | None, executor: str, error: str | None) -> str:
    """Return how a job stands, without its version and its count of runs."""
    due_text = "null" if due is None else '"held"' if due == HELD else due
    nominal_text = "null" if nominal is None else nominal
    error_text = "null" if error is None else _quoted(storable(error) or "")
    return f'"{state}",{nominal_text},{due_text},{_quoted(executor)},{error_text}]'


def time_of(state: str, due: int | None) -> str:
    """Return the time by which a job is looked up when it is due; an empty text if it will not be."""
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
    try:  # all at once, which is faster (redis-load in docs/performance.md)
        found = zip(
            json.loads(f"[{','.join(specs)}]"), json.loads(f"[{','.join(states)}]"), states, strict=True
        )
        jobs = [_job_of(texts, standing, head, format, home, healing) for texts, standing, head in found]
        if [job.id for job in jobs] == ids and _is_text(text):
            return jobs
    except Exception:  # one of them may be anything
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
        id: (due == "", HELD if due == "held" else time_of_score(due or "0") or HELD, id)
        for id, due in zip(parts[:-1:2], parts[1::2], strict=True)
    }
    return sorted(found, key=found.__getitem__)


def time_of_score(text: str) -> int | None:
    """Return the instant of a score; an infinite one is past (0) or never (None), as the server sorts it."""
    try:
        return int(float(text))
    except (ValueError, OverflowError):
        return 0 if text.startswith("-") else None


def _job_of(
    texts: Sequence[str],
    standing: Sequence[Any],
    head: str,
    format: JobFormat,
    home: Home,
    healing: bool,
) -> Job:
    try:
        id, name, reference, trigger, args, kwargs, options, executor = texts
    except ValueError:
        return _edited_job_of(texts, standing, head, format, home, healing)
    version, running, state, nominal, due, place, error = standing
    # The scripts read the beginning as it is written.
    if (
        type(version) is not int
        or type(running) is not int
        or not head.startswith(f'[{version},{running},"')
        or not (-_MOST < running < _MOST and 0 <= version < _MOST)
    ):
        raise DeserializationError(
            f"version and running must be numbers of 15 digits at most, got {head!r:.60}"
        )
    if place != executor or "\0" in executor:
        raise DeserializationError(
            f"executor must be one text, without NUL characters, got {executor!r:.60} and {place!r:.60}"
        )
    if due == "held":
        due = HELD
    if healing:
        state, error = healing_as(error, nominal is not None)
    # By position, as there are thousands of them: names take longer.
    return format.job_of(
        home, id, name, reference, trigger, args, kwargs, options, executor, nominal, due, version, state, running, error
    )  # fmt: skip


def _edited_job_of(
    texts: Sequence[str], standing: Sequence[Any], head: str, format: JobFormat, home: Home, healing: bool
) -> Job:
    """Return a job that has been edited or paused."""
    *plain, revision, paused = texts
    if len(plain) != _PARTS or type(paused) is not str:
        raise DeserializationError(f"what the job is must be {_PARTS} texts, or two more, got {len(texts)}")
    job = _job_of(plain, standing, head, format, home, healing)
    job.revision, job.paused = _revision(revision), paused or None
    return job


def _revision(text: Any) -> int:
    return int(text) if type(text) is str and re.fullmatch(r"[0-9]{1,15}", text) else 0


def _job_or_damaged(id: str, spec: str, standing: str, format: JobFormat, home: Home, healing: bool) -> Job:
    try:
        if not _is_text(f"{id}{spec}{standing}"):
            raise DeserializationError("it is no text")
        texts = json.loads(spec)
        texts[0] = id
        if all(type(text) is str for text in texts):
            return _job_of(texts, json.loads(standing), standing, format, home, healing)
        raise DeserializationError("a part of it is no text")
    except Exception as exc:  # it may be anything
        return _damaged(id, spec, standing, exc, format, home)


def _damaged(id: str, spec: str, standing: str, exc: Exception, format: JobFormat, home: Home) -> Job:
    found = _head(standing)
    version, running = (int(found[1]), int(found[2])) if found else (NO_VERSION, 0)
    nominal, executor = None, "default"
    try:
        _, _, _, nominal, _, executor, _ = json.loads(standing)
    except (ValueError, TypeError, RecursionError):
        pass
    parts: list[str] = [id, id, "", spec, "[]", "{}", "{}", text_instead(executor)]
    try:
        texts = json.loads(spec)
        if isinstance(texts, list) and len(texts) in (_PARTS, _PARTS + 2):
            parts = [id, *map(text_instead, texts[1:_PARTS])]
    except (ValueError, RecursionError):
        pass
    parts = [id, *(storable(text) or "" for text in parts[1:])]
    job = job_of(
        parts,
        format,
        *home,
        version=max(version, 0),
        running=running,
        state=QUARANTINED,
        nominal=nominal if is_time(nominal) else None,
        due=None,
        error=None,
    )
    job.version = version
    set_job_state(job, QUARANTINED)
    job.error = storable(f"{DAMAGED}{type(exc).__name__}: {shortened(text_of(exc), 500)}")
    return job


def fitting(text: str, query: JobQuery) -> str:
    """Return the part of an answer (id, spec and state in turn) that is worth making jobs of; what is damaged is."""
    if query.text is query.func is query.tags is query.executors is query.states is None:
        return text
    parts = text.split("\0")
    ids, specs, states = parts[:-1:3], parts[1::3], parts[2::3]
    try:
        found = list(
            zip(json.loads(f"[{','.join(specs)}]"), json.loads(f"[{','.join(states)}]"), strict=True)
        )
        if len(found) != len(ids):
            return text
    except (ValueError, RecursionError):
        return text
    return "".join(
        f"{id}\0{spec}\0{state}\0"
        for id, spec, state, (texts, standing) in zip(ids, specs, states, found, strict=True)
        if _may_match(query, texts, standing)
    )


def _may_match(query: JobQuery, texts: Any, standing: Any) -> bool:
    try:
        id, name, reference, _, _, _, options, *_ = texts
        _, _, state, _, _, executor, _ = standing
        wanted = None if query.text is None else query.text.casefold()
        return (
            state in query.wanted_states
            and (query.executors is None or executor in query.executors)
            and (query.func is None or reference.startswith(query.func))
            and (not query.tags or '"tags"' in options)
            and (
                wanted is None
                or wanted in id.casefold()
                or wanted in name.casefold()
                or wanted in reference.casefold()
            )
        )
    except (ValueError, TypeError, AttributeError):
        return True


def _is_text(text: str) -> bool:
    """Whether what a server has answered was text, and not bytes of another kind."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# ---------------------------------------------------------------------------------------------------------------- runs


def kept_text(text: str) -> str:
    """Return a text as it is kept: of any length, without lone surrogates and NUL."""
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")


def is_id(text: str) -> bool:
    """Whether a job can have this id."""
    if not text or "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def padded(nominal: int) -> str:
    """Return a number as a text that sorts like it."""
    return f"{nominal:019d}" if nominal >= 0 else f"-{10**_DIGITS + nominal:019d}"


def number_of(text: str) -> int:
    """Return the number of such a text."""
    return int(text[1:]) - 10**_DIGITS if text[0] == "-" else int(text)


def fence_of(run: Run) -> str:
    """Return how the document of a claimed run begins as long as it is this node's in this attempt (R5)."""
    return fence(run.attempt, run.owner)


def fence(attempt: int, owner: str | None) -> str:
    """Return how the document of a claimed run of this node and attempt begins; the owner is None after it was given back."""
    return f'{{"status":"claimed","attempt":{attempt},"owner":{_quoted(owner or "")}'


def owned(owner: str) -> str:
    """Return how the document of a run names its owner, after its status and its attempt."""
    return f'"owner":{_quoted(owner)},'


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
    extra = getattr(run, "extra", None)
    if extra is not None:
        text += _extra_of(extra)
    if run.ended:
        name, func = label_of(run)
        if name is not None:
            text += f',"name":{_quoted(name)},"func":{_quoted(func or "")}'
    return text + "}"


def words_of(query: RunQuery) -> list[list[str]]:
    """Return groups of words of which the document of a record that a query wants has one of each group."""
    groups = []
    for field, values in (
        ("owner", query.nodes),
        ("executor", query.executors),
        ("reason", query.reasons),
        ("error_type", query.error_types),
    ):
        if values is not None and len(values) <= MOST_WORDS:
            groups.append([f'"{field}":{_quoted(value)}' for value in values])
    if query.origins is not None and "schedule" not in query.origins:
        old = ['"reason":"manual"'] if MANUAL in query.origins else []  # before layout 4
        groups.append([*(f'"origin":"{origin}"' for origin in query.origins), *old])
    if query.text is not None:
        groups.append(['"error":', '"reason":'])
    return groups


def _extra_of(extra: Extra) -> str:
    """Return what only some runs have, as the fields of a document; the arguments are texts."""
    from ...core.extras import text_of as text_of_extra  # rare

    text = f',"origin":"{extra.origin}"'
    if extra.not_before is not None:
        text += f',"not_before":{min(max(extra.not_before, 0), LATEST)}'
    if extra.cancel is not None:
        text += f',"cancel":{_quoted(storable(extra.cancel) or "")}'
    kept = text_of_extra(extra)
    return text if kept is None else f'{text},"extra":{_quoted(kept)}'


def quoted(text: str) -> str:
    """Return a text as JSON."""
    return _quoted(text)


def saying(text: str, query: RunQuery) -> str:
    """Return the part of an answer (id, nominal time and document in turn) that may have the text of a query."""
    if query.text is None or not query.text.isascii():
        return text
    said = _quoted(query.text.lower())[1:-1]
    # What is beyond ASCII is escaped, and may have an ASCII letter as its lower case.
    return "".join(
        f"{job_id}\0{nominal}\0{document}\0"
        for job_id, nominal, document in triples(text)
        if "\\u" in document or said in document.lower()
    )


def run_of_text(job_id: str, nominal: str, text: str) -> Run:
    """Return the run of a document.

    :raises DeserializationError: if it is none
    """
    try:
        fields = raw(text)
    except RecursionError as exc:
        raise DeserializationError(f"{text!r:.80} is no record of a run: it is nested too deeply") from exc
    if not isinstance(fields, dict) or not _is_text(text):
        raise DeserializationError(f"{text!r:.80} is no record of a run")
    result = fields.pop("result", None)
    run = run_of({**fields, "job_id": job_id, "nominal": number_of(nominal)})
    if result is not None:
        run.retval = result if is_plain(result) else value_of(json.dumps(result))
    run.owner = run.owner or None
    if "origin" in fields or run.reason == MANUAL:
        from ...core.extras import tell  # rare

        get = fields.get
        tell(run, get("origin"), get("not_before"), get("cancel"), get("extra"), run.reason)
    return run


def lost_run(job_id: str, nominal: str, text: str, now: int) -> tuple[Run, str]:
    """Return the end of a run under way whose document is damaged, and the record of that end."""
    try:
        fields = raw(text)
    except (DeserializationError, RecursionError):
        fields = None
    known = fields if isinstance(fields, dict) and _is_text(text) else {}
    sound, wrong = mended_fields({**known, "job_id": job_id, "nominal": number_of(nominal)})
    if not is_time(sound["due"]) or not is_time(known.get("due")):
        sound["due"] = sound["nominal"]
    run = run_of({**sound, "status": CLAIMED})
    run.nominal = number_of(nominal)
    said = wrong if known else f"it is {shortened(repr(text), 80)}"
    end(run, LOST, f"{DAMAGED}{said or 'its state is that of a run that has ended'}", now)
    return run, f'{record_of(run)[:-1]},"damaged":1}}'


def triples(text: str) -> Iterator[tuple[str, str, str]]:
    """Return id, nominal time and document of each run in an answer."""
    parts = text.split("\0")
    return zip(parts[::3], parts[1::3], parts[2::3], strict=False)
