"""Runs in ``.venv-instructor``: nbgrader keeps the books of the term. No student code runs here.

No typed mark is overwritten. ``record.py release COURSE NAME`` makes ``release/`` from ``source/``;
``enter COURSE JOB`` enters what the sandbox found and writes every score beside the job;
``overrule COURSE NAME STUDENT QUESTION POINTS [COMMENT]`` sets one; ``open COURSE`` serves the formgrader.
"""

from __future__ import annotations

import hashlib
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
from nbgrader.preprocessors import (
    AssignLatePenalties,
    CheckCellMetadata,
    LimitOutput,
    NbGraderPreprocessor,
    SaveAutoGrades,
)
from traitlets.config import Config

os.environ["PATH"] = (
    f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"  # nbgrader calls alembic by name
)
REFUSED = "Nothing was run: here student code would have all your rights.\nUse make grade, which has a sandbox."


class TakeResults(NbGraderPreprocessor):
    """Stands where nbgrader would execute the notebook: the outputs of the test cells come from the sandbox."""

    results: ClassVar[dict[str, dict]] = {}  # grade_id of a test cell -> {"points", "max", "lines"}

    def preprocess_cell(self, cell, resources, index):
        meta = cell.metadata.get("nbgrader", {})
        if cell.cell_type != "code":
            return cell, resources
        cell.outputs, cell.execution_count = [], None
        if meta.get("grade") and meta.get("locked"):
            none = {"points": 0, "max": 1, "lines": ["no result"]}
            result, output = self.results.get(meta["grade_id"], none), nbformat.v4.new_output
            cell.outputs = [output("stream", name="stdout", text="\n".join(result["lines"]))]
            if result["points"] == 0:
                wrong = "not all properties hold"
                error = {"ename": "AssertionError", "evalue": wrong, "traceback": [wrong]}
                cell.outputs.append(output("error", **error))
            elif result["points"] < result["max"]:  # nbgrader takes a number as partial credit
                number = {"text/plain": str(result["points"])}
                cell.outputs.append(output("execute_result", number, execution_count=1))
        return cell, resources


def api_for(course: Path) -> NbGraderAPI:
    config = Config()
    config.CourseDirectory.root = str(course.resolve())
    config.CourseDirectory.course_id = "distilbert"
    config.ClearSolutions.code_stub = {"python": "# YOUR CODE HERE\nraise NotImplementedError()"}
    config.ClearSolutions.text_stub = "*Write your answer here, in one or two sentences.*"
    config.ClearSolutions.enforce_metadata = False
    steps = [TakeResults, LimitOutput, SaveAutoGrades, AssignLatePenalties, CheckCellMetadata]
    config.Autograde.autograde_preprocessors = steps
    return NbGraderAPI(CourseDirectory(config=config), config=config)


def book_of(course: Path) -> Gradebook:
    return Gradebook(f"sqlite:///{(course / 'gradebook.db').resolve()}", "distilbert")


def register(book: Gradebook, person: dict) -> None:
    first, _, last = person["name"].rpartition(" ")
    book.update_or_create_student(
        person["key"], first_name=first, last_name=last, email=person["email"] or None
    )


def copy_aside(course: Path) -> None:
    """A copy of the gradebook before anything is written; the last 30 are kept."""
    if not (book := course / "gradebook.db").exists():
        return
    folder = course / "backups"
    folder.mkdir(exist_ok=True)
    with (
        sqlite3.connect(book) as source,
        sqlite3.connect(folder / f"gradebook-{time.time_ns()}.db") as target,
    ):
        source.backup(target)
    for old in sorted(folder.glob("gradebook-*.db"))[:-30]:
        old.unlink()


def release(course: Path, name: str) -> None:
    outcome = api_for(course).generate_assignment(name, force=True, create=True)
    if not outcome["success"]:
        sys.exit(
            f"nbgrader could not make release/{name}:\n{outcome.get('log') or outcome.get('error')}"
        )


def answers_in(file: Path) -> dict[str, str]:
    if not file.exists():
        return {}
    cells = nbformat.read(file, as_version=4).cells
    marked = [c for c in cells if c.metadata.get("nbgrader", {}).get("solution")]
    return {c.metadata["nbgrader"]["grade_id"]: c.source for c in marked}


def hand_in(course: Path, name: str, student: dict) -> Path:
    """The handed-out notebook with the student's answers in it, where nbgrader looks for a submission."""
    (file,) = (course / "release" / name).glob("*.ipynb")
    notebook = nbformat.read(file, as_version=4)
    for cell in notebook.cells:
        meta = cell.metadata.get("nbgrader", {})
        if meta.get("solution") and student["answers"].get(meta["grade_id"]):
            cell.source = student["answers"][meta["grade_id"]]
    target = course / "submitted" / student["key"] / name / file.name
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, target)
    if student["when"]:
        (target.parent / "timestamp.txt").write_text(student["when"], encoding="utf-8")
    return target


def reviewed(book: Gradebook, notebook: str, name: str, key: str) -> dict[str, list]:
    """Typed points and whether they stand: grade_id -> [points, automatic points]. Those waiting for a look are left out."""
    try:
        grades = book.find_submission_notebook(notebook, name, key).grades
    except MissingEntry:
        return {}
    return {
        g.name: [g.manual_score, g.auto_score]
        for g in grades
        if g.manual_score is not None and not g.needs_manual_grade
    }


def enter_one(
    course: Path, name: str, notebook: str, student: dict, api: NbGraderAPI, force: bool
) -> str:
    """Enter one student's results unless they are entered already; the problem, or nothing.

    nbgrader keeps typed points, but asks for a new look at each; what was looked at and has not changed since stays as it was,
    also where an earlier run was killed between the two.
    """
    key, state_file = student["key"], course / "entered" / f"{name}-{student['key']}.json"
    mark = hashlib.sha256(json.dumps([student, name], sort_keys=True).encode()).hexdigest()
    state = json.loads(state_file.read_text(encoding="utf-8")) if state_file.exists() else {}
    if state.get("mark") == mark and not force:
        return ""
    if "was" not in state:
        with book_of(course) as book:
            state["was"] = reviewed(book, notebook, name, key)
        state["answers"] = answers_in(course / "submitted" / key / name / f"{notebook}.ipynb")
    state.pop("mark", None)
    state_file.parent.mkdir(exist_ok=True)
    state_file.write_text(json.dumps(state), encoding="utf-8")
    new = answers_in(hand_in(course, name, student))
    TakeResults.results = student["results"]
    outcome = api.autograde(name, key, force=True, create=True)
    if not outcome["success"]:
        return str(outcome.get("error") or outcome.get("log"))[-500:]
    with book_of(course) as book:
        register(book, student)
        for grade_id, (points, automatic) in state["was"].items():
            grade = book.find_grade(grade_id, notebook, name, key)
            answer = grade_id if grade_id in new else "e" + grade_id[1:]
            same_answer = new.get(answer) == state["answers"].get(answer)
            if same_answer and [grade.manual_score, grade.auto_score] == [points, automatic]:
                grade.needs_manual_grade = False
        book.db.commit()
    state_file.write_text(json.dumps({"mark": mark}), encoding="utf-8")
    return ""


def scores(
    course: Path, name: str, notebook: str, keys: list[str], problems: dict[str, str]
) -> dict:
    found = {}
    with book_of(course) as book:
        for key in keys:
            problem, grades, comments, penalty = problems.get(key, ""), {}, {}, 0.0
            try:
                one = book.find_submission_notebook(notebook, name, key)
            except MissingEntry:
                problem = problem or "nbgrader has no submission"
            else:
                penalty = one.late_submission_penalty or penalty
                said = {c.name: c.comment for c in one.comments}
                comments = {n: text for n, text in said.items() if text and text != "No response."}
                for g in one.grades:
                    typed, waiting = g.manual_score is not None, bool(g.needs_manual_grade)
                    grades[g.name] = {"score": g.score, "typed": typed, "to_read": waiting}
            found[key] = {"problem": problem, "grades": grades, "comments": comments}
            found[key]["penalty"] = penalty
    return found


def enter(course: Path, place: str) -> None:
    job_file = Path(place)
    job = json.loads(job_file.read_text(encoding="utf-8"))
    name, api = job["name"], api_for(course)
    copy_aside(course)
    if job["changed"] or not list((course / "release" / name).glob("*.ipynb")):
        release(course, name)
    notebook = next((course / "release" / name).glob("*.ipynb")).stem
    with book_of(course) as book:
        if job["due"]:
            book.update_or_create_assignment(name, duedate=job["due"])
        for person in job["roster"]:
            register(book, person)
    problems = {}
    for student in job["students"]:
        try:
            problems[student["key"]] = enter_one(
                course, name, notebook, student, api, student["key"] in job["force"]
            )
        except Exception as error:  # one student's trouble is named and stops nobody else
            problems[student["key"]] = f"nbgrader could not enter it: {error}"[:300]
    found = scores(course, name, notebook, [s["key"] for s in job["students"]], problems)
    job_file.with_name("scores.json").write_text(json.dumps(found), encoding="utf-8")


def overrule(
    course: Path, name: str, key: str, question: str, points: str, comment: str = ""
) -> None:
    copy_aside(course)
    notebook = next((course / "release" / name).glob("*.ipynb")).stem
    test = "t" + question[1:] if question.startswith("e") else question
    points = float(points.replace(",", "."))
    with book_of(course) as book:
        try:
            grade = book.find_grade(test, notebook, name, key)
        except MissingEntry:
            sys.exit(f"There is no {question} of {key} in {name}. The keys stand in grades.csv.")
        if not 0 <= points <= grade.max_score:
            sys.exit(f"{points:g} points, but {question} gives 0 to {grade.max_score:g}.")
        grade.manual_score, grade.needs_manual_grade = points, False
        if comment:
            book.find_comment(question, notebook, name, key).manual_comment = comment
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
