"""The notebooks are what their sources say: complete, current, unsolved for learners, solvable for everybody."""

from __future__ import annotations

import ast
import copy
import io
import re
import tokenize

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

import tools.lessons
from course_utils import plots
from tools import build
from tools.draw import drawings
from tools.lessons import NOTEBOOKS, ROOT, Lesson, lessons, repository

LESSONS = lessons()


def least(lesson) -> int:
    """Exercises that a lesson has at least; an appendix is for looking things up."""
    return 1 if lesson.is_appendix else 3


each_lesson = pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.number)


def sources_of(notebook) -> list[tuple[str, str, str]]:
    return [(cell["id"], cell.cell_type, cell.source) for cell in notebook.cells]


def test_every_python_gives_a_program_the_same_text():
    """Fails on 3.12 and 3.13 where a field of theirs, or one that they leave out, gets into a proof's fingerprint."""
    source = "class A:\n    'Doc.'\n\n    def f(self, *x):\n        return g()\n"
    assert build.program(source) == (
        "Module(body=[ClassDef(name='A', bases=[], keywords=[], body=[FunctionDef(name='f', "
        "args=arguments(posonlyargs=[], args=[arg(arg='self')], vararg=arg(arg='x'), kwonlyargs=[], "
        "kw_defaults=[], defaults=[]), body=[Return(value=Call(func=Name(id='g', ctx=Load()), args=[], "
        "keywords=[]))], decorator_list=[])], decorator_list=[])], type_ignores=[])"
    )


@each_lesson
def test_building_twice_gives_the_same_bytes(lesson, tmp_path):
    for make in (build.learner_notebook, build.solution_notebook):
        build.write(make(lesson), tmp_path / "first.ipynb")
        build.write(make(lesson), tmp_path / "second.ipynb")
        assert (tmp_path / "first.ipynb").read_bytes() == (tmp_path / "second.ipynb").read_bytes()


@each_lesson
def test_the_committed_notebook_is_neither_stale_nor_edited_by_hand(lesson):
    committed = sources_of(nbformat.read(lesson.notebook, as_version=4))
    fresh = sources_of(build.learner_notebook(lesson))
    for number, (have, want) in enumerate(zip(committed, fresh, strict=False)):
        assert have == want, (
            f"{lesson.notebook.relative_to(ROOT)}, cell {number}: differs from {lesson.source.name}. "
            "Edit the source and run `make notebooks`."
        )
    assert len(committed) == len(fresh), (
        f"{lesson.notebook.relative_to(ROOT)}: {len(committed)} cells, not {len(fresh)}"
    )


@each_lesson
def test_the_badge_opens_the_notebook_itself(lesson):
    first = nbformat.read(lesson.notebook, as_version=4).cells[0].source
    assert repository().colab(lesson.notebook) in first, (
        f"{lesson.notebook.relative_to(ROOT)}, cell 0: {first.splitlines()[0]}"
    )


@each_lesson
def test_a_learner_sees_no_solution_unfolded_and_no_hidden_test(lesson):
    notebook = build.learner_notebook(lesson)
    exercises = [
        c.source for c in build.read_source(lesson).cells if build.SOLUTION.search(c.source)
    ]
    bodies = {
        "".join(match["body"].split())
        for source in exercises
        for match in build.SOLUTION.finditer(source)
    }
    for number, cell in enumerate(notebook.cells):
        place = f"{lesson.source.name}, cell {number} of the learner's notebook"
        assert not re.search(r"#\s*(BEGIN|END) (SOLUTION|HIDDEN)", cell.source), (
            f"{place}: a marker without its partner"
        )
        assert "nbgrader" not in cell.metadata
        shown = "".join(cell.source.split()) * (not cell.source.startswith("<details>"))
        assert not [b for b in bodies if len(b) > 40 and b in shown], f"{place} shows a solution"
    stubs = [
        c
        for c in notebook.cells
        if c.cell_type == "code" and "raise NotImplementedError()" in c.source
    ]
    folded = [c for c in notebook.cells if c.source.startswith("<details><summary>Solution")]
    assert len(stubs) >= least(lesson) and len(folded) >= len(stubs)


@each_lesson
def test_cells_are_short_and_as_wide_as_a_page(lesson):
    notebook = build.learner_notebook(lesson)
    wide = [
        line
        for c in build.read_source(lesson).cells
        if c.cell_type == "code"
        for line in c.source.splitlines()
        if len(line) > 100
    ]
    assert not wide, (
        f"{lesson.source.name}: {wide[0]!r} has {len(wide[0])} columns; a page on Colab shows 100"
    )
    code = [
        c
        for c in notebook.cells
        if c.cell_type == "code" and "setup" not in c.metadata.get("tags", [])
    ]  # it is folded
    checks = [len(c.source.splitlines()) for c in code if "check" in c.metadata.get("tags", [])]
    assert max(checks) <= 35  # a list of properties, to be run and not read
    code = [c for c in code if "check" not in c.metadata.get("tags", [])]
    lengths = sorted(len(c.source.splitlines()) for c in code)
    # A statement wrapped at 100 columns is one to read: the median counts statements' lines as Python does, and all lines.
    logical = sorted(
        sum(
            t.type == tokenize.NEWLINE
            for t in tokenize.generate_tokens(io.StringIO(f"{c.source}\n").readline)
        )
        for c in code
    )
    assert (
        lengths[-1] <= 25 and lengths[len(lengths) // 2] <= 12 and logical[len(logical) // 2] <= 7
    )


def test_outputs_stay_with_a_cell_that_is_only_wrapped_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(tools.lessons, "NOTEBOOKS", tmp_path)
    monkeypatch.setattr(build, "fill", lambda text, lesson: text)
    lesson = Lesson(tmp_path / "00_toy.py")
    lesson.source.write_text(
        "# %%\nprint('one', 2)\n\n# %%\nprint('three')\n\n# %%\n%time print('four')\n",
        encoding="utf-8",
    )
    build.build_learner(lesson, run=False)
    notebook = nbformat.read(lesson.notebook, as_version=4)
    for number, c in enumerate(notebook.cells):
        c.outputs, c.execution_count = (
            [nbformat.v4.new_output("stream", text=f"{number}\n")],
            number + 1,
        )
    build.write(notebook, lesson.notebook)
    lesson.source.write_text(
        "# %%\nprint('one',\n      2)  # two lines\n\n# %%\nprint('3')\n\n# %%\n%time print('four')\n",
        encoding="utf-8",
    )
    build.build_learner(lesson, run=False)
    cells = nbformat.read(lesson.notebook, as_version=4).cells
    assert "# two lines" in cells[0].source and [
        c.outputs[0].text if c.outputs else "" for c in cells
    ] == ["0\n", "", "2\n"]
    assert [c.execution_count for c in cells] == [1, None, 3]


@each_lesson
def test_no_cell_may_fail_unseen(lesson):
    """A shell line that fails stops nothing, and tags or comments can make a cell be skipped, or be allowed to fail."""
    whole = lesson.source.read_text(encoding="utf-8")
    for number, cell in enumerate(build.read_source(lesson).cells):
        place = f"{lesson.source.name}, cell {number}"
        marks = re.findall(
            r"(?i)nbval\w*|raises-exception|skip-execution",
            f"{cell.metadata.get('tags')} {cell.source}",
        )
        assert not marks, f"{place}: {marks}"
        code = TransformerManager().transform_cell(cell.source) if cell.cell_type == "code" else ""
        hidden = re.findall(
            r"from (?:subprocess|os) import .*\b(?:run|call|Popen|check_output|system|popen)\b",
            code,
        )
        assert not hidden, (
            f"{place}: {hidden[0]}; write subprocess.run(..., check=True), so that everybody sees what is run"
        )
        tree = ast.parse(code)
        dropped = [n.value for n in ast.walk(tree) if isinstance(n, ast.Expr)]
        for node in [n for n in ast.walk(tree) if isinstance(n, ast.Call)]:
            call = ast.unparse(node)
            assert not re.match(
                r"get_ipython\(\)\.|os\.(system|popen)|subprocess\.(call|get)", call
            ), f"{place}: {call}"
            # A server, or a worker that is killed: somebody must hold it, wait for it, and look at its end.
            alone = call.startswith("subprocess.Popen") and (
                node in dropped or not re.search(r"\.(wait|communicate)\(", whole)
            )
            assert not alone, f"{place}: {call} that nobody waits for"
            seen = "check=True" in call
            assert not call.startswith("subprocess.run") or seen, (
                f"{place}: {call} without check=True"
            )


def exercise_cells(lesson):
    """(exercise code, check code) pairs of a source, in order."""
    pairs, exercise = [], None
    for cell in build.read_source(lesson).cells:
        tags = cell.metadata.get("tags", [])
        if "exercise" in tags:
            exercise = cell.source
        elif "check" in tags:
            pairs.append((exercise, cell.source))
    return pairs


@each_lesson
def test_every_exercise_has_a_stub_that_parses_and_hints(lesson):
    text = lesson.source.read_text(encoding="utf-8")
    pairs = exercise_cells(lesson)
    assert len(pairs) >= least(lesson)
    assert (
        text.count("<summary>Hint 1</summary>")
        == text.count("<summary>Hint 2</summary>")
        == len(pairs)
    )
    for exercise, _ in pairs:
        stub = build.stub(exercise)
        ast.parse(stub)
        assert "raise NotImplementedError()" in stub and exercise != stub, (
            f"{lesson.source.name}: no stub in\n{stub}"
        )


def test_a_lesson_that_does_not_exist_is_named():
    with pytest.raises(ValueError, match="no lesson 99"):
        lessons(["99"])


@each_lesson
def test_links_inside_the_course_lead_somewhere(lesson):
    glossary = (ROOT / "notebooks/glossary.md").read_text(encoding="utf-8")
    anchors = {
        re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-")
        for h in re.findall(r"^## (.+)$", glossary, re.M)
    }
    for number, line in enumerate(lesson.source.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.startswith("#"):  # READ[mine]([text]) is code
            continue
        for target in re.findall(r"\]\((?!http|{{)([^)]+)\)", line):
            path, _, anchor = target.partition("#")
            assert (ROOT / "notebooks" / path).exists(), (
                f"{lesson.source.name}:{number}: no file {path}"
            )
            if path == "glossary.md":
                assert anchor in anchors, (
                    f"{lesson.source.name}:{number}: the glossary has no {anchor}"
                )


def test_cells_that_draw_are_folded_and_asserts_are_left_to_test_runs(tmp_path):
    source = tmp_path / "99_folds.py"
    source.write_text(
        "# %% [markdown]\n# # A title\n\n# %% tags=[\"setup\"]\nimport os\n\n# %%\nx = 1\n\n# %%\nplots.show(figure, 'alt')\n\n"
        '# %% tags=["assert"]\nassert x == 1\n',
        encoding="utf-8",
    )
    learner, solution = (
        build.learner_notebook(Lesson(source)),
        build.solution_notebook(Lesson(source)),
    )
    code = [c for c in learner.cells if c.cell_type == "code"]
    assert [c.source.split("(")[0] for c in code] == ["import os", "x = 1", "plots.show"]
    assert [c.metadata.get("cellView") for c in code] == ["form", None, "form"]
    assert [c.metadata.get("jupyter", {}).get("source_hidden", False) for c in code] == [
        True,
        False,
        True,
    ]
    assert ["hide-input" in c.metadata.get("tags", []) for c in code] == [True, False, True]
    assert "assert x == 1" in [c.source for c in solution.cells]
    assert "assert x == 1" not in [
        c.source for c in build.assignment_notebook(Lesson(source)).cells
    ]


def test_the_readme_shows_the_figure_that_a_lesson_drew():
    drawn = [
        png
        for lesson in LESSONS
        if (png := build.readme_figure(nbformat.read(lesson.notebook, as_version=4)))
    ]
    assert drawn == [build.README_FIGURE.read_bytes()]
    assert "](assets/first-figure.png)" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_lessons_drawings_are_those_that_their_programs_draw():
    folder = NOTEBOOKS / "pictures"
    drawn = {f"{name}.svg": draw().svg() for name, draw in drawings().items()}
    assert drawn == {f.name: f.read_text(encoding="utf-8") for f in folder.glob("*.svg")}, (
        "run `python -m tools.draw`"
    )


@each_lesson
def test_a_notebook_shows_the_drawings_of_today(lesson):
    """As the lesson's own cell would: ``plots.picture`` isn't executed for a change of a drawing."""
    notebook = nbformat.read(lesson.notebook, as_version=4)
    before = [c.get("outputs") for c in copy.deepcopy(notebook).cells]
    build.redraw(notebook)
    assert [c.get("outputs") for c in notebook.cells] == before, (
        f"run `python -m tools.build {lesson.number} --no-run`"
    )


def test_an_old_drawing_is_renewed_without_a_run(monkeypatch):
    shown = []
    monkeypatch.setattr(
        plots, "display", lambda data, raw, metadata: shown.append((data, metadata))
    )
    plots.picture("masked-word")
    ((data, metadata),) = shown
    cell = nbformat.v4.new_code_cell('plots.picture("masked-word")\nprint("other")')
    old = {"image/svg+xml": "<svg/>", "text/plain": "Once."}
    cell.outputs = [
        nbformat.v4.new_output("display_data", old, metadata={"image/svg+xml": {"alt": "Once."}}),
        nbformat.v4.new_output("stream", text="other\n"),
    ]
    build.redraw(nbformat.v4.new_notebook(cells=[cell]))
    assert (cell.outputs[0].data, cell.outputs[0].metadata) == (data, metadata)
    assert cell.outputs[1].text == "other\n"


def test_a_new_text_of_the_setup_cell_keeps_its_place_in_the_count():
    old = nbformat.v4.new_code_cell("old = 1", metadata={"tags": ["setup"]})
    new = nbformat.v4.new_code_cell("new = 2", metadata={"tags": ["setup", "hide-input"]})
    assert build.identity(old) == build.identity(new)
    assert build.identity(nbformat.v4.new_code_cell("old = 1")) != build.identity(old)
