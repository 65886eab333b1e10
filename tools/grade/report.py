"""Scores as a table, a feedback page for each student, a summary for the instructor. None of them shows a hidden test."""

from __future__ import annotations

import collections
import csv
import os
import re
import shutil
import statistics
import zipfile
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

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
    """One exercise or written answer of one student.

    ``state``: full, half, none, open (not attempted), missing (no cell); of written answers also unread and marked.
    """

    grade_id: str
    title: str
    score: float
    most: float
    state: str
    lines: list[str] = field(default_factory=list)
    answer: str = ""
    message: str = ""
    written: bool = False
    adjusted: bool = False  # the instructor overruled the tests


@dataclass
class Row:
    """A graded submission. ``remarks`` are for the instructor, the submission's own notes for both."""

    submission: Submission
    assignment: Assignment
    parts: list[Part]
    remarks: list[str] = field(default_factory=list)

    @property
    def score(self) -> float:
        return sum(p.score for p in self.parts)

    @property
    def most(self) -> float:
        return sum(p.most for p in self.parts)

    @property
    def to_read(self) -> int:
        return sum(p.state == "unread" for p in self.parts)

    @property
    def most_so_far(self) -> float:
        return sum(p.most for p in self.parts if p.state != "unread")

    @property
    def page(self) -> str:
        return f"{self.submission.key}-lesson-{self.assignment.lesson.number}.html"


def short(title: str) -> str:
    """``Exercise 5.2 Which checkpoint? ●●○ 8 minutes`` as ``5.2 Which checkpoint?``."""
    return re.sub(r"^(?:Exercise|Question)\s+|\s*[●○]+.*$", "", title)


def first_cross(result: dict) -> str:
    """What the student's answer failed at first, without the values in it."""
    for line in result["lines"]:
        if line.startswith("❌"):
            return line.removeprefix("❌ ")
    return result["problem"] or ("a hidden test" if not result["hidden"] else "")


def looks(code: str) -> str:
    """Modules in a student's code that a solution doesn't need, for a person to look at."""
    unusual = r"\b(os|sys|subprocess|socket|ctypes|gc|inspect|builtins|signal|shutil|pathlib|importlib|get_ipython|eval|exec)\b"
    return ", ".join(sorted(set(re.findall(unusual, code))))


def rows(assignment: Assignment, graded: list[tuple], scores: dict, marks: Marks) -> list[Row]:
    """One row for each submission: nbgrader's scores beside what the tests said."""
    out = []
    for (submission, _, taken), results in graded:
        book = scores[submission.key]
        row = Row(submission, assignment, [], [book["problem"]] if book["problem"] else [])
        for e in assignment.exercises:
            result, grade = results[e.grade_id], book.get("grades", {}).get(e.test_id, {"score": 0.0})
            code = taken.get(e.grade_id, "")
            part = Part(e.grade_id, short(e.title), grade["score"], e.points, "none", answer=code, message=result["problem"])
            part.lines = [line for line in result["lines"] if line.startswith(("✅", "❌"))]
            if result["hidden"]:
                part.state = "full"
            elif result["visible"]:
                part.state, part.message = "half", HIDDEN_FAILED
            elif not code:
                part.state = "missing"
            elif result["problem"] == "not attempted yet":
                part.state = "open"
            if (submission.key, e.grade_id) in marks.points:
                part.adjusted = True
            if part.message.startswith("stopped by the grader"):
                row.remarks.append(f"{e.grade_id}: {part.message}")
            if seen := looks(code):
                row.remarks.append(f"{e.grade_id} uses {seen}: read it")
            row.parts.append(part)
        for w in assignment.written:
            grade = book.get("grades", {}).get(w.grade_id, {"score": 0.0, "to_read": False})
            answer = taken.get(w.grade_id, "").strip()
            part = Part(w.grade_id, short(w.title), grade["score"], w.points, "marked", answer=answer, written=True)
            if w.grade_id not in taken:
                part.state = "missing"
                row.remarks.append(f"{w.grade_id}: the answer's cell was not found; look into the notebook")
            elif answer in ("", w.placeholder.strip()):
                part.state, part.answer = "open", ""
            elif grade["to_read"]:
                part.state = "unread"
            row.parts.append(part)
        out.append(row)
    for w in assignment.written:  # the same words from several students
        texts = collections.Counter(p.answer for r in out for p in r.parts if p.grade_id == w.grade_id and p.answer)
        for row in out:
            same = next((texts[p.answer] for p in row.parts if p.grade_id == w.grade_id), 0)
            if same > 1:
                row.remarks.append(f"{w.grade_id}: same text as {same - 1} other{'s' if same > 2 else ''}")
    return out


def safe(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return "'" + text if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def number(value: float) -> str:
    return f"{value:g}"


def write_text(file: Path, text: str) -> None:
    part = file.with_suffix(".part")
    part.write_text(text, encoding="utf-8", errors="backslashreplace")
    os.replace(part, file)


def write_table(file: Path, header: list[str], lines: list[list[str]]) -> None:
    part = file.with_suffix(".part")
    with open(part, "w", newline="", encoding="utf-8-sig") as out:  # the mark lets spreadsheets read the umlauts
        csv.writer(out).writerows([header, *lines])
    os.replace(part, file)


@dataclass
class Marks:
    """What the instructor decided: (student key, grade_id) -> points, comment, and the answer that was read."""

    points: dict[tuple[str, str], float] = field(default_factory=dict)
    comments: dict[tuple[str, str], str] = field(default_factory=dict)
    answers: dict[tuple[str, str], str] = field(default_factory=dict)

    def of(self, key: str, grade_id: str, answer: str) -> float | None:
        """The points for this very answer: those for an earlier answer don't count for a new one."""
        place = (key, grade_id)
        return self.points.get(place) if self.answers.get(place) in (None, safe(answer)) else None


def read_marks(out: Path, assignments: dict[str, Assignment]) -> Marks:
    """``written.csv``, with the points for written answers, and ``adjust.csv``, which overrules the score of an exercise.

    Raises ValueError for points that aren't a number between 0 and what the question gives; it names file and line.
    """
    most = {x.grade_id: x.points for a in assignments.values() for x in (*a.exercises, *a.written)}
    marks = Marks()
    for file in (out / "written.csv", out / "adjust.csv"):
        if not file.exists():
            continue
        with open(file, newline="", encoding="utf-8-sig") as table:
            lines = list(csv.DictReader(table))
        for place, line in enumerate(lines, start=2):
            here = (line.get("key") or "", line.get("question") or "")
            if text := (line.get("points") or "").strip().replace(",", "."):
                try:
                    value = float(text)
                except ValueError:
                    raise ValueError(
                        f"{file}, line {place}: {text!r} is no number of points. Write a number, or nothing."
                    ) from None
                if here[1] in most and not 0 <= value <= most[here[1]]:
                    raise ValueError(f"{file}, line {place}: {text} points, but {here[1]} gives 0 to {most[here[1]]:g}.")
                marks.points[here] = value
            if line.get("comment"):
                marks.comments[here] = line["comment"]
            if "answer" in line:
                marks.answers[here] = line["answer"]
    return marks


def write_written(out: Path, all_rows: list[Row], marks: Marks) -> None:
    """The table of written answers, with what was filled in before; and an empty table to overrule scores."""
    lines = []
    for row in all_rows:
        key = row.submission.key
        for part in row.parts:
            if part.written and (part.answer or part.state == "missing"):
                given = marks.of(key, part.grade_id, part.answer)
                answer = safe(part.answer) or "(the answer's cell was not found: look into the notebook)"
                lines.append(
                    [
                        key,
                        safe(row.submission.student),
                        part.grade_id,
                        part.title,
                        answer,
                        number(part.most),
                        "" if given is None else number(given),
                        marks.comments.get((key, part.grade_id), ""),
                    ]
                )
    lines.sort(key=lambda line: (line[2], line[0]))
    write_table(out / "written.csv", ["key", "student", "question", "title", "answer", "most", "points", "comment"], lines)
    if not (out / "adjust.csv").exists():
        write_table(out / "adjust.csv", ["key", "question", "points", "comment"], [])


def summary_of(assignment: Assignment, group: list[Row]) -> dict:
    """Per exercise: how many got all, half, no points, or did not try, and the messages met most often."""
    exercises = []
    for e in assignment.exercises:
        parts = [p for row in group for p in row.parts if p.grade_id == e.grade_id]
        count = collections.Counter(p.state for p in parts)
        reasons = collections.Counter(
            first_cross({"lines": p.lines, "problem": p.message, "hidden": False})
            for p in parts
            if p.state in ("none", "missing")
        )
        states = {s: count[s] + (count["missing"] if s == "none" else 0) for s in ("full", "half", "none", "open")}
        tests = "; ".join(line.strip() for line in e.hidden.splitlines() if line.strip()) if count["half"] else ""
        exercises.append(
            {
                "title": short(e.title),
                "count": states,
                "failed": states["none"],
                "reasons": reasons.most_common(3),
                "hidden": tests,
            }
        )
    shares = [sum(p.score for p in row.parts if not p.written) / sum(e.points for e in assignment.exercises) for row in group]
    totals = collections.Counter(min(9, int(10 * share)) for share in shares)
    return {
        "title": assignment.lesson.title,
        "number": assignment.lesson.number,
        "rows": group,
        "exercises": exercises,
        "hardest": max(exercises, key=lambda x: x["failed"]),
        "totals": [totals.get(i, 0) for i in range(10)],
        "median": statistics.median(shares),
    }


def score_table(all_rows: list[Row], rejected: list[Submission]) -> tuple[list[str], list[list[str]]]:
    """Header and lines of ``grades.csv``. ``points`` stay empty until every written answer is read."""
    ids = list(dict.fromkeys(p.grade_id for row in all_rows for p in row.parts))
    header = ["student", "number", "key", "lesson", "status", "points", "most", "late", *ids, "remark", "feedback", "file"]
    lines = []
    for row in sorted(all_rows, key=lambda r: (r.assignment.lesson.number, r.submission.student)):
        one = row.submission
        score = {p.grade_id: p.state if p.state in ("open", "missing", "unread") else number(p.score) for p in row.parts}
        points = ["to read", ""] if row.to_read else ["final", number(row.score)]
        lines.append(
            [
                safe(one.student),
                one.number,
                one.key,
                row.assignment.lesson.number,
                *points,
                number(row.most),
                "late" if one.late else "",
                *(score.get(i, "") for i in ids),
                safe("; ".join([*row.remarks, *one.notes])),
                row.page,
                safe(one.file),
            ]
        )
    for s in rejected:
        lines.append(
            [
                safe(s.student),
                s.number,
                s.key,
                "",
                "not graded",
                "",
                "",
                "late" if s.late else "",
                *("" for _ in ids),
                safe(s.problem),
                f"{s.key}.html",
                safe(s.file),
            ]
        )
    return header, lines


def write(out: Path, assignments: dict[str, Assignment], all_rows: list[Row], rejected: list[Submission], marks: Marks) -> None:
    """``grades.csv``, ``written.csv``, ``summary.html``, ``feedback/`` and ``feedback.zip``, each replaced as a whole."""
    write_table(out / "grades.csv", *score_table(all_rows, rejected))
    write_written(out, all_rows, marks)
    shutil.rmtree(out / "feedback", ignore_errors=True)
    (out / "feedback").mkdir(parents=True)
    page = TEMPLATES.get_template("feedback.html")
    pages: list[tuple[Submission, str]] = [(row.submission, row.page) for row in all_rows]
    for row in all_rows:
        comments = {q: c for (key, q), c in marks.comments.items() if key == row.submission.key}
        write_text(out / "feedback" / row.page, page.render(row=row, number=number, comments=comments))
    graded = {row.submission.student for row in all_rows}
    for s in rejected:
        if s.student not in graded:
            write_text(out / "feedback" / f"{s.key}.html", TEMPLATES.get_template("not_graded.html").render(submission=s))
            pages.append((s, f"{s.key}.html"))
    with zipfile.ZipFile(
        out / "feedback.zip", "w", zipfile.ZIP_DEFLATED
    ) as archive:  # in the export's own folders, for its way back
        for submission, name in pages:
            folder = PurePosixPath(submission.file).parts[0] if "/" in submission.file else submission.key
            archive.write(
                out / "feedback" / name, f"{folder}/feedback.html" if name == f"{submission.key}.html" else f"{folder}/{name}"
            )
    groups = [[r for r in all_rows if r.assignment.lesson.number == n] for n in assignments]
    text = TEMPLATES.get_template("summary.html").render(
        lessons=[summary_of(g[0].assignment, g) for g in groups if g], rejected=rejected, number=number
    )
    write_text(out / "summary.html", text)
