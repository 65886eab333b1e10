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
PAGES = ("feedback.html", "not_graded.html", "summary.html")
# the share of equal runs of tokens from which two codes are named, and the shortest code compared
ALIKE, TOKENS = 0.9, 40
UNUSUAL = re.compile(
    r"\b(os|sys|subprocess|socket|ctypes|gc|inspect|builtins|signal|shutil|pathlib|importlib|get_ipython|eval|exec)\b"
)


def number(value: float) -> str:
    return f"{value:g}"


TEMPLATES.globals["number"] = number


@dataclass
class Part:
    """One exercise or written answer; ``state`` is full, some, none, open (empty), missing (no cell), unread or marked."""

    grade_id: str
    title: str
    score: float
    most: float
    state: str
    answer: str
    comment: str
    typed: bool  # the instructor's points
    written: bool
    counts: bool = True
    lines: list[str] = field(default_factory=list)
    message: str = ""

    @property
    def waiting(self) -> bool:
        return self.written and self.state in ("unread", "missing") and not self.typed

    @property
    def reason(self) -> str:
        """The first property that does not hold, or what else the tests said."""
        crosses = [line.removeprefix("❌ ") for line in self.lines if line.startswith("❌")]
        return (crosses or [self.message])[0]


@dataclass
class Row:
    """A graded hand-in. ``remarks`` are for the instructor."""

    hand_in: HandIn
    assignment: Assignment
    file: str
    parts: list[Part]
    remarks: list[str] = field(default_factory=list)

    @property
    def score(self) -> float:
        return sum(p.score for p in self.parts if p.counts)

    @property
    def most(self) -> float:
        return sum(p.most for p in self.parts if p.counts)

    @property
    def to_read(self) -> int:
        return sum(p.waiting for p in self.parts if p.counts)

    @property
    def page(self) -> str:
        return f"{self.hand_in.person.key}-lesson-{self.assignment.lesson.number}.html"


def points(result: dict, most: float) -> float:
    """Half for the share of ticks and half for the hidden test, both as far as the answer agrees on other inputs."""
    ticks = min(1, result["ticks"] / max(1, result["properties"]))
    return round(most * result["agrees"] * (ticks + result["hidden"]) / 2, 2)


def message_of(result: dict) -> str:
    if result["problem"] or (result["hidden"] and result["agrees"] >= 1):
        return result["problem"]
    said = []
    if result["ticks"] == result["properties"] and not result["hidden"]:
        holds = "Every property above holds, but not for other values"
        said.append(f"{holds}: try small, empty, equal or unsorted ones.")
    if result["right"] < result["of"]:
        other = f"On {result['of']} other inputs it agrees with the solution"
        said.append(f"{other} {result['right']} times.")
    if result["hidden"]:
        said.append("Every test holds; if you think that your answer is right, ask your teacher.")
    return " ".join(said)


def doubt(result: dict) -> str:
    """What an instructor should look at: an answer that loses points by the other inputs alone."""
    if result["problem"] or not result["hidden"] or result["agrees"] >= 1:
        return ""
    few = f"{result['right']} of {result['of']} other inputs agree with the solution"
    return f"every test holds, but only {few}; a right answer of another kind? {result['example']}"


def row_of(hand_in: HandIn, assignment: Assignment, graded: dict, book: dict) -> Row:
    """What the tests said beside nbgrader's scores."""
    remarks = [*hand_in.notes, *graded["remarks"], *filter(None, [book["problem"]])]
    row = Row(hand_in, assignment, graded["file"], [], remarks)
    for task in assignment.tasks:
        name, written = task.grade_id, isinstance(task, Written)
        grade = book["grades"].get(name, {"score": 0.0, "typed": False, "to_read": False})
        state, answer = graded["states"][name], graded["taken"].get(name, "")
        score, typed, look = grade["score"], grade["typed"], grade["to_read"]
        comment = book["comments"].get(name, "")
        part = Part(name, task.title, score, task.points, state, answer, comment, typed, written)
        row.parts.append(part)
        if written and state == "missing":
            remarks.append(f"{name}: the answer's cell was not found; look into the notebook")
        elif written and state == "done":
            part.typed = typed and not look
            part.state = "marked" if part.typed else "unread"
        if written:
            continue
        if result := graded["results"].get(name):
            part.message, part.lines = message_of(result), result["lines"]
            part.state = "full" if score == part.most else "some" if score else "none"
            remarks += [f"{name}: {r}" for r in [*result["remarks"], doubt(result)] if r]
            if part.message.startswith("stopped by the grader"):
                remarks.append(f"{name}: {part.message}")
        if seen := sorted(set(UNUSUAL.findall(answer))):
            remarks.append(f"{name} uses {', '.join(seen)}: read it")
        if typed and look:
            remarks.append(f"{name}: your points were for an earlier hand-in; look again")
    return row


def counting(row: Row, only: list[str]) -> Row:
    """The row with what is named alone in its points; the whole row where nothing of its lesson is named."""
    named = {p.grade_id for p in row.parts} & set(only)
    for part in row.parts:
        part.counts = not named or part.grade_id in named
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


def runs(part: Part) -> set[tuple[str, ...]]:
    """All runs of four words or tokens; of code too short to compare nothing."""
    words = part.answer.lower().split() if part.written else tokens(part.answer)
    if not part.answer or part.state in ("missing", "open"):
        return set()
    if len(words) < TOKENS and not part.written:
        return set()
    return {tuple(words[i : i + 4]) for i in range(max(1, len(words) - 3))}


def mark_alike(rows: list[Row]) -> None:
    """Remarks for the same written answer, and for code that is the same up to names, comments and layout."""
    parts: dict[str, list[tuple[Row, set]]] = {}
    for row in rows:
        for part in row.parts:
            if found := runs(part):
                parts.setdefault(part.grade_id, []).append((row, found))
    for grade_id, answers in parts.items():
        alike: dict[str, list[str]] = {}
        for (a, one), (b, two) in itertools.combinations(answers, 2):
            if len(one & two) >= ALIKE * len(one | two):
                alike.setdefault(a.page, []).append(b.hand_in.person.label)
                alike.setdefault(b.page, []).append(a.hand_in.person.label)
        what = "same text as" if grade_id.startswith("w") else "nearly the same code as"
        for row in [row for row, _ in answers if row.page in alike]:
            first, more = alike[row.page][:3], len(alike[row.page]) - 3
            others = ", ".join(first) + (f" and {more} more" if more > 0 else "")
            row.remarks.append(f"{grade_id}: {what} {others}")


def safe(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return "'" + text if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def write_text(file: Path, text: str) -> None:
    part = file.with_name(file.name + ".part")
    part.write_text(text, encoding="utf-8", errors="backslashreplace")
    os.replace(part, file)


def write_table(file: Path, header: list[str], lines: list[dict]) -> None:
    text = io.StringIO()
    table = csv.DictWriter(text, header)
    table.writeheader()
    table.writerows({name: safe(printable(line[name])) for name in line} for line in lines)
    write_text(file, "\ufeff" + text.getvalue())  # the mark lets spreadsheets read the umlauts


def line_of(person: Person, status: str, late: bool = False, **more: str) -> dict[str, str]:
    line = {"student": person.name, "number": person.number, "key": person.key, "status": status}
    return line | {"late": "late" if late else ""} | more


def line_of_row(row: Row) -> dict[str, str]:
    """A line of ``grades.csv``. ``points`` stay empty until every written answer has points."""
    without = ("open", "missing", "unread")
    scores = {
        p.grade_id: p.state if p.state in without and not p.typed else number(p.score)
        for p in row.parts
    }
    return line_of(
        row.hand_in.person,
        "to read" if row.to_read else "final",
        row.hand_in.late,
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
    tables: dict[str, list[dict[str, str]]] = {"moodle": [], "canvas": []}
    title = rows[0].assignment.name
    for row in rows:
        person, score = row.hand_in.person, "" if row.to_read else number(row.score)
        place = re.search(r"_(\d+)_assignsubmission_", row.hand_in.folder)
        comments = [f"{p.grade_id}: {p.comment}" for p in row.parts if p.comment and p.counts]
        tables["moodle"].append(
            {
                "Identifier": f"Participant {place[1]}" if place else person.number,
                "Full name": person.name,
                "Email address": person.email,
                "Grade": score,
                "Feedback comments": " ".join(comments),
            }
        )
        tables["canvas"].append(
            {
                "Student": person.name,
                "ID": person.number,
                "SIS User ID": "",
                "SIS Login ID": person.email,
                "Section": "",
                title: score,
            }
        )
    for platform, lines in tables.items():
        write_table(out / f"{platform}-{title}.csv", list(lines[0]), lines)


def summary_of(rows: list[Row]) -> dict:
    """Per exercise: how many got all, some, no points, or did not try, and the messages met most often."""
    assignment, exercises = rows[0].assignment, []
    counted = {p.grade_id for p in rows[0].parts if p.counts}
    tasks = [e for e in assignment.exercises if e.grade_id in counted] or assignment.exercises
    for e in tasks:
        parts = [p for row in rows for p in row.parts if p.grade_id == e.grade_id]
        states = collections.Counter("none" if p.state == "missing" else p.state for p in parts)
        reasons = [p.reason for p in parts if p.state in ("none", "some") and p.reason]
        exercises.append(
            {
                "title": e.title,
                "count": {s: states[s] for s in ("full", "some", "none", "open")},
                "reasons": collections.Counter(reasons).most_common(3),
            }
        )
    most, ids = sum(e.points for e in tasks), {e.grade_id for e in tasks}
    earned = [[min(p.score, p.most) for p in row.parts if p.grade_id in ids] for row in rows]
    shares = [sum(scores) / most for scores in earned]
    tenths = collections.Counter(min(9, int(10 * share)) for share in shares)
    return {
        "title": assignment.lesson.title,
        "number": assignment.lesson.number,
        "rows": rows,
        "exercises": exercises,
        "hardest": max(exercises, key=lambda e: e["count"]["none"]),
        "totals": [tenths[i] for i in range(10)],
        "median": statistics.median(shares),
    }


def write(out: Path, rows: list[Row], hand_ins: list[HandIn], roster: list[Person]) -> list[str]:
    """Every file of the report, each replaced as a whole; what changed since the last run."""
    rows.sort(key=lambda r: (r.assignment.lesson.number, r.hand_in.person.key))
    with_row = {row.hand_in.person.key for row in rows}
    without = [h for h in hand_ins if h.person.key not in with_row]
    rejected = [(h, f) for h in hand_ins for f in h.files if f.outcome != "graded"]
    handed_in = {h.person.key for h in hand_ins}
    absent = [p for p in roster if p.key not in handed_in]
    lines = [line_of_row(row) for row in rows]
    for hand_in in without:
        why = "; ".join(f"{f.path.name}: {f.outcome}" for f in hand_in.files)
        more = {"feedback": f"{hand_in.person.key}.html", "file": str(hand_in.files[0].path)}
        lines.append(line_of(hand_in.person, "not graded", hand_in.late, remark=why, **more))
    lines += [line_of(person, "nothing handed in") for person in absent]
    first = ("student", "number", "key", "lesson", "status", "points", "most", "late")
    ids = dict.fromkeys(p.grade_id for row in rows for p in row.parts)
    header = [*first, *ids, "remark", "feedback", "file"]
    changed = changes(out / "grades.csv", header, lines)
    write_table(out / "grades.csv", header, lines)
    feedback, refusal, summary = map(TEMPLATES.get_template, PAGES)
    pages = [(row.hand_in, row.page, feedback.render(row=row)) for row in rows]
    pages += [(h, f"{h.person.key}.html", refusal.render(hand_in=h)) for h in without]
    shutil.rmtree(out / "feedback", ignore_errors=True)
    (out / "feedback").mkdir(parents=True)
    # in the export's own folders
    with zipfile.ZipFile(out / "feedback.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for hand_in, name, text in pages:
            write_text(out / "feedback" / name, text)
            archive.write(out / "feedback" / name, f"{hand_in.folder or hand_in.person.key}/{name}")
    lessons = []
    for _, group in itertools.groupby(rows, key=lambda r: r.assignment.lesson.number):
        of_lesson = list(group)
        imports(out, of_lesson)
        lessons.append(summary_of(of_lesson))
    page = summary.render(lessons=lessons, rejected=rejected, absent=absent, changed=changed)
    write_text(out / "summary.html", page)
    return changed
