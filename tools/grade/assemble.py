"""From a lesson's source and a student's notebook to the job that the sandbox runs.

Only the cells that the student was asked to write are taken from the hand-in. Everything that judges them comes from the
source: a deleted, edited or copied test cell changes nothing. Of the lesson's own code only the statements that an
exercise or its test needs are run, so that grading takes seconds and not the lesson's minutes.
"""

from __future__ import annotations

import ast
import builtins
import hashlib
import json
import symtable
from dataclasses import dataclass, field

from tools import build
from tools.lessons import Lesson

KNOWN = set(dir(builtins))
PRELUDE = "from course_utils.exercises import check"


@dataclass
class Exercise:
    """An exercise as the grader needs it. ``setup`` is code of the lesson, ``names`` what the student's cell defines."""

    grade_id: str
    test_id: str
    title: str
    points: float
    setup: list[str]
    stub: str
    names: list[str]
    visible: str
    hidden: str
    before: list[str] = field(repr=False)  # all cells of the lesson up to the exercise

    def setup_for(self, code: str) -> list[str]:
        """``setup``, and what else of the lesson this student's code reads; never a training, which would take minutes."""
        try:
            more = needed_statements(self.before, self.stub, self.visible, self.hidden, code)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return self.setup
        return self.setup if any(".train(" in s for s in more) else [PRELUDE, *more]


@dataclass
class Written:
    grade_id: str
    title: str
    points: float
    placeholder: str


@dataclass
class Assignment:
    lesson: Lesson
    exercises: list[Exercise]
    written: list[Written]
    cell_ids: dict[str, str] = field(default_factory=dict)  # id of a cell in any notebook handed out -> grade_id

    @property
    def mark(self) -> str:
        """Changes with anything that a score depends on."""
        parts = [{k: v for k, v in vars(e).items() if k != "before"} for e in self.exercises] + [vars(w) for w in self.written]
        content = json.dumps(parts, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]


def without_magics(code: str) -> str:
    return "\n".join("pass" if line.lstrip().startswith(("%", "!")) else line for line in code.splitlines())


def base(node: ast.AST) -> str | None:
    """``x`` of ``x.a``, ``x[0]`` and ``x.f()``."""
    while isinstance(node, (ast.Attribute, ast.Subscript, ast.Call)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else None


def uses(code: str) -> set[str]:
    """Names that the code reads without defining them in a function of its own."""
    found = set()

    def walk(table):
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (symbol.is_global() or table.get_type() == "module"):
                found.add(symbol.get_name())
        for inner in table.get_children():
            walk(inner)

    walk(symtable.symtable(code, "lesson", "exec"))
    return found - KNOWN


def defines(code: str) -> set[str]:
    return {
        s.get_name()
        for s in symtable.symtable(code, "lesson", "exec").get_symbols()
        if s.is_assigned() or s.is_imported() or s.is_namespace()
    }


def changes(statement: ast.stmt) -> set[str]:
    """Names whose objects the statement changes in place: ``x.a = 1``, ``x[0] = 1``, and a bare call ``x.f()``."""
    found = {
        base(n) for n in ast.walk(statement) if isinstance(n, (ast.Attribute, ast.Subscript)) and isinstance(n.ctx, ast.Store)
    }
    if (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Call)
        and isinstance(statement.value.func, ast.Attribute)
    ):
        found.add(base(statement.value))
    return found - {None}


def needed_statements(cells: list[str], *goals: str) -> list[str]:
    """The statements of ``cells`` (in order) on which the names read in ``goals`` depend: a backward program slice."""
    need: set[str] = set()
    have: set[str] = set()
    for goal in goals:
        for statement in ast.parse(without_magics(goal)).body:
            code = ast.unparse(statement)
            need |= uses(code) - have
            have |= defines(code)
    kept: list[str] = []
    for cell in reversed(cells):
        for statement in reversed(ast.parse(without_magics(cell)).body):
            code = ast.unparse(statement)
            defined = defines(code)
            if not (defined | changes(statement)) & need:
                continue
            kept.append(code)
            if isinstance(statement, (ast.Assign, ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)):
                need -= defined
            need |= uses(code)
    return kept[::-1]


def read_assignment(lesson: Lesson) -> Assignment:
    """All exercises and written questions of a lesson. A cell tagged ``grading`` gives the tests a value that the lesson
    itself would take minutes to compute."""
    before: list[str] = []
    exercises, written, heading, task = [], [], "", None
    stand_in = ""
    for cell in build.read_source(lesson, grading=True).cells:
        tags, meta = cell.metadata.get("tags", []), cell.metadata.get("nbgrader", {})
        if cell.cell_type == "markdown":
            heading = next(
                (line.lstrip("# ") for line in reversed(cell.source.splitlines()) if line.startswith("### ")), heading
            )
            if "written" in tags:
                written.append(Written(meta["grade_id"], heading, float(meta["points"]), cell.source))
        elif "grading" in tags:
            stand_in = cell.source
        elif "exercise" in tags:
            task = (heading, cell.source, meta["grade_id"])
        elif "check" in tags:
            title, source, grade_id = task
            visible = build.HIDDEN.sub("", cell.source)
            block = build.HIDDEN.search(cell.source)
            hidden = "\n".join(
                line for line in (block[0] if block else "").splitlines() if not line.lstrip().startswith("### ")
            )
            cells = [*before, stand_in]
            setup = [PRELUDE, *needed_statements(cells, source, visible, hidden)]
            exercises.append(
                Exercise(
                    grade_id,
                    meta["grade_id"],
                    title,
                    float(meta["points"]),
                    setup,
                    build.stub(source),
                    sorted(defines(without_magics(source))),
                    visible,
                    hidden,
                    cells,
                )
            )
            stand_in = ""
        elif "setup" not in tags:
            before.append(cell.source)
    asked = {e.stub: e.grade_id for e in exercises} | {w.placeholder: w.grade_id for w in written}
    ids = {cell["id"]: asked[cell.source] for cell in build.learner_notebook(lesson).cells if cell.source in asked}
    ids |= {
        cell["id"]: cell.metadata["nbgrader"]["grade_id"]
        for cell in build.assignment_notebook(lesson).cells
        if cell.metadata.get("nbgrader", {}).get("solution")
    }
    return Assignment(lesson, exercises, written, ids)


def text_of(cell: dict) -> str:
    """What stands in a cell, as text that can be written to a file: JSON may hold half characters (lone surrogates)."""
    source = cell.get("source", "")
    text = "".join(line for line in (source if isinstance(source, list) else [source]) if isinstance(line, str))
    return text.encode("utf-8", "replace").decode()


def grade_id_of(cell: dict, assignment: Assignment) -> str:
    """By nbgrader's metadata; where a program dropped them, by the cell's id."""
    metadata = cell.get("metadata")
    meta = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    if isinstance(meta, dict) and meta.get("solution") and isinstance(meta.get("grade_id"), str):
        return meta["grade_id"]
    return assignment.cell_ids.get(cell["id"], "") if isinstance(cell.get("id"), str) else ""


def answers(notebook: dict, assignment: Assignment) -> tuple[dict[str, str], list[str]]:
    """(grade_id -> what the student wrote, remarks). Of copies of a cell the last that differs from the stub counts."""
    untouched = {e.grade_id: e.stub for e in assignment.exercises} | {w.grade_id: w.placeholder for w in assignment.written}
    found: dict[str, list[str]] = {}
    for cell in notebook["cells"]:
        if (grade_id := grade_id_of(cell, assignment)) in untouched:
            found.setdefault(grade_id, []).append(text_of(cell))
    taken, remarks = {}, []
    for grade_id, texts in found.items():
        worked_on = [t for t in texts if t.strip() != untouched[grade_id].strip()]
        taken[grade_id] = (worked_on or texts)[-1]
        if len(worked_on) > 1:
            remarks.append(f"{grade_id}: {len(texts)} copies of the cell; the last one counts")
    for exercise in assignment.exercises:  # a cell pasted into a new notebook keeps neither metadata nor id
        if exercise.grade_id not in taken:
            texts = [text_of(c) for c in notebook["cells"] if c.get("cell_type") == "code"]
            pasted = [t for t in texts if any(f"def {name}(" in t for name in exercise.names)]
            if pasted:
                taken[exercise.grade_id] = pasted[-1]
                remarks.append(f"{exercise.grade_id}: found by the name of its function; its cell had lost its mark")
    return taken, remarks
