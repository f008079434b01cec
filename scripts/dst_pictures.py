"""Draws docs/triggers/dst-*.svg: what each policy does where the clocks change. The dots are what the triggers answer.

python scripts/dst_pictures.py          # write them
python scripts/dst_pictures.py --check  # fail if they are not up to date
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

from rota.triggers.cron import CronTrigger

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "triggers"
POLICIES = ("vixie", "wall", "gap-end", "shift")

LEFT, WIDTH, TOP, STEP = 270, 470, 92, 34
INK, FAINT, MARK, CHANGE = "#1f2933", "#9aa5b1", "#0b6e4f", "#b44d12"


class Scene:
    """Some hours around a change of the clocks, and two jobs: one at fixed times, one that follows real time."""

    def __init__(
        self,
        title: str,
        note: str,
        zone: str,
        change: datetime,
        hours: tuple[int, int],
        fixed: str,
        wild: str,
    ) -> None:
        self.title, self.note, self.zone, self.change = title, note, ZoneInfo(zone), change
        self.start, self.end = change - timedelta(hours=hours[0]), change + timedelta(hours=hours[1])
        self.rows = [(policy, job) for policy in POLICIES for job in (("fixed", fixed), ("wild", wild))]
        self.height = TOP + len(self.rows) * STEP + 34

    def x(self, at: datetime) -> float:
        """Return where a time stands."""
        return LEFT + (at - self.start) / (self.end - self.start) * WIDTH

    def drawn(self) -> str:
        """Return the picture."""
        height = self.height
        parts = [
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 780 {height}" role="img" '
                f'aria-label="{escape(self.title)}" font-family="system-ui, sans-serif" font-size="13" fill="{INK}">'
            ),
            f'<rect width="780" height="{height}" fill="#ffffff"/>',
            f'<text x="20" y="28" font-size="16" font-weight="600">{escape(self.title)}</text>',
            f'<text x="20" y="50" fill="{CHANGE}">{escape(self.note)}</text>',
            *self._clock(),
            *(part for number, row in enumerate(self.rows) for part in self._row(number, *row)),
            (
                f'<text x="{LEFT}" y="{height - 10}" fill="{FAINT}" font-size="12">'
                "time passes from left to right; the labels are what clocks show</text>"
            ),
            "</svg>",
        ]
        return "\n".join(parts) + "\n"

    def _clock(self) -> list[str]:
        long = self.end - self.start > timedelta(hours=12)
        step = timedelta(hours=12) if long else timedelta(minutes=30)
        parts = []
        for number in range(round((self.end - self.start) / step) + 1):
            at = self.start + number * step
            wall = at.astimezone(self.zone)
            labelled = long or not wall.minute or at == self.change
            parts.append(self._line(at, f'stroke="{FAINT}" stroke-width="{1 if labelled else 0.4}"'))
            if labelled:
                shown = f"{wall:%d %b %Hh}" if long else f"{wall:%H:%M}"
                place = f'x="{self.x(at):.0f}" y="{TOP - 18}" text-anchor="middle"'
                parts.append(f'<text {place} font-size="{10 if long else 12}">{shown}</text>')
        return [*parts, self._line(self.change, f'stroke="{CHANGE}" stroke-width="2" stroke-dasharray="5 4"')]

    def _line(self, at: datetime, style: str) -> str:
        x = f"{self.x(at):.0f}"
        return f'<line x1="{x}" y1="{TOP - 12}" x2="{x}" y2="{self.height - 30}" {style}/>'

    def _row(self, number: int, policy: str, job: tuple[str, str]) -> list[str]:
        kind, expression = job
        y = TOP + number * STEP + STEP // 2
        trigger = CronTrigger.from_crontab(expression, self.zone, dst=policy)
        return [
            f'<text x="20" y="{y + 4}" font-weight="600">{policy}</text>',
            f'<text x="86" y="{y + 4}">{kind}</text>',
            f'<text x="130" y="{y + 4}" font-family="ui-monospace, monospace" font-size="12">{escape(expression)}</text>',
            f'<line x1="{LEFT}" y1="{y}" x2="{LEFT + WIDTH}" y2="{y}" stroke="{FAINT}" stroke-width="0.8"/>',
            *(
                f'<circle cx="{self.x(fire):.1f}" cy="{y}" r="6" fill="{MARK}"><title>{fire.isoformat()}</title></circle>'
                for fire in trigger.occurrences(self.start, self.end)
            ),
        ]


def pictures() -> dict[Path, str]:
    """Return the text of each file."""
    scenes = {
        "gap": Scene(
            "A gap: Berlin, 29 March 2026",
            "At 02:00 clocks jump to 03:00; nothing between 02:00 and 02:59 is shown.",
            "Europe/Berlin", datetime(2026, 3, 29, 1, tzinfo=UTC), (1, 2), "15,45 2 * * *", "*/30 2 * * *",
        ),
        "overlap": Scene(
            "An overlap: Berlin, 25 October 2026",
            "At 03:00 clocks go back to 02:00; 02:00 to 02:59 is shown twice.",
            "Europe/Berlin", datetime(2026, 10, 25, 1, tzinfo=UTC), (2, 2), "15,45 2 * * *", "*/30 2 * * *",
        ),
        "half-hour": Scene(
            "Half an hour: Lord Howe Island, 4 October 2026",
            "At 02:00 clocks jump to 02:30.",
            "Australia/Lord_Howe", datetime(2026, 10, 3, 15, 30, tzinfo=UTC), (1, 2), "15 2,3 * * *", "*/15 2 * * *",
        ),
        "lost-day": Scene(
            "A lost day: Apia, December 2011",
            "After 29 December 23:59 came 31 December 00:00: a correction of the calendar, longer than three hours.",
            "Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC), (24, 36), "0 9 * * *", "0 */12 * * *",
        ),
    }  # fmt: skip
    return {FOLDER / f"dst-{name}.svg": scene.drawn() for name, scene in scenes.items()}


def main() -> int:
    """Write the pictures, or tell whether they are up to date."""
    stale = [
        path
        for path, text in pictures().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    if "--check" in sys.argv:
        for path in stale:
            print(f"{path.name} is not up to date: python scripts/dst_pictures.py")
        return 1 if stale else 0
    for path, text in pictures().items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
