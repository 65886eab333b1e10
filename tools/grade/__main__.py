"""Grade what students handed in: ``python -m tools.grade grade EXPORT``. See INSTRUCTORS.md.

Each student's files are read and run in a sandbox of their own, as many at a time as there are cores. Results are kept in
``OUT/runs``: a run that was killed goes on, and unchanged files are never graded twice. nbgrader keeps the books of the
whole term in ``OUT/gradebook.db``; points that a person typed stay.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import hashlib
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import psutil

from tools import build
from tools.grade import report
from tools.grade.assemble import Assignment, read_assignment
from tools.grade.find import MEMORY
from tools.grade.intake import HandIn, Roster, printable, read_export
from tools.grade.sandbox import NO_ISOLATION, IsolationError, check_isolation, grade_files
from tools.launch import INSTRUCTOR_VENV, install, python_of
from tools.lessons import ROOT, lessons

CONFIG = """c = get_config()
c.CourseDirectory.course_id = "distilbert"
c.Autograde.autograde_preprocessors = []  # else it would run student code with all your rights; use `make grade`
"""
MODULES = ("assemble", "find", "inside", "sandbox")


def books(*words: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [python_of(INSTRUCTOR_VENV), ROOT / "tools/grade/record.py", *words],
        text=True,
        stderr=subprocess.PIPE,
    )


def grade_one(
    hand_in: HandIn, assignments: dict[str, Assignment], args: argparse.Namespace, mark: str
) -> dict:
    """What one student's files give, from ``runs`` where they are known; every file has its outcome afterwards."""
    contents = hand_in.contents()
    hashed = hashlib.sha256(mark.encode())
    for name, data in contents:
        hashed.update(name.encode() + b"\0" + hashlib.sha256(data).digest())
    file = args.out / "runs" / f"{hand_in.person.key}-{hashed.hexdigest()[:16]}.json"
    if contents and file.exists() and hand_in.person.key not in args.student:
        graded = json.loads(file.read_text(encoding="utf-8"))
    elif contents:
        graded = grade_files(contents, assignments, hand_in.person.key, not args.unsafe)
        report.write_text(file, json.dumps(graded))
    else:
        graded = {"files": [], "lessons": {}}
    outcomes = dict(zip([name for name, _ in contents], graded["files"], strict=True))
    for one in hand_in.files:
        for inner, outcome in outcomes.get(str(one.path), []):
            if outcome == "graded":
                one.outcome = "graded"
            elif one.outcome != "graded":
                one.outcome = printable(outcome)
            if inner != str(one.path) and outcome != "graded":
                hand_in.notes.append(printable(f"{inner}: {outcome}"))
    return graded


def enter(
    args: argparse.Namespace,
    assignment: Assignment,
    group: list[tuple[HandIn, dict]],
    roster: Roster,
) -> dict:
    """Let nbgrader enter one lesson's results; its scores by student key."""
    source = args.out / "source" / assignment.name / assignment.lesson.notebook.name
    before = source.read_bytes() if source.exists() else b""
    build.write(build.assignment_notebook(assignment.lesson), source)
    students = []
    for hand_in, graded in group:
        tests = {}
        for e in assignment.exercises:
            points, lines = 0, ["nothing written"]
            if result := graded["results"].get(e.grade_id):
                points = report.points(result, e.points)
                lines = [*result["lines"], report.message_of(result)]
            tests[e.test_id] = {"points": points, "max": e.points, "lines": lines}
        when, changed = "", max((f.changed for f in hand_in.files), default=0)
        if changed:
            when = datetime.fromtimestamp(changed, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        person = hand_in.person
        student = {"key": person.key, "name": person.name, "email": person.email, "when": when}
        students.append(student | {"answers": graded["taken"], "results": tests})
    people = [{"key": p.key, "name": p.name, "email": p.email} for p in roster.people]
    job = {"name": assignment.name, "students": students, "roster": people, "due": args.due}
    job |= {"changed": before != source.read_bytes(), "force": args.student}
    file = args.out / "job.json"
    report.write_text(file, json.dumps(job))
    run = books("enter", args.out, file)
    file.unlink()
    if run.returncode:
        raise SystemExit(
            f"nbgrader could not enter the scores. The results are kept in {args.out / 'runs'}.\n{run.stderr[-2000:]}"
        )
    scores = args.out / "scores.json"
    found = json.loads(scores.read_text(encoding="utf-8"))
    scores.unlink()
    return found


def grade(args: argparse.Namespace) -> None:
    if not str(args.submissions or "").strip("."):
        raise SystemExit(
            "Which export? Give the folder or zip of your platform: make grade SUBMISSIONS=week4.zip"
        )
    if args.unsafe:
        print(
            "WARNING: student code runs with your own rights: it can read, change and send all your files.",
            file=sys.stderr,
        )
    else:
        try:
            check_isolation()
        except IsolationError as error:
            raise SystemExit(
                f"{error}\nTo run student code with all your rights, say so: {NO_ISOLATION}"
            ) from None
    try:
        assignments = {lesson.number: read_assignment(lesson) for lesson in lessons(args.lesson)}
        roster = Roster(args.roster)
        hand_ins = read_export(args.submissions, roster)
        if unknown := set(args.student) - {h.person.key for h in hand_ins}:
            raise ValueError(
                f"{', '.join(sorted(unknown))}: nobody in this export has that key. The keys stand in grades.csv."
            )
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from None
    install(INSTRUCTOR_VENV, "requirements-instructor.txt")
    (args.out / "runs").mkdir(parents=True, exist_ok=True)
    report.write_text(args.out / "nbgrader_config.py", CONFIG)
    modules = [Path(__file__).parent / f"{name}.py" for name in MODULES]
    inputs = [
        *(m.read_text(encoding="utf-8") for m in modules),
        *(a.mark for a in assignments.values()),
    ]
    mark = hashlib.sha256("".join(inputs).encode()).hexdigest()
    memory = psutil.virtual_memory().available // (MEMORY + 2**30)
    workers = args.workers or max(1, min(os.cpu_count() or 1, int(memory)))
    files = sum(len(h.files) for h in hand_ins)
    print(f"{len(hand_ins)} students, {files} files, {workers} at a time", flush=True)
    graded: dict[str, list[tuple[HandIn, dict]]] = {}
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        jobs = {pool.submit(grade_one, h, assignments, args, mark): h for h in hand_ins}
        for done, job in enumerate(concurrent.futures.as_completed(jobs), start=1):
            hand_in = jobs[job]
            try:
                found = job.result()["lessons"]
            except Exception as error:  # the grader's own fault: name it, go on with the others
                found = {}
                fault = printable(f"the grader failed, not the student: {error}")[:500]
                for file in hand_in.files:
                    file.outcome = file.outcome or fault
            for number, one in found.items():
                graded.setdefault(number, []).append((hand_in, one))
            line = f"[{done}/{len(hand_ins)}] {hand_in.person.label[:60]}: {verdict(found)}"
            print(printable(line), flush=True)
    rows = []
    for number in sorted(graded):
        group = sorted(graded[number], key=lambda pair: pair[0].person.key)
        lesson = assignments[number]
        scores = enter(args, lesson, group, roster)
        rows += [report.row_of(h, lesson, one, scores[h.person.key]) for h, one in group]
    report.mark_alike(rows)
    changed = report.write(args.out, rows, hand_ins, roster.people)
    account(rows, hand_ins)
    print(
        "\n".join(["Since the last run:", *changed[:40]])
        if changed
        else "Nothing changed since the last run."
    )
    print(
        f"Scores: {args.out / 'grades.csv'}   Summary: {args.out / 'summary.html'}   Feedback: {args.out / 'feedback'}/"
    )
    if to_read := sum(row.to_read for row in rows):
        print(
            f"{to_read} written answers to read: make marks ARGS='--out {args.out}', then run this again."
        )


def account(rows: list[report.Row], hand_ins: list[HandIn]) -> None:
    """Every file taken in ends as a graded row or as a named reason."""
    with_row = {row.hand_in.person.key for row in rows}
    lost = [
        str(f.path)
        for h in hand_ins
        for f in h.files
        if not f.outcome or (f.outcome == "graded" and h.person.key not in with_row)
    ]
    if lost:
        raise SystemExit(
            f"{len(lost)} files have neither a grade nor a reason; this is a fault of the grader: {lost[:20]}"
        )


def verdict(found: dict) -> str:
    said = []
    for number, one in sorted(found.items()):
        results = one["results"].values()
        signs = ["●" if r["hidden"] else "◐" if r["ticks"] else "○" for r in results]
        said.append(f"lesson {number} {''.join(signs)}")
    return ", ".join(said) or "nothing to grade"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.grade",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    out = argparse.ArgumentParser(add_help=False)
    text = "the term's folder (default: build/grade)"
    out.add_argument("--out", type=Path, default=ROOT / "build/grade", help=text)
    one = commands.add_parser("grade", parents=[out], help="grade an export")
    for flags, text, more in (
        (
            "submissions",
            "a folder or a zip, as your platform exports it",
            {"type": Path, "nargs": "?"},
        ),
        ("--roster", "the class list: a CSV with id, name and email", {"type": Path}),
        (
            "--lesson",
            "only these; by default all that are handed in",
            {"nargs": "*", "default": []},
        ),
        ("--student", "again, by their keys in grades.csv", {"nargs": "*", "default": []}),
        ("--due", "2026-05-04 18:00 UTC, for nbgrader's late rules", {"default": ""}),
        ("--workers", "students at a time (default: one per core)", {"type": int}),
    ):
        one.add_argument(flags, help=text, **more)
    text = "no sandbox: every hand-in can read, change and send all you can"
    one.add_argument(NO_ISOLATION, dest="unsafe", action="store_true", help=text)
    text = "read answers and type points in nbgrader's formgrader, on 127.0.0.1"
    commands.add_parser("open", parents=[out], help=text)
    text = "set the points of one question of one student"
    two = commands.add_parser("overrule", parents=[out], help=text)
    for name in ("lesson", "student", "question", "points"):
        two.add_argument(name)
    two.add_argument("comment", nargs="?", default="")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    args.out = args.out.expanduser()
    if args.command == "grade":
        return grade(args)
    install(INSTRUCTOR_VENV, "requirements-instructor.txt")
    if args.command == "open":
        python = str(python_of(INSTRUCTOR_VENV))
        os.execv(python, [python, str(ROOT / "tools/grade/record.py"), "open", str(args.out)])
    name = f"lesson_{args.lesson.zfill(2)}"
    run = books("overrule", args.out, name, args.student, args.question, args.points, args.comment)
    if run.returncode:
        raise SystemExit(run.stderr[-2000:])
    return None


if __name__ == "__main__":
    main()
