"""Every lesson runs, in order, to the end, with what it promises in its outputs."""

from __future__ import annotations

import base64
import io
import os
import re
import runpy
import subprocess
import sys

import nbformat
import numpy as np
import pytest
from PIL import Image

from tools import build
from tools.lessons import ROOT, lessons, measured

each_lesson = pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: lesson.number)
MACHINE_PATH = re.compile(r"(?<![\w/.])/(?:home|root|work|tmp|Users|content|opt|usr|var)/[\w.-]+")


def committed(lesson):
    return nbformat.read(lesson.notebook, as_version=4)


def code_cells(notebook):
    return [c for c in notebook.cells if c.cell_type == "code"]


def outputs(notebook):
    return [(n, o) for n, c in enumerate(notebook.cells) if c.cell_type == "code" for o in c.outputs]


@each_lesson
def test_committed_cells_ran_once_and_in_order(lesson):
    counts = [c.execution_count for c in code_cells(committed(lesson))]
    assert counts == list(range(1, len(counts) + 1)), "run `make notebooks`"


@each_lesson
def test_no_output_is_an_error_a_path_or_a_widget(lesson):
    notebook = committed(lesson)
    assert "widgets" not in notebook.metadata
    for number, output in outputs(notebook):
        assert output.output_type != "error", f"cell {number} stopped"
        text = output.get("text", "") + "".join(str(v) for k, v in output.get("data", {}).items() if k != "image/png")
        assert not MACHINE_PATH.search(text), f"cell {number} prints a path of a machine: {MACHINE_PATH.search(text)[0]}"
        assert build.WIDGET_VIEW not in output.get("data", {}), f"cell {number} keeps a widget view"


@each_lesson
def test_every_figure_shows_something_and_has_alt_text(lesson):
    figures = [(n, o) for n, o in outputs(committed(lesson)) if "image/png" in o.get("data", {})]
    assert len(figures) >= 4
    for number, output in figures:
        alt = output.metadata.get("image/png", {}).get("alt", "")
        assert len(alt) > 40, f"cell {number}: a figure without a sentence of alt text"
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(output.data["image/png"]))).convert("L"))
        assert pixels.std() > 8 and (pixels < 128).mean() > 0.005, f"cell {number}: the figure is empty"


@each_lesson
def test_the_last_cell_states_the_result(lesson):
    text = "".join(o.get("text", "") for o in code_cells(committed(lesson))[-1].outputs)
    assert re.search(r"^Headline: .*\d", text, re.M) and re.search(r"^Minutes: \d", text, re.M)


@each_lesson
def test_minutes_and_memory_stay_inside_the_budget(lesson):
    m = measured()[lesson.number]["mini"]
    limit = 3 if m["machine"].endswith("bf16") else 8  # minutes on two cores, with and without fast bf16
    assert m["minutes"] < limit and m["memory_gib"] < 3, f"lesson {lesson.number}: {m['minutes']} min, {m['memory_gib']} GiB"


# One execution proves a lesson: the learner notebook with, at each exercise, the unsolved stub, every listed wrong answer and
# the solution tried one after the other. The stub comes last, so that the rest runs on what a learner who skips it has.


def wrong_answers(lesson) -> dict[str, list[tuple[str, str, str]]]:
    """grade_id -> (what is wrong, code in the solution's place, what the check must say)."""
    file = ROOT / f"tests/wrong_answers/lesson_{lesson.number}.py"
    return runpy.run_path(str(file))["WRONG"] if file.is_file() else {}


VERDICTS = {
    "right": "assert '✅' in said.stdout and not crosses and 'not attempted' not in said.stdout, said.stdout",
    "stub": "assert 'not attempted yet' in said.stdout and '✅' not in said.stdout, said.stdout",
    "wrong": "assert any(message in line for line in crosses), f'expected {message!r} behind a cross, got:\\n{said.stdout}'"}


def attempt(kind: str, exercise: str, check: str, message: str = "") -> list[nbformat.NotebookNode]:
    """Three cells: an answer, its check, and whether the check said what it must.

    ``%%capture`` loses what it caught where the cell ends in a semicolon.
    """
    verdict = (f"message = {message!r}\ncrosses = [line for line in said.stdout.splitlines() if line.startswith('❌')]\n"
               + VERDICTS[kind])
    captured = f"%%capture said\n{check.rstrip().removesuffix(';')}"
    return [nbformat.v4.new_code_cell(source) for source in (exercise, captured, verdict)]


def proof_notebook(lesson) -> nbformat.NotebookNode:
    notebook, cells, exercise, grade_id = build.read_source(lesson), [], "", ""
    wrong = wrong_answers(lesson)
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        if "exercise" in tags:
            exercise, grade_id = cell.source, cell.metadata["nbgrader"]["grade_id"]
        elif "check" in tags:
            visible = build.HIDDEN.sub("", cell.source)
            for _, code, message in wrong.get(grade_id, []):
                cells += attempt("wrong", build.SOLUTION.sub(lambda m, code=code: code, exercise), visible, message)
            cells += attempt("right", exercise, cell.source)
            cells += attempt("stub", build.stub(exercise), visible)
        else:
            cell.source = build.HIDDEN.sub("", cell.source)
            cells.append(cell)
    notebook.cells = cells
    return build.finished(notebook, lesson, "proof")


@each_lesson
def test_every_exercise_lists_three_wrong_answers(lesson):
    exercises = [c.metadata["nbgrader"]["grade_id"] for c in build.read_source(lesson).cells
                 if "exercise" in c.metadata.get("tags", [])]
    listed = wrong_answers(lesson)
    assert set(listed) == set(exercises) and len(exercises) >= 3
    assert not [g for g, answers in listed.items() if len(answers) < 3 or not all(m.strip() for _, _, m in answers)]


@pytest.mark.slow
@each_lesson
def test_it_runs_to_the_end_on_mini_and_every_answer_gets_what_it_deserves(lesson, tmp_path):
    """nbval executes the notebook in a fresh kernel; any cell that stops turns this red and is named."""
    file = ROOT / f"build/tests/{lesson.source.stem}.ipynb"
    notebook = proof_notebook(lesson)
    build.write(notebook, file)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--nbval-lax", "--nbval-current-env",
         "--nbval-cell-timeout=900", str(file)], cwd=file.parent, capture_output=True, text=True, timeout=2400,
        env=os.environ | build.MINI | {"COURSE_WORK": str(tmp_path)})
    assert run.returncode == 0, run.stdout[-4000:]
    assert re.search(rf"{len(code_cells(notebook))} passed", run.stdout), "not every code cell ran"
