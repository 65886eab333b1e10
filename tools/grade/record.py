"""Runs in ``.venv-instructor``: nbgrader keeps the books of the term. No student code runs here.

No typed mark is overwritten. ``record.py release COURSE NAME`` makes ``release/`` from ``source/``;
``enter COURSE`` reads what the sandbox found from stdin and writes nbgrader's scores to stdout;
``overrule COURSE NAME STUDENT QUESTION POINTS [COMMENT]`` sets one; ``open COURSE`` serves the formgrader.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import time
from pathlib import Path
from typing import ClassVar

import nbformat
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.apps.api import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import SaveAutoGrades
from nbgrader.utils import determine_grade, is_grade, is_solution
from traitlets.config import Config

os.environ["PATH"] = (
    f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"  # nbgrader calls alembic by name
)
REFUSED = "Nothing was run: here student code would have all your rights.\nUse make grade, which has a sandbox."
NO_RESULT = {"points": 0, "lines": ["no result"]}


def question_of(cell_id: str) -> str:
    """The exercise that a test cell belongs to; a written answer's cell holds its own points."""
    return "e" + cell_id[1:] if cell_id.startswith("t") else cell_id


class SaveResults(SaveAutoGrades):
    """Stands where nbgrader would execute the notebook: the outputs of the test cells come from the sandbox.

    nbgrader asks for a new look at each typed mark. Here a mark that was looked at stands where neither the answer nor the
    automatic points have changed.
    """

    results: ClassVar[dict[str, dict]] = {}  # exercise -> {"points", "lines"}
    changed: ClassVar[set[str]] = set()  # questions with another answer than at the last entry

    def preprocess_cell(self, cell, resources, index):
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            if is_grade(cell) and not is_solution(cell):
                exercise = question_of(cell.metadata["nbgrader"]["grade_id"])
                result, output = self.results.get(exercise, NO_RESULT), nbformat.v4.new_output
                points = {"text/plain": str(result["points"])}  # nbgrader takes a number as points
                cell.outputs = [
                    output("stream", name="stdout", text="\n".join(result["lines"])),
                    output("execute_result", points, execution_count=1),
                ]
        return super().preprocess_cell(cell, resources, index)

    def _add_score(self, cell, resources):
        name = cell.metadata["nbgrader"]["grade_id"]
        place = (self.notebook_id, self.assignment_id, self.student_id)
        grade = self.gradebook.find_grade(name, *place)
        looked_at = grade.manual_score is not None and not grade.needs_manual_grade
        same_points = grade.auto_score == determine_grade(cell, self.log)[0]
        if not (looked_at and same_points) or question_of(name) in self.changed:
            super()._add_score(cell, resources)


def api_for(course: Path) -> NbGraderAPI:
    config = Config()
    config.CourseDirectory.root = str(course.resolve())
    config.CourseDirectory.course_id = "distilbert"
    config.ClearSolutions.text_stub = "*Write your answer here, in one or two sentences.*"
    config.ClearSolutions.enforce_metadata = False
    config.Autograde.autograde_preprocessors = [SaveResults]
    return NbGraderAPI(CourseDirectory(config=config), config=config)


def copy_aside(course: Path) -> None:
    """A copy of the gradebook before anything is written; the last 30 are kept."""
    if not (course / "gradebook.db").exists():
        return
    folder = course / "backups"
    folder.mkdir(exist_ok=True)
    with sqlite3.connect(course / "gradebook.db") as book:
        book.execute("vacuum into ?", [str(folder / f"gradebook-{time.time_ns()}.db")])
    for old in sorted(folder.glob("gradebook-*.db"))[:-30]:
        old.unlink()


def released(course: Path, name: str) -> Path | None:
    return next((course / "release" / name).glob("*.ipynb"), None)


def release(course: Path, name: str) -> None:
    outcome = api_for(course).generate_assignment(name, force=True, create=True)
    if not outcome["success"]:
        why = outcome.get("log") or outcome.get("error")
        sys.exit(f"nbgrader could not make release/{name}:\n{why}")


def hand_in(course: Path, name: str, student: dict) -> None:
    """The handed-out notebook with the student's answers in it, where nbgrader looks for a submission."""
    file = released(course, name)
    notebook = nbformat.read(file, as_version=4)
    for cell in filter(is_solution, notebook.cells):
        answer = student["answers"].get(cell.metadata["nbgrader"]["grade_id"])
        cell.source = answer or cell.source
    target = course / "submitted" / student["key"] / name / file.name
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, target)
    if student["when"]:
        target.with_name("timestamp.txt").write_text(student["when"], encoding="utf-8")


def write_whole(file: Path, content: dict) -> None:
    """Write ``content`` in one move: a kill leaves the old file or the new one, never half of it or none."""
    part = file.with_suffix(".part")
    part.write_text(json.dumps(content), encoding="utf-8")
    os.replace(part, file)


def entered_before(file: Path) -> dict:
    """What was entered last; nothing where there is no file, or one that is cut off: then all answers count as new."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
        return {}


def enter_one(course: Path, name: str, student: dict, api: NbGraderAPI, force: bool) -> str:
    """Enter one student's results unless they are entered already; the problem, or nothing.

    ``entered/`` keeps what was entered, and the answers alone until that is done: an entry that was killed is made again.
    """
    file = course / "entered" / f"{name}-{student['key']}.json"
    before = entered_before(file)
    if before == student and not force:
        return ""
    hand_in(course, name, student)
    old, new = before.get("answers", {}), student["answers"]
    file.parent.mkdir(exist_ok=True)
    write_whole(file, {"answers": old})
    SaveResults.changed = {q for q in old | new if old.get(q) != new.get(q)}
    SaveResults.results = student["results"]
    outcome = api.autograde(name, student["key"], force=True, create=True)
    if not outcome["success"]:
        return str(outcome.get("error") or outcome.get("log"))[-500:]
    write_whole(file, student)
    return ""


def scores(book: Gradebook, notebook: str, name: str, key: str) -> dict:
    try:
        one = book.find_submission_notebook(notebook, name, key)
    except MissingEntry:
        return {"grades": {}, "comments": {}}
    grades = {
        question_of(g.name): {
            "score": g.score,
            "typed": g.manual_score is not None,
            "to_read": bool(g.needs_manual_grade),
        }
        for g in one.grades
    }
    said = {c.name: c.comment for c in one.comments if c.comment not in (None, "", "No response.")}
    return {"grades": grades, "comments": said}


def enter(course: Path) -> None:
    job = json.load(sys.stdin)
    name, api = job["name"], api_for(course)
    copy_aside(course)
    if job["changed"] or not released(course, name):
        release(course, name)
    notebook = released(course, name).stem
    with api.gradebook as book:
        for person in [*job["roster"], *job["students"]]:
            first, _, last = person["name"].rpartition(" ")
            names = {"first_name": first, "last_name": last, "email": person["email"] or None}
            book.update_or_create_student(person["key"], **names)
    problems = {}
    for student in job["students"]:
        key = student["key"]
        try:
            problems[key] = enter_one(course, name, student, api, key in job["force"])
        except Exception as error:  # one student's trouble is named and stops nobody else
            problems[key] = f"nbgrader could not enter it: {error}"[:300]
    with api.gradebook as book:
        found = {
            key: scores(book, notebook, name, key) | {"problem": problem}
            for key, problem in problems.items()
        }
    print(json.dumps(found))


def overrule(
    course: Path, name: str, key: str, question: str, points: str, comment: str = ""
) -> None:
    copy_aside(course)
    test = "t" + question[1:] if question.startswith("e") else question
    points = float(points.replace(",", "."))
    with api_for(course).gradebook as book:
        file = released(course, name)
        place = (file.stem if file else "", name, key)
        try:
            grade = book.find_grade(test, *place)
        except MissingEntry:
            sys.exit(f"There is no {question} of {key} in {name}. The keys stand in grades.csv.")
        if not 0 <= points <= grade.max_score:
            sys.exit(f"{points:g} points, but {question} gives 0 to {grade.max_score:g}.")
        grade.manual_score, grade.needs_manual_grade = points, False
        if comment:
            book.find_comment(question, *place).manual_comment = comment
        book.db.commit()


def serve(course: Path) -> None:
    """nbgrader's own pages, for this machine only. Their button Autograde runs student code without a sandbox: not here."""
    from jupyterlab.labapp import LabApp

    refused = {"success": False, "log": "", "error": REFUSED}
    NbGraderAPI.autograde = lambda *_, **__: refused
    os.chdir(course)
    words = ["--ip=127.0.0.1", "--LabApp.default_url=/formgrader/gradebook"]
    LabApp.launch_instance([*words, *(["--allow-root"] if os.geteuid() == 0 else [])])


if __name__ == "__main__":
    work = {"release": release, "enter": enter, "overrule": overrule, "open": serve}[sys.argv[1]]
    work(Path(sys.argv[2]), *sys.argv[3:])
