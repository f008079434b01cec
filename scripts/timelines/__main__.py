"""python -m scripts.timelines [--check] [NAME …]: write docs/pictures/*.svg, or tell whether they are up to date."""

from __future__ import annotations

import sys
from pathlib import Path

from .drawing import Picture
from .scenes import SCENES
from .stage import Stage

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "pictures"


def pictures(names: list[str]) -> dict[Path, str]:
    """Return the text of each file.

    :param names: which; none: all
    """
    found = {}
    for scene in SCENES:
        if names and scene.name not in names:
            continue
        stage = Stage(scene.lease)
        scene.play(stage)
        found[FOLDER / f"{scene.name}.svg"] = Picture(scene, stage).svg()
        stage.close()
    return found


def main() -> int:
    """Write the pictures, or tell whether they are up to date."""
    check = "--check" in sys.argv
    drawn = pictures([name for name in sys.argv[1:] if not name.startswith("-")])
    stale = [
        path for path, text in drawn.items() if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    if check:
        for path in stale:
            print(f"{path.name} is not up to date: python -m scripts.timelines")
        return 1 if stale else 0
    for path in stale:
        path.write_text(drawn[path], encoding="utf-8")
        print(path.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
