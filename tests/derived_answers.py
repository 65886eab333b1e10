"""What answers earn. Right ones: the solution and those of ``tests/right_answers``, as the grader finds them in a hand-in.
Four kinds of wrong answers that follow from any solution: a constant, one that spoils its inputs, a table of what the tests
ask, and one that counts its calls. Each stands for a trick that once earned full points.

``python -m tests.derived_answers 05`` prints what each of them earns, a JSON object a line.
"""

from __future__ import annotations

import base64
import collections
import hashlib
import json
import pickle
import runpy
import sys

from tools import build
from tools.grade import assemble, find, inside, report
from tools.lessons import ROOT, Lesson, lessons

STUDENTS = ("ada", "bob", "zoe")  # the other inputs differ from one to the next
ANSWERED = "\n\nright_answer, seen = {name}, []\n"
SPOILS = '''
def spoil(value):
    """Numbers become 0 in place, lists lose all but one entry."""
    if hasattr(value, "zero_"):
        value.detach().zero_()
    elif hasattr(value, "fill"):
        value.fill(0)
    elif type(value) is dict:
        value.clear()
    elif type(value) is list and value and type(value[0]) in (int, float):
        value[:] = [0 * v for v in value]
    elif type(value) is list:
        del value[1:]


def {name}(*args, **kwargs):
    for value in [*args, *kwargs.values()]:
        spoil(value)
    return right_answer(*args, **kwargs)
'''
CONSTANT = """
def {name}(*args, **kwargs):
    if not seen:
        seen.append(right_answer(*args, **kwargs))
    return seen[0]
"""
TABLE = """
import hashlib

from tools.grade.inside import readable


def {name}(*args, **kwargs):
    if hashlib.sha256(readable((args, kwargs)).encode()).hexdigest()[:12] in {known}:
        return right_answer(*args, **kwargs)
    return None
"""
COUNTS = """
import base64
import pickle

calls = pickle.loads(base64.b64decode({calls!r}))


def {name}(*args, **kwargs):
    seen.append(1)
    args, kwargs = calls[(len(seen) - 1) % len(calls)]
    return right_answer(*args, **kwargs)
"""


def spoilable(call: tuple) -> bool:
    args, kwargs = call
    return any(
        type(v) in (list, dict) or hasattr(v, "zero_") or hasattr(v, "fill")
        for v in [*args, *kwargs.values()]
    )


def describable(call: tuple) -> bool:
    """Whether a table can tell this call from others: one that gets nothing but functions has no entry."""
    args, kwargs = call
    return any(not inside.readable(v).startswith("<") for v in [*args, *kwargs.values()])


def derive(exercise: dict, send) -> None:
    """Send the code of each kind that makes sense for this exercise. Runs in a process of its own: it needs the lesson."""
    _, recorded = inside.recorded(exercise, find.setup_for(exercise, exercise["solution"]))
    (name, calls), *_ = recorded.items()
    if not calls or not any(calls[0]):
        return  # a function without arguments has one answer
    start = exercise["solution"] + ANSWERED.format(name=name)
    known = {hashlib.sha256(inside.readable(c).encode()).hexdigest()[:12] for c in calls}
    send({"kind": "constant", "code": start + CONSTANT.format(name=name)})
    if any(describable(call) for call in calls):
        send({"kind": "lookup", "code": start + TABLE.format(name=name, known=sorted(known))})
    if any(spoilable(call) for call in calls):
        send({"kind": "mutates its input", "code": start + SPOILS.replace("{name}", name)})
    try:
        kept = base64.b64encode(pickle.dumps(calls)).decode()
    except Exception:  # functions and models among the arguments
        return
    if len(kept) < find.CELL // 2:
        send({"kind": "counts calls", "code": start + COUNTS.format(name=name, calls=kept)})


def wrong_answers(exercise: dict) -> list[tuple[str, str]]:
    """(kind, code) of the wrong answers that follow from the exercise's solution."""
    messages, why = inside.in_child(lambda send: derive(dict(exercise), send), 600)
    if why or any("fault" in m for m in messages):
        raise RuntimeError(f"{exercise['grade_id']}: {why or messages}")
    return [(m["kind"], m["code"]) for m in messages]


def right_answers(lesson: Lesson) -> dict[str, list[tuple[str, str]]]:
    """grade_id -> (how it differs from the solution, code in the solution's place)."""
    file = ROOT / f"tests/right_answers/lesson_{lesson.number}.py"
    return runpy.run_path(str(file))["RIGHT"] if file.is_file() else {}


def found(assignment: assemble.Assignment, codes: dict[str, str]) -> dict:
    """What the grader finds in the lesson's hand-out with these codes in the exercises' cells."""
    notebook = build.assignment_notebook(assignment.lesson)
    for cell in notebook.cells:
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id", "")
        cell.source = codes.get(grade_id) or build.stub(build.HIDDEN.sub("", cell.source))
    file = (assignment.lesson.notebook.name, json.dumps(notebook).encode())
    number = assignment.lesson.number
    return find.read_hand_in([file], {number: assignment.job()})["lessons"][number]


def right_codes(assignment: assemble.Assignment, exercise: dict) -> list[tuple[str, str]]:
    """(kind, code) of the solution and of the other right answers, as the grader finds them."""
    grade_id, stub = exercise["grade_id"], "    # YOUR CODE HERE\n    raise NotImplementedError()"
    codes = [("solution", exercise["solution"])]
    for what, body in right_answers(assignment.lesson).get(grade_id, []):
        codes.append((f"right: {what}", exercise["stub"].replace(stub, body)))
    return [(kind, found(assignment, {grade_id: code})["taken"][grade_id]) for kind, code in codes]


def telling(exercise: dict, student: str) -> tuple[int, int]:
    """How many other inputs this student's answer meets, and how many have not the commonest answer."""
    setup = find.setup_for(exercise, exercise["solution"])

    def count(send) -> None:
        cases = inside.expectations(exercise, setup, student + exercise["grade_id"])
        answers = collections.Counter(repr(expected) for *_, expected in cases)
        send({"counts": [len(cases), len(cases) - max(answers.values(), default=0)]})

    messages, why = inside.in_child(count, 600)
    if why or "counts" not in messages[0]:
        raise RuntimeError(f"{exercise['grade_id']}: {why or messages}")
    return tuple(messages[0]["counts"])


def earned(exercise: dict, code: str, student: str = "ada") -> float:
    """The share of the exercise's points, tested as in the sandbox, in a process of its own."""
    seed = student + exercise["grade_id"]
    messages, why = inside.in_child(
        lambda send: inside.run_exercise(dict(exercise), code, seed, 2 * 2**30, send), 600
    )
    result = inside.result_of(messages, why)
    if "fault" in result:
        raise RuntimeError(result["fault"] + result["where"])
    return report.points(result, 1)


def main() -> None:
    (lesson,) = lessons(sys.argv[1:])
    assignment = assemble.read_assignment(lesson)
    exercises = assignment.job()["exercises"]
    inside.load_libraries(exercises)
    for exercise in exercises:
        of, rest = map(min, zip(*(telling(exercise, s) for s in STUDENTS), strict=True))
        line = {"grade_id": exercise["grade_id"], "of": of, "rest": rest}
        for kind, code in right_codes(assignment, exercise):
            share = min(earned(exercise, code, s) for s in STUDENTS)
            print(json.dumps(line | {"kind": kind, "right": True, "share": share}), flush=True)
        for kind, code in wrong_answers(exercise):
            share = earned(exercise, code)
            print(json.dumps(line | {"kind": kind, "right": False, "share": share}), flush=True)


if __name__ == "__main__":
    main()
