"""``rota migrate``: changes a program that was written for APScheduler into one for Rota, and says what is left to do.

Finds, reads and writes files; what becomes of them is decided by :mod:`rota.importers.programs`. No code of theirs is imported.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import RotaError
from ..importers.programs import Remark, diff, migrated
from ..importers.programs.paths import identity, is_passed_over
from ..importers.sources import read_source
from ..jobstores.earlier import by_import
from ..masking import masked, without_secrets
from .escaping import escaped
from .output import CliError, note, print_json, say

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..importers.programs import Migrated

_NAMESAKE = "a module of this project has the name of a package; check which of the two its imports mean"
_NAMES = ("apscheduler", "rota")
#: How many lines with the word that were left are shown, unless all are asked for.
_SHOWN = 10


class _Found:
    """What became of the files: those that change, and what is said of which."""

    def __init__(self) -> None:
        self.changed: list[tuple[Path, bytes, Migrated]] = []
        self.remarks: list[tuple[Path, Remark]] = []
        #: the names of the packages that are there, and where those are that have the name of one of the two
        self.packages: set[str] = set()
        self.namesakes: list[Path] = []

    def of_kind(self, kind: str) -> list[tuple[Path, Remark]]:
        return [(path, remark) for path, remark in self.remarks if remark.kind == kind]


def migrate(
    paths: Sequence[str], stores: Sequence[str], *, dry_run: bool, show_all: bool, as_json: bool
) -> int:
    """Show what changes in the files below some paths, and change them unless it is a dry run.

    :param stores: URLs of job stores of APScheduler in which to look for jobs
    :return: the exit code: 1 if something has to be done by hand
    """
    found = _look(paths)
    if found.changed:
        found.remarks += [(path, Remark(1, "look", _NAMESAKE)) for path in found.namesakes]
    if not dry_run:
        found.changed = [each for each in found.changed if _written(*each, found.remarks)]
    held = [_held(url) for url in stores]
    if as_json:
        _print_as_json(found, held, not dry_run)
    else:
        _print(found, held, dry_run, show_all)
    return int(bool(found.of_kind("look")))


def _look(paths: Sequence[str]) -> _Found:
    found = _Found()
    seen: set[object] = set()
    for path in map(Path, paths):
        if not path.exists():
            raise CliError(f"there is no file or folder {path}")
        single = [Path(os.path.realpath(path)) if path.is_symlink() else path]
        for file in single if path.is_file() else _files(path, found):
            try:
                file_id = identity(os.path.realpath(file), file.stat())
                if file_id in seen:
                    continue
                seen.add(file_id)
                data = file.read_bytes()
            except OSError as exc:
                found.remarks.append((file, Remark(1, "look", f"it cannot be read: {exc.strerror}")))
                continue
            result = migrated(file, data)
            found.remarks += [(file, remark) for remark in result.remarks]
            if result.edits:
                found.changed.append((file, data, result))
    return found


def _files(folder: Path, found: _Found) -> Iterator[Path]:
    """Yield the files below a folder that are the project's own; links are not followed."""
    for place, folders, files in os.walk(folder):
        if "__init__.py" in files:
            name = Path(place).resolve().name
            found.packages.add(name)
            if name in _NAMES:
                found.namesakes.append(Path(place, "__init__.py"))
        found.namesakes += [Path(place, f"{name}.py") for name in _NAMES if f"{name}.py" in files]
        folders[:] = sorted(
            name for name in folders if not is_passed_over(name) and not _is_environment(Path(place, name))
        )
        for name in sorted(files):
            path = Path(place, name)
            if path.is_file() and not path.is_symlink():
                yield path


def _is_environment(folder: Path) -> bool:
    return (folder / "pyvenv.cfg").exists() or (folder / "conda-meta").is_dir()


def _written(path: Path, before: bytes, result: Migrated, remarks: list[tuple[Path, Remark]]) -> bool:
    """Write a file, whole or not at all, with the permissions that it has; tell whether it was done."""
    try:
        if path.read_bytes() != before:
            raise OSError(0, "it was changed meanwhile")
        if not os.access(path, os.W_OK):
            raise OSError(0, "it is read-only")
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(result.data)
            shutil.copymode(path, name)
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as exc:
        remarks.append((path, Remark(1, "look", f"it was not written: {exc.strerror}")))
        return False
    return True


# -- stored jobs ---------------------------------------------------------------------------------------------------


def _held(url: str) -> dict[str, Any]:
    """Return how many jobs of APScheduler are in a store, and how they are taken over."""
    held: dict[str, Any] = {"url": masked(url), "jobs": None, "problem": None, "command": None}
    try:
        held["jobs"] = sum(1 for _ in read_source(url))
        held["command"] = by_import(held["url"])
    except RotaError as exc:
        held["problem"] = without_secrets(str(exc), url)
    return held


# -- what is said --------------------------------------------------------------------------------------------------


def _print_as_json(found: _Found, held: list[dict[str, Any]], written: bool) -> None:
    print_json(
        {
            "written": written,
            "files": [
                {"path": str(path), "changes": len(result.edits), "diff": diff(path, result)}
                for path, before, result in found.changed
            ],
            "remarks": [
                {"path": str(path), "line": remark.line, "kind": remark.kind, "text": remark.text}
                for path, remark in found.remarks
            ],
            "stores": held,
        }
    )


def _print(found: _Found, held: list[dict[str, Any]], dry_run: bool, show_all: bool) -> None:
    for path, _, result in found.changed:
        say(_escaped(diff(path, result)))
    places = sum(len(result.edits) for _, _, result in found.changed)
    nothing = "nothing was changed" if found.remarks else "there is nothing to change"
    count = f"{_counted(places, 'place')} in {_counted(len(found.changed), 'file')}"
    note(f"{count} {'to be changed; nothing was written' if dry_run else 'changed'}" if places else nothing)
    _note_each(found.of_kind("look"), "to be looked at:")
    left = found.of_kind("left")
    if left and not show_all and len(left) > _SHOWN:
        _note_each(left[:_SHOWN], "left as they are, as they name no module, logger or option:")
        note(f"  … and {len(left) - _SHOWN} more; --all shows them")
    else:
        _note_each(left, "left as they are, as they name no module, logger or option:")
    libraries = {remark.text for _, remark in found.of_kind("library")} - found.packages
    for name in sorted(libraries):
        note("")
        note(
            f"{escaped(name)} imports APScheduler itself; write 'import rota.as_apscheduler' first, and it gets Rota"
        )
    _note_stores(found, held)


def _note_each(remarks: list[tuple[Path, Remark]], head: str) -> None:
    if remarks:
        note("")
        note(head)
    for path, remark in remarks:
        note(f"  {escaped(str(path))}:{remark.line}: {escaped(remark.text)}")


def _note_stores(found: _Found, held: list[dict[str, Any]]) -> None:
    stored = found.of_kind("stored")
    if stored and not held:
        note("")
        note(
            "jobs may be stored; these commands show what would become of them, and write nothing before you say yes:"
        )
        told: set[str] = set()
        for path, remark in stored:
            if remark.text not in told:
                told.add(remark.text)
                note(f"  {escaped(str(path))}:{remark.line}: {escaped(remark.text)}")
        note("rota migrate connects to no store; --store URL counts the jobs in one")
    for store in held:
        note("")
        if store["problem"] is not None:
            note(f"no jobs were found: {escaped(store['problem'])}")
        else:
            note(
                f"{_counted(store['jobs'], 'job')} of APScheduler in {store['url']}; take them over: {store['command']}"
            )


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _escaped(text: str) -> str:
    """Return a diff in printable characters; its line breaks stay."""
    return "\n".join(escaped(line) for line in text.split("\n"))
