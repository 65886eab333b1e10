"""Every solution and every second right answer is found and earns everything, in every exercise; four tricks that once earned
full points earn next to nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.derived_answers import found, right_answers
from tools.grade.assemble import read_assignment
from tools.lessons import ROOT, lessons

WITHOUT_ARGUMENTS = {"e1_2"}  # a function without arguments has one answer
ALONE = {"COURSE_PROFILE": "mini", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


@pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: lesson.number)
def test_every_exercise_of_a_hand_in_is_found_and_an_untouched_one_is_open(lesson):
    assignment = read_assignment(lesson)
    solutions = {e.grade_id: e.solution for e in assignment.exercises}
    solved, untouched = found(assignment, solutions), found(assignment, {})
    assert {e: solved["states"][e] for e in solutions} == dict.fromkeys(solutions, "done")
    assert {e: untouched["states"][e] for e in solutions} == dict.fromkeys(solutions, "open")
    assert all(solved["taken"][e].strip() == code.strip() for e, code in solutions.items())


@pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: lesson.number)
def test_every_exercise_has_a_second_right_answer(lesson):
    ids = {e.grade_id for e in read_assignment(lesson).exercises}
    assert set(right_answers(lesson)) == ids - WITHOUT_ARGUMENTS


@pytest.mark.slow
@pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: lesson.number)
def test_right_answers_earn_everything_and_tricks_less_than_a_third(lesson):
    run = subprocess.run(
        [sys.executable, "-m", "tests.derived_answers", lesson.number],
        cwd=ROOT,
        env=os.environ | ALONE,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    answers = [json.loads(line) for line in run.stdout.splitlines()]
    rights, tricks = ([a for a in answers if a["right"] is right] for right in (True, False))
    ids = {a["grade_id"] for a in rights if a["kind"] == "solution"}
    assert ids and not [a for a in rights if a["share"] < 1]
    assert {a["grade_id"] for a in rights if a["kind"] != "solution"} >= ids - WITHOUT_ARGUMENTS
    assert not [a for a in tricks if a["share"] >= 1 / 3]
    assert {a["grade_id"] for a in tricks} >= ids - WITHOUT_ARGUMENTS
    # where nearly all other inputs have one answer they would judge by chance; a model answers only a few in time
    assert not [a for a in answers if a["of"] >= 20 and a["rest"] < 4]
