"""Runs in ``.venv-instructor``: nbgrader makes the handed-out notebooks and keeps the gradebook. No student code runs here.

``record.py release COURSE NAME`` makes ``release/`` from ``source/``. ``record.py grade COURSE JOB`` reads a JSON file with
what the sandbox found, enters it into ``gradebook.db`` by nbgrader's own converter, and writes the scores beside the job.
"""

from __future__ import annotations

import json
import os
import sys
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

os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"  # nbgrader calls alembic by name


class TakeResults(NbGraderPreprocessor):
    """Stands where nbgrader would execute the notebook: the outputs of the test cells come from the sandbox."""

    results: ClassVar[dict[str, dict]] = {}  # grade_id of a test cell -> {"points", "max", "lines"}

    def preprocess_cell(self, cell, resources, index):
        meta = cell.metadata.get("nbgrader", {})
        if cell.cell_type != "code":
            return cell, resources
        cell.outputs, cell.execution_count = [], None
        if meta.get("grade") and meta.get("locked"):
            result = self.results.get(meta["grade_id"], {"points": 0, "max": 1, "lines": ["no result"]})
            cell.outputs.append(nbformat.v4.new_output("stream", name="stdout", text="\n".join(result["lines"])))
            if result["points"] == 0:
                cell.outputs.append(
                    nbformat.v4.new_output(
                        "error", ename="AssertionError", evalue="not all properties hold", traceback=["not all properties hold"]
                    )
                )
            elif result["points"] < result["max"]:  # nbgrader takes a number as partial credit
                cell.outputs.append(
                    nbformat.v4.new_output("execute_result", {"text/plain": str(result["points"])}, execution_count=1)
                )
        return cell, resources


def api_for(course: Path) -> NbGraderAPI:
    config = Config()
    config.CourseDirectory.root = str(course.resolve())
    config.CourseDirectory.course_id = "distilbert"
    config.ClearSolutions.code_stub = {"python": "# YOUR CODE HERE\nraise NotImplementedError()"}
    config.ClearSolutions.text_stub = "*Write your answer here, in one or two sentences.*"
    config.ClearSolutions.enforce_metadata = False
    config.Autograde.autograde_preprocessors = [
        TakeResults,
        LimitOutput,
        SaveAutoGrades,
        AssignLatePenalties,
        CheckCellMetadata,
    ]
    return NbGraderAPI(CourseDirectory(config=config), config=config)


def done(what: str, outcome: dict) -> None:
    if not outcome["success"]:
        sys.exit(f"nbgrader could not {what}:\n{outcome.get('log') or outcome.get('error')}")


def release(course: Path, name: str) -> None:
    done(f"make release/{name}", api_for(course).generate_assignment(name, force=True, create=True))


def hand_in(course: Path, name: str, student: str, answers: dict[str, str]) -> None:
    """The handed-out notebook with the student's cells in it, where nbgrader looks for a submission."""
    (file,) = (course / "release" / name).glob("*.ipynb")
    notebook = nbformat.read(file, as_version=4)
    for cell in notebook.cells:
        meta = cell.metadata.get("nbgrader", {})
        if meta.get("solution") and meta["grade_id"] in answers:
            cell.source = answers[meta["grade_id"]]
    target = course / "submitted" / student / name / file.name
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, target)


def grade(course: Path, job_file: Path) -> None:
    job = json.loads(job_file.read_text(encoding="utf-8"))
    name, api = job["name"], api_for(course)
    release(course, name)
    notebook = next((course / "release" / name).glob("*.ipynb")).stem
    entered = {}
    for student in job["students"]:
        TakeResults.results = student["results"]
        hand_in(course, name, student["key"], student["answers"])
        outcome = api.autograde(name, student["key"], force=True, create=True)
        entered[student["key"]] = "" if outcome["success"] else str(outcome.get("error") or outcome.get("log"))[-500:]
    scores = {}
    with Gradebook(f"sqlite:///{(course / 'gradebook.db').resolve()}", "distilbert") as book:
        for student in job["students"]:
            key = student["key"]
            for grade_id, points in student["manual"].items():
                book.find_grade(grade_id, notebook, name, key).manual_score = points  # None: as the tests found it
            book.db.commit()
            try:
                grades = book.find_submission_notebook(notebook, name, key).grades
            except MissingEntry:
                scores[key] = {"problem": entered[key] or "nbgrader has no submission"}
                continue
            scores[key] = {
                "problem": entered[key],
                "grades": {
                    g.name: {
                        "score": g.score,
                        "max": g.max_score,
                        "to_read": bool(g.needs_manual_grade and g.manual_score is None),
                    }
                    for g in grades
                },
            }
    job_file.with_name("scores.json").write_text(json.dumps(scores, indent=1), encoding="utf-8")


if __name__ == "__main__":
    {"release": lambda: release(Path(sys.argv[2]), sys.argv[3]), "grade": lambda: grade(Path(sys.argv[2]), Path(sys.argv[3]))}[
        sys.argv[1]
    ]()
