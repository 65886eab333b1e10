"""What the grader needs of a lesson, read from its source: exercises, tests, solutions, questions, and the cells around."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field

from tools import build
from tools.grade.find import defines, without_magics
from tools.lessons import Lesson


@dataclass
class Exercise:
    """``before`` are the lesson's cells up to the exercise, ``names`` what the student's cell must define."""

    grade_id: str
    test_id: str
    title: str
    points: float
    stub: str
    solution: str
    names: list[str]
    visible: str
    hidden: str
    before: list[str] = field(repr=False)


@dataclass
class Written:
    grade_id: str
    title: str
    points: float
    placeholder: str
    heading: str
    question: str

    @property
    def test_id(self) -> str:
        """The cell that holds the points."""
        return self.grade_id


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

    def job(self) -> dict:
        """Everything but the lesson's place on this machine, as the sandbox gets it."""
        parts = asdict(self)
        return {k: parts[k] for k in ("exercises", "written", "ids", "code", "prose")}

    @property
    def mark(self) -> str:
        """Changes with anything that a score depends on."""
        return hashlib.sha256(json.dumps(self.job(), sort_keys=True).encode()).hexdigest()[:16]


def short(title: str) -> str:
    """``Exercise 5.2 Which checkpoint? ●●○ 8 minutes`` as ``5.2 Which checkpoint?``."""
    return re.sub(r"^(?:Exercise|Question)\s+|\s*[●○]+.*$", "", title)


def read_assignment(lesson: Lesson) -> Assignment:
    """All exercises and written questions of a lesson. A cell tagged ``grading`` gives the tests a value that the lesson
    itself would take minutes to compute."""
    before: list[str] = []
    exercises, written, heading, question, task = [], [], "", "", None
    stand_in = ""
    for cell in build.read_source(lesson, grading=True).cells:
        tags, meta = cell.metadata.get("tags", []), cell.metadata.get("nbgrader", {})
        if cell.cell_type == "markdown":
            headings = [
                line.lstrip("# ") for line in cell.source.splitlines() if line.startswith("### ")
            ]
            if headings:
                heading, question = headings[-1], cell.source
            if "written" in tags:
                points = float(meta["points"])
                written.append(
                    Written(
                        meta["grade_id"], short(heading), points, cell.source, heading, question
                    )
                )
        elif "grading" in tags:
            stand_in = cell.source
        elif "exercise" in tags:
            task = (short(heading), cell.source, meta["grade_id"])
        elif "check" in tags:
            title, source, grade_id = task
            block = build.HIDDEN.search(cell.source)
            lines = [
                line
                for line in (block[0] if block else "").splitlines()
                if not line.lstrip().startswith("### ")
            ]
            exercises.append(
                Exercise(
                    grade_id=grade_id,
                    test_id=meta["grade_id"],
                    title=title,
                    points=float(meta["points"]),
                    stub=build.stub(source),
                    solution=build.SOLUTION.sub(lambda m: m["body"], source),
                    names=sorted(defines(without_magics(source))),
                    visible=build.HIDDEN.sub("", cell.source),
                    hidden="\n".join(lines),
                    before=[*before, stand_in],
                )
            )
            stand_in = ""
        elif "setup" not in tags:
            before.append(cell.source)
    handed_out = [*build.learner_notebook(lesson).cells, *build.assignment_notebook(lesson).cells]
    asked = {e.stub: e.grade_id for e in exercises} | {w.placeholder: w.grade_id for w in written}
    ids = {c["id"]: asked[c.source] for c in handed_out if c.source in asked}
    marked = [c for c in handed_out if c.metadata.get("nbgrader", {}).get("solution")]
    ids |= {c["id"]: c.metadata["nbgrader"]["grade_id"] for c in marked}
    code = [build.stub(build.HIDDEN.sub("", c.source)) for c in handed_out if c.cell_type == "code"]
    prose = [c.source.strip() for c in handed_out if c.cell_type == "markdown"]
    return Assignment(
        lesson, exercises, written, ids, list(dict.fromkeys(code)), list(dict.fromkeys(prose))
    )
