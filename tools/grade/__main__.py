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
from tools.grade.sandbox import NO_ISOLATION, OURS, IsolationError, check_isolation, grade_files
from tools.launch import INSTRUCTOR_VENV, install, python_of, wanted_stamp
from tools.lessons import MEASURED, ROOT, lessons

CONFIG = """c = get_config()
c.CourseDirectory.course_id = "distilbert"
c.Autograde.autograde_preprocessors = []  # else it would run student code with all your rights; use `make grade`
"""
MODULES = ("assemble", "find", "inside", "sandbox")
RECORD = [str(python_of(INSTRUCTOR_VENV)), str(ROOT / "tools/grade/record.py")]


def state_of(assignments: dict[str, Assignment]) -> bytes:
    """Changes with anything that a result depends on, the hand-in apart: the lesson, the grader, all that the sandbox
    shows of the course (without the lessons' measured minutes), Python and the pinned packages."""
    jobs = json.dumps([a.job() for a in assignments.values()])
    state = hashlib.sha256((jobs + wanted_stamp()).encode())
    files = {ROOT / f"tools/grade/{module}.py" for module in MODULES}
    for place in (ROOT / name for name in OURS if ROOT / name != MEASURED):
        files |= set(place.rglob("*") if place.is_dir() else [place])
    for file in sorted(f for f in files if f.is_file() and f.suffix not in (".pyc", ".md")):
        state.update(f"{file.relative_to(ROOT).as_posix()}\0".encode())
        state.update(hashlib.sha256(file.read_bytes()).digest())
    return state.digest()


def grade_one(
    hand_in: HandIn, assignments: dict[str, Assignment], args: argparse.Namespace, state: bytes
) -> dict:
    """What one student's files give, from ``runs`` where they are known; every file has its outcome afterwards."""
    contents, key = hand_in.contents(), hand_in.person.key
    if not contents:
        return {}
    read = [file for file in hand_in.files if not file.outcome]
    hashed = hashlib.sha256(state)
    for name, data in contents:
        hashed.update(name.encode() + b"\0" + hashlib.sha256(data).digest())
    kept = args.out / "runs" / f"{key}-{hashed.hexdigest()[:16]}.json"
    if kept.exists() and key not in args.student:
        graded = json.loads(kept.read_text(encoding="utf-8"))
    else:
        graded = grade_files(contents, assignments, key, not args.unsafe)
        report.write_text(kept, json.dumps(graded))
    for file, outcomes in zip(read, graded["files"], strict=True):
        reasons = [why for _, why in outcomes]
        file.outcome = "graded" if "graded" in reasons else printable(reasons[-1])
        others = [(name, why) for name, why in outcomes if name != str(file.path)]
        hand_in.notes += [printable(f"{name}: {why}") for name, why in others if why != "graded"]
    return graded["lessons"]


def entry(assignment: Assignment, hand_in: HandIn, graded: dict) -> dict:
    """What nbgrader enters for one student."""
    results = {}
    for exercise in assignment.exercises:
        points, lines = 0, ["nothing written"]
        if result := graded["results"].get(exercise.grade_id):
            points = report.points(result, exercise.points)
            lines = [*result["lines"], report.message_of(result)]
        results[exercise.grade_id] = {"points": points, "lines": lines}
    when, changed = "", max(file.changed for file in hand_in.files)
    if changed:
        when = datetime.fromtimestamp(changed, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return hand_in.person.entry | {"when": when, "answers": graded["taken"], "results": results}


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
    job = {
        "name": assignment.name,
        "students": [entry(assignment, *one) for one in group],
        "roster": [person.entry for person in roster.people],
        "changed": before != source.read_bytes(),
        "force": args.student,
    }
    words = [*RECORD, "enter", str(args.out)]
    run = subprocess.run(words, input=json.dumps(job), capture_output=True, text=True)
    if run.returncode:
        kept = f"nbgrader could not enter the scores. The results are kept in {args.out / 'runs'}."
        raise SystemExit(f"{kept}\n{run.stderr[-2000:]}")
    return json.loads(run.stdout.splitlines()[-1])


def grade(args: argparse.Namespace) -> None:
    if not str(args.submissions or "").strip("."):
        raise SystemExit(
            "Which export? Give the folder or zip of your platform: make grade SUBMISSIONS=week4.zip"
        )
    try:
        if not args.unsafe:
            check_isolation()
        assignments = {lesson.number: read_assignment(lesson) for lesson in lessons(args.lesson)}
        roster = Roster(args.roster)
        known = {task.grade_id for a in assignments.values() for task in a.tasks}
        if wrong := ", ".join(sorted(set(args.only) - known)):
            raise ValueError(f"--only: there is no {wrong} in the lessons that are graded.")
        hand_ins = read_export(args.submissions, roster)
        for hand_in in hand_ins if args.due else []:
            hand_in.compare(args.due)
    except IsolationError as error:
        raise SystemExit(
            f"{error}\nTo run student code with all your rights, say so: {NO_ISOLATION}"
        ) from None
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from None
    if unknown := set(args.student) - {h.person.key for h in hand_ins}:
        names = ", ".join(sorted(unknown))
        raise SystemExit(
            f"{names}: nobody in this export has that key. The keys stand in grades.csv."
        )
    if args.unsafe:
        print(
            "WARNING: student code runs with your own rights: it can read, change and send all your files.",
            file=sys.stderr,
        )
    install(INSTRUCTOR_VENV, "requirements-instructor.txt")
    (args.out / "runs").mkdir(parents=True, exist_ok=True)
    report.write_text(args.out / "nbgrader_config.py", CONFIG)
    graded = run_all(hand_ins, assignments, args)
    rows = []
    for number, group in sorted(graded.items()):
        group.sort(key=lambda pair: pair[0].person.key)
        assignment = assignments[number]
        scores = enter(args, assignment, group, roster)
        new = [report.row_of(h, assignment, one, scores[h.person.key]) for h, one in group]
        rows += [report.counting(row, args.only) for row in new]
    report.mark_alike(rows)
    first = not (args.out / "grades.csv").exists()
    changed = report.write(args.out, rows, hand_ins, roster.people)
    account(rows, hand_ins)
    news = ["Since the last run:", *changed[:40]]
    if not first:
        print("\n".join(news) if changed else "Nothing changed since the last run.")
    print(
        f"Scores: {args.out / 'grades.csv'}   Summary: {args.out / 'summary.html'}   Feedback: {args.out / 'feedback'}/"
    )
    if to_read := sum(row.to_read for row in rows):
        print(
            f"{to_read} written answers to read: make marks ARGS='--out {args.out}', then run this again."
        )


def run_all(
    hand_ins: list[HandIn], assignments: dict[str, Assignment], args: argparse.Namespace
) -> dict[str, list[tuple[HandIn, dict]]]:
    """Every student's results by lesson, as many students at a time as cores and memory allow."""
    state = state_of(assignments)
    memory = psutil.virtual_memory().available // (MEMORY + 2**30)
    workers = args.workers or max(1, min(os.cpu_count() or 1, memory))
    files = sum(len(h.files) for h in hand_ins)
    print(f"{len(hand_ins)} students, {files} files, {workers} at a time", flush=True)
    graded: dict[str, list[tuple[HandIn, dict]]] = {}
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        jobs = {pool.submit(grade_one, h, assignments, args, state): h for h in hand_ins}
        for done, job in enumerate(concurrent.futures.as_completed(jobs), start=1):
            hand_in, found = jobs[job], {}
            try:
                found = job.result()
            except Exception as error:  # the grader's own fault: name it, go on with the others
                fault = printable(f"the grader failed, not the student: {error}")[:500]
                for file in hand_in.files:
                    file.outcome = file.outcome or fault
            for number, one in found.items():
                graded.setdefault(number, []).append((hand_in, one))
            line = f"[{done}/{len(hand_ins)}] {hand_in.person.label[:60]}: {verdict(found)}"
            print(printable(line), flush=True)
    return graded


def verdict(found: dict) -> str:
    said = []
    for number, one in sorted(found.items()):
        results = one["results"].values()
        full = [r["hidden"] and r["agrees"] >= 1 for r in results]
        signs = [
            "●" if f else "◐" if r["ticks"] else "○" for f, r in zip(full, results, strict=True)
        ]
        said.append(f"lesson {number} {''.join(signs)}")
    return ", ".join(said) or "nothing to grade"


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


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.grade",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, text: str):
        one = commands.add_parser(name, help=text)
        folder = "the term's folder (default: build/grade)"
        one.add_argument("--out", type=Path, default=ROOT / "build/grade", help=folder)
        return one.add_argument

    add = command("grade", "grade an export")
    add("submissions", type=Path, nargs="?", help="a folder or a zip, as your platform exports it")
    add("--roster", type=Path, help="the class list: a CSV with id, name and email")
    add("--lesson", nargs="*", help="only these; by default all that are handed in")
    add("--student", nargs="*", default=[], help="again, by their keys in grades.csv")
    local = (
        "2026-05-04 18:00 in this computer's zone, or with one (18:00+02:00): names what is late"
    )
    add("--due", type=lambda text: datetime.fromisoformat(text).astimezone(), help=local)
    ids = "the exercises and questions that count, as e3_2 w3_6; a lesson without one here counts whole"
    add("--only", nargs="*", default=[], help=ids)
    add("--workers", type=int, help="students at a time (default: one per core)")
    text = "no sandbox: every hand-in can read, change and send all you can"
    add(NO_ISOLATION, dest="unsafe", action="store_true", help=text)
    command("open", "read answers and type points in nbgrader's formgrader, on 127.0.0.1")
    add = command("overrule", "set the points of one question of one student")
    for name in ("lesson", "student", "question", "points"):
        add(name)
    add("comment", nargs="?", default="")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    out = args.out = args.out.expanduser()
    if args.command == "grade":
        return grade(args)
    install(INSTRUCTOR_VENV, "requirements-instructor.txt")
    if args.command == "open":
        os.execv(RECORD[0], [*RECORD, "open", str(out)])
    name = f"lesson_{args.lesson.zfill(2)}"
    words = [name, args.student, args.question, args.points, args.comment]
    run = subprocess.run([*RECORD, "overrule", str(out), *words], stderr=subprocess.PIPE, text=True)
    if run.returncode:
        raise SystemExit(run.stderr[-2000:])
    return None


if __name__ == "__main__":
    main()
