"""What a student wrote, found in any notebook: by nbgrader's mark, by the cell's id, by the name of a function.

Runs inside the sandbox, in a process of its own under the sandbox's limits: a hand-in is never parsed anywhere else.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import io
import json
import symtable
import zipfile
from collections.abc import Callable
from pathlib import PurePosixPath

BYTES, FILES, CELLS, CELL, ANSWER = 20 * 2**20, 50, 2000, 64 * 2**10, 20_000
MEMORY = 2 * 2**30  # of one process, above the libraries' own
PRELUDE = "from course_utils.exercises import check"
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
GONE = "(the cell for this answer was not found: look into the notebook)"


def no_result(problem: str) -> dict:
    """What an exercise gets of which nothing was found out."""
    counts = {"ticks": 0, "properties": 1, "agrees": 0.0, "right": 0, "of": 0}
    tests = {"held": False, "hidden": False}  # the hidden test alone, and with all ticks
    return counts | tests | {"lines": [], "problem": problem, "remarks": [], "example": ""}


# --- what code reads and defines ---


def without_magics(code: str) -> str:
    return "\n".join(
        "pass" if line.lstrip().startswith(("%", "!")) else line for line in code.splitlines()
    )


def base(node: ast.AST) -> str | None:
    """``x`` of ``x.a``, ``x[0]`` and ``x.f()``."""
    while isinstance(node, (ast.Attribute, ast.Subscript, ast.Call)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else None


def uses(code: str) -> set[str]:
    """Names that the code reads without defining them in a function of its own."""
    found, tables = set(), [symtable.symtable(code, "lesson", "exec")]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (symbol.is_global() or table.get_type() == "module"):
                found.add(symbol.get_name())
    return found - set(dir(builtins))


def defines(code: str) -> set[str]:
    symbols = symtable.symtable(code, "lesson", "exec").get_symbols()
    return {s.get_name() for s in symbols if s.is_assigned() or s.is_imported() or s.is_namespace()}


def changes(statement: ast.stmt, modules: set[str]) -> set[str]:
    """Names whose objects the statement changes in place: ``x.a = 1``, ``x[0] = 1``, and a bare call ``x.f()``; where
    ``x`` is a module, ``x.f(y)`` changes ``y``."""
    places = (n for n in ast.walk(statement) if isinstance(n, (ast.Attribute, ast.Subscript)))
    found = {base(n) for n in places if isinstance(n.ctx, ast.Store)}
    call = statement.value if isinstance(statement, ast.Expr) else None
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
        first = call.args[0] if call.args else None
        named = base(call) in modules and isinstance(first, ast.Name)
        found.add(first.id if named else base(call))
    return found - {None}


def needed_statements(cells: list[str], *goals: str) -> list[str]:
    """The statements of ``cells`` (in order) on which the names read in ``goals`` depend: a backward program slice."""
    need, have = set(), set()
    for statement in [s for goal in goals for s in ast.parse(without_magics(goal)).body]:
        code = ast.unparse(statement)
        defined = defines(code)
        simple = isinstance(statement, (ast.Assign, ast.AugAssign, ast.Expr))
        # a loop makes its own variable
        need |= uses(code) - have - (set() if simple else defined)
        # what a cell imports for itself, others may read from the lesson: tests run in a namespace of their own
        have |= set() if isinstance(statement, (ast.Import, ast.ImportFrom)) else defined
    statements = [s for cell in cells for s in ast.parse(without_magics(cell)).body]
    imports = [s for s in statements if isinstance(s, (ast.Import, ast.ImportFrom))]
    modules = set().union(*(defines(ast.unparse(s)) for s in imports))
    return program_slice(statements, need, lambda s, names: names | changes(s, modules))


def program_slice(
    statements: list[ast.stmt], need: set[str], gives: Callable[[ast.stmt, set[str]], set[str]]
) -> list[str]:
    """The statements, in order, on which the needed names depend. ``gives``: what a statement that defines some names adds."""
    kept: list[str] = []
    for statement in reversed(statements):
        code = ast.unparse(statement)
        defined = defines(code)
        if gives(statement, defined) & need:
            kept.append(code)
            if isinstance(statement, (ast.Assign, ast.AnnAssign, *DEFINITIONS)):
                need = need - defined
            need = need | uses(code)
    return kept[::-1]


def setup_for(exercise: dict, code: str) -> list[str]:
    """The lesson's statements that the tests and this code read; never a training, which would take minutes."""
    goals = [exercise["stub"], exercise["visible"], exercise["hidden"]]
    try:
        statements = needed_statements(exercise["before"], code, *goals)
        if any(".train(" in s for s in statements):
            raise ValueError
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        statements = needed_statements(exercise["before"], *goals)
    return [PRELUDE, *statements]


# --- the file ---


def notebooks(name: str, data: bytes) -> list[tuple[str, bytes | str]]:
    """(name, content) of the file, or of every file in a student's own zip; for content a reason where there is none."""
    if not name.lower().endswith(".zip"):
        return [(name, data)]
    found: list[tuple[str, bytes | str]] = []
    try:
        archive, skipped = zipfile.ZipFile(io.BytesIO(data)), ("__MACOSX", ".ipynb_checkpoints")
        entries = [e for e in archive.infolist() if not e.is_dir()]
        entries = [e for e in entries if not any(s in e.filename for s in skipped)]
        for entry in entries[:FILES]:
            inner = f"{name}: {PurePosixPath(entry.filename[:200]).name}"
            with archive.open(entry) as file:
                content = file.read(BYTES + 1)
            large = f"larger than {BYTES // 2**20} MiB unpacked"
            found.append((inner, content if len(content) <= BYTES else large))
        if len(entries) > FILES:
            found.append((name, f"only the first {FILES} of its {len(entries)} files were read"))
    except Exception as error:  # a damaged archive raises whatever its decompressor raises
        found.append((name, f"a zip that can't be read ({str(error)[:100]})"))
    return found or [(name, "an empty zip")]


def cells_of(name: str, content: bytes | str) -> list[dict]:
    """The cells as plain texts. Raises ValueError with a reason for what is no notebook."""
    if isinstance(content, str):
        raise ValueError(content)
    if not name.lower().endswith(".ipynb"):
        raise ValueError("no notebook; hand in the .ipynb file")
    try:
        cells = json.loads(content.decode("utf-8-sig"))["cells"]
        if not all(isinstance(c, dict) for c in cells):
            raise TypeError("its cells are no list")
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(
            f"not readable as a notebook ({type(error).__name__}); download it again from Jupyter or Colab and hand it in"
        ) from None
    except (KeyError, TypeError, ValueError) as error:
        why = f"no notebook ({str(error)[:80]})"
        raise ValueError(f"{why}; hand in the .ipynb file of the lesson") from None
    if len(cells) > CELLS:
        raise ValueError(f"{len(cells)} cells; at most {CELLS} are read")
    return [plain_cell(c) for c in cells]


def parsed(code: str) -> list[ast.stmt] | None:
    """The statements, or None for what is no Python."""
    with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.parse(without_magics(code)).body
    return None


def plain_cell(cell: dict) -> dict:
    source, metadata = cell.get("source", ""), cell.get("metadata")
    lines = source if isinstance(source, list) else [source]
    text = "".join(line for line in lines if isinstance(line, str))
    text = text.encode("utf-8", "replace").decode()  # JSON may hold half characters
    mark = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    mark = mark if isinstance(mark, dict) and mark.get("solution") else {}
    code = cell.get("cell_type") == "code"
    tree = parsed(text) if code and len(text) <= CELL else None
    return {
        "code": code,
        "text": text,
        "tree": tree,
        "dumps": [ast.dump(s) for s in tree or []],
        "mark": mark["grade_id"] if isinstance(mark.get("grade_id"), str) else "",
        "id": cell["id"] if isinstance(cell.get("id"), str) else "",
    }


# --- the answers ---


class Found:
    """What one notebook holds of one lesson: code and written answers by grade_id, a state for each, remarks."""

    def __init__(self, file: str, cells: list[dict], number: str, lesson: dict):
        self.file, self.number, self.lesson = file, number, lesson
        self.outcome = [file, "graded"]
        self.taken: dict[str, str] = {}
        self.states: dict[str, str] = {}  # done, open (nothing written), missing (no cell of it)
        self.remarks: list[str] = []
        self.cells = []
        for cell in cells:
            statements = zip(cell["tree"] or [], cell["dumps"], strict=True)
            own = [s for s, dump in statements if dump not in lesson["known"]]
            mark = cell["mark"] or lesson["ids"].get(cell["id"], "")
            self.cells.append(cell | {"own": own, "mark": mark})
        for exercise in lesson["exercises"]:
            self.find_code(exercise)
        for written in lesson["written"]:
            self.find_answer(written)

    def count(self, *states: str) -> int:
        return sum(state in states for state in self.states.values())

    def remark(self, grade_id: str, text: str) -> None:
        self.remarks.append(f"{grade_id}: {text}")

    def find_code(self, exercise: dict) -> None:
        """The last complete definition counts, wherever it stands; what it needs of the student's other cells comes along."""
        name, grade_id, stub = exercise["names"][0], exercise["grade_id"], exercise["stub"].strip()
        complete = [c for c in self.cells if any(is_definition(s, name) for s in c["own"])]
        cells = [c for c in self.cells if c["code"]]
        cells = [c for c in cells if c["mark"] == grade_id or f"def {name}" in c["text"]]
        broken = [c for c in cells if c["tree"] is None and c["text"].strip() != stub]
        if not complete and not broken:
            there = any(c["mark"] == grade_id or f"def {name}(" in c["text"] for c in cells)
            self.states[grade_id] = "open" if there else "missing"
            return
        cell, self.states[grade_id] = (complete or broken)[-1], "done"
        code = cell["text"]
        if len(code) > CELL:
            large = f"a cell of {len(code):,} characters"
            self.remark(grade_id, f"{large} was not read")
            self.taken[grade_id] = f"# {large}; at most {CELL:,} are read"
            return
        if len(complete) > 1:
            self.remark(grade_id, f"{len(complete)} versions; the last one counts")
        if cell["mark"] != grade_id:
            self.remark(
                grade_id, "taken from another cell than its own, by the name of the function"
            )
            if complete:  # what else stands there may train a model
                own = [s for s in cell["own"] if not isinstance(s, ast.Expr)]
                code = "\n\n".join(map(ast.unparse, own))
        helpers = self.helpers(cell, code) if complete else []
        if helpers:
            names = sorted(set().union(*map(defines, helpers)))[:6]
            self.remark(grade_id, f"with {', '.join(names)} of other cells")
        self.taken[grade_id] = "\n\n".join([*helpers, code])[: 2 * CELL]

    def helpers(self, cell: dict, code: str) -> list[str]:
        """Definitions of the student's that ``code`` reads, from other cells, in order."""
        others = [s for c in self.cells if c is not cell for s in c["own"]]
        kinds = (ast.Assign, ast.AnnAssign, *DEFINITIONS)
        definitions = [s for s in others if isinstance(s, kinds)]
        plain = without_magics(code)

        def gives(statement: ast.stmt, names: set[str]) -> set[str]:
            whole = isinstance(statement, DEFINITIONS)
            return names if whole else names - self.lesson["names"]

        return program_slice(definitions, uses(plain) - defines(plain), gives)

    def find_answer(self, written: dict) -> None:
        """In the marked cell; else beside the question: the texts there that the lesson doesn't have."""
        grade_id, empty = written["grade_id"], written["placeholder"].strip()
        marked = [c["text"].strip() for c in self.cells if c["mark"] == grade_id]
        there = marked or [c for c in self.cells if c["text"].strip() == empty]
        worked = [text for text in marked if text not in ("", empty)]
        answer = worked[-1] if worked else self.beside(written)
        if len(worked) > 1:
            self.remark(grade_id, f"{len(worked)} copies of the cell; the last one counts")
        if answer and not worked:
            gone = "empty" if there else "gone"
            self.remark(grade_id, f"taken from beside the question; its own cell is {gone}")
        if len(answer) > ANSWER:
            self.remark(grade_id, f"{len(answer):,} characters; the first {ANSWER:,} are kept")
        self.states[grade_id] = "done" if answer else "open" if there else "missing"
        self.taken[grade_id] = answer[:ANSWER] or ("" if there else GONE)

    def beside(self, written: dict) -> str:
        """Texts of the student's between the question and the lesson's next text."""
        found, inside = [], False
        for cell in self.cells:
            text = cell["text"].strip()
            lessons_code = cell["code"] and cell["tree"] and not cell["own"]
            if written["heading"] and written["heading"] in text:
                inside = True
                old = set(written["question"].splitlines())
                found += [line for line in text.splitlines() if line.strip() and line not in old]
            elif not inside or text == written["placeholder"].strip():
                continue
            elif text in self.lesson["prose"] or lessons_code:
                break
            elif text:
                found.append(text)
        return "\n".join(found).strip()


def is_definition(statement: ast.stmt, name: str) -> bool:
    function = isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Lambda)
    function = function or isinstance(statement, (ast.FunctionDef, ast.ClassDef))
    return function and name in defines(ast.unparse(statement))


def read_hand_in(files: list[tuple[str, bytes]], lessons: dict[str, dict]) -> dict:
    """All files of one student, oldest first: the outcome of each, and of each lesson what is graded."""
    for lesson in lessons.values():
        statements = [s for code in lesson["code"] for s in ast.parse(without_magics(code)).body]
        lesson["known"] = {ast.dump(s) for s in statements}
        lesson["names"] = set().union(*(defines(without_magics(code)) for code in lesson["code"]))
    outcomes: list[list[list[str]]] = []
    best: dict[str, Found] = {}
    for name, data in files:
        outcomes.append([])
        for inner, content in notebooks(name, data):
            try:
                cells = cells_of(inner, content)
                found = [Found(inner, cells, *one) for one in lessons.items()]
                one = max(found, key=lambda f: f.count("done", "open"))
                if not one.count("done", "open"):
                    raise ValueError(
                        "no cell of an exercise found in it: another notebook, or another lesson"
                    )
            except ValueError as error:
                outcomes[-1].append([inner, str(error)])
                continue
            outcomes[-1].append(one.outcome)
            keep = one
            if older := best.get(one.number):
                keep, drop = (
                    (one, older) if one.count("done") or not older.count("done") else (older, one)
                )
                drop.outcome[1] = f"not graded: {keep.file} counts"
                keep.remarks.append(f"{drop.file} was handed in too and is not graded")
            best[one.number] = keep
    parts = ("file", "taken", "states")
    taken = {
        number: {part: getattr(one, part) for part in parts} | {"remarks": one.remarks[:30]}
        for number, one in best.items()
    }
    return {"files": outcomes, "lessons": taken}
