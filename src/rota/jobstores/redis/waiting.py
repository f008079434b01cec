"""Runs that wait in the Redis store: opened, given back, taken and cancelled; from runs to fields of scripts and back.

What may start is decided in ``rota.core.waiting``; the steps, which are atomic, are in ``scripts/``: open.lua, give_back.lua,
waiting.lua, start.lua, cancel.lua.
"""

from __future__ import annotations

from copy import copy

from ...core.extras import extra_of, keeps_place
from ...core.openings import by_run
from ...core.plan import GROUP_LIMIT
from ...core.policy import Policy
from ...core.states import CLAIMED, WAITING
from ...core.waiting import KEY_HOLDS, Taking, cancelled, given_back, has_no_job, is_asked, looked_at, opened
from ...errors import DeserializationError, StoreConflictError
from ...texts import storable
from .forms import fence_of, is_id, lost_run, padded, quoted, record_of, run_of_text, time_of_score
from .runs import TRIES, token
from .server import texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from ...codec.jobs import JobFormat
    from ...core.openings import Cut
    from ...core.run import Run
    from ...core.waiting import MayTake
    from ...job.handle import Job
    from .chains import Chains
    from .failures import Failures

    #: document, class and time of a waiting run as they were found
    Found = tuple[str, str, str]

#: Of how many jobs waiting runs are read with one step, and how many of each; how many steps one call does at most.
JOBS_AT_ONCE = 100
RUNS_OF_EACH = 20
STEPS = 50
#: How many entries one step looks at for the next time.
LOOKED_AT = 500


class Waiting:
    """Reads and writes the waiting runs of one store.

    :param run: carries out a script with some fields
    :param jobs_of: makes jobs of an answer
    :param format: how the arguments of a run are written, and whether it is trusted
    :param failures: counts ends of runs
    :param chains: returns what tells what ends leave at other jobs
    """

    def __init__(
        self,
        run: Callable[..., Any],
        jobs_of: Callable[[str], list[Job]],
        format: JobFormat,
        failures: Failures,
        chains: Callable[[], Chains],
    ) -> None:
        self._run = run
        self._jobs_of = jobs_of
        self._format = format
        self._failures = failures
        self._chains = chains

    # -- opening and giving back ---------------------------------------------------------------------------------

    def open(
        self, runs: Sequence[Run], now: int, cuts: Sequence[Cut] = (), version: int | None = None
    ) -> list[Run]:
        """Make runs wait that are asked for; return those that do, and those that were found by their keys."""
        fields = [str(now), str(KEY_HOLDS), "" if version is None else str(version)]
        cut_of = by_run(cuts, runs) if cuts else {}
        numbers = {id(cut): str(number) for number, cut in enumerate(cuts, 1)}
        asked = [run for run in runs if is_id(run.job_id)]
        for run in asked:
            extra = extra_of(run)
            opened(run, now if extra.not_before is None else extra.not_before)
            self._format.extra_text(run)
            self._format.sign(run)
            head = f'{{"status":"{WAITING}","attempt":{run.attempt}'
            key = storable(extra.key) or ""
            its_cut = cut_of.get((run.job_id, run.nominal))
            number = "" if its_cut is None else numbers[id(its_cut)]
            rest = record_of(run)[len(head) :]
            fields += (run.job_id, padded(run.nominal), key, str(run.attempt), number, rest)
        if not asked:
            return []
        beside = [field for cut in cuts for field in _fields_of(cut)]
        answer = texts(self._run("open", *fields, beside=beside))
        found = zip(asked, answer[::2], answer[1::2], strict=True)
        return [run_of_text(run.job_id, nominal, document) for run, nominal, document in found if nominal]

    def give_back(self, runs: Sequence[Run], now: int) -> list[Run]:
        """Make claimed runs wait; return those that were refused (R5), or that somebody has asked to stop."""
        fields: list[str] = []
        for run in runs:
            twin = copy(run)
            given_back(twin, extra_of(twin).not_before or now)
            self._format.extra_text(twin)
            fields += (run.job_id, padded(run.nominal), fence_of(run), record_of(twin))
        answer = self._run("give_back", *fields) if runs else ""
        refused = []
        for run, bit in zip(runs, answer, strict=True):
            if bit == "1":
                given_back(run, extra_of(run).not_before or now)
            else:
                refused.append(run)
                if bit == "2":
                    self._hear(run, now)
                elif bit == "3":
                    has_no_job(run)
        return refused

    def _hear(self, run: Run, now: int) -> None:
        """Let a run know why somebody has asked it to stop."""
        answer = texts(self._run("get_run", run.job_id, padded(run.nominal)))
        if answer:
            is_asked(run, _run_or_lost(run.job_id, run.nominal, answer[0], now))

    # -- taking --------------------------------------------------------------------------------------------------

    def take(
        self, node: str, now: int, room: Mapping[str, int] | None, may_take: MayTake | None = None
    ) -> list[Run]:
        """Take waiting runs whose time has come, or end them; return those."""
        taking = Taking(node, now, room, may_take)
        changed: list[Run] = []
        place = "", ""
        for _ in range(STEPS):
            if taking.full:
                break
            fields = node, str(now), *place, str(JOBS_AT_ONCE), str(RUNS_OF_EACH), str(GROUP_LIMIT)
            time, job_id, runs, jobs = texts(self._run("waiting", *fields))
            changed += self._take_some(taking, runs, jobs, node, now)
            place = time, job_id
            if not job_id:
                break
        return changed

    def _take_some(self, taking: Taking, runs: str, jobs: str, node: str, now: int) -> list[Run]:
        """Take some runs, as they were found, with their jobs."""
        parts = jobs.split("\0")
        states = dict(zip(parts[:-1:3], parts[1::3], strict=False))
        by_id = self._by_id(jobs)
        running = {job.id: job.running for job in by_id.values()}
        of_job: dict[str, list[tuple[Run, Found, str]]] = {}
        waiting = list(self._found(runs))
        taking.look_at(run for run, _ in waiting)
        for run, as_found in [each for each in waiting if not taking.leaves(each[0])]:
            job = by_id.get(run.job_id)
            count = running.get(run.job_id, 0)
            record = ""
            if run.status != WAITING:  # it is damaged
                run, record = lost_run(run.job_id, padded(run.nominal), as_found[0], now)
            elif not taking.take(run, job, count, self._format.job_for, self._format.run_refusal):
                continue
            elif run.status == CLAIMED:
                self._format.sign(run)  # for whoever takes it over
                running[run.job_id] = count + (not keeps_place(run.extra))
            of_job.setdefault(run.job_id, []).append((run, as_found, record or record_of(run)))
        if not of_job:
            return []
        fields = [node, token(), str(now)]
        ended = [run for some in of_job.values() for run, _, _ in some if run.ended]
        for job_id, some in of_job.items():
            over = [(run, as_found[1]) for run, as_found, _ in some if run.ended]
            counted = self._counted(by_id.get(job_id), over, running.get(job_id, 0), now)
            fields += (job_id, states.get(job_id, ""), str(len(some)), *counted)
            for run, as_found, record in some:
                fields += (padded(run.nominal), *as_found, run.status, record)
        answer = self._chains().send(ended, now, "start", *fields)
        changed: list[Run] = []
        for some, bit in zip(of_job.values(), answer, strict=True):
            for run, _, _ in some:
                if bit == "1":
                    changed.append(run)
                elif run.status == CLAIMED and taking.left is not None:  # somebody else was faster
                    taking.left[run.executor] += 1
        return changed

    def _counted(
        self, job: Job | None, ended: Sequence[tuple[Run, str]], running: int, now: int
    ) -> tuple[str, str]:
        """Return what is written of a job as it is counted how its waiting runs have ended.

        :param ended: the runs with their classes
        """
        if job is None or not ended or not Policy.some_pause:
            return "", ""
        left = job.copy()
        left.running = running - sum(kind == "0" for _, kind in ended)
        return self._failures.counted(left, [run for run, _ in ended], now)

    def _found(self, text: str) -> list[tuple[Run, Found]]:
        """Return the runs of an answer, earliest first; one that is damaged does not wait."""
        parts = text.split("\0")
        found: list[tuple[tuple[str, str, str], Run, Found]] = []
        for id, nominal, document, kind, time in zip(*[iter(parts[:-1])] * 5, strict=True):
            try:
                run = run_of_text(id, nominal, document)
                if run.status == WAITING and extra_of(run).not_before is None:
                    extra_of(run).not_before = int(time)
            except DeserializationError:
                run, _ = lost_run(id, nominal, document, 0)
            found.append(((time, id, nominal), run, (document, kind, time)))
        found.sort(key=lambda each: each[0])
        return [(run, as_found) for _, run, as_found in found]

    def next(self) -> int | None:
        """Return when somebody has to look at waiting runs next; see the port."""
        times: list[int] = []
        for step in range(STEPS):
            fields = str(step * LOOKED_AT), str(LOOKED_AT), str(RUNS_OF_EACH)
            first, is_last, runs, jobs = texts(self._run("next_waiting", *fields))
            by_id = self._by_id(jobs)
            found = (looked_at(run, by_id.get(run.job_id)) for run, _ in self._found(runs))
            times += [time for time in found if time is not None]
            times += [time for time in (time_of_score(first) if first else None,) if time is not None]
            if first or is_last:
                break
        return min(times, default=None)

    def _by_id(self, jobs: str) -> dict[str, Job]:
        """Return the jobs of an answer (id, state and spec of each) by their ids."""
        parts = jobs.split("\0")
        found = zip(parts[:-1:3], parts[2::3], parts[1::3], strict=False)
        text = "".join(f"{id}\0{spec}\0{state}\0" for id, spec, state in found if spec and state)
        return {job.id: job for job in self._jobs_of(text)}

    # -- cancelling ----------------------------------------------------------------------------------------------

    def cancel(
        self, job_id: str, nominal: int, reason: str, now: int, only_waiting: bool = False
    ) -> Run | None:
        """Cancel a run; return its record as it is now, None if there is none."""
        said = storable(reason) or ""
        for _ in range(TRIES):
            answer = texts(self._run("get_run", job_id, padded(nominal))) if is_id(job_id) else []
            if not answer:
                return None
            before, after = answer[0], ""
            run = _run_or_lost(job_id, nominal, before, now)
            if run.status == WAITING:
                cancelled(run, said, now)
                after = record_of(run)
            elif only_waiting:
                return run
            fields = job_id, padded(nominal), said, quoted(said), before, after
            ended = (run,) if after else ()
            document = self._chains().send(ended, now, "cancel", *fields)
            if document is None:
                return None
            if document != "changed":
                return _run_or_lost(job_id, nominal, document, now)
        raise StoreConflictError(
            f"The run of job {job_id!r} was changed by others {TRIES} times in a row; try again"
        )


def _fields_of(cut: Cut) -> list[str]:
    """Return a cut as the script open.lua takes it."""
    status, attempt, last, count = cut.seen
    fields = [cut.found.job_id, padded(cut.found.nominal), status, str(attempt), str(last), str(count)]
    return [
        *fields,
        str(len(cut.left)),
        *(part for piece in cut.left for part in (padded(piece.nominal), record_of(piece))),
    ]


def _run_or_lost(job_id: str, nominal: int, document: str, now: int) -> Run:
    """Return the run of a document; of one that is damaged what becomes of it."""
    try:
        return run_of_text(job_id, padded(nominal), document)
    except DeserializationError:
        return lost_run(job_id, padded(nominal), document, now)[0]
