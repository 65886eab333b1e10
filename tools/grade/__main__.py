"""Grade a folder or zip of submissions: ``python -m tools.grade SUBMISSIONS``. See INSTRUCTORS.md.

Every submission is graded alone in a sandbox, as many at a time as there are cores. What is graded is kept under
``OUT/runs``: a run that was killed goes on, and an unchanged submission is never graded twice. ``--part 2/4`` grades the
second quarter, so that four machines share the work: put their ``runs`` together and run once more.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import psutil

from tools import build
from tools.grade import report
from tools.grade.assemble import Assignment, answers, read_assignment
from tools.grade.intake import Submission, parse, read_submissions
from tools.grade.sandbox import NO_ISOLATION, IsolationError, Limits, check_isolation, grade_answers
from tools.launch import INSTRUCTOR_VENV, install, python_of
from tools.lessons import ROOT, lessons


def lesson_of(submission: Submission, notebook: dict, assignments: dict[str, Assignment]) -> Assignment | None:
    """By its exercise cells; they say more than a file name that anybody can change."""
    found = {number: len(answers(notebook, a)[0]) for number, a in assignments.items()}
    best = max(found, key=lambda number: found[number])
    if found[best]:
        return assignments[best]
    match = re.search(r"(?<!\d)(0\d)_", Path(submission.file).name)
    submission.problem = (
        "no cell of an exercise found. "
        + (
            f"The file is named like lesson {match[1]}, but its cells have lost their marks"
            if match
            else "It is another notebook"
        )
        + "; hand in the notebook that was handed out, with its cells"
    )
    return None


def chosen(submissions: list[Submission], assignments: dict[str, Assignment]) -> tuple[list[tuple], list[Submission]]:
    """((submission, assignment, answers) for each student and lesson, submissions without anything to grade).

    Of several notebooks of one student for one lesson the latest counts; files that are no notebook become remarks.
    """
    best: dict[tuple[str, str], tuple] = {}
    unusable: dict[str, list[Submission]] = {}
    for submission in submissions:  # sorted by student and time
        notebook = parse(submission)
        assignment = notebook and lesson_of(submission, notebook, assignments)
        if not assignment:
            unusable.setdefault(submission.student, []).append(submission)
            continue
        taken, remarks = answers(notebook, assignment)
        submission.notes += remarks
        place = (submission.student, assignment.lesson.number)
        if place in best:
            submission.notes.append(f"{best[place][0].file} is an earlier copy and was not graded")
        best[place] = (submission, assignment, taken)
    for submission, _, _ in best.values():
        submission.notes += [f"{u.file}: {u.problem}" for u in unusable.pop(submission.student, [])]
    return list(best.values()), [u for group in unusable.values() for u in group]


def run_mark(assignment: Assignment, taken: dict[str, str]) -> str:
    content = json.dumps([assignment.mark, taken], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def grade_one(work: tuple, runs: Path, limits: Limits, isolated: bool) -> dict:
    """The results of one submission, from ``runs`` where they are known."""
    submission, assignment, taken = work
    file = runs / f"{assignment.lesson.number}-{submission.key}-{run_mark(assignment, taken)}.json"
    if file.exists():
        return json.loads(file.read_text(encoding="utf-8"))
    results = grade_answers(assignment, taken, limits, isolated)
    part = file.with_suffix(".part")
    part.write_text(json.dumps(results), encoding="utf-8")
    os.replace(part, file)
    return results


def points(result: dict, most: float) -> float:
    """All points where every property and the hidden test hold; half where only the hidden test fails."""
    return most if result["hidden"] else most / 2 if result["visible"] else 0.0


def record(out: Path, assignment: Assignment, graded: list[tuple], marks: report.Marks) -> dict:
    """Let nbgrader enter one lesson's results; its scores by student key."""
    name = f"lesson_{assignment.lesson.number}"
    course = out / "course"
    build.write(build.assignment_notebook(assignment.lesson), course / "source" / name / assignment.lesson.notebook.name)
    students = []
    for (submission, _, taken), results in graded:
        tests = {
            e.test_id: {
                "points": points(results[e.grade_id], e.points),
                "max": e.points,
                "lines": [*results[e.grade_id]["lines"], results[e.grade_id]["problem"]],
            }
            for e in assignment.exercises
        }
        given = {
            w.grade_id: marks.of(submission.key, w.grade_id, taken.get(w.grade_id, "").strip()) for w in assignment.written
        }
        given |= {e.test_id: marks.points.get((submission.key, e.grade_id)) for e in assignment.exercises}
        students.append({"key": submission.key, "answers": taken, "results": tests, "manual": given})
    job = out / "job.json"
    job.write_text(json.dumps({"name": name, "students": students}), encoding="utf-8")
    run = subprocess.run(
        [python_of(INSTRUCTOR_VENV), ROOT / "tools/grade/record.py", "grade", course, job], text=True, stderr=subprocess.PIPE
    )
    if run.returncode:
        raise SystemExit(f"nbgrader could not enter the scores. The results are kept in {out / 'runs'}.\n{run.stderr[-2000:]}")
    return json.loads((out / "scores.json").read_text(encoding="utf-8"))


def workers_for(limits: Limits) -> int:
    """One submission per core, and no more than the memory holds."""
    return max(1, min(os.cpu_count() or 1, int(psutil.virtual_memory().available // (limits.memory + 2**30))))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.grade", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("submissions", type=Path, help="a folder or a zip, as your platform exports it")
    parser.add_argument("--lesson", nargs="*", default=[], help="grade these lessons only; by default all that are handed in")
    parser.add_argument("--out", type=Path, default=ROOT / "build/grade", help="where everything goes (default: build/grade)")
    parser.add_argument("--workers", type=int, help="submissions at a time (default: one per core)")
    parser.add_argument("--part", default="1/1", help="2/4: the second of four parts, for several machines")
    parser.add_argument(
        NO_ISOLATION,
        dest="unsafe",
        action="store_true",
        help="no sandbox: every submission can read, change and send anything that you can",
    )
    return parser.parse_args()


def main() -> None:
    args = arguments()
    limits = Limits()
    if args.unsafe:
        print("WARNING: student code runs with your own rights: it can read, change and send all your files.", file=sys.stderr)
    else:
        try:
            check_isolation()
        except IsolationError as error:
            raise SystemExit(f"{error}\nTo run student code with all your rights, say so: {NO_ISOLATION}") from None
    if not re.fullmatch(r"[1-9]\d*/[1-9]\d*", args.part) or eval_part(args.part)[0] >= eval_part(args.part)[1]:
        raise SystemExit(f"--part {args.part}: expected something like 2/4.")
    try:
        assignments = {lesson.number: read_assignment(lesson) for lesson in lessons(args.lesson)}
        submissions = read_submissions(args.submissions)
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(str(error)) from None
    install(INSTRUCTOR_VENV, "requirements-instructor.txt")
    work, rejected = chosen(submissions, assignments)
    number, of = eval_part(args.part)
    mine = [w for i, w in enumerate(work) if i % of == number]
    runs = args.out / "runs"
    try:
        runs.mkdir(parents=True, exist_ok=True)
        marks = report.read_marks(args.out, assignments)
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from None
    results = {}
    workers = args.workers or workers_for(limits)
    print(f"{len(mine)} submissions to grade, {len(rejected)} files that can't be graded, {workers} at a time", flush=True)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        jobs = {pool.submit(grade_one, w, runs, limits, not args.unsafe): w for w in mine}
        for done, job in enumerate(concurrent.futures.as_completed(jobs), start=1):
            submission, assignment, _ = jobs[job]
            try:
                results[id(jobs[job])] = job.result()
                verdict = " ".join("●" if r["hidden"] else "◐" if r["visible"] else "○" for r in job.result().values())
            except OSError as error:
                raise SystemExit(
                    f"{submission.student}: {error}. What was graded is kept; free some space and run again."
                ) from None
            except Exception as error:  # the grader's own fault: name it, go on with the others
                submission.problem, verdict = f"the grader failed, not the student: {error}", "grader failed"
                rejected.append(submission)
            print(f"[{done}/{len(mine)}] {submission.student}, lesson {assignment.lesson.number}: {verdict}", flush=True)
    graded = [(w, results[id(w)]) for w in mine if id(w) in results]
    if of > 1:
        print(f"Part {args.part} is graded: {runs}. Put the runs of all parts together and run once without --part.")
        return
    rows = []
    for number, assignment in assignments.items():
        group = [(w, r) for w, r in graded if w[1].lesson.number == number]
        if group:
            rows += report.rows(assignment, group, record(args.out, assignment, group, marks), marks)
    report.write(args.out, assignments, rows, rejected, marks)
    for rest in ("job.json", "scores.json"):
        (args.out / rest).unlink(missing_ok=True)
    shutil.rmtree(args.out / "course/autograded", ignore_errors=True)
    print(f"Scores: {args.out / 'grades.csv'}   Summary: {args.out / 'summary.html'}   Feedback: {args.out / 'feedback'}/")
    if to_read := sum(row.to_read for row in rows):
        print(f"{to_read} written answers to read: fill in the points in {args.out / 'written.csv'} and run this again.")


def eval_part(text: str) -> tuple[int, int]:
    """``"2/4"`` as (1, 4)."""
    number, of = text.split("/")
    return int(number) - 1, int(of)


if __name__ == "__main__":
    main()
