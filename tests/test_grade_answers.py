"""Four tricks that once earned full points earn next to nothing, in every exercise; the solution earns everything."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tools.lessons import ROOT, lessons

WITHOUT_ARGUMENTS = {"e1_2"}  # a function without arguments has one answer
ALONE = {"COURSE_PROFILE": "mini", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


@pytest.mark.slow
@pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: lesson.number)
def test_tricks_earn_less_than_a_third_and_the_solution_everything(lesson):
    run = subprocess.run(
        [sys.executable, "-m", "tests.derived_answers", lesson.number],
        cwd=ROOT,
        env=os.environ | ALONE,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    shares = [json.loads(line) for line in run.stdout.splitlines()]
    solutions = [s for s in shares if s["kind"] == "solution"]
    tricks = [s for s in shares if s["kind"] != "solution"]
    assert solutions and not [s for s in solutions if s["share"] < 1]
    assert not [s for s in tricks if s["share"] >= 1 / 3]
    assert {s["grade_id"] for s in tricks} >= {s["grade_id"] for s in solutions} - WITHOUT_ARGUMENTS
