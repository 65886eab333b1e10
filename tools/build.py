"""Make the notebooks from their sources: learner (committed, executed), solution and assignment (in build/).

One py:percent source per lesson holds prose, code, exercises, hints, solutions and hidden tests, with nbgrader's own
markers and metadata. The same source always gives the same bytes, apart from what executing it prints.
"""

from __future__ import annotations

import argparse
import ast
import base64
import hashlib
import json
import os
import re
import sys
import textwrap
from html import escape, unescape
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert.filters import markdown2html

from tools.lessons import (
    NOTEBOOKS,
    ROOT,
    Lesson,
    Repository,
    lesson_number,
    lessons,
    measured,
    repository,
)

SOLUTION = re.compile(
    r"^(?P<indent>[ \t]*)### BEGIN SOLUTION\n(?P<body>.*?)^[ \t]*### END SOLUTION[ \t]*\n?",
    re.S | re.M,
)
HIDDEN = re.compile(
    r"^[ \t]*### BEGIN HIDDEN TESTS\n.*?^[ \t]*### END HIDDEN TESTS[ \t]*\n?", re.S | re.M
)
HINT = re.compile(r"<details><summary>(.*?)</summary>\n\n(.*?)\n</details>\n?", re.S)
BADGE = "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({url})"
DOWNLOAD = (
    "[Download this notebook]({url}?inline=false); on Colab open it with *File → Upload notebook*."
)
SETUP = (Path(__file__).parent / "setup_cell.py").read_text(encoding="utf-8").strip()
# In the setup cell of a private repository: git asks a helper for the token, so no address, message or file ever holds it.
PRIVATE = """\
    if "google.colab" in sys.modules:  # git takes the token from Colab's Secrets
        from google.colab import userdata

        helper = '!f() { echo username=course; echo "password=$COURSE_TOKEN"; }; f'
        os.environ |= {"COURSE_TOKEN": userdata.get("COURSE_TOKEN"), "GIT_CONFIG_COUNT": "1"}
        os.environ |= {"GIT_CONFIG_KEY_0": f"credential.{source}.helper", "GIT_CONFIG_VALUE_0": helper}
"""
MINI = {
    "COURSE_PROFILE": "mini",
    "HF_HUB_OFFLINE": "1",
    "COURSE_MIRROR": "",  # how committed notebooks are executed
    "COURSE_PROGRESS": str(ROOT / "build/no-progress.json"),
}
DRAWS = ("plots.show(", "plots.picture(", "plots.finding(")  # cells whose code is folded
PICTURE = re.compile(r"plots\.picture\(\"([\w-]+)\"\)")
README_FIGURE = ROOT / "assets/first-figure.png"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def cost_table(lesson: Lesson) -> str:
    """Measured minutes and memory of each profile; "not measured yet" where there are none."""
    rows = ["| profile | minutes | peak memory | measured on |", "|---|---|---|---|"]
    known = measured().get(lesson.number, {})
    for profile in ("mini", "cpu", "gpu"):
        if profile in known:
            m = known[profile]
            where = f"{m['machine']}, {m['date']}"
            if m.get("untrained"):
                where += "; timed with untrained weights of the same size"
            rows.append(
                f"| `{profile}` | {m['minutes']:.1f} | {m['memory_gib']:.1f} GiB | {where} |"
            )
        else:
            estimates = "estimate_training(" in lesson.source.read_text(encoding="utf-8")
            hint = "an estimate is printed before training" if estimates else "–"
            rows.append(f"| `{profile}` | not measured yet | – | {hint} |")
    if headline := known.get("cpu", {}).get("headline"):
        rows.append(f"\nThe published model ended this lesson with: {headline}")
    return "\n".join(rows)


def badge(lesson: Lesson) -> str:
    """What opens the notebook on Colab. Colab opens none of GitLab's: there it is downloaded and uploaded."""
    url = repository().colab(lesson.notebook)
    return (
        DOWNLOAD.format(url=url.replace("/-/blob/", "/-/raw/"))
        if repository().is_gitlab
        else BADGE.format(url=url)
    )


def setup_cell(home: Repository) -> str:
    """The setup cell for a repository, on GitHub or GitLab, open or private."""
    text = SETUP.replace("https://github.com/{{repository}}", home.url)
    if home.is_gitlab:
        text = text.replace("/archive/{{branch}}.zip", "/-/archive/{{branch}}/course.zip")
    if home.private:
        text = text.replace("    command = [", PRIVATE + "    command = [", 1)
    return text.replace("{{repository}}", home.name).replace("{{branch}}", home.branch)


def fill(text: str, lesson: Lesson) -> str:
    """Replace the placeholders that every lesson shares."""
    home = repository()
    return (
        text.replace("{{badge}}", badge(lesson))
        .replace("{{setup}}", setup_cell(home))
        .replace("{{repository}}", home.name)
        .replace("{{branch}}", home.branch)
        .replace("{{lesson}}", lesson.number)
        .replace("{{cost}}", cost_table(lesson))
    )


def read_source(lesson: Lesson, grading: bool = False) -> nbformat.NotebookNode:
    """The source as a notebook with everything in it, placeholders filled. Only with ``grading``: the cells with that tag,
    which give the grader's tests a value that the lesson takes minutes to compute."""
    notebook = jupytext.read(lesson.source)
    if not grading:
        notebook.cells = [c for c in notebook.cells if "grading" not in c.metadata.get("tags", [])]
    for cell in notebook.cells:
        cell.source = fill(cell.source.replace("# {{setup}}", "{{setup}}"), lesson)
        if cell.cell_type == "markdown":
            cell.source = HINT.sub(lambda m: folded(m[1], m[2]) + "\n", cell.source).rstrip("\n")
    return notebook


def finished(notebook: nbformat.NotebookNode, lesson: Lesson, kind: str) -> nbformat.NotebookNode:
    """Stable ids (nbgrader's where there is one), a fixed header, no outputs. Raises an error where the notebook is invalid."""
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id") or cell.source
        seen[name] = seen.get(name, 0) + 1
        cell["id"] = hashlib.sha256(
            f"{lesson.number}:{kind}:{name}:{seen[name]}".encode()
        ).hexdigest()[:12]
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            "accelerator": "GPU",
            "colab": {"gpuType": "T4", "provenance": []},
        }
    )
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    nbformat.validate(notebook)
    return notebook


def folded(summary: str, body: str) -> str:
    """A ``<details>`` block in one line of HTML: with Markdown and blank lines inside, some viewers show it unfolded."""
    html = markdown2html(body.strip()).strip()
    if match := re.fullmatch(r"```python\n(.*?)\n```", body.strip(), re.S):
        html = f"<pre><code>{escape(match[1], quote=False)}</code></pre>"
    return f"<details><summary>{summary}</summary>{html}</details>".replace("\n", "&#10;")


def details(summary: str, body: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_markdown_cell(folded(summary, body))


def fold(cell: nbformat.NotebookNode) -> None:
    """Hide the code of the setup cell and of cells that draw: in JupyterLab, in Colab, and on the site by a tag."""
    tags = cell.metadata.get("tags", [])
    if (
        cell.cell_type == "code"
        and ("setup" in tags or any(call in cell.source for call in DRAWS))
        and "exercise" not in tags
    ):
        cell.metadata["tags"] = [*tags, "hide-input"]
        cell.metadata["jupyter"] = {"source_hidden": True}
        cell.metadata["cellView"] = "form"


def stub(source: str) -> str:
    """The code with each solution replaced by a line that says where to write."""
    return SOLUTION.sub(
        r"\g<indent># YOUR CODE HERE\n\g<indent>raise NotImplementedError()\n", source
    ).rstrip("\n")


def learner_notebook(lesson: Lesson) -> nbformat.NotebookNode:
    """Solutions become stubs; behind each exercise's check stands the solution, folded away."""
    notebook, cells, waiting = read_source(lesson), [], []
    for cell in notebook.cells:
        if {"instructor-only", "assert"} & set(cell.metadata.get("tags", [])):
            continue
        if "solution" in cell.metadata.get("tags", []) and cell.cell_type == "markdown":
            cells.append(details("Solution", cell.source))
            continue
        if SOLUTION.search(cell.source):
            solved = SOLUTION.sub(lambda m: m["body"], cell.source).rstrip("\n")
            waiting.append(details("Solution", f"```python\n{solved}\n```"))
            cell.source = stub(cell.source)
        cell.source = HIDDEN.sub("", cell.source).rstrip("\n")
        cells.append(cell)
        if "check" in cell.metadata.get("tags", []):
            cells, waiting = cells + waiting, []
    notebook.cells = cells + waiting
    for cell in notebook.cells:
        cell.metadata.pop("nbgrader", None)  # it means nothing to a learner
        fold(cell)
    return finished(notebook, lesson, "learner")


def solution_notebook(lesson: Lesson) -> nbformat.NotebookNode:
    """The notebook with all solutions; CI runs it."""
    return finished(read_source(lesson), lesson, "solution")


def assignment_notebook(lesson: Lesson) -> nbformat.NotebookNode:
    """What nbgrader makes the handed-out notebook from: solutions between its markers, model answers left out."""
    notebook = read_source(lesson)
    notebook.cells = [
        c
        for c in notebook.cells
        if not {"solution", "instructor-only", "assert"} & set(c.metadata.get("tags", []))
    ]
    # without the badge, which opens the public notebook, with solutions
    notebook.cells[0].source = notebook.cells[0].source.replace(badge(lesson), "").lstrip()
    return finished(notebook, lesson, "assignment")


def execute(
    notebook: nbformat.NotebookNode,
    workdir: Path,
    environment: dict[str, str],
    timeout: int = 1800,
    go_on: bool = False,
) -> None:
    """Run all cells in place, in a kernel of its own started in ``workdir``.

    Raises CellExecutionError at the first error, unless ``go_on`` keeps errors as outputs.
    """
    progress = Path(MINI["COURSE_PROGRESS"])  # a committed notebook shows no maintainer's progress
    progress.parent.mkdir(exist_ok=True)
    progress.unlink(missing_ok=True)
    client = NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        store_widget_state=False,
        record_timing=True,
        allow_errors=go_on,
        resources={"metadata": {"path": str(workdir)}},
    )
    client.execute(env=os.environ | environment)


def strip(notebook: nbformat.NotebookNode) -> None:
    """Drop what makes diffs noisy or breaks viewers: widget state and views, stderr, transient ids."""
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        for key in ("execution", "collapsed", "scrolled"):
            cell.metadata.pop(key, None)
        if cell.cell_type == "code":
            for output in cell.outputs:
                output.pop("transient", None)
                if WIDGET_VIEW in output.get("data", {}):
                    output.data.pop(WIDGET_VIEW)
            cell.outputs = [
                o
                for o in cell.outputs
                if not (o.output_type == "stream" and o.name == "stderr") and o.get("data", True)
            ]


def write(notebook: nbformat.NotebookNode, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8"
    )


def program(source: str) -> str:
    """What a cell computes, however its lines are broken and functions are described: cells with the same syntax tree,
    docstrings apart, share their outputs. Every Python writes the same text: a lesson's proof holds on all of them."""
    try:
        tree = ast.parse(source)
    except SyntaxError:  # IPython's own, like %timeit
        return source
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    # 3.12 gave functions and classes a field of their own, 3.13 leaves out what is empty.
    empty = {"show_empty": True} if sys.version_info >= (3, 13) else {}
    return ast.dump(tree, **empty).replace(", type_params=[]", "")


def redraw(notebook: nbformat.NotebookNode) -> None:
    """Show the drawings as they are now: ``plots.picture`` computes nothing, so no cell has to run for that."""
    for cell in notebook.cells:
        drawn = [o for o in cell.get("outputs", []) if "image/svg+xml" in o.get("data", {})]
        for name, output in zip(PICTURE.findall(cell.source), drawn, strict=bool(drawn)):
            svg = (NOTEBOOKS / f"pictures/{name}.svg").read_text(encoding="utf-8")
            alt = unescape(re.search(r"<title>(.*?)</title>", svg, re.S)[1])
            output.data |= {"image/svg+xml": svg, "text/plain": alt}
            output.metadata["image/svg+xml"]["alt"] = alt


def identity(cell: nbformat.NotebookNode) -> str:
    """What makes a cell the same as before. The setup cell, which says nothing in a checkout, may change its text."""
    return "setup" if "setup" in cell.metadata.get("tags", []) else program(cell.source)


def build_learner(lesson: Lesson, run: bool) -> None:
    """Write the learner notebook; with ``run`` execute it on ``mini``, else keep the outputs of cells that stayed, with
    the drawings of today."""
    notebook = learner_notebook(lesson)
    if run:
        execute(notebook, lesson.notebook.parent, MINI)
        strip(notebook)
    elif lesson.notebook.exists():
        old: dict[str, list[nbformat.NotebookNode]] = {}
        for cell in nbformat.read(lesson.notebook, as_version=4).cells:
            if cell.cell_type == "code":
                old.setdefault(identity(cell), []).append(cell)
        for cell in notebook.cells:
            if cell.cell_type == "code" and (same := old.get(identity(cell))):
                before = same.pop(0)
                cell.outputs, cell.execution_count = before.outputs, before.execution_count
        redraw(notebook)
    write(notebook, lesson.notebook)
    if png := readme_figure(notebook):
        README_FIGURE.write_bytes(png)


def readme_figure(notebook: nbformat.NotebookNode) -> bytes | None:
    """The figure that the README shows: the output of the cell with the tag ``readme-figure``, if it is here."""
    for cell in notebook.cells:
        if "readme-figure" in cell.metadata.get("tags", []):
            for output in cell.outputs:
                if png := output.get("data", {}).get("image/png"):
                    return base64.b64decode(png)
    return None


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.build", description=__doc__)
    parser.add_argument(
        "lesson", nargs="*", type=lesson_number, help="two digits; all lessons by default"
    )
    parser.add_argument(
        "--no-run",
        action="store_true",
        help="write without executing, keeping outputs of unchanged cells; drawings are renewed",
    )
    parser.add_argument(
        "--solutions",
        action="store_true",
        help="write build/solutions/ instead of the learner notebooks",
    )
    args = parser.parse_args()
    for lesson in lessons(args.lesson):
        if args.solutions:
            write(solution_notebook(lesson), ROOT / "build/solutions" / lesson.notebook.name)
            continue
        try:
            build_learner(lesson, run=not args.no_run)
        except CellExecutionError as error:
            raise SystemExit(
                f"lesson {lesson.number} stopped:\n{textwrap.shorten(str(error)[-3000:], 3000)}"
            ) from None
        print(f"wrote {lesson.notebook.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
