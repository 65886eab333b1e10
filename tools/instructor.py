"""What an instructor hands out, shows and reads: ``python -m tools.instructor 05 06`` writes ``build/instructor/``.

* ``course/``: an nbgrader course with ``source/`` and ``release/``, for those who work with nbgrader or JupyterHub
* ``hand-out/``: one zip for each lesson with the notebook for students
* ``solutions/``: the notebooks with every exercise solved
* ``pages/``: the instructor's page: a plan for the session, what students get wrong, prompts, a rubric
* ``slides/``: each lesson as a deck in one HTML file without any network: arrow keys, or print it
"""

from __future__ import annotations

import argparse
import base64
import re
import shutil
import subprocess
import zipfile
from html import escape
from pathlib import Path

import jinja2
import nbformat
from nbconvert.filters import markdown2html

from tools import build
from tools.launch import INSTRUCTOR_VENV, install, python_of
from tools.lessons import (
    NOTEBOOKS,
    ROOT,
    SOURCES,
    Lesson,
    lesson_number,
    lessons,
    repository,
)

OUT = ROOT / "build/instructor"
TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
)
CONFIG = """c = get_config()
c.CourseDirectory.course_id = "distilbert"
c.ClearSolutions.text_stub = "*Write your answer here, in one or two sentences.*"
# To grade hand-ins use `make grade`: `nbgrader autograde` would run student code with your own rights.
"""
READ_ME = """{title}

Unpack this into the course's folder, beside notebooks/, or beside a folder named {name}: there it works without a network.
Elsewhere the setup cell downloads the course ({url}) and needs git. On Colab: File, Upload notebook; at the end File,
Download, Download .ipynb.{token}

Write your answers into the cells that say YOUR CODE HERE or "Write your answer here", run the check below each, save, and
hand in the .ipynb file. Keep the cells as they are: the grader finds your answers by their marks. What a function needs must
stand in its own cell or come from the lesson.

Half of an exercise's points are for the lines of its check that are ticked, half for a further test with other values; both
count as far as your answer is right for other inputs too. Written answers are read by a person.
"""
TOKEN = """ Before you run the first cell there, store the token that you got, under Secrets (the key on the left), as
COURSE_TOKEN, and switch on its access for this notebook."""


def release(chosen: list[Lesson]) -> None:
    """nbgrader's source and release folders."""
    course = OUT / "course"
    for lesson in chosen:
        name = f"lesson_{lesson.number}"
        build.write(
            build.assignment_notebook(lesson), course / "source" / name / lesson.notebook.name
        )
        run = subprocess.run(
            [python_of(INSTRUCTOR_VENV), ROOT / "tools/grade/record.py", "release", course, name],
            capture_output=True,
            text=True,
        )
        if run.returncode:
            raise SystemExit(
                f"nbgrader could not make the notebook of lesson {lesson.number}.\n{run.stderr[-2000:]}"
            )
    (course / "nbgrader_config.py").write_text(CONFIG, encoding="utf-8")


def hand_out(lesson: Lesson) -> Path:
    """The same bytes each time: fixed dates, fixed order."""
    target = OUT / "hand-out" / f"{lesson.notebook.stem}.zip"
    target.parent.mkdir(parents=True, exist_ok=True)
    notebook = OUT / "course/release" / f"lesson_{lesson.number}" / lesson.notebook.name
    home = repository()
    token = TOKEN if home.private else ""
    text = READ_ME.format(title=lesson.title, url=home.url, name=home.folder, token=token)
    glossary = (NOTEBOOKS / "glossary.md").read_bytes()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        files = {
            "READ-ME.txt": text.encode(),
            notebook.name: notebook.read_bytes(),
            "glossary.md": glossary,
        }
        for name, content in files.items():
            info = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
            info.external_attr = 0o100644 << 16  # readable for whoever unpacks it
            archive.writestr(info, content, zipfile.ZIP_DEFLATED)
    return target


def solution(lesson: Lesson) -> Path:
    """Everything solved, with the outputs of the committed notebook where the code is the same."""
    notebook = build.solution_notebook(lesson)
    shown = {
        c.source: c.outputs
        for c in nbformat.read(lesson.notebook, as_version=4).cells
        if c.cell_type == "code"
    }
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = shown.get(build.HIDDEN.sub("", cell.source).rstrip("\n"), [])
    target = OUT / "solutions" / lesson.notebook.name
    build.write(notebook, target)
    return target


def page(lesson: Lesson) -> Path:
    text = (SOURCES / "instructor" / f"{lesson.number}.md").read_text(encoding="utf-8")
    body = markdown2html(text).replace(
        'href="../../', 'href="../../../notebooks/'
    )  # from build/instructor/pages
    target = OUT / "pages" / f"{lesson.number}.html"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(
        TEMPLATES.get_template("page.html").render(title=lesson.title, body=body), encoding="utf-8"
    )
    return target


def opening(text: str, limit: int = 420) -> str:
    """The first whole sentences of a section's prose, without links, formulas, quotes and folded parts. Where they end in a
    colon, the list, table or code that follows comes along."""
    blocks = [
        b for b in re.split(r"\n\s*\n", text) if b.strip() and not re.match(r"\s*(?:[#<>]|!\[)", b)
    ]
    prose = next(
        (i for i, b in enumerate(blocks) if not re.match(r"\s*(?:[|*-] |\||```|\d+\. )", b)), None
    )
    if prose is None:
        return ""
    out = ""
    for sentence in re.split(r"(?<=[.?!:])\s+", " ".join(blocks[prose].split())):
        if out and len(out) + len(sentence) > limit:
            break
        if "$" not in sentence:
            out += sentence + " "
    out = re.sub(
        r"\[([^\]]+)\]\((?!http)[^)]*\)", r"\1", out.strip()
    )  # a link inside the course has no target here
    if out.endswith(":"):
        follows = (
            blocks[prose + 1]
            if prose + 1 < len(blocks) and blocks[prose].rstrip().endswith(":")
            else ""
        )
        out = f"{out}\n\n{follows}" if follows else out[:-1] + "."
    return out


def with_tables(text: str, task: str) -> str:
    """The opening of a task, with the task's tables where the opening leaves them out."""
    tables = re.findall(r"(?:^\|.*\n?)+", task, flags=re.M)
    return "\n\n".join([text, *(t for t in tables if t.strip() not in text)])


def slides_of(lesson: Lesson) -> list[dict]:
    """Of each section: a slide that opens it, one for each figure, for each exercise and written question, and for its code."""
    slides, section = [], lesson.title
    for cell in nbformat.read(lesson.notebook, as_version=4).cells:
        if cell.cell_type == "markdown":
            for block in re.split(r"(?=^#{1,3} )", cell.source, flags=re.M):
                heading = re.match(r"(#{1,3}) (.+)\n?", block)
                rest = block[heading.end() :] if heading else block
                if heading and len(heading[1]) == 2:
                    section = heading[2]
                    slides.append(
                        {"kind": "section", "title": section, "text": markdown2html(opening(rest))}
                    )
                elif heading and re.match(r"(?:Exercise|Question) ", heading[2]):
                    task = re.split(r"<details>", rest)[0].strip()
                    slides.append(
                        {
                            "kind": "task",
                            "title": heading[2],
                            "text": markdown2html(with_tables(opening(task, 700), task)),
                        }
                    )
        elif "# YOUR CODE HERE" in cell.source and slides:
            slides.append(
                {
                    "kind": "task",
                    "title": slides[-1]["title"],
                    "text": f"<pre><code>{escape(cell.source, quote=False)}</code></pre>",
                }
            )
        for output in cell.get("outputs", []):
            for kind in ("image/png", "image/svg+xml"):
                if image := output.get("data", {}).get(kind):
                    if kind == "image/svg+xml":  # in a notebook as text
                        image = base64.b64encode(image.encode()).decode()
                    image = f"data:{kind};base64," + image.replace("\n", "")
                    alt = output.metadata.get(kind, {}).get("alt", "")
                    slides.append({"kind": "figure", "title": section, "image": image, "alt": alt})
    return [s for s in slides if s["kind"] != "section" or s["text"]]


def slides_page(lesson: Lesson) -> str:
    return TEMPLATES.get_template("slides.html").render(
        title=lesson.title, number=lesson.number, slides=slides_of(lesson)
    )


def deck(lesson: Lesson) -> Path:
    target = OUT / "slides" / f"{lesson.number}.html"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(slides_page(lesson), encoding="utf-8")
    return target


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tools.instructor",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "lesson", nargs="*", type=lesson_number, help="two digits; all lessons by default"
    )
    chosen = lessons(parser.parse_args().lesson)
    install(INSTRUCTOR_VENV, "requirements-instructor.txt")
    shutil.rmtree(OUT, ignore_errors=True)
    release(chosen)
    entries = []
    for lesson in chosen:
        files = {
            "page": page(lesson),
            "slides": deck(lesson),
            "hand-out": hand_out(lesson),
            "solutions": solution(lesson),
        }
        entries.append(
            {
                "lesson": lesson,
                "files": {name: file.relative_to(OUT).as_posix() for name, file in files.items()},
            }
        )
        print(
            f"lesson {lesson.number}: "
            + ", ".join(str(file.relative_to(ROOT)) for file in files.values()),
            flush=True,
        )
    (OUT / "index.html").write_text(
        TEMPLATES.get_template("index.html").render(entries=entries), encoding="utf-8"
    )
    print(f"Start with {(OUT / 'index.html').relative_to(ROOT)}")


if __name__ == "__main__":
    main()
