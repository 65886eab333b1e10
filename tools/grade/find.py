"""What a student wrote, found in any notebook: by nbgrader's mark, by the cell's id, by the name of a function.

Runs inside the sandbox, in a process of its own under the sandbox's limits: a hand-in is never parsed anywhere else.
"""

from __future__ import annotations

import ast
import builtins
import io
import json
import symtable
import zipfile
from pathlib import PurePosixPath

BYTES, FILES, CELLS, CELL, ANSWER = 20 * 2**20, 50, 2000, 64 * 2**10, 20_000
MEMORY = 2 * 2**30  # of one process, above the libraries' own
PRELUDE = "from course_utils.exercises import check"
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
GONE = "(the cell for this answer was not found: look into the notebook)"


def no_result(problem: str) -> dict:
    """What an exercise gets of which nothing was found out."""
    empty = {"ticks": 0, "properties": 1, "hidden": False, "agrees": 0.0, "lines": []}
    return empty | {"problem": problem, "remarks": []}


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
    need: set[str] = set()
    have: set[str] = set()
    for goal in goals:
        for statement in ast.parse(without_magics(goal)).body:
            code = ast.unparse(statement)
            compound = not isinstance(statement, (ast.Assign, ast.AugAssign, ast.Expr))
            # a loop makes its own variable
            need |= uses(code) - have - (defines(code) if compound else set())
            have |= defines(code)
    kept: list[str] = []
    parsed = [ast.parse(without_magics(cell)).body for cell in cells]
    modules = {
        (alias.asname or alias.name).split(".")[0]
        for cell in parsed
        for statement in cell
        if isinstance(statement, (ast.Import, ast.ImportFrom))
        for alias in statement.names
    }
    for cell in reversed(parsed):
        for statement in reversed(cell):
            code = ast.unparse(statement)
            defined = defines(code)
            if not (defined | changes(statement, modules)) & need:
                continue
            kept.append(code)
            if isinstance(statement, (ast.Assign, *DEFINITIONS)):
                need -= defined
            need |= uses(code)
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


def cells_of(name: str, data: bytes) -> list[dict]:
    """The cells as plain texts. Raises ValueError with a reason for what is no notebook."""
    if not name.lower().endswith(".ipynb"):
        raise ValueError("no notebook; hand in the .ipynb file")
    try:
        cells = json.loads(data.decode("utf-8-sig"))["cells"]
        if not isinstance(cells, list) or not all(isinstance(c, dict) for c in cells):
            raise TypeError("its cells are no list")
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(
            f"not readable as a notebook ({type(error).__name__}); download it again from Jupyter or Colab and hand it in"
        ) from None
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"no notebook ({str(error)[:80]}); hand in the .ipynb file of the lesson"
        ) from None
    if len(cells) > CELLS:
        raise ValueError(f"{len(cells)} cells; at most {CELLS} are read")
    return [plain_cell(c) for c in cells]


def plain_cell(cell: dict) -> dict:
    source = cell.get("source", "")
    text = "".join(
        line for line in (source if isinstance(source, list) else [source]) if isinstance(line, str)
    )
    metadata = cell.get("metadata")
    mark = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    known = (
        isinstance(mark, dict) and mark.get("solution") and isinstance(mark.get("grade_id"), str)
    )
    plain = text.encode("utf-8", "replace").decode()  # JSON may hold half characters
    tree = None
    if cell.get("cell_type") == "code" and len(plain) <= CELL:
        try:
            tree = ast.parse(without_magics(plain)).body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            tree = None
    return {
        "code": cell.get("cell_type") == "code",
        "text": plain,
        "tree": tree,
        "dumps": [ast.dump(s) for s in tree or []],
        "mark": mark["grade_id"] if known else "",
        "id": cell["id"] if isinstance(cell.get("id"), str) else "",
    }


# --- the answers ---


class Found:
    """What one notebook holds of one lesson: code and written answers by grade_id, a state for each, remarks."""

    def __init__(self, cells: list[dict], lesson: dict):
        self.lesson, self.cells = lesson, cells
        if "known" not in lesson:
            trees = [ast.parse(without_magics(code)) for code in lesson["code"]]
            lesson["known"] = {ast.dump(s) for tree in trees for s in tree.body}
            lesson["names"] = {
                name for code in lesson["code"] for name in defines(without_magics(code))
            }
        self.known, self.lesson_names = lesson["known"], lesson["names"]
        self.taken: dict[str, str] = {}
        self.states: dict[str, str] = {}  # done, open (nothing written), missing (no cell of it)
        self.remarks: list[str] = []
        for cell in cells:
            cell["mark"] = cell["mark"] or lesson["ids"].get(cell["id"], "")
            statements = zip(cell["tree"] or [], cell["dumps"], strict=True)
            cell["own"] = [s for s, dump in statements if dump not in self.known]
        for exercise in lesson["exercises"]:
            self.find_code(exercise)
        for written in lesson["written"]:
            self.find_answer(written)

    @property
    def cells_found(self) -> int:
        return sum(state != "missing" for state in self.states.values())

    @property
    def work(self) -> int:
        return sum(state == "done" for state in self.states.values())

    def find_code(self, exercise: dict) -> None:
        """The last complete definition counts, wherever it stands; what it needs of the student's other cells comes along."""
        name, grade_id, stub = exercise["names"][0], exercise["grade_id"], exercise["stub"].strip()
        complete = [c for c in self.cells if any(is_definition(s, name) for s in c["own"])]
        cells = [c for c in self.cells if c["code"]]
        broken = [c for c in cells if c["tree"] is None and c["text"].strip() != stub]
        broken = [c for c in broken if c["mark"] == grade_id or f"def {name}" in c["text"]]
        if not complete and not broken:
            there = any(c["mark"] == grade_id or f"def {name}(" in c["text"] for c in cells)
            self.states[grade_id] = "open" if there else "missing"
            return
        cell = (complete or broken)[-1]
        self.states[grade_id] = "done"
        if len(cell["text"]) > CELL:
            large = f"a cell of {len(cell['text']):,} characters"
            self.remarks.append(f"{grade_id}: {large} was not read")
            self.taken[grade_id] = f"# {large}; at most {CELL:,} are read"
            return
        if len(complete) > 1:
            self.remarks.append(f"{grade_id}: {len(complete)} versions; the last one counts")
        code = cell["text"]
        if cell["mark"] != grade_id:
            by = "taken from another cell than its own, by the name of the function"
            self.remarks.append(f"{grade_id}: {by}")
            if complete:  # what else stands there may train a model
                own = [s for s in cell["own"] if not isinstance(s, ast.Expr)]
                code = "\n\n".join(map(ast.unparse, own))
        helpers = self.helpers(cell, code) if complete else []
        if helpers:
            names = sorted({n for h in helpers for n in defines(h)})[:6]
            self.remarks.append(f"{grade_id}: with {', '.join(names)} of other cells")
        self.taken[grade_id] = "\n\n".join([*helpers, code])[: 2 * CELL]

    def helpers(self, cell: dict, code: str) -> list[str]:
        """Definitions of the student's that ``code`` reads, from other cells, in order."""
        need = uses(without_magics(code)) - defines(without_magics(code))
        kept = []
        for other in reversed([c for c in self.cells if c is not cell]):
            for statement in reversed(other["own"]):
                if not isinstance(statement, (ast.Assign, ast.AnnAssign, *DEFINITIONS)):
                    continue
                text = ast.unparse(statement)
                names = defines(text)
                if not isinstance(statement, DEFINITIONS):
                    names -= self.lesson_names
                if names & need:
                    kept.append(text)
                    need = (need - names) | uses(text)
        return kept[::-1]

    def find_answer(self, written: dict) -> None:
        """In the marked cell; else beside the question: the texts there that the lesson doesn't have."""
        grade_id, empty = written["grade_id"], written["placeholder"].strip()
        marked = [c["text"].strip() for c in self.cells if c["mark"] == grade_id]
        there = marked or [c["text"] for c in self.cells if c["text"].strip() == empty]
        worked = [text for text in marked if text not in ("", empty)]
        if worked:
            answer = worked[-1]
            if len(worked) > 1:
                self.remarks.append(
                    f"{grade_id}: {len(worked)} copies of the cell; the last one counts"
                )
        else:
            answer = self.beside(written)
            if answer:
                self.remarks.append(
                    f"{grade_id}: taken from beside the question; its own cell is {'empty' if there else 'gone'}"
                )
        self.states[grade_id] = "done" if answer else "open" if there else "missing"
        if len(answer) > ANSWER:
            self.remarks.append(
                f"{grade_id}: {len(answer):,} characters; the first {ANSWER:,} are kept"
            )
        self.taken[grade_id] = answer[:ANSWER] or ("" if there else GONE)

    def beside(self, written: dict) -> str:
        """Texts of the student's between the question and the lesson's next text."""
        found, inside = [], False
        for cell in self.cells:
            text = cell["text"].strip()
            if written["heading"] and written["heading"] in text:
                inside = True
                old = set(written["question"].splitlines())
                found += [line for line in text.splitlines() if line.strip() and line not in old]
            elif inside and (
                text in self.lesson["prose"] or (cell["code"] and not cell["own"] and cell["tree"])
            ):
                if text == written["placeholder"].strip():
                    continue
                break
            elif inside and text:
                found.append(text)
        return "\n".join(found).strip()


def is_definition(statement: ast.stmt, name: str) -> bool:
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        return statement.name == name
    targets = (
        statement.targets
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Lambda)
        else []
    )
    return any(isinstance(t, ast.Name) and t.id == name for t in targets)


def read_hand_in(files: list[tuple[str, bytes]], lessons: dict[str, dict]) -> dict:
    """All files of one student, oldest first: the outcome of each, and of each lesson what is graded."""
    outcomes: list[list[list[str]]] = []
    best: dict[str, tuple[Found, list[str], str]] = {}
    for name, data in files:
        here: list[list[str]] = []
        for inner, content in notebooks(name, data):
            line = [inner, ""]
            here.append(line)
            if isinstance(content, str):
                line[1] = content
                continue
            try:
                cells = cells_of(inner, content)
                found = None
                for number, lesson in lessons.items():
                    one = Found([dict(c) for c in cells], lesson)
                    if found is None or one.cells_found > found[0].cells_found:
                        found = (one, number)
                if found is None or not found[0].cells_found:
                    raise ValueError(
                        "no cell of an exercise found in it: another notebook, or another lesson"
                    )
            except ValueError as error:
                line[1] = str(error)
                continue
            one, number = found
            line[1] = "graded"
            if number in best:
                older, newer = best[number], (one, line, inner)
                keep, drop = (newer, older) if one.work or not older[0].work else (older, newer)
                drop[1][1] = f"not graded: {keep[2]} counts"
                keep[0].remarks.append(f"{drop[2]} was handed in too and is not graded")
                best[number] = keep
            else:
                best[number] = (one, line, inner)
        outcomes.append(here)
    taken = {
        number: {
            "file": name,
            "taken": one.taken,
            "states": one.states,
            "remarks": one.remarks[:30],
        }
        for number, (one, _, name) in best.items()
    }
    return {"files": outcomes, "lessons": taken}
