"""The rules of the house: one room for each behaviour, files and functions that a head can hold, nothing taken behind a back."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

#: The whole package is read once, which takes some twenty seconds of a processor that others use, too.
pytestmark = pytest.mark.timeout(300)

SOURCE = Path(__file__).parents[2] / "src" / "rota"
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
#: The rooms of every durable store; etcd and ZooKeeper have the first ones through ``tree``.
SHARED_ROOMS = {"store", "jobs", "runs", "leases", "history", "forms", "layout"}
OWN_ROOMS = {"store", "server", "wakeups"}
#: Lines of code of a file, and of a function; ways through a function.
LONGEST_FILE, LONGEST_FUNCTION, MOST_WAYS = 400, 60, 21
#: Files that are longer, and why.
LONG_FILES = {
    "schedulers/base.py": "all public signatures of schedulers, with bodies of a line or two",
}
#: Functions that are longer, or have more ways through them, and why.
LONG_FUNCTIONS = {
    "schedulers/book.py:add": "every job that is added goes through it: each further call is a hundredth of its time",
}
#: Attributes with an underscore that others read too, by the reason.
SHARED_ATTRIBUTES = {
    "APScheduler's hooks, which programs override and call": """
        _create_default_executor _create_default_jobstore _create_lock _create_plugin_instance _create_trigger _dispatch_event
        _do_submit_job _eventloop _executors _executors_lock _ioloop _jobstore_alias _jobstores _jobstores_lock _lookup_executor
        _lookup_job _lookup_jobstore _modify _real_add_job _run_job_success _scheduler
    """,
    "what hosts override, called by the parts that a scheduler holds": """
        _do_aside _drain _enqueue_event _finish_removal _host_is_alive _in_pass _kept_alive_by _make_engine_logger _may_wait
        _on_loop _open _replace_pass _run_inside _stop _stop_at_exit _stop_claiming _wait_closed _wait_for_event
        _wait_for_listener _wait_idle
    """,
    "where a job is from, which its makers set": "_home _kwargs _pending_alias _rare _timezone",
    "what a store in memory gives to the searching and waiting that it has by default": """
        _count_ends _ended_jobs _follow _has_job _is_opened
        _jobs_from _jobs_wanted _ledger _place _release_run _running_of _runs_from _take_run _waits_no_more
    """,
    "of the standard library and of SQLAlchemy": """
        _asdict _replace _bind_processors _current_frames _exit _get_running_loop _getframe _mapping
    """,
    "of a trigger's parts, told by the trigger": "_clock _parameters _texts",
    "of the second logger of the same kind": "_log",
    "how kazoo sends a request, also one that it has no call for": "_call",
}
#: Where something else is assigned that is called state or status, or an object is made from what is stored.
STATE_SETTERS = {
    "codec/jobs.py": "makes a job of what is stored, all attributes at once",
    "compat/stores.py": "the state of a job as a program's method returned it",
    "core/plan.py": "the state that a decision wants, which the store makes true",
    "core/tries.py": "the same, of one whose last times are left to the next claim",
    "core/run.py": "makes a run",
    "core/states.py": "here",
    "engine/pass_watch.py": "what the engine remembers of a store",
    "importers/pickles.py": "the state of a pickled object",
    "importers/rows.py": "the state of a pickled object",
    "job/handle.py": "makes a job",
    "engine/missing_records.py": "the state that a decision wants",
    "engine/pauses_over.py": "the state that a decision wants",
    "schedulers/beside.py": "the state that a decision wants",
    "schedulers/governed.py": "the state that a decision wants",
    "jobstores/documents.py": "makes a run of what is stored",
    "jobstores/memory_ledger.py": "shows a run as its record says, which is no object of its own",
    "jobstores/sqlalchemy/forms.py": "makes a run of what is stored",
    "jobstores/tree/forms.py": "a field of a document",
    "jobstores/tree/jobs.py": "a field of a document",
    "jobstores/tree/runs.py": "a field of a document",
    "schedulers/base.py": "the state of the scheduler",
    "triggers/fields.py": "the key of a field in pickled states",
    "schedulers/lifecycle.py": "the state of the scheduler",
    "schedulers/processes.py": "the state of the scheduler",
}


@dataclass
class Facts:
    """What the rules ask of one file; its tree is let go, as half a million nodes would slow down all other tests."""

    #: lines that are neither blank nor comment nor docstring
    lines: int = 0
    classes: list[str] = field(default_factory=list)
    #: length and ways through it of each function
    functions: list[tuple[str, int, int]] = field(default_factory=list)
    #: lines of imports inside functions that do not say why
    silent_imports: list[int] = field(default_factory=list)
    #: attributes with an underscore of other objects
    foreign: dict[str, int] = field(default_factory=dict)
    sets_state: bool = False


@cache
def facts() -> dict[str, Facts]:
    return {path.relative_to(SOURCE).as_posix(): facts_of(path) for path in sorted(SOURCE.rglob("*.py"))}


def facts_of(path: Path) -> Facts:
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    found = Facts()
    documented: set[int] = set()
    inside: dict[int, ast.stmt] = {}
    own: set[str] = set()
    read: dict[str, int] = {}
    for node in ast.walk(ast.parse(text)):
        if (
            isinstance(node, (ast.Module, ast.ClassDef, *FUNCTIONS))
            and ast.get_docstring(node, False) is not None
        ):
            documented.update(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
        if isinstance(node, ast.ClassDef):
            found.classes.append(node.name)
        elif isinstance(node, FUNCTIONS):
            own.add(node.name)
            first = node.body[1 if len(node.body) > 1 and node.body[0].lineno in documented else 0]
            ways = 1
            for part in ast.walk(node):
                ways += ways_at(part)
                if isinstance(part, (ast.Import, ast.ImportFrom)):
                    inside[part.lineno] = part
            found.functions.append((node.name, (node.end_lineno or 0) - first.lineno + 1, ways))
        elif isinstance(node, ast.Attribute):
            owner = node.value
            is_own = isinstance(owner, ast.Name) and owner.id in ("self", "cls")
            if isinstance(node.ctx, ast.Store):
                found.sets_state |= node.attr in ("state", "status")
                if is_own:
                    own.add(node.attr)
            is_super = (
                isinstance(owner, ast.Call) and isinstance(owner.func, ast.Name) and owner.func.id == "super"
            )
            if re.match(r"_[^_]", node.attr) and not is_own and not is_super:
                read[node.attr] = node.lineno
    found.lines = sum(
        bool(line.strip()) and line.lstrip()[0] != "#" and number not in documented
        for number, line in enumerate(lines, 1)
    )
    found.silent_imports = silent(inside, lines)
    found.foreign = {attribute: line for attribute, line in read.items() if attribute not in own}
    return found


def ways_at(node: ast.AST) -> int:
    """Return how many conditions a node adds, those in expressions and comprehensions included."""
    if isinstance(node, ast.BoolOp):
        return len(node.values) - 1
    if isinstance(node, ast.comprehension):
        return len(node.ifs)
    return isinstance(
        node, (ast.If, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.IfExp, ast.match_case)
    )


def silent(imports: dict[int, ast.stmt], lines: list[str]) -> list[int]:
    """Return the lines of the imports without a comment beside or above them; one speaks for all that follow it at once."""
    explained = {
        number
        for number, node in imports.items()
        if any("#" in line for line in lines[number - 1 : node.end_lineno])
        or lines[number - 2].lstrip().startswith("#")
    }
    for before, number in pairwise(sorted(imports)):
        if before in explained and (imports[before].end_lineno or 0) + 1 == number:
            explained.add(number)
    return sorted(imports.keys() - explained)


def test_the_file_of_a_package_holds_no_class() -> None:
    assert [name for name, file in facts().items() if name.endswith("__init__.py") and file.classes] == []


@pytest.mark.parametrize("store", ["sqlalchemy", "redis", "mongodb", "tree"])
def test_the_rooms_of_a_store_have_the_same_names_in_all_of_them(store: str) -> None:
    found = {path.stem for path in (SOURCE / "jobstores" / store).glob("*.py")}
    own = set() if store == "tree" else OWN_ROOMS
    assert SHARED_ROOMS | own <= found, f"{store} lacks {sorted((SHARED_ROOMS | own) - found)}"


@pytest.mark.parametrize("store", ["etcd", "zookeeper"])
def test_stores_on_trees_have_the_rooms_that_are_their_own(store: str) -> None:
    assert {path.stem for path in (SOURCE / "jobstores" / store).glob("*.py")} >= OWN_ROOMS


def test_no_file_is_too_long_for_a_head() -> None:
    found = {name: file.lines for name, file in facts().items() if file.lines > LONGEST_FILE}
    assert found.keys() == LONG_FILES.keys(), found


def test_no_function_is_too_long_or_has_too_many_ways_through_it() -> None:
    found = {
        f"{name}:{function}": (length, ways)
        for name, file in facts().items()
        for function, length, ways in file.functions
        if length > LONGEST_FUNCTION or ways > MOST_WAYS
    }
    assert found.keys() == LONG_FUNCTIONS.keys(), found


def test_an_import_inside_a_function_says_why_it_is_there() -> None:
    silent_ones = [f"{name}:{line}" for name, file in facts().items() for line in file.silent_imports]
    assert not silent_ones, f"say why (`# import time`, `# optional`, `# rare`): {silent_ones}"


def test_errors_that_users_see_are_in_the_one_tree() -> None:
    found = [
        f"{name}:{one}"
        for name, file in facts().items()
        if name != "errors.py" and not name.startswith(("cli/", "testing/"))
        for one in file.classes
        if re.fullmatch(r"[A-Z]\w*(Error|Warning)", one)
    ]
    assert found == []


def test_nobody_takes_what_another_object_keeps_to_itself() -> None:
    """What a file defines is its own on any object; the bridges to APScheduler and the contracts look inside on purpose."""
    shared = {name for names in SHARED_ATTRIBUTES.values() for name in names.split()}
    found: dict[str, list[str]] = {}
    for name, file in facts().items():
        if not name.startswith(("compat/", "testing/")):
            for attribute, line in file.foreign.items():
                found.setdefault(attribute, []).append(f"{name}:{line}")
    assert not {attribute: places for attribute, places in found.items() if attribute not in shared}
    assert shared <= found.keys(), f"no longer needed: {sorted(shared - found.keys())}"


def test_nobody_else_sets_a_state() -> None:
    found = {name for name, file in facts().items() if file.sets_state and not name.startswith("testing/")}
    assert found == STATE_SETTERS.keys()
