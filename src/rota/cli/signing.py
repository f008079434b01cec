"""``rota sign``: signs the jobs of a store that have no signature yet, and renews those of earlier keys.

Whoever signs vouches for what the jobs call; so they are shown first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..codec.files import encode_job
from ..codec.jobs import JobFormat
from ..core.states import QUARANTINED
from ..errors import JobLookupError
from .output import CliError, note, one_line, print_columns, print_json
from .stores import make_store, opened, signing_keys

if TYPE_CHECKING:
    from ..job.handle import Job
    from ..jobstores.base import BaseJobStore

_FORMAT = JobFormat(imports=False)


def sign_jobs(url: str | None, tablename: str, yes: bool, as_json: bool = False) -> int:
    """Show which jobs would be signed, and sign them if ``yes``.

    :return: the exit code: 1 if there are jobs whose signature does not fit, which are left as they are
    """
    if not signing_keys():
        raise CliError(
            "put the key into ROTA_SIGNING_KEY; with several, spaces between them, the first signs", 2
        )
    with opened(url, tablename) as (_, keyed):
        plain = make_store(url or "", tablename, guest=True, keys=None)
        plain.start(None, "default")
        try:
            return _sign(plain, keyed, yes, as_json)
        finally:
            plain.shutdown()


def _sign(plain: BaseJobStore, keyed: BaseJobStore, yes: bool, as_json: bool) -> int:
    known = {job.id: job for job in keyed.get_all_jobs() if job.sealed is None}
    rows, to_sign, code = [], [], 0
    for job in plain.get_all_jobs():
        if job.id in known:
            what, by = "renew", known[job.id]
        elif job.sealed is None:
            what, by = "sign", job
        else:
            what, by, code = "refused", None, 1
        if by is not None:
            to_sign.append(by)
        rows.append((job.id, what, job.func_ref or "", _arguments(job)))
    if not as_json:
        print_columns(("ID", "ACTION", "CALLS", "ARGUMENTS"), rows, "no jobs", 1)
    if yes:
        _save(keyed, to_sign)
    if as_json:
        names = ("id", "action", "func", "arguments")
        print_json({"written": yes, "jobs": [dict(zip(names, row, strict=True)) for row in rows]})
    if code:
        note("refused: signed with another key, or changed since; left as it is")
    if not yes:
        note("nothing was written; look at what the jobs call, and pass --yes to vouch for it")
        return code
    signed = sum(job.state != QUARANTINED for job in to_sign)
    note(
        f"{len(to_sign)} jobs are signed"
        + ("" if signed == len(to_sign) else "; those in quarantine are healed by who runs them")
    )
    return code


def _save(keyed: BaseJobStore, jobs: list[Job]) -> None:
    for job in jobs:
        try:
            if not keyed.save_job(job, job.version):
                raise CliError(f"{job.id} was changed meanwhile; run this again")
        except JobLookupError:
            continue  # it is gone


def _arguments(job: Job) -> str:
    data = encode_job(job, _FORMAT)
    return one_line(f"{data['args']} {data['kwargs'] or ''}", 200)
