"""Every measuring program still runs, with next to nothing to do, and what it answers can be shown. No speed is looked at."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks import history, plots, rows, runner, table
from benchmarks.conditions import conditions
from benchmarks.page import BEGIN, END, update_page
from benchmarks.peers import PEERS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    """The answers of every case, each program measured once; the same text measures APScheduler, and is not run for it."""
    programs: dict[tuple[str, str], Any] = {}
    with ThreadPoolExecutor(4) as pool:
        for case in rows.CASES:
            for name, program in case.programs().items():
                if name != "apscheduler" and (name not in PEERS or PEERS[name].python()):
                    kind = (program, "" if name == rows.FLOOR else name)
                    if kind not in programs:
                        programs[kind] = pool.submit(runner.run, case, name, miniature=True)
    results: dict[str, dict[str, Any]] = {case.name: {} for case in rows.CASES}
    for case in rows.CASES:
        for name, program in case.programs().items():
            kind = (program, "" if name == rows.FLOOR else name)
            if kind in programs:
                results[case.name][name] = [programs[kind].result()]
    return {"form": "full", "results": results, "conditions": conditions(1)}


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in rows.CASES])
def test_a_case_answers_with_the_figures_of_its_rows_and_the_right_count(
    case: rows.Case, report: dict[str, Any]
) -> None:
    answers = report["results"][case.name]
    for name, (answer,) in answers.items():
        if answer.get("void", "").startswith("Skipped: "):
            pytest.skip(answer["void"].removeprefix("Skipped: "))
        assert "void" not in answer, f"{name}: {answer['void']}\n{answer.get('stderr', '')}"
    missing = {row.figure for row in case.rows} - set(answers["rota"][0]["figures"])
    assert not missing, f"{case.program} does not report {missing}"


def test_the_short_form_is_a_part_of_the_full_one() -> None:
    short = {case.name: case.program for case in rows.cases("short")}
    assert short
    assert short.items() <= {case.name: case.program for case in rows.CASES}.items()


def test_the_tables_show_every_row_that_was_measured(report: dict[str, Any]) -> None:
    text = table.markdown(report)
    for case in rows.CASES:
        if not case.name.startswith("sustained"):
            for row in case.rows:
                assert row.title in text
    assert table.plain(report)


def test_the_pictures_are_well_formed(report: dict[str, Any]) -> None:
    doubled = {
        name: {**answers, "apscheduler": answers["rota"]} for name, answers in report["results"].items()
    }
    drawn = plots.pictures({**report, "results": doubled})
    assert set(drawn) == {"ratios", "bursts", "sustained", "adding"}
    for picture in drawn.values():
        assert ElementTree.fromstring(picture.svg).tag.endswith("svg")


def test_the_page_keeps_what_is_not_generated(report: dict[str, Any], tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nfigures of before\n{END}\nafter\n", encoding="utf-8")
    update_page(page, report)
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "figures of before" not in text
    assert rows.CASES[0].rows[0].title in text


def test_a_ratio_that_fell_by_more_than_a_quarter_is_warned_of(
    report: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "FILE", tmp_path / "history.jsonl")
    monkeypatch.setattr(history, "ROOT", tmp_path)

    def measured(theirs: float) -> dict[str, Any]:
        figures = {"ms": 10.0, "mb": 1.0}
        other = {"ms": theirs, "mb": 1.0}
        answers = {"rota": [{"figures": figures}], "apscheduler": [{"figures": other}]}
        return {**report, "results": {"import": answers}}

    history.append(measured(50.0))
    assert not list(history.regressions(measured(38.0)))
    (warning,) = history.regressions(measured(37.0))
    assert warning.startswith("import/ms: 3.7 times")
