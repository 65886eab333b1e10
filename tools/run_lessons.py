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
from traitlets.config import Config

from tools.build import (
    MINI,
    build_learner,
    execute,
    learner_notebook,
    solution_notebook,
    strip,
    write,
)
from tools.lessons import MEASURED, ROOT, Lesson, lesson_number, lessons, measured
from tools.proof import fingerprint, learner_part, proof_notebook

OUT = ROOT / "build/run"
PAGE = HTMLExporter(  # a page shows what a notebook shows: cells that are folded there show their output alone
    embed_images=True,
    config=Config(
        {"TagRemovePreprocessor": {"enabled": True, "remove_input_tags": {"hide-input"}}}
    ),
)


@dataclass
class Result:
    lesson: Lesson
    minutes: float
    memory: str
    headline: str
    failed: bool = False
    proved: str = ""  # the fingerprint of what ran, where it was a proof


def printed(notebook: nbformat.NotebookNode, label: str) -> str:
    """What the lesson printed behind ``label:`` at the start of a line, or a dash."""
    for cell in reversed(notebook.cells):
        for output in cell.get("outputs", []):
            if match := re.search(rf"^{label}: (.+)$", output.get("text", ""), re.M):
                return match[1]
    return "–"


def first_error(notebook: nbformat.NotebookNode) -> str:
    """Which cell stopped, and with what."""
    for number, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                return f"cell {number}: {output.ename}: {output.evalue.splitlines()[0] if output.evalue else ''}"
    return "no cell reported an error"


def errors(notebook: nbformat.NotebookNode) -> set[str]:
    """The kinds of the errors in a notebook's outputs."""
    return {
        o.ename
        for cell in notebook.cells
        for o in cell.get("outputs", [])
        if o.output_type == "error"
    }


def run(
    lesson: Lesson,
    solutions: bool,
    environment: dict[str, str],
    go_on: bool = False,
    prove: bool = False,
) -> Result:
    """Execute one lesson; with ``go_on`` past asserts, which untrained weights don't satisfy; with ``prove`` trying every
    listed answer to its exercises on the way."""
    proved = fingerprint(lesson) if prove else ""
    make = proof_notebook if prove else solution_notebook if solutions else learner_notebook
    notebook = make(lesson)
    start, problem = time.perf_counter(), ""
    try:
        execute(notebook, lesson.notebook.parent, environment, timeout=4 * 3600, go_on=go_on)
        if errors(notebook) - {"AssertionError"}:
            problem = first_error(notebook)
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        problem = f"{type(error).__name__}: {first_error(notebook)}"
    minutes = (time.perf_counter() - start) / 60
    if prove and not problem:
        notebook, minutes = learner_part(notebook, lesson)
    strip(notebook)
    write(notebook, OUT / lesson.notebook.name)
    page, _ = PAGE.from_notebook_node(notebook)
    (OUT / f"{lesson.notebook.stem}.html").write_text(page, encoding="utf-8")
    return Result(
        lesson,
        minutes,
        printed(notebook, "Peak memory"),
        problem or printed(notebook, "Headline"),
        bool(problem),
        proved,
    )


def mirror_environment() -> dict[str, str]:
    """``COURSE_MIRROR`` as a full path: the lessons run in another folder than the one in which it was named."""
    value = os.environ.get("COURSE_MIRROR", "").strip()
    return {"COURSE_MIRROR": str(Path(value).expanduser().resolve())} if value else {}


def figures(result: Result, precision: str) -> dict:
    """What ``measured.json`` keeps of one run."""
    from course_utils.precision import training_speed

    return ({"proved": result.proved} if result.proved else {}) | {
        "minutes": round(result.minutes, 2),
        "memory_gib": float(result.memory.split()[0]),
        "speed": round(training_speed(precision)),
        "date": datetime.date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {precision}",
    }


def record(results: list[Result], profile: str, **more: bool | str) -> None:
    """Write the runs' minutes and memory, from which cost tables and ``start_lab`` take them."""
    from course_utils.precision import choose_precision

    precision = choose_precision("cuda" if profile == "gpu" else "cpu")
    known = measured()
    for r in results:
        known.setdefault(r.lesson.number, {})[profile] = figures(r, precision) | more
    MEASURED.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def record_mini(results: list[Result]) -> None:
    """Make executed notebooks the committed ones, with their minutes and memory."""
    record(results, "mini")
    for r in results:
        shutil.copy(OUT / r.lesson.notebook.name, r.lesson.notebook)
        build_learner(r.lesson, run=False)  # once more, with the new cost table
        print(f"wrote {r.lesson.notebook.relative_to(ROOT)}")


def untrained_mirror(data: Path, folder: Path) -> Path:
    """A mirror with the data of ``data`` and, as its models, random weights of the published sizes.

    Minutes and memory don't depend on the weights' values; scores do, and are meaningless there.
    """
    import torch
    from transformers import (
        BertConfig,
        BertForMaskedLM,
        DistilBertConfig,
        DistilBertForMaskedLM,
        DistilBertTokenizerFast,
    )

    from course_utils import hub
    from course_utils.lab import EMBEDDED_MODELS

    if not (data / "datasets").is_dir():
        raise SystemExit(
            f"--untrained {data}: no folder datasets/ there. Name a mirror of the data (make mirror)."
        )
    folder.mkdir(parents=True)
    (folder / "datasets").symlink_to((data / "datasets").resolve())
    torch.manual_seed(0)
    vocabulary = EMBEDDED_MODELS["mini-distilbert"] / "vocab.txt"
    models = {
        "distilbert": DistilBertForMaskedLM(DistilBertConfig()),
        "bert": BertForMaskedLM(BertConfig()),
    }
    for name, model in models.items():
        place = folder / "models" / hub.MODELS[name].repo
        model.save_pretrained(place)
        DistilBertTokenizerFast(
            vocab=str(vocabulary), do_lower_case=True, model_max_length=512
        ).save_pretrained(place)
        # As published: without the tokenizer's class, so that AutoTokenizer adds token_type_ids to DistilBERT's inputs.
        settings = {"do_lower_case": True, "model_max_length": 512}
        (place / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
        shutil.copy(vocabulary, place)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.run_lessons", description=__doc__)
    parser.add_argument(
        "lesson", nargs="*", type=lesson_number, help="two digits; all lessons by default"
    )
    parser.add_argument("--solutions", action="store_true", help="run with the exercises solved")
    parser.add_argument(
        "--keep",
        action="store_true",
        help="on mini: prove the lessons and make the executed notebooks the committed ones",
    )
    parser.add_argument(
        "--untrained",
        type=Path,
        metavar="MIRROR",
        help="measure minutes and memory of the profile cpu (on a "
        "GPU: gpu) with this mirror's data and random weights of the published size",
    )
    args = parser.parse_args()
    results, environment = [], MINI if args.keep else mirror_environment()
    chosen = lessons(args.lesson)
    profile = "mini"
    if args.untrained:
        import torch

        profile = "gpu" if torch.cuda.is_available() else "cpu"
        shutil.rmtree(OUT / "untrained", ignore_errors=True)
        mirror = untrained_mirror(args.untrained, OUT / "untrained")
        environment = {"COURSE_PROFILE": profile, "COURSE_MIRROR": str(mirror)}
    for number, lesson in enumerate(chosen, start=1):
        print(f"[{number}/{len(chosen)}] lesson {lesson.number}: {lesson.title} …", flush=True)
        untrained = bool(args.untrained)
        results.append(run(lesson, args.solutions, environment, go_on=untrained, prove=args.keep))
        print(
            f"      {'FAILED' if results[-1].failed else 'done'} after {results[-1].minutes:.1f} min",
            flush=True,
        )
    print("\n| lesson | minutes | peak memory | headline result |\n|---|---|---|---|")
    for r in results:
        print(
            f"| {r.lesson.number} {r.lesson.title} | {r.minutes:.1f} | {r.memory} | {r.headline} |"
        )
    print(f"\nExecuted notebooks and HTML pages: {OUT.relative_to(ROOT)}/")
    good = [r for r in results if not r.failed]
    if args.keep and good:
        record_mini(good)
    elif args.untrained and good:
        record(good, profile, untrained=True)
    raise SystemExit(len(good) < len(results))


if __name__ == "__main__":
    main()
