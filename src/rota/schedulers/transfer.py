"""Export and import of jobs as JSON files, without pickle.

Reads and writes files; the jobs are added by the book.
"""

from __future__ import annotations

import json
from contextlib import contextmanager

from ..clock import HELD
from ..codec.files import decode_job, encode_job
from ..core.policy import check_log
from ..core.states import QUARANTINED
from ..errors import DeserializationError
from ..texts import repr_of
from ..version import version
from .bulk import add_together

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import IO, Any

    from ..job.handle import Job
    from .book import JobBook

#: Name and version of the format.
FORMAT = "rota.jobs"
FORMAT_VERSION = 1


def export_jobs(jobs: Iterable[Job], outfile: Any) -> None:
    """Write jobs to a path or text file.

    :raises TransientJobError, SerializationError: if a job cannot be written down; a file at a path is not touched then
    """
    content = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "scheduler_version": version,
        "jobs": [encode_job(job) for job in jobs],
    }
    text = json.dumps(content, indent=1, ensure_ascii=False)
    with _opened(outfile, "write", "w") as file:
        file.write(text)


def import_jobs(book: JobBook, infile: Any, jobstore: str) -> None:
    """Add the jobs of a path or text file; all of them or, if one cannot be read or added, none."""
    book.require_started("job import")
    scheduler = book.scheduler
    jobs = read_jobs(infile)
    store = scheduler._lookup_jobstore(jobstore)
    for job in jobs:
        job._scheduler = scheduler
        store.check_job(job)
        check_log(job.policy, store.longest_log)
    add_together(book, jobs, jobstore, False, None)


def read_jobs(infile: Any) -> list[Job]:
    """Read the jobs of a path or text file.

    :raises DeserializationError: if the file is not an export of Rota, or a job in it cannot be restored here
    """
    try:
        with _opened(infile, "read", "r") as file:
            text = file.read()
        content = json.loads(text)
    except (ValueError, RecursionError) as exc:  # an OSError is the file's
        raise DeserializationError(f"The file with exported jobs is not JSON in UTF-8: {exc}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DeserializationError(
            "The file was not written by export_jobs() of Rota: it lacks "
            f'"format": "{FORMAT}" (files of APScheduler hold pickles; `rota import apscheduler` takes them over)'
        )
    if content.get("version") != FORMAT_VERSION:
        raise DeserializationError(
            f"The file has format version {content.get('version')!r}; this version of Rota reads {FORMAT_VERSION}"
        )
    entries = content.get("jobs")
    if not isinstance(entries, list):
        raise DeserializationError(
            f'"jobs" of the file must be a list, got {repr_of(entries)}; export the jobs again'
        )
    jobs = [decode_job(data) for data in entries]
    for job in jobs:
        if job.state == QUARANTINED:
            raise DeserializationError(f'Job "{job.id}" of the file cannot be restored: {job.error}')
        if job.next_due == HELD:  # the runs that it waited for were another scheduler's
            job.set_next(job.next_nominal)
    return jobs


@contextmanager
def _opened(file: Any, method: str, mode: str) -> Iterator[IO[str]]:
    """Use an open file as it is; open and close a path."""
    if hasattr(file, method):
        yield file
    else:
        with open(file, mode, encoding="utf-8") as opened:
            yield opened
