"""Four tricks that once earned full points earn next to nothing, in every exercise; the solution earns everything."""

from __future__ import annotations

import os

import pytest

from tests.derived_answers import wrong_answers
from tools.grade import assemble, inside, report
from tools.lessons import lessons


def points(exercise: dict, code: str) -> float:
    """The share of the exercise's points, tested as in the sandbox, in a process of its own."""
    seed = "ada" + exercise["grade_id"]
    messages, why = inside.in_child(
        lambda send: inside.run_exercise(dict(exercise), code, seed, 2 * 2**30, send), 600
    )
    result = inside.result_of(messages, why)
    assert "fault" not in result, result
    return report.points(result, 1)


@pytest.mark.slow
@pytest.mark.parametrize("lesson", lessons(["05"]), ids=lambda lesson: lesson.number)
def test_tricks_earn_less_than_a_third_and_the_solution_everything(lesson, monkeypatch):
    for name, value in {"COURSE_PROFILE": "mini", "OMP_NUM_THREADS": "1"}.items():
        monkeypatch.setitem(os.environ, name, value)
    for exercise in assemble.read_assignment(lesson).job()["exercises"]:
        assert points(exercise, exercise["solution"]) == 1, exercise["grade_id"]
        for kind, code in wrong_answers(exercise):
            assert points(exercise, code) < 1 / 3, (exercise["grade_id"], kind)
