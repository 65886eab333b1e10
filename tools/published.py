"""Lessons on the published model and real data, measured where there is a network.

``run`` executes lessons with the profile ``cpu`` and keeps each result in ``measured.json``; a lesson that was measured
with the same inputs is left out, so a run that was cut short goes on. ``merge`` brings the results of several machines
together, one folder each, and ``write`` puts them where readers look: ``assets/published.md``, the README and the
lessons' tables.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import nbformat

from tools.build import build_learner
from tools.lessons import MEASURED, ROOT, Lesson, lesson_number, lessons, measured
from tools.proof import fingerprint
from tools.run_lessons import printed, record, run

TABLE = ROOT / "assets/published.md"
README = ROOT / "README.md"
LINE = re.compile(r"(<!-- published -->).*?(<!-- /published -->)", re.S)
HEAD = """# The published model beside the small one

What each lesson prints at its end: on `mini` with the embedded model and data, on `cpu` with
distilbert-base-uncased and real data. Written by `python -m tools.published write`.

| lesson | `mini` | `cpu` | minutes, memory | measured |
|---|---|---|---|---|
"""


def results() -> list[tuple[Lesson, dict]]:
    """The lessons that were measured on the published model, with what was kept of them."""
    known = measured()
    found = [(lesson, known.get(lesson.number, {}).get("cpu", {})) for lesson in lessons()]
    return [(lesson, m) for lesson, m in found if "headline" in m]


def measure(chosen: list[Lesson]) -> bool:
    """Execute lessons on ``cpu`` and record each as soon as it ends. Returns whether all reached their end."""
    good = True
    for lesson in chosen:
        inputs = fingerprint(lesson)
        if measured().get(lesson.number, {}).get("cpu", {}).get("inputs") == inputs:
            print(f"lesson {lesson.number}: measured with these inputs before")
            continue
        result = run(lesson, False, {"COURSE_PROFILE": "cpu"})
        print(f"lesson {lesson.number}: {result.minutes:.1f} min, {result.headline}")
        good = good and not result.failed
        if not result.failed:
            record([result], "cpu", headline=result.headline, inputs=inputs)
    return good


def merge(folder: Path) -> list[str]:
    """Take what the files ``*/measured.json`` below ``folder`` know about ``cpu``; the numbers of the lessons taken.

    Each machine's file has all lessons: those that it didn't measure are as they were here, and never taken.

    Raises SystemExit where none is there.
    """
    files = sorted(folder.glob("*/measured.json"))
    if not files:
        raise SystemExit(f"{folder}: no folder with a measured.json in it")
    before, known, taken = measured(), measured(), []
    for file in files:
        for number, profiles in json.loads(file.read_text(encoding="utf-8")).items():
            new, old = profiles.get("cpu", {}), before.get(number, {}).get("cpu", {})
            if "headline" in new and new != old:
                known.setdefault(number, {})["cpu"] = new
                taken.append(number)
    MEASURED.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return taken


def table() -> str:
    rows = []
    for lesson, m in results():
        mini = printed(nbformat.read(lesson.notebook, as_version=4), "Headline")
        rows.append(
            f"| {lesson.number} | {mini} | {m['headline']} | {m['minutes']:.0f} min, "
            f"{m['memory_gib']:.1f} GiB | {m['date']}, {m['machine']} |\n"
        )
    return HEAD + "".join(rows)


def write() -> None:
    """The table, the README's line below its figure, and the lessons' cost tables."""
    found = dict((lesson.number, m["headline"]) for lesson, m in results())
    if found:
        TABLE.write_text(table(), encoding="utf-8")
    line = (
        f"\nThe published model, on real data: {found['00']} "
        "([all lessons](assets/published.md)).\n"
        if "00" in found
        else ""
    )
    text = README.read_text(encoding="utf-8")
    README.write_text(LINE.sub(lambda m: m[1] + line + m[2], text), encoding="utf-8")
    for lesson in lessons():
        build_learner(lesson, run=False)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.published", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run").add_argument(
        "lesson", nargs="*", type=lesson_number, help="two digits; all by default"
    )
    commands.add_parser("merge").add_argument("folder", type=Path)
    commands.add_parser("write")
    args = parser.parse_args()
    if args.command == "run":
        raise SystemExit(not measure(lessons(args.lesson)))
    if args.command == "merge":
        print("taken:", ", ".join(merge(args.folder)) or "nothing new")
    write()


if __name__ == "__main__":
    main()
