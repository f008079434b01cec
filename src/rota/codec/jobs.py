"""The stored form of a job: readable texts for its callable, trigger, arguments and options.

Reads and writes data, no store. What cannot be restored comes back as a quarantined job that still holds its texts.
"""

from __future__ import annotations

from ..callables import instead_of_nameless
from ..core.policy import DEFAULT_POLICY
from ..core.states import ACTIVE, QUARANTINED, set_job_state
from ..errors import (
    CallableMismatchError,
    CallableNotAllowedError,
    ConfigurationError,
    SerializationError,
    TransientJobError,
)
from ..interrupts import is_interrupt
from ..job.handle import Job
from ..job.rare import NOTHING_RARE, Rare
from ..references import AWAITED, expected, named_reference
from ..texts import error_text, text_of
from ..triggers.base import KEPT, BaseTrigger
from ..trust.names import callable_named, check_known, judged_by, reset_judge, set_judge
from ..trust.signing import MARK, joined, separated, signer_of
from ..util import obj_to_ref
from .bounds import CACHE_SIZE, MAX_TEXT, TooMuch, check_job
from .callables import callable_of
from .damaged import DAMAGED, LATEST, MOST_VERSION, is_sound_job, mended_job
from .options import is_marked, marks_of, options_of, set_options
from .pickles import PICKLED, load_pickled, pickled
from .triggers import plain_text, plain_trigger, trigger_of, trigger_spec
from .unrestored import UnrestoredArgs, UnrestoredKwargs, UnrestoredTrigger, keep_call, unrestored
from .values import dumps, loads, to_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from ..core.plan import Decision
    from ..core.run import Run
    from ..trust.allowlist import AllowList

_new = object.__new__


class JobFormat:
    """How one store writes the parts of its jobs.

    :param serializer: "json", or "pickle": what does not fit into JSON is pickled. Unpickling executes what the data says, so
        use it only where nobody else can write to the store
    :param pickle_protocol: protocol version of those pickles
    :param imports: False: import no code of users. Callables, arguments and custom triggers keep their texts, so that jobs can be
        looked at and repaired, and not run
    :param signing_key: a key (text or bytes, 16 bytes or more), or a list of keys: what is written is signed by the first, and
        what none of them has signed is quarantined before anything of it is decoded
    """

    def __init__(
        self,
        serializer: str = "json",
        pickle_protocol: int = -1,
        imports: bool = True,
        signing_key: str | bytes | Sequence[str | bytes] | None = None,
    ) -> None:
        if serializer not in ("json", "pickle"):
            raise ConfigurationError(f'serializer must be "json" or "pickle", not {serializer!r}')
        self.pickles = serializer == "pickle"
        self._load: Callable[[str], Any] = load_pickled if self.pickles else loads
        self.protocol = pickle_protocol
        self.imports = imports
        self._signer = signer_of(signing_key)
        self._allowed: AllowList | None = None
        #: makes the job that a store returns of the one that was restored, where the program overrides _reconstitute_job()
        self.restored: Callable[[Job], Job] | None = None

    def restrict(self, allowed: AllowList | None) -> None:
        """Take the callables that jobs may name; None: all.

        :raises ConfigurationError: if that would protect nothing, as the store unpickles what anybody has written
        """
        if allowed is not None and self.pickles and self._signer is None:
            raise ConfigurationError(
                'allowed_callables protects nothing in a store with serializer="pickle": whoever writes to the store has it '
                "execute anything. Give the store a signing_key as well, or use JSON"
            )
        self._allowed = allowed

    def sign_runs(self, decisions: Sequence[Decision]) -> None:
        """Sign the runs of decisions that are about to be claimed, if this store has a key."""
        if self._signer is not None:
            for decision in decisions:
                for run in decision.runs:
                    self._signer.sign_run(run)

    def run_refusal(self, run: Run) -> str | None:
        """Return why a run that was claimed, asked for or given back is not taken over; None if it is."""
        return None if self._signer is None else self._signer.run_refusal(run)

    def extra_text(self, run: Run) -> str | None:
        """Return what a store keeps in one text of what only some runs have; None: this one has nothing of it.

        The arguments of the run become texts, on the run too, so that it can be signed.

        :raises SerializationError: if an argument does not fit
        """
        from ..core.extras import text_of  # rare

        extra = getattr(run, "extra", None)
        if extra is None:
            return None
        for name, plain in (("args", list), ("kwargs", dict)):
            value = getattr(extra, name)
            if value is not None and type(value) is not str:
                setattr(extra, name, self._dump(plain(value), name))
        return text_of(extra)

    def job_for(self, run: Run, job: Job) -> Job:
        """Return a job with the arguments of a run, if it has its own.

        :raises Exception: if they cannot be restored
        """
        extra = getattr(run, "extra", None)
        if extra is None or (extra.args is None and extra.kwargs is None):
            return job
        own = job.copy()
        token = None if self._allowed is None else set_judge(self._allowed)
        try:
            if extra.args is not None:
                own.args = tuple(self._load(extra.args))
            if extra.kwargs is not None:
                own.kwargs = dict(self._load(extra.kwargs))
        finally:
            if token is not None:
                reset_judge(token)
        return own

    def sign(self, run: Run) -> None:
        """Sign a run that is asked for, if this store has a key; its arguments are texts."""
        if self._signer is not None:
            self._signer.sign_run(run)

    def signed_backfill(self, job_id: str, text: str) -> str:
        """Return what is left of the backfill of a job, signed if this store has a key."""
        return text if self._signer is None else self._signer.signed_backfill(job_id, text)

    def backfill_refusal(self, job_id: str, text: str) -> str | None:
        """Return why what is left of the backfill of a job is not carried on; None if it is."""
        return None if self._signer is None else self._signer.backfill_refusal(job_id, text)

    def texts(self, job: Job) -> tuple[str, str, str, str, str]:
        """Return the texts of a job: callable reference, trigger, args, kwargs and options.

        :raises TransientJobError: if the callable has no importable name
        :raises CallableNotAllowedError: if the callable or the class of the trigger is not among those that are allowed
        :raises SerializationError: if an argument or the trigger does not fit
        """
        reference = job.require_reference()
        if job.func is not unrestored and job.state != QUARANTINED:
            named_reference(job.id, reference, job.func)
        if self._allowed is not None and job.func is not unrestored:
            self._allowed.check(reference, job.func)
        args: Any = job.args
        kwargs: Any = job._kwargs
        owner = getattr(job.func, "__self__", None)
        if owner is not None and _is_bound(job.func, owner) and obj_to_ref(job.func) == reference:
            args = (owner, *args)  # the reference names the function, not the bound method
        token = None if self._allowed is None or job.func is unrestored else set_judge(self._allowed)
        try:
            trigger = self._trigger_text(job.trigger)
            if type(args) is UnrestoredArgs:
                args = args.text
            else:
                args = self._dump(list(args), "args") if args else "[]"
            if type(kwargs) is UnrestoredKwargs:
                kwargs = kwargs.text
            else:
                kwargs = self._dump(dict(kwargs), "kwargs") if kwargs else "{}"
        finally:
            if token is not None:
                reset_judge(token)
        options = "{}"
        if job.policy is not DEFAULT_POLICY or is_marked(job):
            options = self._options_text(job)
        if len(trigger) + len(args) + len(kwargs) > MAX_TEXT:  # rare
            try:
                check_job(reference, trigger, args, kwargs, options)
            except TooMuch as exc:
                raise SerializationError(f"job {job.id}: {exc}") from None
        if self._signer is not None or job.sealed is not None:
            options = self._sealed(job, reference, trigger, args, kwargs, options)
        return reference, trigger, args, kwargs, options

    def _options_text(self, job: Job) -> str:
        """Return the text of a job's options.

        :raises TransientJobError: if a function that an option names has no importable name
        :raises CallableNotAllowedError: if it is not among those that are allowed
        """
        functions = job.policy.functions() if job.func is not unrestored and job.state != QUARANTINED else ()
        for function in functions:
            if not isinstance(function, str):
                raise TransientJobError(job.id, function.func, instead_of_nameless(function.func))
        if functions and self._allowed is not None:
            with judged_by(self._allowed):
                check_functions(job)
        return to_text({**options_of(job.policy), **marks_of(job)}, "options")

    def _sealed(self, job: Job, reference: str, trigger: str, args: str, kwargs: str, options: str) -> str:
        """Return options with their signature: a new one, or that which the job came with if it is not ours to renew."""
        if self._signer is None:
            return joined(separated(job.sealed or "")[0], options)
        if job.sealed is not None:  # refused: whatever becomes of the job, it is not signed on its way
            return job.sealed
        return self._signer.signed((job.id, reference, trigger, args, kwargs, options, job.executor))

    def job_of(
        self,
        home: tuple[Any, str | None],
        id: str,
        name: str,
        reference: str,
        trigger: str,
        args: str,
        kwargs: str,
        options: str,
        executor: str,
        nominal: int | None,
        due: int | None,
        version: int,
        state: str,
        running: int,
        error: str | None,
    ) -> Job:
        """Return the job of what is stored of it; one that cannot be restored is quarantined, with the reason in ``error``.

        :param home: the scheduler that the job's methods go through, and the alias of the store
        """
        try:
            # What nearly all jobs are like; the others are looked at closely.
            is_sound = (
                error is None
                and state == ACTIVE
                and nominal <= due <= LATEST  # type: ignore[operator]
                # Bits of whole numbers: none is negative or too large, and a broken number raises.
                and 0 <= nominal | due | version | running < MOST_VERSION  # type: ignore[operator]
                and type(id) is type(name) is type(executor) is str
            ) or is_sound_job(id, name, executor, nominal, due, version, state, running, error)
        except TypeError:
            is_sound = is_sound_job(id, name, executor, nominal, due, version, state, running, error)
        if not is_sound:
            parts = (reference, trigger, args, kwargs, options)
            columns = (id, name, *parts, executor, nominal, due, version, state, running, error)
            return self._of_damaged(home, columns)
        # All attributes are set here, once, instead of by Job.__new__(): a list of jobs is to come fast.
        job: Job = _new(Job)
        job._home = home
        job._rare = NOTHING_RARE if error is None else Rare(None, error)
        job.id = id
        job.name = name
        job.executor = executor
        job.policy = DEFAULT_POLICY
        job.next_nominal = nominal
        job.next_due = due
        job.version = version
        job.state = state
        job.running = running
        try:
            self.restore(job, reference, trigger, args, kwargs, options)
        except (TypeError, AttributeError):
            parts = (reference, trigger, args, kwargs, options)
            if all(type(part) is str for part in parts):
                raise
            columns = (id, name, *parts, executor, nominal, due, version, state, running, error)
            return self._of_damaged(home, columns)
        return job if self.restored is None else self.restored(job)

    def _of_damaged(self, home: tuple[Any, str | None], columns: Sequence[Any]) -> Job:
        """Return a job of which not all is what a store wrote, in quarantine; what is damaged has something sound in its place."""
        sound, wrong = mended_job(columns)
        version = sound[10]
        sound[10] = max(version, 0)
        sound[11], sound[13] = QUARANTINED, None
        job = self.job_of(home, *sound)
        job.version, job.error = version, f"{DAMAGED}{wrong}; repair it, or replace or remove the job"
        return job

    def restore(self, job: Job, reference: str, trigger: str, args: str, kwargs: str, options: str) -> None:
        """Set the parts of a job from their texts; if one fails, the job becomes quarantined and keeps the text."""
        job.func_ref = reference
        if self._signer is not None or (options != "{}" and options.startswith(MARK)):
            signature, plain = separated(options)
            if not self._accepts(job, signature, reference, trigger, args, kwargs, plain):
                job.sealed = options
                job.trigger = UnrestoredTrigger(trigger)
                keep_call(job, args, kwargs)
                return
            options = plain
        if not self.imports:
            self._describe(job, trigger, args, kwargs, options)
            return
        token = None if self._allowed is None else set_judge(self._allowed)
        try:
            if len(trigger) + len(args) + len(kwargs) > MAX_TEXT:
                check_job(reference, trigger, args, kwargs, options)
            if not AWAITED:
                job.func = callable_of(reference)
            else:
                job.func = expected(job.id, reference, callable_of)
                check_known(reference, job.func)
            job.trigger = KEPT.get(trigger) or self._trigger_of_text(trigger)
            job.args = () if args == "[]" else tuple(self._load(args))
            if kwargs != "{}":
                job._kwargs = dict(self._load(kwargs))
            if options == "{}":
                job.policy = DEFAULT_POLICY
            else:
                set_options(job, options)
                if token is not None:
                    check_functions(job)
        except BaseException as exc:  # modules of users may do anything when they are imported
            if is_interrupt(exc):
                raise
            self._quarantine(job, exc, trigger, args, kwargs, options)
        finally:
            if token is not None:
                reset_judge(token)

    def _accepts(self, job: Job, signature: str | None, *texts: str) -> bool:
        """Whether a signature is right, or nobody asks; a job whose is not becomes quarantined."""
        if self._signer is None:
            job.sealed = joined(signature, "{}")  # for those who have the key
            return True
        refusal = self._signer.refusal(signature, (job.id, *texts, job.executor))
        if refusal is not None:
            job.error = f"it is not trusted: {refusal}"
            set_job_state(job, QUARANTINED)
        return refusal is None

    def _quarantine(
        self, job: Job, exc: BaseException, trigger: str, args: str, kwargs: str, options: str
    ) -> None:
        if not all(type(part) is str for part in (job.func_ref, trigger, args, kwargs, options)):
            raise TypeError("a part is no text") from exc  # see job_of()
        set_job_state(job, QUARANTINED)
        misnamed = issubclass(type(exc), CallableMismatchError)
        job.error = text_of(exc) if misnamed else f"it could not be restored: {error_text(exc)}"
        self._describe(job, trigger, args, kwargs, options)
        if misnamed or issubclass(type(exc), CallableNotAllowedError):
            return
        job.func = _try(lambda: callable_of(job.func_ref or ""), unrestored)
        job.trigger = _try(lambda: self._trigger_of_text(trigger), job.trigger)
        job.args = _try(lambda: tuple(self._load(args)), job.args)
        job.kwargs = _try(lambda: dict(self._load(kwargs)), job.kwargs)

    def _describe(self, job: Job, trigger: str, args: str, kwargs: str, options: str) -> None:
        """Set the parts of a job as far as that imports nothing; the others keep their texts."""
        keep_call(job, args, kwargs)
        job.trigger = UnrestoredTrigger(trigger)
        if not trigger.startswith(PICKLED):
            from ..trust.allowlist import NO_NAMES  # rare

            with judged_by(NO_NAMES):
                job.trigger = _try(lambda: self._trigger_of_text(trigger), job.trigger)
        job.policy = DEFAULT_POLICY
        _try(lambda: set_options(job, options), None)

    def _dump(self, value: Any, where: str) -> str:
        try:
            return dumps(value, where)
        except SerializationError:
            if not self.pickles:
                raise
        return self._pickle(value, where)

    def _pickle(self, value: Any, where: str) -> str:
        return pickled(value, where, self.protocol)

    def _trigger_text(self, trigger: BaseTrigger) -> str:
        if type(trigger) is UnrestoredTrigger:
            return trigger.text
        plain = plain_text(trigger)
        if plain is not None:
            _keep(plain, trigger)
            return plain
        try:
            spec = trigger_spec(trigger)
            text = to_text(spec, "trigger")
        except SerializationError:
            if not self.pickles:
                raise
            return self._pickle(trigger, "trigger")
        # Who adds a job is mostly the one to run it: half the time of reading an interval job was reading its trigger.
        if spec["type"] != "custom":
            _keep(text, trigger)
        return text

    def _trigger_of_text(self, text: str) -> BaseTrigger:
        trigger = plain_trigger(text)
        if trigger is not None:
            _keep(text, trigger)
            return trigger
        found = self._load(text)
        if isinstance(found, BaseTrigger):  # pickled
            return found
        trigger = trigger_of(found)
        if found["type"] != "custom":
            _keep(text, trigger)
        return trigger


def _keep(text: str, trigger: BaseTrigger) -> None:
    """Remember the trigger of a text: from now on the built-in ones refuse to be changed, others may not."""
    if len(KEPT) >= CACHE_SIZE:
        KEPT.clear()
    KEPT[text] = trigger


def check_functions(job: Job) -> None:
    """Ask the list about the functions that a job's options name; that one leads nowhere is told when it is to be called.

    :raises CallableNotAllowedError: if the list does not allow one
    """
    for function in job.policy.functions():
        try:
            callable_named(function)  # type: ignore[arg-type]  # in stored options they are names
        except CallableNotAllowedError:
            raise
        except BaseException as exc:  # modules of users may do anything when they are imported
            if is_interrupt(exc):
                raise


def _is_bound(func: Any, owner: Any) -> bool:
    from types import MethodType  # import time

    return isinstance(func, MethodType) and not isinstance(owner, type)


def _try(restore: Callable[[], Any], otherwise: Any) -> Any:
    try:
        return restore()
    except BaseException as exc:  # the reason is known: the job is quarantined already
        if is_interrupt(exc):
            raise
        return otherwise
