"""What the instructor and the students read: grades, import files for Moodle and Canvas, feedback pages, a summary."""

from __future__ import annotations

import collections
import csv
import io
import itertools
import keyword
import os
import re
import shutil
import statistics
import tokenize
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import jinja2

from tools.grade.assemble import Assignment, Written
from tools.grade.intake import HandIn, Person, printable

TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
)
# the share of equal runs of tokens from which two codes are named, and the shortest code compared
ALIKE, TOKENS = 0.9, 40
UNUSUAL = re.compile(
    r"\b(os|sys|subprocess|socket|ctypes|gc|inspect|builtins|signal|shutil|pathlib|importlib|get_ipython|eval|exec)\b"
)


@dataclass
class Part:
    """One exercise or written answer; ``state`` is full, some, none, open (empty), missing (no cell), unread or marked."""

    grade_id: str
    title: str
    score: float
    most: float
    state: str
    lines: list[str] = field(default_factory=list)
    answer: str = ""
    message: str = ""
    written: bool = False
    typed: bool = False  # the instructor's points
    comment: str = ""


@dataclass
class Row:
    """A graded hand-in. ``remarks`` are for the instructor."""

    hand_in: HandIn
    assignment: Assignment
    file: str
    parts: list[Part]
    remarks: list[str] = field(default_factory=list)
    penalty: float = 0.0

    @property
    def score(self) -> float:
        return max(0.0, sum(p.score for p in self.parts) - self.penalty)

    @property
    def most(self) -> float:
        return sum(p.most for p in self.parts)

    @property
    def to_read(self) -> int:
        return sum(
            p.state in ("unread", "missing") and not p.typed for p in self.parts if p.written
        )

    @property
    def page(self) -> str:
        return f"{self.hand_in.person.key}-lesson-{self.assignment.lesson.number}.html"


def points(result: dict, most: float) -> float:
    """Half for the share of ticks and half for the hidden test, both as far as the answer agrees on other inputs."""
    ticks = result["ticks"] / max(1, result["properties"])
    return round(most * result["agrees"] * (ticks + result["hidden"]) / 2, 2)


def message_of(result: dict) -> str:
    if result["problem"] or result["hidden"]:
        return result["problem"]
    other = (
        f" On {result['of']} other inputs it agrees with the solution {result['right']} times."
        if result.get("right", 0) < result.get("of", 0)
        else ""
    )
    if result["ticks"] == result["properties"]:
        return f"Every property above holds, but not for other values: try small, empty, equal or unsorted ones.{other}"
    return other.strip()


def row_of(hand_in: HandIn, assignment: Assignment, graded: dict, book: dict) -> Row:
    """What the tests said beside nbgrader's scores."""
    remarks = [*hand_in.notes, *graded["remarks"], *filter(None, [book["problem"]])]
    row = Row(hand_in, assignment, graded["file"], [], remarks, book["penalty"])
    for task in (*assignment.exercises, *assignment.written):
        name, written = task.grade_id, isinstance(task, Written)
        grade = book["grades"].get(task.test_id, {"score": 0.0, "typed": False, "to_read": False})
        part = Part(name, task.title, grade["score"], task.points, graded["states"][name])
        part.answer, part.comment = graded["taken"].get(name, ""), book["comments"].get(name, "")
        part.typed, part.written = grade["typed"], written
        if result := graded["results"].get(name):
            part.message, part.lines = message_of(result), result["lines"]
            part.state = "full" if part.score == part.most else "some" if part.score else "none"
            remarks += [f"{name}: {r}" for r in result["remarks"]]
            if part.message.startswith("stopped by the grader"):
                remarks.append(f"{name}: {part.message}")
        if not written and (seen := sorted(set(UNUSUAL.findall(part.answer)))):
            remarks.append(f"{name} uses {', '.join(seen)}: read it")
        if not written and part.typed and grade["to_read"]:
            remarks.append(f"{name}: your points were for an earlier hand-in; look again")
        if written and part.state == "missing":
            remarks.append(f"{name}: the answer's cell was not found; look into the notebook")
        if written and part.state == "done":
            part.typed = part.typed and not grade["to_read"]
            part.state = "marked" if part.typed else "unread"
        row.parts.append(part)
    return row


def tokens(code: str) -> list[str]:
    """The code's tokens without comments and layout, every name of the student's own as one word."""
    found = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(code).readline):
            if token.type == tokenize.NAME:
                found.append(token.string if keyword.iskeyword(token.string) else "name")
            elif token.type in (tokenize.OP, tokenize.NUMBER, tokenize.STRING):
                found.append(token.string)
    except (tokenize.TokenError, SyntaxError, ValueError):
        pass
    return found[:2000]


def mark_alike(rows: list[Row]) -> None:
    """Remarks for the same written answer, and for code that is the same up to names, comments and layout."""
    for place in {p.grade_id: p for row in rows for p in row.parts}.values():
        shapes = []
        for row in rows:
            part = next((p for p in row.parts if p.grade_id == place.grade_id), None)
            if not part or not part.answer or part.state in ("missing", "open"):
                continue
            words = part.answer.lower().split() if part.written else tokens(part.answer)
            if part.written or len(words) >= TOKENS:
                runs = {tuple(words[i : i + 4]) for i in range(max(1, len(words) - 3))}
                shapes.append((row, runs))
        alike: dict[str, list[str]] = {}
        for (a, one), (b, two) in itertools.combinations(shapes, 2):
            other = a.hand_in.person.key != b.hand_in.person.key
            if other and len(one & two) >= ALIKE * len(one | two):
                alike.setdefault(a.page, []).append(b.hand_in.person.label)
                alike.setdefault(b.page, []).append(a.hand_in.person.label)
        for row in rows:
            if others := alike.get(row.page):
                what = "same text as" if place.written else "nearly the same code as"
                more = f" and {len(others) - 3} more" if len(others) > 3 else ""
                row.remarks.append(f"{place.grade_id}: {what} {', '.join(others[:3])}{more}")


def safe(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return "'" + text if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def number(value: float) -> str:
    return f"{value:g}"


def write_text(file: Path, text: str) -> None:
    part = file.with_name(file.name + ".part")
    part.write_text(text, encoding="utf-8", errors="backslashreplace")
    os.replace(part, file)


def write_table(file: Path, header: list[str], lines: list[dict]) -> None:
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(header)
    table.writerows([safe(printable(line.get(c, ""))) for c in header] for line in lines)
    write_text(file, "\ufeff" + text.getvalue())  # the mark lets spreadsheets read the umlauts


def line_of(person: Person, status: str, late: bool = False, **more: str) -> dict[str, str]:
    line = {"student": person.name, "number": person.number, "key": person.key, "status": status}
    return line | {"late": "late" if late else ""} | more


def line_of_row(row: Row) -> dict[str, str]:
    """A line of ``grades.csv``. ``points`` stay empty until every written answer has points."""
    waiting = ("open", "missing", "unread")
    scores = {
        p.grade_id: p.state if p.state in waiting and not p.typed else number(p.score)
        for p in row.parts
    }
    return line_of(
        row.hand_in.person,
        "to read" if row.to_read else "final",
        bool(row.hand_in.late or row.penalty),
        lesson=row.assignment.lesson.number,
        points="" if row.to_read else number(row.score),
        most=number(row.most),
        remark="; ".join(row.remarks),
        feedback=row.page,
        file=row.file,
        **scores,
    )


def changes(file: Path, header: list[str], lines: list[dict]) -> list[str]:
    """What differs from the last run's ``grades.csv``: who is new, whose points or status changed."""
    if not file.exists():
        return []
    csv.field_size_limit(2**30)
    with open(file, newline="", encoding="utf-8-sig") as table:
        old = {(line["key"], line["lesson"]): line for line in csv.DictReader(table)}
    said = []
    for line in lines:
        before = old.pop((line["key"], line.get("lesson", "")), None)
        if before is None:
            said.append(f"{line['student']}: new")
            continue
        for column in [c for c in header if c in ("status", "points") or re.match(r"[ew]\d+_", c)]:
            was, now = before.get(column, ""), line.get(column, "")
            if safe(now) != was:
                said.append(f"{line['student']}: {column} {was or 'empty'} -> {now or 'empty'}")
    said += [f"{line['student']}: not in this export" for line in old.values()]
    return [printable(line) for line in said]


def imports(out: Path, rows: list[Row]) -> None:
    """Grade files of one lesson as the import pages of Moodle (grading worksheet) and Canvas (gradebook) want them.

    Points are there where they are final.
    """
    moodle, canvas = [], []
    title = rows[0].assignment.name
    for row in rows:
        person, score = row.hand_in.person, "" if row.to_read else number(row.score)
        number_of = re.search(r"_(\d+)_assignsubmission_", row.hand_in.folder)
        moodle.append(
            {
                "Identifier": f"Participant {number_of[1]}" if number_of else person.number,
                "Full name": person.name,
                "Email address": person.email,
                "Grade": score,
                "Feedback comments": " ".join(
                    f"{p.grade_id}: {p.comment}" for p in row.parts if p.comment
                ),
            }
        )
        canvas.append(
            {
                "Student": person.name,
                "ID": person.number,
                "SIS User ID": "",
                "SIS Login ID": person.email,
                "Section": "",
                title: score,
            }
        )
    for platform, lines in (("moodle", moodle), ("canvas", canvas)):
        write_table(out / f"{platform}-{title}.csv", list(lines[0]), lines)


def summary_of(assignment: Assignment, rows: list[Row]) -> dict:
    """Per exercise: how many got all, some, no points, or did not try, and the messages met most often."""
    exercises = []
    for e in assignment.exercises:
        parts = [p for row in rows for p in row.parts if p.grade_id == e.grade_id]
        count = collections.Counter("none" if p.state == "missing" else p.state for p in parts)
        crosses = [
            next((line.removeprefix("❌ ") for line in p.lines if line[:1] == "❌"), p.message)
            for p in parts
        ]
        reasons = collections.Counter(
            c for c, p in zip(crosses, parts, strict=True) if p.state in ("none", "some") and c
        )
        states = {s: count[s] for s in ("full", "some", "none", "open")}
        exercises.append(
            {
                "title": e.title,
                "count": states,
                "failed": count["none"],
                "reasons": reasons.most_common(3),
            }
        )
    most = sum(e.points for e in assignment.exercises)
    shares = [sum(min(p.score, p.most) for p in row.parts if not p.written) / most for row in rows]
    totals = collections.Counter(min(9, int(10 * share)) for share in shares)
    return {
        "title": assignment.lesson.title,
        "number": assignment.lesson.number,
        "rows": rows,
        "exercises": exercises,
        "hardest": max(exercises, key=lambda x: x["failed"]),
        "totals": [totals.get(i, 0) for i in range(10)],
        "median": statistics.median(shares),
    }


def write(out: Path, rows: list[Row], hand_ins: list[HandIn], roster: list) -> list[str]:
    """Every file of the report, each replaced as a whole; what changed since the last run."""
    rows.sort(key=lambda r: (r.assignment.lesson.number, r.hand_in.person.key))
    graded = {row.hand_in.person.key for row in rows}
    without = [h for h in hand_ins if h.person.key not in graded]
    rejected = [(h, f) for h in hand_ins for f in h.files if f.outcome != "graded"]
    absent = [p for p in roster if p.key not in {h.person.key for h in hand_ins}]
    ids = dict.fromkeys(p.grade_id for row in rows for p in row.parts)
    first = ("student", "number", "key", "lesson", "status", "points", "most", "late")
    header = [*first, *ids, "remark", "feedback", "file"]
    lines = [line_of_row(row) for row in rows]
    for hand_in in without:
        why = "; ".join(f"{f.path.name}: {f.outcome}" for f in hand_in.files)
        more = {"feedback": f"{hand_in.person.key}.html", "file": str(hand_in.files[0].path)}
        lines.append(line_of(hand_in.person, "not graded", hand_in.late, remark=why, **more))
    lines += [line_of(person, "nothing handed in") for person in absent]
    changed = changes(out / "grades.csv", header, lines)
    write_table(out / "grades.csv", header, lines)
    shutil.rmtree(out / "feedback", ignore_errors=True)
    (out / "feedback").mkdir(parents=True)
    feedback, refusal = map(TEMPLATES.get_template, ("feedback.html", "not_graded.html"))
    pages = [(r.hand_in, r.page, feedback.render(row=r, number=number)) for r in rows]
    pages += [(h, f"{h.person.key}.html", refusal.render(hand_in=h)) for h in without]
    # in the export's own folders
    with zipfile.ZipFile(out / "feedback.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for hand_in, name, text in pages:
            write_text(out / "feedback" / name, text)
            archive.write(out / "feedback" / name, f"{hand_in.folder or hand_in.person.key}/{name}")
    groups = itertools.groupby(rows, key=lambda r: r.assignment.lesson.number)
    by_lesson = [list(group) for _, group in groups]
    for group in by_lesson:
        imports(out, group)
    lessons = [summary_of(group[0].assignment, group) for group in by_lesson]
    page = TEMPLATES.get_template("summary.html")
    write_text(
        out / "summary.html",
        page.render(
            lessons=lessons, rejected=rejected, absent=absent, changed=changed, number=number
        ),
    )
    return changed
