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

from tools.grade.assemble import Assignment
from tools.grade.intake import HandIn, printable

TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
)
ALIKE, TOKENS = (
    0.9,
    40,
)  # share of equal runs of tokens from which two codes are named, and the shortest code compared
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
        if result.get("of")
        else ""
    )
    if result["ticks"] == result["properties"]:
        return f"Every property above holds, but not for other values: try small, empty, equal or unsorted ones.{other}"
    return other.strip()


def row_of(hand_in: HandIn, assignment: Assignment, graded: dict, book: dict) -> Row:
    """What the tests said beside nbgrader's scores."""
    row = Row(
        hand_in,
        assignment,
        graded["file"],
        [],
        [*hand_in.notes, *graded["remarks"]],
        book["penalty"],
    )
    if book["problem"]:
        row.remarks.append(book["problem"])
    for e in assignment.exercises:
        grade = book["grades"].get(e.test_id, {"score": 0.0, "typed": False, "to_read": False})
        result, state = graded["results"].get(e.grade_id), graded["states"][e.grade_id]
        part = Part(
            e.grade_id,
            e.title,
            grade["score"],
            e.points,
            state,
            answer=graded["taken"].get(e.grade_id, ""),
        )
        if result:
            part.message, part.lines = message_of(result), result["lines"]
            part.state = (
                "full" if grade["score"] == e.points else "some" if grade["score"] else "none"
            )
            row.remarks += [f"{e.grade_id}: {r}" for r in result["remarks"]]
            if part.message.startswith("stopped by the grader"):
                row.remarks.append(f"{e.grade_id}: {part.message}")
        if seen := sorted(set(UNUSUAL.findall(part.answer))):
            row.remarks.append(f"{e.grade_id} uses {', '.join(seen)}: read it")
        part.typed, part.comment = grade["typed"], book["comments"].get(e.grade_id, "")
        if part.typed and grade["to_read"]:
            row.remarks.append(f"{e.grade_id}: your points were for an earlier hand-in; look again")
        row.parts.append(part)
    for w in assignment.written:
        grade = book["grades"].get(w.grade_id, {"score": 0.0, "typed": False, "to_read": False})
        answer, state = graded["taken"].get(w.grade_id, "").strip(), graded["states"][w.grade_id]
        part = Part(
            w.grade_id,
            w.title,
            grade["score"],
            w.points,
            state,
            answer=answer,
            written=True,
            typed=grade["typed"],
        )
        part.comment = book["comments"].get(w.grade_id, "")
        if state == "missing":
            row.remarks.append(
                f"{w.grade_id}: the answer's cell was not found; look into the notebook"
            )
        elif state == "done":
            part.state = "marked" if grade["typed"] and not grade["to_read"] else "unread"
            part.typed = part.typed and not grade["to_read"]
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
                shapes.append(
                    (row, words, {tuple(words[i : i + 4]) for i in range(max(1, len(words) - 3))})
                )
        alike: dict[str, list[str]] = {}
        for (a, _, one), (b, _, two) in itertools.combinations(shapes, 2):
            if a.hand_in.person.key != b.hand_in.person.key and len(one & two) >= ALIKE * len(
                one | two
            ):
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


def write_table(file: Path, header: list[str], lines: list[list[str]]) -> None:
    text = io.StringIO()
    csv.writer(text).writerows(
        [header, *([safe(printable(str(v))) for v in line] for line in lines)]
    )
    write_text(file, "\ufeff" + text.getvalue())  # the mark lets spreadsheets read the umlauts


def score_lines(rows: list[Row]) -> tuple[list[str], list[list[str]]]:
    """Header and lines of ``grades.csv``. ``points`` stay empty until every written answer has points."""
    ids = list(dict.fromkeys(p.grade_id for row in rows for p in row.parts))
    header = [
        "student",
        "number",
        "key",
        "lesson",
        "status",
        "points",
        "most",
        "late",
        *ids,
        "remark",
        "feedback",
        "file",
    ]
    lines = []
    for row in rows:
        person, score = row.hand_in.person, {}
        for p in row.parts:
            score[p.grade_id] = (
                p.state
                if p.state in ("open", "missing", "unread") and not p.typed
                else number(p.score)
            )
        status = ["to read", ""] if row.to_read else ["final", number(row.score)]
        late = "late" if row.hand_in.late or row.penalty else ""
        lines.append(
            [
                person.name,
                person.number,
                person.key,
                row.assignment.lesson.number,
                *status,
                number(row.most),
                late,
            ]
            + [score.get(i, "") for i in ids]
            + ["; ".join(row.remarks), row.page, row.file]
        )
    return header, lines


def changes(file: Path, header: list[str], lines: list[list[str]]) -> list[str]:
    """What differs from the last run's ``grades.csv``: who is new, whose points or status changed."""
    if not file.exists():
        return []
    csv.field_size_limit(2**30)
    with open(file, newline="", encoding="utf-8-sig") as table:
        old = {(line["key"], line["lesson"]): line for line in csv.DictReader(table)}
    said = []
    for values in lines:
        new = dict(zip(header, map(str, values), strict=True))
        before = old.pop((new["key"], new["lesson"]), None)
        if before is None:
            said.append(f"{new['student']}: new")
            continue
        for column in [c for c in header if c in ("status", "points") or re.match(r"[ew]\d+_", c)]:
            if safe(new[column]) != before.get(column, ""):
                said.append(
                    f"{new['student']}: {column} {before.get(column) or 'empty'} -> {new[column] or 'empty'}"
                )
    return [
        printable(line)
        for line in [*said, *(f"{line['student']}: not in this export" for line in old.values())]
    ]


def imports(out: Path, rows: list[Row]) -> None:
    """Grade files of one lesson as the import pages of Moodle (grading worksheet) and Canvas (gradebook) want them.

    Points are there where they are final.
    """
    moodle, canvas = [], []
    title = rows[0].assignment.name
    for row in rows:
        person, score = row.hand_in.person, "" if row.to_read else number(row.score)
        number_of = re.search(r"_(\d+)_assignsubmission_", row.hand_in.folder)
        comment = " ".join(f"{p.grade_id}: {p.comment}" for p in row.parts if p.comment)
        moodle.append(
            [
                f"Participant {number_of[1]}" if number_of else person.number,
                person.name,
                person.email,
                score,
                comment,
            ]
        )
        canvas.append([person.name, person.number, "", person.email, "", score])
    write_table(
        out / f"moodle-{title}.csv",
        ["Identifier", "Full name", "Email address", "Grade", "Feedback comments"],
        moodle,
    )
    write_table(
        out / f"canvas-{title}.csv",
        ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", title],
        canvas,
    )


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
    rejected = [(h, f) for h in hand_ins for f in h.files if f.outcome != "graded"]
    absent = [p for p in roster if p.key not in {h.person.key for h in hand_ins}]
    header, lines = score_lines(rows)
    blank = [""] * (len(header) - 11)
    for hand_in in [h for h in hand_ins if h.person.key not in graded]:
        p, why = hand_in.person, "; ".join(f"{f.path.name}: {f.outcome}" for f in hand_in.files)
        late = "late" if hand_in.late else ""
        lines.append(
            [
                p.name,
                p.number,
                p.key,
                "",
                "not graded",
                "",
                "",
                late,
                *blank,
                why,
                f"{p.key}.html",
                str(hand_in.files[0].path),
            ]
        )
    lines += [
        [p.name, p.number, p.key, "", "nothing handed in", "", "", "", *blank, "", "", ""]
        for p in absent
    ]
    changed = changes(out / "grades.csv", header, lines)
    write_table(out / "grades.csv", header, lines)
    shutil.rmtree(out / "feedback", ignore_errors=True)
    (out / "feedback").mkdir(parents=True)
    pages = [
        (
            row.hand_in,
            row.page,
            TEMPLATES.get_template("feedback.html").render(row=row, number=number),
        )
        for row in rows
    ]
    for hand_in in [h for h in hand_ins if h.person.key not in graded]:
        text = TEMPLATES.get_template("not_graded.html").render(hand_in=hand_in)
        pages.append((hand_in, f"{hand_in.person.key}.html", text))
    with zipfile.ZipFile(
        out / "feedback.zip", "w", zipfile.ZIP_DEFLATED
    ) as archive:  # the export's own folders
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
