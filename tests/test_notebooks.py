"""Every lesson runs, in order, to the end, with what it promises in its outputs."""

from __future__ import annotations

import base64
import io
import os
import re
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
    assert m["minutes"] < 3 and m["memory_gib"] < 3, f"lesson {lesson.number} took {m['minutes']} min, {m['memory_gib']} GiB"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["learner", "solution"])
@each_lesson
def test_it_runs_to_the_end_on_mini(lesson, kind, tmp_path):
    """nbval executes the notebook in a fresh kernel; any cell that stops turns this red and is named."""
    make = build.learner_notebook if kind == "learner" else build.solution_notebook
    notebook = make(lesson)
    if kind == "solution":  # a check that a solution fails must stop the notebook
        for cell in notebook.cells:
            if "check" in cell.metadata.get("tags", []):
                cell.source = cell.source.replace("check(\"", "assert check(\"", 1)
    folder = ROOT / "build/tests"
    build.write(notebook, folder / f"{lesson.source.stem}_{kind}.ipynb")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--nbval-lax", "--nbval-current-env",
         "--nbval-cell-timeout=600", str(folder / f"{lesson.source.stem}_{kind}.ipynb")],
        cwd=folder, capture_output=True, text=True, timeout=1500,
        env=os.environ | {"COURSE_PROFILE": "mini", "COURSE_MIRROR": "", "HF_HUB_OFFLINE": "1", "COURSE_WORK": str(tmp_path)})
    assert run.returncode == 0, run.stdout[-4000:]
    assert re.search(rf"{len(code_cells(notebook))} passed", run.stdout), "not every code cell ran"
