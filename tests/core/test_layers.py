"""Where imports may go, from one table: down only, each third-party library into its own rooms, and never in a circle.

Imports for type checkers and imports inside functions count as others do.
"""

from __future__ import annotations

import os
import subprocess
import sys
from fnmatch import fnmatch
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

import grimp
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

PACKAGE = Path(__file__).parents[2] / "src" / "rota"
#: From the top down; what stands in one line may not know each other. A package stands for all that is in it and not named.
LAYERS = """
    cli | as_apscheduler
    importers
    testing
    compat.alias | compat.program
    compat.crontab_strings | compat.loggers | compat.metadata | compat.processes
    compat.inner_names
    schedulers
    compat.schedulers
    engine
    commands
    jobstores | executors
    compat.stores | compat.executors | compat.pools | compat.futures
    compat.stored_state
    codec
    crontab
    trust.signing
    job
    compat.jobs
    events
    core
    triggers
    calendars
    zone_maps
    work
    util
    references | trust.names
    trust.allowlist
    callables | zonehints
    inject | outcomes
    clock
    errors
    logs
    compat.absent
    compat.names | compat.overrides | compat.loops
    texts | interrupts | masking
"""
#: Arrows that go up all the same, and why.
UP = {
    "rota.core.** -> rota.job.handle": "jobs ask the core, which decides about jobs: it knows them by their type only",
}
#: Arrows that may close a circle, and why.
CIRCLES = {
    "rota.schedulers.base -> rota.schedulers.aio": "every scheduler has its methods as coroutines",
    "rota.triggers.algebra.operators -> rota.triggers.**": "the fluent algebra: methods of every trigger make others",
    "rota.triggers.base -> rota.triggers.explain.describe": "every trigger explains itself",
    "rota.triggers.base -> rota.triggers.lint": "every trigger checks itself",
    "rota.triggers.base -> rota.triggers.preview": "every trigger shows its next times",
    "rota.triggers.cron.hints -> rota.triggers.cron.crontab": "what is suggested is tried out first",
    "rota.triggers.cron.other_systems -> rota.triggers.cron.trigger": "what is suggested is tried out first",
    "rota.triggers.cron.writing -> rota.triggers.cron.trigger": "the trigger that it writes, by its type only",
    "rota.triggers.readings -> rota.triggers.cron": "both readings of a string are tried out",
}
#: Which rooms may import which libraries.
ROOMS = {
    "sqlalchemy": "jobstores.sqlalchemy importers.source_sql",
    "redis": "jobstores.redis importers.source_redis",
    "pymongo bson": "jobstores.mongodb importers.source_mongodb",
    "etcd3gw requests": "jobstores.etcd importers.source_etcd",
    "kazoo": "jobstores.zookeeper importers.source_zookeeper",
    "gevent": "schedulers.gevent executors.gevent",
    "tornado": "schedulers.tornado executors.tornado",
    "twisted": "schedulers.twisted executors.twisted",
    "PySide6 PySide2 PyQt6 PyQt5": "schedulers.qt",
    "typer rich click": "cli",
    "dateutil": "calendars.recurrence",
    "holidays": "calendars.public_holidays",
    "icalendar": "calendars.ical",
}
#: What values and decisions do without.
PURE = "clock errors triggers calendars core"
IMPURE = "threading asyncio logging socket selectors subprocess sqlite3"
#: Modules that stand outside the layers: the package's lazy front, and packages whose own file holds names only.
OUTSIDE = {"", "__main__", "version", "compat", "schedulers", "jobstores", "executors", "trust"}


def names(text: str, *, prefix: str = "rota.") -> list[str]:
    return [prefix + name for name in text.split()]


def contract(kind: str, name: str, **settings: str | Iterable[str]) -> str:
    """Return the settings of a contract as import-linter reads them."""
    text = [f"[importlinter:contract:{name.replace(' ', '-')}]", f"name = {name}", f"type = {kind}"]
    for field, value in settings.items():
        text.append(f"{field} = {value}" if isinstance(value, str) else "\n    ".join([f"{field} =", *value]))
    return "\n".join(text)


def configuration() -> str:
    """Return what import-linter is to check."""
    rows = [line.split("|") for line in LAYERS.split("\n") if line.strip()]
    layers = [" | ".join(f"rota.{name.strip()}" for name in row) for row in rows]
    contracts = [
        contract("layers", "arrows point down", layers=layers, ignore_imports=UP),
        contract(
            "forbidden", "values are pure", source_modules=names(PURE), forbidden_modules=IMPURE.split()
        ),
    ]
    for libraries, rooms in ROOMS.items():
        found = [room + rest for room in names(rooms) for rest in ("", ".**")]
        allowed = [f"{room} -> {library}" for room in found for library in libraries.split()]
        contracts.append(
            contract(
                "forbidden",
                f"{libraries} in its rooms",
                source_modules="rota",
                forbidden_modules=libraries.split(),
                allow_indirect_imports="True",
                unmatched_ignore_imports_alerting="none",
                ignore_imports=allowed,
            )
        )
    return "\n\n".join(["[importlinter]\nroot_package = rota\ninclude_external_packages = True", *contracts])


def test_imports_go_down_and_into_their_rooms_only(tmp_path: Path) -> None:
    path = tmp_path / "importlinter.ini"
    path.write_text(configuration(), encoding="utf-8")
    # In a process of its own: it configures logging anew, and looks at all that is loaded.
    program = f"from importlinter.cli import lint_imports; raise SystemExit(lint_imports({str(path)!r}, no_cache=True))"
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=environment,
        timeout=50,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_module_has_its_layer() -> None:
    known = LAYERS.replace("|", " ").split()
    parts = [path.relative_to(PACKAGE).with_suffix("").parts for path in PACKAGE.rglob("*.py")]
    found = {".".join(part[:-1] if part[-1] == "__init__" else part) for part in parts} - OUTSIDE
    strays = {
        name for name in found if not any(name == layer or name.startswith(f"{layer}.") for layer in known)
    }
    assert not strays, f"put {sorted(strays)} into LAYERS"


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = grimp.build_graph("rota", cache_dir=None)
    left = {arrow: arrow.replace("**", "*").split(" -> ") for arrow in UP | CIRCLES}
    stale = set(left)
    arrows: dict[str, set[str]] = {}
    for module in graph.modules:
        for other in graph.find_modules_directly_imported_by(module):
            named = {
                arrow for arrow, (one, two) in left.items() if fnmatch(module, one) and fnmatch(other, two)
            }
            stale -= named
            if not named:
                arrows.setdefault(module, set()).add(other)
    assert not stale, f"take {sorted(stale)} out of UP or CIRCLES"
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' <- '.join(error.args[1])}")
