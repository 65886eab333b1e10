"""What the grader needs of a lesson, read from its source: exercises, tests, solutions, questions, and the cells around."""

from __future__ import annotations

import ast
import re
from dataclasses import asdict, dataclass

from tools import build
from tools.grade.find import without_magics
from tools.lessons import Lesson


@dataclass
class Exercise:
    """``before`` are the lesson's cells up to the exercise, ``names`` the functions that the student's cell must define."""

    grade_id: str
    title: str
    points: float
    stub: str
    solution: str
    names: list[str]
    visible: str
    hidden: str
    before: list[str]


@dataclass
class Written:
    grade_id: str
    title: str
    points: float
    placeholder: str
    heading: str
    question: str


@dataclass
class Assignment:
    """``ids``: id of a cell in any notebook handed out -> grade_id. ``code`` and ``prose``: cells that are no student's."""

    lesson: Lesson
    exercises: list[Exercise]
    written: list[Written]
    ids: dict[str, str]
    code: list[str]
    prose: list[str]

    @property
    def name(self) -> str:
        return f"lesson_{self.lesson.number}"

    @property
    def tasks(self) -> list[Exercise | Written]:
        return [*self.exercises, *self.written]

    def job(self) -> dict:
        """Everything but the lesson's place on this machine, as the sandbox gets it."""
        parts = asdict(self)
        del parts["lesson"]
        return parts


def short(title: str) -> str:
    """``Exercise 5.2 Which checkpoint? ●●○ 8 minutes`` as ``5.2 Which checkpoint?``."""
    return re.sub(r"^(?:Exercise|Question)\s+|\s*[●○]+.*$", "", title)


def top_level(code: str, *kinds: type[ast.stmt]) -> list[ast.stmt]:
    return [s for s in ast.parse(without_magics(code)).body if isinstance(s, kinds)]


def imports(code: str) -> str:
    return "\n".join(map(ast.unparse, top_level(code, ast.Import, ast.ImportFrom)))


def read_assignment(lesson: Lesson) -> Assignment:
    """All exercises and written questions of a lesson. A cell tagged ``grading`` gives the tests a value that the lesson
    itself would take minutes to compute."""
    before: list[str] = []
    exercises, written, heading, question, stand_in = [], [], "", "", ""
    for cell in build.read_source(lesson, grading=True).cells:
        tags, meta = cell.metadata.get("tags", []), cell.metadata.get("nbgrader", {})
        if cell.cell_type == "markdown":
            if headings := re.findall(r"^### (.+)$", cell.source, re.M):
                heading, question = headings[-1], cell.source
            if "written" in tags:
                name, points = meta["grade_id"], float(meta["points"])
                texts = (cell.source, heading, question)
                written.append(Written(name, short(heading), points, *texts))
        elif "grading" in tags:
            stand_in = cell.source
        elif "exercise" in tags:
            exercise, stub = cell, build.stub(cell.source)
            before.append(imports(stub))  # an answer in another cell may rely on them
        elif "check" in tags:
            block, visible = build.HIDDEN.search(cell.source), build.HIDDEN.sub("", cell.source)
            exercises.append(
                Exercise(
                    grade_id=exercise.metadata["nbgrader"]["grade_id"],
                    title=short(heading),
                    points=float(meta["points"]),
                    stub=stub,
                    solution=build.SOLUTION.sub(lambda m: m["body"], exercise.source),
                    names=[f.name for f in top_level(stub, ast.FunctionDef)],
                    visible=visible,
                    hidden=re.sub(r"^\s*### .*\n?", "", block[0], flags=re.M) if block else "",
                    before=[*before, stand_in, imports(visible)],
                )
            )
            before.append(
                imports(visible)
            )  # in the notebook they are there, too, once the check ran
            stand_in = ""
        elif "setup" not in tags:
            before.append(cell.source)
    handed_out = [*build.learner_notebook(lesson).cells, *build.assignment_notebook(lesson).cells]
    asked = {e.stub: e.grade_id for e in exercises} | {w.placeholder: w.grade_id for w in written}
    ids = {c["id"]: asked[c.source] for c in handed_out if c.source in asked}
    marks = {c["id"]: c.metadata.get("nbgrader", {}) for c in handed_out}
    ids |= {cell_id: mark["grade_id"] for cell_id, mark in marks.items() if mark.get("solution")}
    code = [build.stub(build.HIDDEN.sub("", c.source)) for c in handed_out if c.cell_type == "code"]
    prose = [c.source.strip() for c in handed_out if c.cell_type == "markdown"]
    code, prose = list(dict.fromkeys(code)), list(dict.fromkeys(prose))
    return Assignment(lesson, exercises, written, ids, code, prose)
