"""Scores as a table, a feedback page for each student, a summary for the instructor. None of them shows a hidden test."""

from __future__ import annotations

import collections
import csv
import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import jinja2

from tools.grade.assemble import Assignment
from tools.grade.intake import Submission

TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
)
HIDDEN_FAILED = (
    "Every property above holds, but a further test with other values does not: half of the points. "
    "Try your function on small, empty, equal or unsorted values."
)


@dataclass
class Part:
    """One exercise or written answer of one student. ``state``: full, half, none, open (not attempted), read (to be read)."""

    grade_id: str
    title: str
    score: float
    most: float
    state: str
    lines: list[str] = field(default_factory=list)
    answer: str = ""
    message: str = ""


@dataclass
class Row:
    submission: Submission
    assignment: Assignment
    parts: list[Part]
    problem: str = ""

    @property
    def score(self) -> float:
        return sum(p.score for p in self.parts)

    @property
    def most(self) -> float:
        return sum(p.most for p in self.parts)

    @property
    def to_read(self) -> int:
        return sum(p.state == "read" for p in self.parts)


def short(title: str) -> str:
    """``Exercise 5.2 Which checkpoint? ●●○ 8 minutes`` as ``5.2 Which checkpoint?``."""
    return re.sub(r"^(?:Exercise|Question)\s+|\s*[●○]+.*$", "", title)


def first_cross(result: dict) -> str:
    """What the student's answer failed at first, without the values in it."""
    for line in result["lines"]:
        if line.startswith("❌"):
            return line.removeprefix("❌ ")
    return result["problem"] or ("a hidden test" if not result["hidden"] else "")


def rows(assignment: Assignment, graded: list[tuple], scores: dict) -> list[Row]:
    """One row for each submission: nbgrader's scores beside what the tests said."""
    out = []
    for (submission, _, taken), results in graded:
        book = scores[submission.key]
        row = Row(submission, assignment, [], book["problem"])
        for e in assignment.exercises:
            result, grade = results[e.grade_id], book.get("grades", {}).get(e.test_id, {"score": 0.0})
            state = (
                "full"
                if result["hidden"]
                else "half"
                if result["visible"]
                else "open"
                if result["problem"] == "not attempted yet"
                else "none"
            )
            lines = [line for line in result["lines"] if line.startswith(("✅", "❌"))]
            message = HIDDEN_FAILED if state == "half" else result["problem"]
            row.parts.append(
                Part(e.grade_id, short(e.title), grade["score"], e.points, state, lines, taken.get(e.grade_id, ""), message)
            )
        for w in assignment.written:
            grade = book.get("grades", {}).get(w.grade_id, {"score": 0.0, "to_read": False})
            answered = taken.get(w.grade_id, w.placeholder).strip() not in ("", w.placeholder.strip())
            state = "open" if not answered else "read" if grade["to_read"] else "full"
            row.parts.append(
                Part(
                    w.grade_id,
                    short(w.title),
                    grade["score"],
                    w.points,
                    state,
                    [],
                    taken.get(w.grade_id, "") if answered else "",
                )
            )
        out.append(row)
    return out


def safe(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return "'" + text if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def number(value: float) -> str:
    return f"{value:g}"


def write_text(file: Path, text: str) -> None:
    part = file.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, file)


def write_table(file: Path, header: list[str], lines: list[list[str]]) -> None:
    part = file.with_suffix(".part")
    with open(part, "w", newline="", encoding="utf-8-sig") as out:  # the mark lets spreadsheets read the umlauts
        csv.writer(out).writerows([header, *lines])
    os.replace(part, file)


def read_points(file: Path) -> dict[tuple[str, str], float]:
    """(student key, grade_id) -> points that the instructor has written into ``written.csv``.

    Raises ValueError for points that aren't a number.
    """
    if not file.exists():
        return {}
    with open(file, newline="", encoding="utf-8-sig") as table:
        lines = list(csv.DictReader(table))
    given = {}
    for place, line in enumerate(lines, start=2):
        if text := (line.get("points") or "").strip().replace(",", "."):
            try:
                value = float(text)
            except ValueError:
                raise ValueError(
                    f"{file}, line {place}: {text!r} is no number of points. Write a number, or nothing."
                ) from None
            if not 0 <= value <= float(line["most"]):
                raise ValueError(f"{file}, line {place}: {text} points, but the question gives 0 to {line['most']}.")
            given[line["key"], line["question"]] = value
    return given


def read_comments(file: Path) -> dict[tuple[str, str], str]:
    if not file.exists():
        return {}
    with open(file, newline="", encoding="utf-8-sig") as table:
        return {(line["key"], line["question"]): line.get("comment") or "" for line in csv.DictReader(table)}


def write_written(out: Path, all_rows: list[Row]) -> None:
    """The table of written answers, with what was filled in before."""
    points, comments = read_points(out / "written.csv"), read_comments(out / "written.csv")
    lines = []
    for row in all_rows:
        for w, part in ((w, p) for w in row.assignment.written for p in row.parts if p.grade_id == w.grade_id and p.answer):
            place = (row.submission.key, w.grade_id)
            lines.append(
                [
                    row.submission.key,
                    safe(row.submission.student),
                    w.grade_id,
                    part.title,
                    safe(part.answer),
                    number(w.points),
                    number(points[place]) if place in points else "",
                    comments.get(place, ""),
                ]
            )
    lines.sort(key=lambda line: (line[2], line[0]))
    write_table(out / "written.csv", ["key", "student", "question", "title", "answer", "most", "points", "comment"], lines)


def summary_of(assignment: Assignment, group: list[Row]) -> dict:
    """Per exercise: how many got all, half, no points, or did not try, and the message met most often."""
    exercises = []
    for e in assignment.exercises:
        parts = [p for row in group for p in row.parts if p.grade_id == e.grade_id]
        count = collections.Counter(p.state for p in parts)
        reasons = collections.Counter(
            first_cross({"lines": p.lines, "problem": p.message, "hidden": p.state == "full"})
            for p in parts
            if p.state in ("none", "half")
        )
        exercises.append(
            {
                "title": short(e.title),
                "count": {s: count.get(s, 0) for s in ("full", "half", "none", "open")},
                "failed": count["none"] + count["half"],
                "reasons": reasons.most_common(3),
            }
        )
    totals = collections.Counter(min(9, int(10 * row.score / row.most)) if row.most else 0 for row in group)
    return {
        "title": assignment.lesson.title,
        "number": assignment.lesson.number,
        "rows": group,
        "exercises": exercises,
        "hardest": max(exercises, key=lambda x: x["failed"]),
        "totals": [totals.get(i, 0) for i in range(10)],
    }


def write(out: Path, assignments: dict[str, Assignment], all_rows: list[Row], rejected: list[Submission]) -> None:
    """``grades.csv``, ``written.csv``, ``summary.html`` and ``feedback/``; each file is replaced as a whole."""
    lines = []
    for row in sorted(all_rows, key=lambda r: (r.assignment.lesson.number, r.submission.student)):
        detail = "; ".join(
            f"{p.grade_id} {number(p.score)}/{number(p.most)}{' to read' if p.state == 'read' else ''}" for p in row.parts
        )
        remark = "; ".join(filter(None, [row.problem, *row.submission.notes]))
        lines.append(
            [
                safe(row.submission.student),
                row.assignment.lesson.number,
                number(row.score),
                number(row.most),
                "late" if row.submission.late else "",
                str(row.to_read or ""),
                detail,
                safe(remark),
                safe(row.submission.file),
            ]
        )
    lines += [[safe(s.student), "", "", "", "late" if s.late else "", "", "", safe(s.problem), safe(s.file)] for s in rejected]
    write_table(
        out / "grades.csv", ["student", "lesson", "points", "most", "late", "to read", "exercises", "remark", "file"], lines
    )
    write_written(out, all_rows)
    comments = read_comments(out / "written.csv")
    shutil.rmtree(out / "feedback", ignore_errors=True)
    (out / "feedback").mkdir(parents=True)
    page = TEMPLATES.get_template("feedback.html")
    for row in all_rows:
        text = page.render(
            row=row, number=number, comments={q: c for (key, q), c in comments.items() if key == row.submission.key}
        )
        write_text(out / "feedback" / f"{row.submission.key}-lesson-{row.assignment.lesson.number}.html", text)
    groups = [[r for r in all_rows if r.assignment.lesson.number == n] for n in assignments]
    text = TEMPLATES.get_template("summary.html").render(
        lessons=[summary_of(g[0].assignment, g) for g in groups if g], rejected=rejected, number=number
    )
    write_text(out / "summary.html", text)
