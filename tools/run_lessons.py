"""Execute lessons headless and print a table: lesson, minutes, peak memory, headline result.

Executed notebooks and an HTML page of each go to ``build/run/``. A lesson that fails is reported and the next one runs;
the exit status says whether all reached the end.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbconvert import HTMLExporter

from tools.build import MINI, build_learner, execute, learner_notebook, solution_notebook, strip, write
from tools.lessons import MEASURED, ROOT, Lesson, lessons, measured

OUT = ROOT / "build/run"


@dataclass
class Result:
    lesson: Lesson
    minutes: float
    memory: str
    headline: str
    failed: bool = False


def printed(notebook: nbformat.NotebookNode, label: str) -> str:
    """What the lesson printed behind ``label:`` at the start of a line, or a dash."""
    for cell in reversed(notebook.cells):
        for output in cell.get("outputs", []):
            if match := re.search(rf"^{label}: (.+)$", output.get("text", ""), re.M):
                return match[1]
    return "–"


def last_words(notebook: nbformat.NotebookNode) -> str:
    """Which cell stopped, and with what."""
    for number, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                return f"cell {number}: {output.ename}: {output.evalue.splitlines()[0] if output.evalue else ''}"
    return "no cell reported an error"


def run(lesson: Lesson, solutions: bool, environment: dict[str, str]) -> Result:
    notebook = solution_notebook(lesson) if solutions else learner_notebook(lesson)
    start, problem = time.perf_counter(), ""
    try:
        execute(notebook, lesson.notebook.parent, environment, timeout=3600)
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        problem = f"{type(error).__name__}: {last_words(notebook)}"
    minutes = (time.perf_counter() - start) / 60
    strip(notebook)
    write(notebook, OUT / lesson.notebook.name)
    page, _ = HTMLExporter(embed_images=True).from_notebook_node(notebook)
    (OUT / f"{lesson.notebook.stem}.html").write_text(page, encoding="utf-8")
    return Result(lesson, minutes, printed(notebook, "Peak memory"), problem or printed(notebook, "Headline"), bool(problem))


def outside() -> dict[str, str]:
    """``COURSE_MIRROR`` as a full path: the lessons run in another folder than the one in which it was named."""
    value = os.environ.get("COURSE_MIRROR", "").strip()
    return {"COURSE_MIRROR": str(Path(value).expanduser().resolve())} if value else {}


def keep(results: list[Result]) -> None:
    """Make executed notebooks the committed ones; their minutes and memory go to the cost tables and ``start_lab``."""
    from course_utils.precision import choose_precision, training_speed

    precision = choose_precision("cpu")
    known = measured()
    for r in results:
        known.setdefault(r.lesson.number, {})["mini"] = {
            "minutes": round(r.minutes, 2), "memory_gib": float(r.memory.split()[0]),
            "speed": round(training_speed(precision)), "date": datetime.date.today().isoformat(),
            "machine": f"{os.cpu_count()} cores, {platform.machine()}, {precision}"}
    MEASURED.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    for r in results:
        shutil.copy(OUT / r.lesson.notebook.name, r.lesson.notebook)
        build_learner(r.lesson, run=False)  # once more, with the new cost table
        print(f"wrote {r.lesson.notebook.relative_to(ROOT)}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.run_lessons", description=__doc__)
    parser.add_argument("lesson", nargs="*", help="two digits; all lessons by default")
    parser.add_argument("--solutions", action="store_true", help="run with the exercises solved")
    parser.add_argument("--keep", action="store_true", help="on mini: make the executed notebooks the committed ones")
    args = parser.parse_args()
    results = []
    chosen = lessons(args.lesson)
    for number, lesson in enumerate(chosen, start=1):
        print(f"[{number}/{len(chosen)}] lesson {lesson.number}: {lesson.title} …", flush=True)
        results.append(run(lesson, args.solutions, MINI if args.keep else outside()))
        print(f"      {'FAILED' if results[-1].failed else 'done'} after {results[-1].minutes:.1f} min", flush=True)
    print("\n| lesson | minutes | peak memory | headline result |\n|---|---|---|---|")
    for r in results:
        print(f"| {r.lesson.number} {r.lesson.title} | {r.minutes:.1f} | {r.memory} | {r.headline} |")
    print(f"\nExecuted notebooks and HTML pages: {OUT.relative_to(ROOT)}/")
    good = [r for r in results if not r.failed]
    if args.keep and good:
        keep(good)
    raise SystemExit(len(good) < len(results))


if __name__ == "__main__":
    main()
