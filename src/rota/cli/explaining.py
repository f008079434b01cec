"""``rota explain``: what a trigger means, when it comes next, and what changes of the clocks do to it.

Pure, apart from printing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..clock import SYSTEM_CLOCK, moment
from .next_times import next_times, read_trigger
from .output import CliError, note, print_json, say, zone_of

if TYPE_CHECKING:
    from ..triggers.lint import Finding

_LANGUAGES = ("en", "vi")


def show_explanation(
    text: str, zone_name: str | None, language: str, years: int, count: int, as_json: bool
) -> None:
    """Print a trigger in a sentence, its next times, and the dates on which a change of the clocks matters.

    :param language: ``en`` or ``vi``
    :param years: for how many years, from this one on, changes of the clocks are looked at
    :param count: how many of the next times are shown
    """
    if language not in _LANGUAGES:
        raise CliError(f"--language: {language!r} is not known; write en or vi", 2)
    zone = zone_of(zone_name)
    now = SYSTEM_CLOCK.now()
    trigger = read_trigger(text, zone, now)
    sentence = trigger.explain(language)
    times = [moment(at, trigger.timezone or zone) for at in next_times(trigger, now, count)]
    year = moment(now, zone).year
    findings = trigger.lint(years=range(year, year + years))
    if as_json:
        print_json(
            {
                "trigger": str(trigger),
                "explanation": sentence,
                "times": [at.isoformat() for at in times],
                "clock_changes": [finding.as_dict() for finding in findings],
            }
        )
        return
    say(sentence)
    for at in times:
        say(f"  {at:%a %Y-%m-%d %H:%M:%S %z}")
    if not times:
        note("it has no time from now on")
    _show(findings)


def _show(findings: list[Finding]) -> None:
    if findings:
        say("changes of the clocks:")
        for finding in findings:
            say(f"  {finding.text}")
