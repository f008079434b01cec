"""The stored form of a job: readable texts for its callable, trigger, arguments and options.

Reads and writes data, no store. What cannot be restored comes back as a quarantined job that still holds its texts.
"""

from __future__ import annotations

import sys

from .clock import HELD, instant, moment
from .codec import dumps, loads, pack, to_text
from .core.plan import QUARANTINED
from .core.policy import DEFAULT_POLICY, Policy, seconds_of, with_options
from .errors import (
    CallableLookupError,
    ConfigurationError,
    DeserializationError,
    JobTypeError,
    SerializationError,
)
from .job import Job
from .triggers import trigger_from_spec
from .triggers.base import BaseTrigger
from .util import obj_to_ref, ref_to_obj

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from typing import Any

__all__ = ("JobFormat", "decode_job", "encode_job", "trigger_of", "trigger_spec")

#: How many decoded triggers and option sets are kept; jobs with equal texts share one object.
_CACHE_SIZE = 20_000
_PICKLED = '{"~pickle":"'


class UnrestoredTrigger(BaseTrigger):
    """Stands in for a trigger that could not be restored; keeps its text."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        raise DeserializationError(f"The trigger {self.text} could not be restored")

    def __str__(self) -> str:
        return f"unrestored[{self.text}]"


class _UnrestoredArgs(tuple):  # type: ignore[type-arg]
    text = ""


class _UnrestoredKwargs(dict):  # type: ignore[type-arg]
    text = ""


def _unrestored(*args: Any, **kwargs: Any) -> None:
    """Stand in for a callable that could not be restored."""
    raise CallableLookupError("The callable of this job could not be restored; see the job's `error`")


def can_run(job: Job) -> bool:
    """Whether the callable and the arguments of a job are restored."""
    return (
        job.func is not _unrestored
        and type(job.args) is not _UnrestoredArgs
        and type(job.kwargs) is not _UnrestoredKwargs
    )


# -------------------------------------------------------------------------------------------------------- job as texts


class JobFormat:
    """How one store writes the parts of its jobs.

    :param serializer: "json", or "pickle": what does not fit into JSON is pickled. Unpickling executes what the data says, so
        use it only where nobody else can write to the store
    :param pickle_protocol: protocol version of those pickles
    :param imports: False: import no code of users. Callables, arguments and custom triggers keep their texts, so that jobs can be
        looked at and repaired, and not run
    """

    def __init__(self, serializer: str = "json", pickle_protocol: int = -1, imports: bool = True) -> None:
        if serializer not in ("json", "pickle"):
            raise ConfigurationError(f'serializer must be "json" or "pickle", not {serializer!r}')
        self.pickles = serializer == "pickle"
        self._protocol = pickle_protocol
        self._imports = imports

    def texts(self, job: Job) -> tuple[str, str, str, str, str]:
        """Return the texts of a job: callable reference, trigger, args, kwargs and options.

        :raises TransientJobError: if the callable has no importable name
        :raises SerializationError: if an argument or the trigger does not fit
        """
        reference = job.require_reference()
        args: Any = job.args
        kwargs: Any = job.kwargs
        owner = getattr(job.func, "__self__", None)
        if owner is not None and _is_bound(job.func, owner) and obj_to_ref(job.func) == reference:
            args = (owner, *args)  # the reference names the function, not the bound method
        return (
            reference,
            self._trigger_text(job.trigger),
            args.text if type(args) is _UnrestoredArgs else self._dump(list(args), "args") if args else "[]",
            kwargs.text
            if type(kwargs) is _UnrestoredKwargs
            else self._dump(dict(kwargs), "kwargs")
            if kwargs
            else "{}",
            "{}" if job.policy is DEFAULT_POLICY else to_text(_options(job.policy), "options"),
        )

    def restore(self, job: Job, reference: str, trigger: str, args: str, kwargs: str, options: str) -> None:
        """Set the parts of a job from their texts; if one fails, the job becomes quarantined and keeps the text."""
        job.func_ref = reference
        if not self._imports:
            self._describe(job, trigger, args, kwargs, options)
            return
        try:
            job.func = callable_of(reference)
            job.trigger = _triggers.get(trigger) or self._trigger_of_text(trigger)
            job.args = () if args == "[]" else tuple(self._load(args))
            job.kwargs = {} if kwargs == "{}" else dict(self._load(kwargs))
            job.policy = DEFAULT_POLICY if options == "{}" else _policy_of_text(options)
        except (Exception, SystemExit) as exc:  # modules of users may do anything when they are imported
            self._quarantine(job, exc, trigger, args, kwargs, options)

    def _quarantine(
        self, job: Job, exc: BaseException, trigger: str, args: str, kwargs: str, options: str
    ) -> None:
        job.state = QUARANTINED
        job.error = f"it could not be restored: {type(exc).__name__}: {exc}"
        self._describe(job, trigger, args, kwargs, options)
        job.func = _try(lambda: callable_of(job.func_ref or ""), _unrestored)
        job.trigger = _try(lambda: self._trigger_of_text(trigger), job.trigger)
        job.args = _try(lambda: tuple(self._load(args)), job.args)
        job.kwargs = _try(lambda: dict(self._load(kwargs)), job.kwargs)

    def _describe(self, job: Job, trigger: str, args: str, kwargs: str, options: str) -> None:
        """Set the parts of a job as far as that imports nothing; the others keep their texts."""
        kept_args, kept_kwargs = _UnrestoredArgs(), _UnrestoredKwargs()
        kept_args.text, kept_kwargs.text = args, kwargs
        job.func, job.args, job.kwargs = _unrestored, kept_args, kept_kwargs
        job.trigger = UnrestoredTrigger(trigger)
        if '"custom"' not in trigger and not trigger.startswith(_PICKLED):
            job.trigger = _try(lambda: self._trigger_of_text(trigger), job.trigger)
        job.policy = _try(lambda: _policy_of_text(options), DEFAULT_POLICY)

    def _dump(self, value: Any, where: str) -> str:
        try:
            return dumps(value, where)
        except SerializationError:
            if not self.pickles:
                raise
        return self._pickle(value, where)

    def _pickle(self, value: Any, where: str) -> str:
        import pickle
        from base64 import b64encode

        try:
            data = pickle.dumps(value, self._protocol)
        except Exception as exc:
            raise SerializationError(
                f"{where} can neither be written as JSON nor pickled: {type(exc).__name__}: {exc}"
            ) from exc
        return f'{_PICKLED}{b64encode(data).decode()}"}}'

    def _load(self, text: str) -> Any:
        if not self.pickles or not text.startswith(_PICKLED):
            return loads(text)
        import pickle
        from base64 import b64decode

        return pickle.loads(b64decode(text[len(_PICKLED) : -2]))

    def _trigger_text(self, trigger: BaseTrigger) -> str:
        if type(trigger) is UnrestoredTrigger:
            return trigger.text
        try:
            return to_text(trigger_spec(trigger), "trigger")
        except SerializationError:
            if not self.pickles:
                raise
        return self._pickle(trigger, "trigger")

    def _trigger_of_text(self, text: str) -> BaseTrigger:
        found = self._load(text)
        if isinstance(found, BaseTrigger):  # pickled
            return found
        trigger = trigger_of(found)
        if found["type"] != "custom":  # the built-in triggers are immutable values, others may not be
            if len(_triggers) >= _CACHE_SIZE:
                _triggers.clear()
            _triggers[text] = trigger
        return trigger


def _is_bound(func: Any, owner: Any) -> bool:
    from types import MethodType

    return isinstance(func, MethodType) and not isinstance(owner, type)


def _try(restore: Callable[[], Any], otherwise: Any) -> Any:
    try:
        return restore()
    except (Exception, SystemExit):  # the reason is known: the job is quarantined already
        return otherwise


# ------------------------------------------------------------------------------------------------------------ triggers

_triggers: dict[str, BaseTrigger] = {}


def trigger_spec(trigger: BaseTrigger) -> dict[str, Any]:
    """Return a trigger as JSON-able data; a trigger without a spec is written by its class name and its packed state.

    :raises SerializationError: if the state does not fit
    """
    cls = type(trigger)
    # A user's class derived from a built-in one must not come back as the built-in one.
    spec = trigger.spec() if cls.__module__.startswith("rota.triggers.") or "spec" in cls.__dict__ else None
    if spec is not None:
        return spec
    state = trigger.__getstate__()
    if isinstance(state, tuple) and len(state) == 2 and not hasattr(trigger, "__setstate__"):
        state = {**(state[0] or {}), **state[1]}  # attributes from the instance's dictionary and from slots
    return {"type": "custom", "class": obj_to_ref(cls), "state": pack(state, "trigger")}


def trigger_of(spec: Mapping[str, Any]) -> BaseTrigger:
    """Return the trigger of an unpacked spec.

    :raises DeserializationError: if it leads to no trigger
    """
    if not isinstance(spec, dict) or "type" not in spec:
        raise DeserializationError(f"{spec!r:.80} describes no trigger")
    if spec["type"] != "custom":
        return trigger_from_spec(spec)
    cls = ref_to_obj(spec["class"])
    if not (isinstance(cls, type) and issubclass(cls, BaseTrigger)):
        raise DeserializationError(
            f"{spec['class']} is no trigger class; a trigger derives from rota.triggers.base.BaseTrigger"
        )
    trigger = cls.__new__(cls)
    state = spec["state"]
    if hasattr(trigger, "__setstate__"):
        trigger.__setstate__(state)
    elif state is not None:
        for name, value in state.items():
            setattr(trigger, name, value)
    return trigger


# ------------------------------------------------------------------------------------------------ callables and options

#: reference: (module name, first name in the module, what it was then, the callable)
_callables: dict[str, tuple[str, str, Any, Callable[..., Any]]] = {}
_policies: dict[str, Policy] = {}


def callable_of(reference: str) -> Callable[..., Any]:
    """Return the callable of a reference; a reloaded module gives its new one.

    :raises CallableLookupError: if the reference leads to no callable
    """
    known = _callables.get(reference)
    if known is not None:
        module = sys.modules.get(known[0])
        if module is not None and module.__dict__.get(known[1]) is known[2]:
            return known[3]
    found = ref_to_obj(reference)
    if not callable(found):
        raise CallableLookupError(
            f"The reference {reference} leads to a {type(found).__name__}, which cannot be called"
        )
    name, _, path = reference.partition(":")
    first = path.partition(".")[0]
    if len(_callables) >= _CACHE_SIZE:
        _callables.clear()
    _callables[reference] = (name, first, getattr(sys.modules.get(name), first, None), found)
    return found  # type: ignore[no-any-return]


def _options(policy: Policy) -> dict[str, Any]:
    """Return the options that differ from the defaults, as add_job() takes them."""
    options = {
        "misfire_grace_time": seconds_of(policy.misfire_grace),
        "coalesce": policy.coalesce,
        "max_instances": policy.max_instances,
        "expires": seconds_of(policy.expires),
        "on_lost": policy.on_lost,
        "max_attempts": policy.max_attempts,
    }
    return {name: value for name, value in options.items() if value != _DEFAULTS.get(name)}


def _policy_of_text(text: str) -> Policy:
    policy = _policies.get(text)
    if policy is None:
        policy = with_options(DEFAULT_POLICY, loads(text))
        if len(_policies) >= _CACHE_SIZE:
            _policies.clear()
        _policies[text] = policy
    return policy


_DEFAULTS: dict[str, Any] = {}
_DEFAULTS.update(_options(DEFAULT_POLICY))


# ---------------------------------------------------------------------------------------------------- job as a document

_JSON = JobFormat()


def encode_job(job: Job, format: JobFormat = _JSON) -> dict[str, Any]:
    """Return a job as one readable JSON document.

    :raises TransientJobError: if the callable has no importable name
    :raises SerializationError: if an argument or the trigger does not fit
    """
    import json

    reference, trigger, args, kwargs, options = format.texts(job)
    return {
        "id": job.id,
        "name": job.name,
        "func": reference,
        "trigger": json.loads(trigger),
        "args": json.loads(args),
        "kwargs": json.loads(kwargs),
        "options": json.loads(options),
        "executor": job.executor,
        "state": job.state,
        "error": job.error,
        "next": _iso(job.next_nominal),
        "due": "held" if job.next_due == HELD else _iso(job.next_due),
    }


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
        job.state, job.error = data.get("state", job.state), data.get("error")
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
    from datetime import datetime

    return None if text is None else instant(datetime.fromisoformat(text))
