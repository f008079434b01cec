"""Reads pickles without executing them: what a pickle would call or make becomes a note that says so.

It runs the stack machine of the pickle format on data. No class is looked up, no function is called and no module is imported,
whatever the pickle says; what the notes mean is decided in :mod:`rota.importers.values`.
"""

from __future__ import annotations

import pickletools
from typing import TYPE_CHECKING, Any

from ..codec.bounds import MAX_ALIKE, MAX_KEYS
from ..errors import DeserializationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: A row of a job store is a few hundred bytes long. What is longer than this is not read.
MAX_LENGTH = 16 * 1024 * 1024
#: Tuples and frozensets in keys and sets are hashed by recursion, shared ones each time that they are met.
_MAX_KEY_DEPTH = 20
_MAX_KEY_PARTS = 50_000
_MARK: Any = object()


class Name:
    """A class or function that a pickle names."""

    __slots__ = ("module", "path")

    def __init__(self, module: str, path: str) -> None:
        # Old protocols use the names of Python 2.
        self.module = {"__builtin__": "builtins", "copy_reg": "copyreg"}.get(module, module)
        self.path = path

    def __repr__(self) -> str:
        return f"{self.module}.{self.path}"


class Made:
    """What calling something with arguments would have made, and the state that it would have been given.

    :ivar Name | None name: what would have been called; None: something that is not a name itself
    """

    __slots__ = ("args", "name", "state")

    def __init__(self, name: Name | None, args: tuple[Any, ...] = (), state: Any = None) -> None:
        self.name = name
        self.args = args
        self.state = state

    def __repr__(self) -> str:
        return repr(self.name) if self.name else "something that is called"


def read_pickle(data: bytes) -> Any:
    """Return the content of a pickle: plain values and containers, and notes (:class:`Name`, :class:`Made`) for the rest.

    :raises DeserializationError: if the data is not a pickle, is damaged, or is too long
    """
    if len(data) > MAX_LENGTH:
        raise DeserializationError(f"it is {len(data)} bytes long; more than {MAX_LENGTH} are not read")
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name == "STOP":
                return machine.stack.pop()
            machine.step(opcode.name, argument)
    except DeserializationError:
        raise
    except Exception as exc:  # whatever is wrong with the data, it is one error for the caller
        raise DeserializationError(f"it is not an intact pickle: {type(exc).__name__}: {exc}") from None
    raise DeserializationError("it is not an intact pickle: it does not end")


class _Machine:
    """The stack and the memo of one pickle."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self._keys = _Keys()

    def step(self, name: str, argument: Any) -> None:
        """Carry out one opcode."""
        if name in _IGNORED:
            return
        if name in _PUSHED:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        else:
            action = _ACTIONS.get(name)
            if action is None:
                raise DeserializationError(f"it uses {name}, which the rows of job stores do not")
            action(self, argument)

    def since_mark(self) -> list[Any]:
        """Take everything above the last mark off the stack."""
        stack = self.stack
        at = len(stack) - 1
        while stack[at] is not _MARK:
            at -= 1
            if at < 0:
                raise DeserializationError("it is not an intact pickle: a mark is missing")
        items = stack[at + 1 :]
        del stack[at:]
        return items

    # -- what the opcodes do; the argument is that of the opcode ---------------------------------------------------

    def mark(self, _: Any) -> None:
        self.stack.append(_MARK)

    def pop(self, _: Any) -> None:
        self.stack.pop()

    def pop_mark(self, _: Any) -> None:
        self.since_mark()

    def dup(self, _: Any) -> None:
        self.stack.append(self.stack[-1])

    def memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def put(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def get(self, index: int) -> None:
        self.stack.append(self.memo[index])

    def tuple_of(self, count: int) -> None:
        items = tuple(self.stack[-count:])
        if len(items) < count:
            raise DeserializationError("it is not an intact pickle: a tuple lacks items")
        self.stack[-count:] = [items]

    def tuple_since_mark(self, _: Any) -> None:
        self.stack.append(tuple(self.since_mark()))

    def list_since_mark(self, _: Any) -> None:
        self.stack.append(self.since_mark())

    def dict_since_mark(self, _: Any) -> None:
        items = self.since_mark()
        self.stack.append({})
        self._set(items)

    def frozenset_since_mark(self, _: Any) -> None:
        self.stack.append(frozenset(self._keys.checked(None, self.since_mark())))

    def append(self, _: Any) -> None:
        self._extend([self.stack.pop()])

    def appends(self, _: Any) -> None:
        self._extend(self.since_mark())

    def setitem(self, _: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set([key, value])

    def setitems(self, _: Any) -> None:
        self._set(self.since_mark())

    def additems(self, _: Any) -> None:
        items = self.since_mark()
        if isinstance(self.stack[-1], set):
            self.stack[-1].update(self._keys.checked(self.stack[-1], items))
        else:
            self._check_made()

    def _extend(self, items: list[Any]) -> None:
        if isinstance(self.stack[-1], list):
            self.stack[-1].extend(items)
        else:
            self._check_made()

    def _set(self, items: list[Any]) -> None:
        if isinstance(self.stack[-1], dict):
            keys = self._keys.checked(self.stack[-1], items[::2])
            self.stack[-1].update(zip(keys, items[1::2], strict=True))
        else:
            self._check_made()

    def _check_made(self) -> None:
        # What a container of an unknown class holds does not matter: the class is refused.
        if not isinstance(self.stack[-1], Made):
            raise DeserializationError(
                f"it is not an intact pickle: items for a {type(self.stack[-1]).__name__}"
            )

    def global_name(self, argument: str) -> None:
        module, _, path = argument.partition(" ")
        self.stack.append(Name(module, path))

    def stack_global(self, _: Any) -> None:
        path, module = self.stack.pop(), self.stack.pop()
        self.stack.append(Name(str(module), str(path)))

    def reduce(self, _: Any) -> None:
        args, called = self.stack.pop(), self.stack.pop()
        self.stack.append(_made(called, args))

    def newobj(self, _: Any) -> None:
        self.reduce(None)

    def newobj_ex(self, _: Any) -> None:
        kwargs, args, cls = self.stack.pop(), self.stack.pop(), self.stack.pop()
        self.stack.append(Made(cls if isinstance(cls, Name) else None, (args, kwargs)))

    def build(self, _: Any) -> None:
        state = self.stack.pop()
        if not isinstance(self.stack[-1], Made):
            raise DeserializationError(
                f"it is not an intact pickle: a state for a {type(self.stack[-1]).__name__}"
            )
        self.stack[-1].state = state


def _made(called: Any, args: Any) -> Any:
    """Return the note of a call."""
    if not isinstance(called, Name) or not isinstance(args, tuple):
        return Made(None, (called, args))
    name = repr(called)
    if name in ("copyreg._reconstructor", "copyreg.__newobj__") and args and isinstance(args[0], Name):
        return Made(args[0], args[1:] if name.endswith("obj__") else ())
    if name == "builtins.getattr" and len(args) == 2 and isinstance(args[0], Name):
        return Name(args[0].module, f"{args[0].path}.{args[1]}")
    return Made(called, args)


class _Keys:
    """Lets keys and members of sets pass as long as hashing and comparing them is cheap."""

    def __init__(self) -> None:
        self._parts = 0
        self._keys = 0
        #: how many keys of a container have which hash; the container is kept, so that no other one gets its id
        self._alike: dict[int, tuple[Any, dict[int, int]]] = {}

    def checked(self, container: Any, keys: Iterable[Any]) -> Iterator[Any]:
        """Yield keys that are about to come into a container.

        :raises DeserializationError: if there are too many, or they have too many parts, or too many have the same hash
        """
        _, alike = (
            self._alike.setdefault(id(container), (container, {})) if container is not None else (None, {})
        )
        for key in keys:
            if type(key) is not str:
                self._visit(key, 0)
                self._keys += 1
                number = hash(key)
                alike[number] = alike.get(number, 0) + 1
                if self._keys > MAX_KEYS or alike[number] > MAX_ALIKE:
                    raise DeserializationError(
                        f"it has more than {MAX_KEYS} keys or members of sets, or more than {MAX_ALIKE} of one hash"
                    )
            yield key

    def _visit(self, key: Any, depth: int) -> None:
        self._parts += 1
        if depth > _MAX_KEY_DEPTH or self._parts > _MAX_KEY_PARTS:
            raise DeserializationError("keys in it are nested too deeply, or have too many parts")
        if isinstance(key, (tuple, frozenset)):
            for item in key:
                self._visit(item, depth + 1)


_IGNORED = frozenset({"PROTO", "FRAME"})
_PUSHED = frozenset(
    {
        "INT",
        "BININT",
        "BININT1",
        "BININT2",
        "LONG",
        "LONG1",
        "LONG4",
        "FLOAT",
        "BINFLOAT",
        "STRING",
        "BINSTRING",
    }
    | {"SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "UNICODE", "BINUNICODE"}
    | {"SHORT_BINUNICODE", "BINUNICODE8"}
)
_CONSTANTS: dict[str, Any] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
    "EMPTY_SET": set,
}
_ACTIONS: dict[str, Any] = {
    "MARK": _Machine.mark,
    "POP": _Machine.pop,
    "POP_MARK": _Machine.pop_mark,
    "DUP": _Machine.dup,
    "MEMOIZE": _Machine.memoize,
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _Machine.put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Machine.get),
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "TUPLE": _Machine.tuple_since_mark,
    "LIST": _Machine.list_since_mark,
    "DICT": _Machine.dict_since_mark,
    "FROZENSET": _Machine.frozenset_since_mark,
    "APPEND": _Machine.append,
    "APPENDS": _Machine.appends,
    "SETITEM": _Machine.setitem,
    "SETITEMS": _Machine.setitems,
    "ADDITEMS": _Machine.additems,
    "GLOBAL": _Machine.global_name,
    "STACK_GLOBAL": _Machine.stack_global,
    "REDUCE": _Machine.reduce,
    "NEWOBJ": _Machine.newobj,
    "NEWOBJ_EX": _Machine.newobj_ex,
    "BUILD": _Machine.build,
}
