"""The Lua files of the Redis store, without a server: what they are made of, when they are read, and that none is left over."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.needs import need

need("redis", "redis")

import rota.jobstores.redis as package  # noqa: E402
from rota.jobstores.redis.layout import MIGRATIONS, SCHEMA_VERSION, Keys  # noqa: E402
from rota.jobstores.redis.lua import included, sources  # noqa: E402

FOLDER = Path(package.__file__).parent
TEXTS = {path.stem: path.read_text() for path in (FOLDER / "scripts").glob("*.lua")}
PIECES = sorted(name for name in TEXTS if name.startswith("_"))
SCRIPTS = sorted(name for name in TEXTS if not name.startswith("_"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_head_of_a_script_says_what_it_is_called_with_and_what_it_returns(name: str) -> None:
    head = TEXTS[name].partition("\n\n")[0].split("\n")
    assert all(line.startswith("--") for line in head)
    assert [word for line in head for word in re.findall(r"^-- (KEYS\[1\]|ARGV\[1\]|Returns)  ", line)] == [
        "KEYS[1]",
        "ARGV[1]",
        "Returns",
    ]


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_carried_out_by_some_room_of_the_store(name: str) -> None:
    rooms = "".join(path.read_text() for path in FOLDER.glob("*.py"))
    assert f'"{name}"' in rooms


@pytest.mark.parametrize("name", PIECES)
def test_a_piece_is_part_of_a_script(name: str) -> None:
    whole = {script: text for script, text in sources().items() if included(TEXTS[name], TEXTS) in text}
    assert set(whole) == set(SCRIPTS) if name == "_common" else whole


def test_pieces_take_the_places_of_their_names_also_within_pieces() -> None:
    pieces = {"_outer": "a\n-- include _inner\nb\n", "_inner": "c\n"}
    assert included("-- include _outer\nd\n-- include nothing of ours, a remark\n", pieces) == (
        "a\nc\n\nb\n\nd\n-- include nothing of ours, a remark\n"
    )
    assert not any(re.search("^-- include", text, re.MULTILINE) for text in sources().values())


def test_each_version_of_the_keys_has_a_script_that_leads_to_the_next_one() -> None:
    assert list(MIGRATIONS) == list(range(1, SCHEMA_VERSION))
    for version, name in MIGRATIONS.items():
        text = sources()[name]
        assert f"'schema') ~= '{version}'" in text
        assert f"'schema', '{version + 1}'" in text


def test_a_store_has_its_own_text_of_a_script_and_makes_it_once() -> None:
    one, other = Keys("a.jobs", "a.times", 0), Keys("b.jobs", "b.times", 0)
    assert one.script("due") is one.script("due")
    assert one.script("due").sha != other.script("due").sha


def test_no_script_is_read_before_a_store_starts() -> None:
    code = (
        "from rota.jobstores.redis import RedisJobStore\n"
        "from rota.jobstores.redis.lua import sources\n"
        "RedisJobStore()\n"
        "raise SystemExit(sources.cache_info().currsize)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=50).returncode == 0
