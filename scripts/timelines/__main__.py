"""python -m scripts.timelines [--check] [NAME …]: write docs/pictures/*.svg, or tell whether they are up to date.

The pages that show them get the words for those who cannot see them.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from .drawing import Picture
from .scenes import SCENES
from .stage import Stage

DOCS = Path(__file__).resolve().parents[2] / "docs"


def pictures(names: list[str]) -> dict[Path, str]:
    """Return the text of each picture.

    :param names: which; none: all
    """
    found = {}
    for scene in SCENES:
        if names and scene.name not in names:
            continue
        stage = Stage(scene.lease)
        scene.play(stage)
        found[DOCS / "pictures" / f"{scene.name}.svg"] = Picture(scene, stage).svg()
        stage.close()
    return found


def pages() -> dict[Path, str]:
    """Return the text of each page, with the words of the pictures that it shows."""
    words = {scene.name: scene.alt for scene in SCENES}

    def shown(match: re.Match[str]) -> str:
        return f"![{words.get(match[1], '')}](pictures/{match[1]}.svg)"

    return {
        path: re.sub(r"!\[[^\]]*\]\(pictures/([\w-]+)\.svg\)", shown, path.read_text(encoding="utf-8"))
        for path in sorted(DOCS.glob("*.md"))
    }


def main() -> int:
    """Write the pictures, or tell whether they are up to date."""
    check = "--check" in sys.argv
    made = pages() | pictures([name for name in sys.argv[1:] if not name.startswith("-")])
    stale = [
        path for path, text in made.items() if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path in stale:
        if check:
            print(f"{path.name} is not up to date: python -m scripts.timelines")
            continue
        path.write_text(made[path], encoding="utf-8")
        print(path.name)
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
