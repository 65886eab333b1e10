"""One execution proves a lesson, and gives the learner notebook its outputs.

The proof is the learner notebook with, at each exercise, every listed wrong answer, the solution and the unsolved stub
tried one after the other. The stub comes last, so that the rest runs on what a learner who skips it has; then the cells
run once more as the learner has them.

A lesson whose proof is still valid is not executed again: ``measured.json`` keeps the SHA-256 of all that a run depends on.
"""

from __future__ import annotations

import ast
import datetime
import hashlib
import io
import json
import os
import re
import runpy
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from unittest import mock

import jupytext
import nbformat

from course_utils.data import TASKS, from_embedded, load_task
from course_utils.lab import PROFILES
from tools import build
from tools.lessons import ROOT, Lesson, measured

SINGLE = "# For single lessons"  # in requirements.txt: the packages below count for lessons that name them
# Packages whose programs lessons start, beside the modules that they import.
PROGRAMS = ("browser", "scale", "service")
OURS = tuple(f"{package}." for package in ("course_utils", *PROGRAMS))
# For a lesson that meets these through ``load_task`` alone, the rows that it gets count, not how they are read.
READERS = tuple(f"course_utils.{name}" for name in ("tables", "splits", "quotes"))
LOADER = "course_utils/data.py"
PREPARES = "course_utils/setup.py"  # finds folders and packages; computes nothing of a lesson
ALWAYS = "00"  # executed by every run of the suite, so that no machine passes without a lesson
# Names that no lesson uses: they stay in the kernel in which the lesson's next cells run.
VERDICTS = {
    "right": "assert '✅' in proof_said and not proof_crosses and 'not attempted' not in proof_said, proof_said",
    "stub": "assert 'not attempted yet' in proof_said and '✅' not in proof_said, proof_said",
    "wrong": "assert any(proof_wants in line for line in proof_crosses), (\n"
    "    f'expected {proof_wants!r} behind a cross, got:\\n{proof_said}')",
}


def wrong_answers_file(lesson: Lesson) -> Path:
    return ROOT / f"tests/wrong_answers/lesson_{lesson.number}.py"


def wrong_answers(lesson: Lesson) -> dict[str, list[tuple[str, str, str]]]:
    """grade_id -> (what is wrong, code in the solution's place, what the check must say)."""
    file = wrong_answers_file(lesson)
    return runpy.run_path(str(file))["WRONG"] if file.is_file() else {}


def attempt(kind: str, exercise: str, check: str, message: str = "") -> list[nbformat.NotebookNode]:
    """Three cells: an answer, its check, and whether the check said what it must.

    ``%%capture`` loses what it caught where the cell ends in a semicolon. Nothing here counts as progress.
    """
    captured = (
        "%%capture proof_output\nimport os\n\nos.environ['COURSE_PROGRESS'] += '.proof'\n"
        + check.rstrip().removesuffix(";")
    )
    verdict = (
        "os.environ['COURSE_PROGRESS'] = os.environ['COURSE_PROGRESS'].removesuffix('.proof')\n"
        f"proof_wants, proof_said = {message!r}, proof_output.stdout\n"
        "proof_crosses = [line for line in proof_said.splitlines() if line.startswith('❌')]\n"
        + VERDICTS[kind]
    )
    return [nbformat.v4.new_code_cell(source) for source in (exercise, captured, verdict)]


def proof_notebook(lesson: Lesson) -> nbformat.NotebookNode:
    """The proof; cells that a learner has too carry ``course.learner`` in their metadata."""
    notebook, cells = build.read_source(lesson), []
    exercise, wrong = None, wrong_answers(lesson)
    for cell in notebook.cells:
        tags = set(cell.metadata.get("tags", []))
        if "exercise" in tags:
            exercise = cell
            continue
        visible = build.HIDDEN.sub("", cell.source)
        if "check" in tags and exercise is not None:
            for _, code, message in wrong.get(exercise.metadata["nbgrader"]["grade_id"], []):
                answer = build.SOLUTION.sub(lambda m, code=code: code, exercise.source)
                cells += attempt("wrong", answer, visible, message)
            cells += attempt("right", exercise.source, cell.source)
            exercise.source = build.stub(exercise.source)
            cells += attempt("stub", exercise.source, visible)
            exercise.metadata["course"] = {"learner": True}
            cells.append(exercise)
        cell.source = visible
        if not tags & {"instructor-only", "assert"}:
            cell.metadata["course"] = {"learner": True}
        cells.append(cell)
    notebook.cells = cells
    return build.finished(notebook, lesson, "proof")


def learner_part(
    proof: nbformat.NotebookNode, lesson: Lesson
) -> tuple[nbformat.NotebookNode, float]:
    """The learner notebook with the outputs of an executed proof, and the minutes that its own cells took.

    Raises ValueError where the two don't have the same cells.
    """
    notebook = build.learner_notebook(lesson)
    mine = [c for c in notebook.cells if c.cell_type == "code"]
    ran = [c for c in proof.cells if c.cell_type == "code" and "course" in c.metadata]
    if [c.source.rstrip() for c in mine] != [c.source.rstrip() for c in ran]:
        raise ValueError(f"{lesson.source.name}: the proof hasn't the learner notebook's cells")
    seconds = 0.0
    for number, (cell, before) in enumerate(zip(mine, ran, strict=True), start=1):
        cell.outputs, cell.execution_count = before.outputs, number
        for output in cell.outputs:
            if "execution_count" in output:
                output["execution_count"] = number
        times = before.metadata.get("execution", {})
        begun, ended = (
            datetime.datetime.fromisoformat(times[k].replace("Z", "+00:00"))
            for k in ("iopub.execute_input", "shell.execute_reply")
        )
        seconds += (ended - begun).total_seconds()
    return notebook, seconds / 60


def helpers(code: list[str]) -> list[Path]:
    """The course's files that some code imports, and those that they import; not ``READERS`` for ``LOADER``'s sake."""
    found: set[Path] = {ROOT / "course_utils/__init__.py"}
    waiting = [(text, False) for text in code]
    while waiting:
        text, loads = waiting.pop()
        for node in ast.walk(ast.parse(text)):
            names = []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{a.name}" for a in node.names)]
            elif isinstance(node, ast.Import):
                names = [a.name for a in node.names]
            for name in names:
                file = ROOT / (name.replace(".", "/") + ".py")
                if loads and name.startswith(READERS):
                    continue
                if name.startswith(OURS) and file.is_file() and file not in found:
                    found.add(file)
                    waiting.append((file.read_text(encoding="utf-8"), file == ROOT / LOADER))
    return sorted(found)


def named(name: str, code: str) -> bool:
    """Whether some code has a name or a package's import name as a word."""
    parts = "[-_]".join(map(re.escape, name.split("-")))
    return re.search(rf"\b{parts}\b", code) is not None


def pins(code: str) -> list[str]:
    """The pinned packages: all that every lesson has, and of those for single lessons what the code names."""
    common, _, single = (ROOT / "requirements.txt").read_text(encoding="utf-8").partition(SINGLE)
    return common.split("\n") + [p for p in single.split() if named(p.partition("==")[0], code)]


def programs(code: str) -> list[Path]:
    """The files that some code starts: one by its path, or what a package of programs holds, by its name."""
    paths = re.findall(rf"ROOT / ['\"]((?:{'|'.join(PROGRAMS)})/\w+\.py)", code)
    packages = [p for p in PROGRAMS if re.search(rf"-m['\", ]+{p}\b|torchrun\(['\"]{p}\.", code)]
    return [*(ROOT / p for p in paths), *(f for p in packages for f in (ROOT / p).glob("*.py"))]


def data_files(code: str) -> list[Path]:
    """The embedded data and models that some code uses; ``Lab`` gives every lesson the large model, and some its student."""
    folders = [f for f in (ROOT / "data").glob("*") if f.name != "models" and named(f.name, code)]
    folders += [
        f
        for f in (ROOT / "data/models").glob("*")
        if f.name == "mini-distilbert"
        or named(f.name, code)
        or (f.name == "mini-student" and "lab.student" in code)
    ]
    return [f for folder in folders for f in folder.rglob("*") if f.is_file() and f.suffix != ".md"]


@cache
def rows(task: str) -> str:
    """SHA-256 of what ``from_embedded`` and, on ``mini``, ``load_task`` give."""
    with redirect_stdout(io.StringIO()), mock.patch.dict(os.environ):
        os.environ.pop("COURSE_MIRROR", None)
        given = (from_embedded(task, ROOT / "data" / task), load_task(task, PROFILES["mini"]))
    whole = [{split: data[split].to_dict() for split in data} for data in given]
    return hashlib.sha256(json.dumps(whole, default=str).encode()).hexdigest()


def fingerprint(lesson: Lesson) -> str:
    """SHA-256 of what an execution on ``mini`` depends on: the code of the lesson and of the helpers and programs that it
    uses, comments, docstrings and line breaks apart; its wrong answers, the data and models that it names, the pinned
    packages. The setup cell and ``PREPARES`` have tests of their own, and lesson ``ALWAYS`` executes both. A drawing
    computes nothing: ``build.redraw`` renews it."""
    from IPython.core.inputtransformer2 import TransformerManager

    code = [
        c.source
        for c in jupytext.read(lesson.source).cells
        if c.cell_type == "code" and "grading" not in c.metadata.get("tags", [])
    ]
    python = [TransformerManager().transform_cell(c.replace("# {{setup}}", "pass")) for c in code]
    files = [
        wrong_answers_file(lesson),
        *helpers(python),
        *programs("\n".join(python)),
        *data_files("\n".join(python)),
    ]
    whole = hashlib.sha256(
        "\n".join([*map(build.program, python), *pins("\n".join(python))]).encode()
    )
    if ROOT / LOADER in files:
        tasks = [name for name in sorted(TASKS) if named(name, "\n".join(python))]
        whole.update("".join(f"\n{name} {rows(name)}" for name in tasks).encode())
    for file in sorted({f for f in files if f.is_file()} - {ROOT / PREPARES}):
        content = file.read_bytes()
        if file.suffix == ".py":
            content = build.program(content.decode()).encode()
        digest = hashlib.sha256(content).hexdigest()
        whole.update(f"\n{file.relative_to(ROOT).as_posix()} {digest}".encode())
    return whole.hexdigest()


def stands(lesson: Lesson) -> bool:
    """Whether the last recorded proof was made with the very same inputs, and ``COURSE_PROVE`` doesn't ask for another.

    ``COURSE_PROVE``: ``all``, or lessons' numbers with spaces between.
    """
    wanted = os.environ.get("COURSE_PROVE", "").split()
    if lesson.number in (ALWAYS, *wanted) or "all" in wanted:
        return False
    return measured().get(lesson.number, {}).get("mini", {}).get("proved") == fingerprint(lesson)
