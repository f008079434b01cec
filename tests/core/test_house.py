"""The rules of the house: one room for each behaviour, files and functions that a head can hold, nothing taken behind a back."""

from __future__ import annotations

import ast
import re
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = Path(__file__).parents[2] / "src" / "rota"
FILES = sorted(SOURCE.rglob("*.py"))
TREES = {path.relative_to(SOURCE).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
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
        _do_aside _drain _enqueue_event _finish_removal _host_is_alive _kept_alive_by _make_engine_logger _may_wait _open
        _replace_pass _stop _stop_at_exit _stop_claiming _wait_closed _wait_for_listener _wait_idle
    """,
    "where a job is from, which its makers set": "_home _kwargs _pending_alias _rare _timezone",
    "of the standard library and of SQLAlchemy": "_asdict _bind_processors _exit _get_running_loop _getframe _mapping",
    "of a trigger's parts, told by the trigger": "_clock _parameters _texts",
    "of the second logger of the same kind": "_log",
}


def lines_of_code(tree: ast.Module, text: str) -> int:
    """Return how many lines are neither blank nor comment nor docstring."""
    documented: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, *FUNCTIONS)) and ast.get_docstring(node) is not None:
            documented.update(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    lines = [line.strip() for line in text.splitlines()]
    return sum(
        bool(line) and line[0] != "#" and number not in documented for number, line in enumerate(lines, 1)
    )


def functions() -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    return {
        f"{name}:{node.name}": node
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, FUNCTIONS)
    }


def imports_in_functions(node: ast.AST, within: bool = False) -> Iterator[ast.Import | ast.ImportFrom]:
    for child in ast.iter_child_nodes(node):
        if within and isinstance(child, (ast.Import, ast.ImportFrom)):
            yield child
        elif not isinstance(child, ast.expr):
            yield from imports_in_functions(child, within or isinstance(child, FUNCTIONS))


def ways_through(function: ast.AST) -> int:
    """Return how many conditions a function has, those in expressions and comprehensions included."""
    count = 1
    for node in ast.walk(function):
        if isinstance(node, ast.BoolOp):
            count += len(node.values) - 1
        elif isinstance(node, ast.comprehension):
            count += len(node.ifs)
        else:
            count += isinstance(
                node, (ast.If, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.IfExp, ast.match_case)
            )
    return count


def test_the_file_of_a_package_holds_no_class() -> None:
    found = [
        name
        for name, tree in TREES.items()
        if name.endswith("__init__.py") and any(isinstance(node, ast.ClassDef) for node in tree.body)
    ]
    assert found == []


@pytest.mark.parametrize("store", ["sqlalchemy", "redis", "mongodb", "tree"])
def test_the_rooms_of_a_store_have_the_same_names_in_all_of_them(store: str) -> None:
    found = {path.stem for path in (SOURCE / "jobstores" / store).glob("*.py")}
    own = set() if store == "tree" else OWN_ROOMS
    assert SHARED_ROOMS | own <= found, f"{store} lacks {sorted((SHARED_ROOMS | own) - found)}"


@pytest.mark.parametrize("store", ["etcd", "zookeeper"])
def test_stores_on_trees_have_the_rooms_that_are_their_own(store: str) -> None:
    assert {path.stem for path in (SOURCE / "jobstores" / store).glob("*.py")} >= OWN_ROOMS


def test_no_file_is_too_long_for_a_head() -> None:
    found = {
        name: lines
        for name, tree in TREES.items()
        if (lines := lines_of_code(tree, (SOURCE / name).read_text(encoding="utf-8"))) > LONGEST_FILE
    }
    assert found.keys() == LONG_FILES.keys(), found


def test_no_function_is_too_long_or_has_too_many_ways_through_it() -> None:
    found: dict[str, tuple[int, int]] = {}
    for name, function in functions().items():
        documented = ast.get_docstring(function) is not None and len(function.body) > 1
        length = (function.end_lineno or 0) - function.body[1 if documented else 0].lineno + 1
        ways = ways_through(function)
        if length > LONGEST_FUNCTION or ways > MOST_WAYS:
            found[name] = (length, ways)
    assert found.keys() == LONG_FUNCTIONS.keys(), found


def test_an_import_inside_a_function_says_why_it_is_there() -> None:
    silent = []
    for name, tree in TREES.items():
        lines = (SOURCE / name).read_text(encoding="utf-8").splitlines()
        inside = list(imports_in_functions(tree))
        explained = {
            node.lineno
            for node in inside
            if any("#" in line for line in lines[node.lineno - 1 : node.end_lineno])
            or lines[node.lineno - 2].lstrip().startswith("#")
        }
        for before, node in pairwise(sorted(inside, key=lambda node: node.lineno)):
            if before.lineno in explained and (before.end_lineno or 0) + 1 == node.lineno:
                explained.add(node.lineno)  # the comment is about all that follow each other
        silent += [f"{name}:{node.lineno}" for node in inside if node.lineno not in explained]
    assert not silent, f"say why (`# import time`, `# optional`, `# rare`): {silent}"


def test_errors_that_users_see_are_in_the_one_tree() -> None:
    found = [
        f"{name}:{node.name}"
        for name, tree in TREES.items()
        if name != "errors.py" and not name.startswith(("cli/", "testing/"))
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and re.fullmatch(r"[A-Z]\w*(Error|Warning)", node.name)
    ]
    assert found == []


def test_nobody_takes_what_another_object_keeps_to_itself() -> None:
    """What a file defines is its own on any object; the bridges to APScheduler and the contracts look inside on purpose."""
    found: dict[str, list[str]] = {}
    for name, tree in TREES.items():
        if name.startswith(("compat/", "testing/")):
            continue
        own = {node.name for node in ast.walk(tree) if isinstance(node, FUNCTIONS)}
        own |= {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and isinstance(node.value, ast.Name)
            and node.value.id == "self"
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and re.match(r"_[^_]", node.attr) and node.attr not in own:
                owner = node.value
                is_own = isinstance(owner, ast.Name) and owner.id in ("self", "cls")
                is_super = isinstance(owner, ast.Call) and ast.unparse(owner.func) == "super"
                if not is_own and not is_super:
                    found.setdefault(node.attr, []).append(f"{name}:{node.lineno}")
    shared = {name for names in SHARED_ATTRIBUTES.values() for name in names.split()}
    assert not {name: places for name, places in found.items() if name not in shared}
    assert shared <= found.keys(), f"no longer needed: {sorted(shared - found.keys())}"
