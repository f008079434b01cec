"""Draws what has become of runs as SVG: a lane for each job, a row for each record, time from left to right.

It knows no scheduler. Two texts that overlap, and a text that leaves the picture, are errors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from .stage import Bar, End, Key, Line, Stage

WIDTH, LEFT, TOP, ROW, STRIP = 880, 232, 88, 24, 15
SIZE, SMALL = 12.0, 10.5
#: the width of a character by that of its font: that of a wide one, so that texts have room in others
WIDE, MONO = 0.61, 0.605
#: by name, the colour on light and on dark
COLOURS = {
    "paper": ("#ffffff", "#14191f"),
    "ink": ("#1f2933", "#e4e7eb"),
    "faint": ("#5c6773", "#9aa5b1"),
    "grid": ("#e4e7eb", "#2b333c"),
    "shade": ("#f0ead9", "#2f2a1c"),
    "good": ("#0b6e4f", "#4cc38a"),
    "bad": ("#b3261e", "#f2857b"),
    "stopped": ("#5b6b7c", "#a9b8c7"),
    "open": ("#3e63a8", "#8fb1ee"),
    "wait": ("#8a5a00", "#e0b355"),
}
OUTCOMES = {"succeeded": "good", "failed": "bad", "timed_out": "bad", "lost": "bad", "died": "bad"}
OUTCOMES |= {"claimed": "open", "snoozed": "wait", "cancelled": "stopped", "skipped": "stopped"}
#: what a wait is called that needs another word than the ledger's
WHY = {"after": "delay", "manual": "by hand"}
SIGNS = {"succeeded": "✓", "failed": "✗", "timed_out": "✗", "lost": "✗", "died": "✗"}


@dataclass(frozen=True)
class Lane:
    """A job of a picture: what is written at its left."""

    job_id: str
    code: str
    words: Sequence[str] = ()


@dataclass
class Scene:
    """What a picture shows: who acts, which jobs are drawn, and between which times (seconds after the beginning)."""

    name: str
    title: str
    alt: str
    play: Callable[[Stage], None]
    lanes: Sequence[Lane]
    start: float
    end: float
    step: float
    #: room for the words at the right
    right: float = 170
    nodes: bool = False
    #: what a time waits for that is due and does not start
    waits: str = "a place"
    #: several nodes, with leases of so many seconds; None: one
    lease: float | None = None


def width_of(text: str, size: float = SIZE, per: float = WIDE) -> float:
    """Return about how wide a text is drawn."""
    return len(text) * size * per


class Picture:
    """A scene that is drawn."""

    def __init__(self, scene: Scene, stage: Stage) -> None:
        self.scene, self.stage = scene, stage
        self.parts: list[str] = []
        self.shades: list[str] = []
        self.boxes: list[tuple[float, float, float, float, str]] = []
        #: where each run is: its row, and where its last end is
        self.places: dict[Key, tuple[float, float]] = {}
        self.seen: set[str] = {"due"}

    # -- shapes --------------------------------------------------------------------------------------------------

    def x(self, at: float) -> float:
        """Return where a time stands."""
        scene = self.scene
        return LEFT + (at - scene.start) / (scene.end - scene.start) * (WIDTH - LEFT - scene.right)

    def text(self, x: float, y: float, text: str, colour: str = "ink", **more: str | float | bool) -> None:
        """Draw a text whose place must be free."""
        size = float(more.pop("size", SIZE))
        mono, middle, inside = (bool(more.pop(name, False)) for name in ("mono", "middle", "inside"))
        width = width_of(text, size, MONO if mono else WIDE)
        left = x - width / 2 if middle else x
        box = (left, y - size, left + width, y + 3, text)
        if left < 0 or left + width > WIDTH:
            raise ValueError(
                f"{self.scene.name}: {text!r} leaves the picture ({left:.0f} to {left + width:.0f})"
            )
        for other in self.boxes if not inside else ():
            if box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]:
                raise ValueError(f"{self.scene.name}: {text!r} is upon {other[4]!r}")
        if not inside:
            self.boxes.append(box)
        extra = ' font-family="ui-monospace, monospace"' if mono else ""
        extra += ' text-anchor="middle"' if middle else ""
        extra += f' font-size="{size:g}"' if size != SIZE else ""
        extra += "".join(f' {name.replace("_", "-")}="{value}"' for name, value in more.items())
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}"{_fill(colour)}{extra}>{escape(text)}</text>')

    def line(self, x1: float, y1: float, x2: float, y2: float, colour: str, more: str = "") -> None:
        """Draw a line."""
        place = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
        self.parts.append(f"<line {place}{_stroke(colour)}{more}/>")

    # -- the whole -----------------------------------------------------------------------------------------------

    def svg(self) -> str:
        """Return the picture."""
        y = float(TOP)
        for lane in self.scene.lanes:
            y = self._lane(lane, y)
        self._arrows()
        bottom = y + 8
        lanes, self.parts = self.parts, []
        self._head(bottom)
        head, self.parts = self.parts, []
        height = self._legend(bottom + 22) + 16
        dark = "".join(
            f".{name}{{fill:{colour}}}.{name}-line{{stroke:{colour}}}"
            for name, (_, colour) in COLOURS.items()
        )
        size = f'viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" height="{height:.0f}"'
        words = escape(self.scene.alt, {'"': "&quot;"})
        font = f'font-family="system-ui, sans-serif" font-size="{SIZE:g}"'
        first = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{words}" {font}>'
        hatch = (
            '<defs><pattern id="after" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
            f'<rect width="6" height="6"{_fill("paper")}/><rect width="3" height="6"{_fill("bad")}/></pattern></defs>'
        )
        style = f"<style>@media (prefers-color-scheme: dark) {{{dark}}}</style>"
        paper = f'<rect width="{WIDTH}" height="{height:.0f}"{_fill("paper")}/>'
        return (
            "\n".join([first, style, hatch, paper, *self.shades, *head, *lanes, *self.parts, "</svg>"]) + "\n"
        )

    def _head(self, bottom: float) -> None:
        scene = self.scene
        self.text(20, 28, scene.title, size=16, font_weight=600)
        at = -(-scene.start // scene.step) * scene.step
        while at <= scene.end:
            self.line(self.x(at), TOP - 14, self.x(at), bottom, "grid")
            self.text(self.x(at), TOP - 20, self._shown(at), "faint", middle=True, size=SMALL)
            at += scene.step
        unit = "hours and minutes" if scene.step >= 3600 else "minutes and seconds"
        self.text(20, TOP - 20, unit, "faint", size=SMALL)

    def _shown(self, at: float) -> str:
        minutes, seconds = divmod(round(at), 60)
        return (
            f"{minutes // 60:02}:{minutes % 60:02}" if self.scene.step >= 3600 else f"{minutes}:{seconds:02}"
        )

    def _legend(self, y: float) -> float:
        x = 20.0
        for what, words in LEGEND.items():
            if what not in self.seen or (what == "none" and "many" in self.seen):
                continue
            if x + 30 + width_of(words, SMALL) > WIDTH:
                x, y = 20.0, y + 20
            self._sign(what, x, y)
            self.text(x + 30, y, words, "faint", size=SMALL)
            x += 46 + width_of(words, SMALL)
        return y

    def _sign(self, what: str, x: float, y: float) -> None:
        if what == "due":
            self._triangle(x + 12, y)
        elif what == "attempt":
            self._rect(x, y - 11, 24, "open", 13)
        elif what == "after":
            self._rect(x, y - 11, 24, "bad", 13, hatched=True)
        elif what == "wait":
            self.line(x, y - 4, x + 24, y - 4, "wait", DASHED)
        elif what in ("none", "many"):
            self._circle(x + 12, y - 4)
        elif what == "beat":
            self._dot(x + 12, y - 4)
        elif what in ("pause", "outage"):
            self._rect(x, y - 11, 24, "shade", 13)

    # -- lanes ---------------------------------------------------------------------------------------------------

    def _lane(self, lane: Lane, top: float) -> float:
        stage, scene = self.stage, self.scene
        self.line(20, top, WIDTH - 20, top, "grid")
        self.text(20, top + 17, lane.code, mono=True, size=11)
        for number, words in enumerate(lane.words):
            self.text(20, top + 33 + number * 15, words, "faint", size=SMALL)
        y = self._notes(stage.notes.get(lane.job_id, ()), top + 4)
        due = [at for at in stage.due(lane.job_id) if scene.start <= at <= scene.end]
        for at in due:
            self._triangle(self.x(at), y + 13)
        first = y + (18 if due else 6)
        rows: list[float] = []
        for line in stage.lines(lane.job_id):
            begin, end = self._extent(line)
            row = next((number for number, taken in enumerate(rows) if taken + 10 <= begin), len(rows))
            rows[row:row + 1] = [end]  # fmt: skip
            self._line(lane.job_id, line, first + row * ROW + ROW / 2)
        bottom = max(first + len(rows) * ROW + 4, top + 26 + 15 * len(lane.words) + 4)
        for begin, end, why in stage.spans.get(lane.job_id, ()):
            self.seen.add("outage" if why == "outage" else "pause")
            place = f'x="{self.x(begin):.1f}" y="{y:.1f}" width="{self.x(end) - self.x(begin):.1f}" height="{bottom - y - 2:.1f}"'
            self.shades.append(f"<rect {place}{_fill('shade')}/>")
        for at, _ in stage.notes.get(lane.job_id, ()):
            self.line(self.x(at), top + 6, self.x(at), first, "wait")
        return bottom

    def _notes(self, notes: Sequence[tuple[float, str]], top: float) -> float:
        ends: list[float] = []
        for at, words in notes:
            x = self.x(at) + 4
            row = next((number for number, taken in enumerate(ends) if taken + 8 <= x), len(ends))
            ends[row:row + 1] = [x + width_of(words, SMALL, MONO)]  # fmt: skip
            self.text(x, top + 12 + row * STRIP, words, "wait", size=SMALL, mono=True)
        return top + STRIP * len(ends)

    def _extent(self, line: Line) -> tuple[float, float]:
        """Return from where to where a record takes its row."""
        last = max([*line.times, *(bar.end for bar in line.bars), *(wait.end for wait in line.waits)])
        words = self._end_words(line.ends[-1]) if line.ends else "under way"
        return self.x(line.times[0]) - 6, self.x(last) + 10 + width_of(words)

    @staticmethod
    def _end_words(end: End) -> str:
        sign = SIGNS.get(end.status, "")
        return f"{sign} {end.words}" if sign else end.words

    def _line(self, job_id: str, line: Line, y: float) -> None:
        last = max([*line.times, *(bar.end for bar in line.bars), *(wait.end for wait in line.waits)])
        begins = min(
            [bar.start for bar in line.bars] + [wait.start for wait in line.waits], default=line.nominal
        )
        left_out = bool(line.ends) and (not line.bars or line.bars[0].start > line.ends[0].at)
        if len(line.times) > 1:
            self.line(self.x(line.nominal), y, self.x(line.times[-1]), y, "faint", DOTTED)
        if begins > line.times[-1]:
            words = self._end_words(line.ends[0]) if left_out else ""
            begin = self.x(line.times[-1]) + (14 + width_of(words) if words else 0)
            self.line(begin, y, max(self.x(begins), begin), y, "faint", DOTTED)
        if left_out or line.was_left_out:
            self.seen.add("none" if len(line.times) == 1 else "many")
            for at in line.times:
                self._circle(self.x(at), y)
        for wait in line.waits:
            self._wait(wait.start, wait.end, WHY.get(wait.what, wait.what or self.scene.waits), y)
        for bar in line.bars:
            self._bar(bar, y, str(bar.number) if len(line.bars) > 1 else self._shown(line.nominal))
        for beat in line.beats:
            self.seen.add("beat")
            self._dot(self.x(beat), y - 10)
        for number, end in enumerate(line.ends):
            at = max([*line.times, *(bar.end for bar in line.bars if bar.end <= end.at)])
            if number == len(line.ends) - 1:
                at = last
            self.text(self.x(at) + 9, y + 4, self._end_words(end), OUTCOMES.get(end.status, "stopped"))
        if not line.ends:
            waits = bool(line.waits) and line.waits[-1].end >= last
            self.text(self.x(last) + 9, y + 4, "…" if waits else "under way", "open")
        self.places[job_id, line.nominal] = (self.x(last), y)

    def _wait(self, start: float, end: float, what: str, y: float) -> None:
        self.seen.add("wait")
        left, right = self.x(start), self.x(end)
        room = width_of(what, SMALL) + 8
        if right - left < room + 8:
            self.line(left, y, right, y, "wait", DASHED)
            return
        middle = (left + right) / 2
        self.line(left, y, middle - room / 2, y, "wait", DASHED)
        self.line(middle + room / 2, y, right, y, "wait", DASHED)
        self.text(middle, y + 3.5, what, "wait", middle=True, size=SMALL)

    def _bar(self, bar: Bar, y: float, words: str) -> None:
        self.seen.add("attempt")
        left, right = self.x(bar.start), self.x(bar.end)
        colour = OUTCOMES.get(bar.outcome, "stopped")
        over = None if bar.over is None else self.x(bar.over)
        self.boxes.append((left, y - 7, right, y + 7, f"an attempt from {bar.start:g} on"))
        self._rect(left, y - 7, (right if over is None else over) - left, colour)
        if over is not None and right > over + 1:
            self.seen.add("after")
            self._rect(over, y - 7, right - over, "bad", hatched=True)
        if self.scene.nodes:
            words = f"{bar.number}, node {bar.node}"
        if (right if over is None else over) - left >= width_of(words, SMALL) + 2:
            middle = (left + (right if over is None else over)) / 2
            self.text(middle, y + 4, words, "paper", middle=True, size=SMALL, inside=True)

    def _arrows(self) -> None:
        for lane in self.scene.lanes:
            for line in self.stage.lines(lane.job_id):
                if line.parent is None or line.parent not in self.places:
                    continue
                x, y1 = self.places[line.parent]
                _, y2 = self.places[lane.job_id, line.nominal]
                self.line(x, y1 + 7, x, y2 - 9, "ink")
                self.parts.append(f'<path d="M{x - 3.5:.1f} {y2 - 15:.1f}h7l-3.5 7z"{_fill("ink")}/>')

    # -- small shapes --------------------------------------------------------------------------------------------

    def _rect(
        self, x: float, y: float, width: float, colour: str, height: float = 14, hatched: bool = False
    ) -> None:
        fill = f'{_stroke("bad")} fill="url(#after)"' if hatched else _fill(colour)
        place = f'x="{x:.1f}" y="{y:.1f}" width="{max(width, 2):.1f}" height="{height:g}"'
        self.parts.append(f'<rect {place} rx="2"{fill}/>')

    def _triangle(self, x: float, y: float) -> None:
        self.parts.append(f'<path d="M{x - 4:.1f} {y - 8:.1f}h8l-4 7z"{_fill("ink")}/>')

    def _circle(self, x: float, y: float) -> None:
        self.parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5"{_both("paper", "stopped")} stroke-width="2"/>'
        )

    def _dot(self, x: float, y: float) -> None:
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2"{_fill("ink")}/>')


DASHED, DOTTED = ' stroke-width="1.6" stroke-dasharray="4 3"', ' stroke-dasharray="1 3"'
LEGEND = {
    "due": "due by the schedule",
    "attempt": "an attempt: its number, or the time of its run",
    "after": "goes on after its time is over",
    "wait": "waits, and for what",
    "none": "did not run",
    "many": "did not run; ×2: one record of two times",
    "beat": "heartbeat()",
    "pause": "paused or on hold",
    "outage": "nobody is there",
}


def _fill(colour: str) -> str:
    return f' class="{colour}" fill="{COLOURS[colour][0]}"'


def _stroke(colour: str) -> str:
    return f' class="{colour}-line" stroke="{COLOURS[colour][0]}"'


def _both(fill: str, stroke: str) -> str:
    return f' class="{fill} {stroke}-line" fill="{COLOURS[fill][0]}" stroke="{COLOURS[stroke][0]}"'
