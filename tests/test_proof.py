"""Which lessons a run of the suite executes, and what an execution leaves behind."""

from __future__ import annotations

import json

import nbformat
import pytest

from tools import build, lessons, proof
from tools.lessons import Lesson

SOURCE = """# %% [markdown]
# # Tiny
#
# Prose.

# %%
from course_utils import metrics

# %% tags=["exercise"] nbgrader={"grade_id": "e99_1", "grade": false, "locked": false, "solution": true, "schema_version": 3}
def double(x):
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION

# %% tags=["check"] nbgrader={"grade_id": "e99_1_test", "grade": true, "points": 2, "solution": false}
from course_utils.exercises import check

check("99.1 Double", ("three gives six", lambda: double(3) == 6, "twice its input"));

# %% tags=["assert"]
assert metrics

# %%
import packaging

data = "reviews"
print("Headline: 6")
"""
WRONG = 'WRONG = {"e99_1": [("half", "    return x / 2\\n", "twice its input")] * 3}\n'
ENVIRONMENT = build.MINI | {"PYTHONPATH": str(lessons.ROOT)}


@pytest.fixture
def tiny(tmp_path, monkeypatch) -> Lesson:
    """A course of one lesson in ``tmp_path``, with the real helpers' names."""
    for file, text in {
        "notebooks/sources/99_tiny.py": SOURCE,
        "tests/wrong_answers/lesson_99.py": WRONG,
        "course_utils/__init__.py": "",
        "course_utils/metrics.py": "from course_utils.tables import x\n",
        "course_utils/tables.py": '"""Tables."""\n\nx = 1  # once\n',
        "course_utils/setup.py": "",
        "notebooks/pictures/tiny.svg": "<svg/>",
        "course_utils/exercises.py": "",
        "course_utils/hub.py": "",
        "data/reviews/train.csv": "text,label\n",
        "data/reviews/README.md": "A card.\n",
        "data/letters/test.csv": "text,label\n",
        "data/models/mini-distilbert/config.json": "{}",
        "data/models/mini-other/config.json": "{}",
        "tools/setup_cell.py": "",
        "requirements.txt": "torch==2.13.0\n# For single lessons\npackaging==25.0\npeft==0.21.2\n",
        "notebooks/measured.json": "{}",
    }.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text, encoding="utf-8")
    monkeypatch.setattr(proof, "ROOT", tmp_path)
    monkeypatch.setattr(lessons, "MEASURED", tmp_path / "notebooks/measured.json")
    monkeypatch.delenv("COURSE_PROVE", raising=False)
    return Lesson(tmp_path / "notebooks/sources/99_tiny.py")


@pytest.mark.parametrize(
    ("file", "old", "new", "again"),
    [
        ("notebooks/sources/99_tiny.py", "Prose.", "Other prose.", False),
        ("notebooks/sources/99_tiny.py", "Headline: 6", "Headline: 7", True),
        ("notebooks/sources/99_tiny.py", "2 * x", "x + x", True),
        ("tests/wrong_answers/lesson_99.py", "x / 2", "x / 3", True),
        ("course_utils/tables.py", "x = 1", "x = 2", True),  # a helper of a helper
        ("course_utils/tables.py", "# once", "# now", False),
        ("course_utils/hub.py", "", "y = 1", False),  # no helper of this lesson
        ("tools/setup_cell.py", "", "y = 1", False),  # lesson 00 executes it in every run
        ("notebooks/pictures/tiny.svg", "svg", "SVG", False),  # a build without a run renews it
        ("data/reviews/train.csv", "text", "texts", True),
        ("data/reviews/README.md", "card", "page", False),
        ("data/letters/test.csv", "text", "texts", False),  # this lesson doesn't name it
        ("data/models/mini-distilbert/config.json", "{}", "[]", True),  # any lesson may choose it
        ("data/models/mini-other/config.json", "{}", "[]", False),
        ("requirements.txt", "2.13.0", "2.14.0", True),
        ("requirements.txt", "25.0", "26.0", True),  # a single lesson's package: this one's
        ("requirements.txt", "0.21.2", "0.21.3", False),
    ],
)
def test_a_lesson_is_executed_again_when_something_that_it_depends_on_changes(
    tiny, tmp_path, file, old, new, again
):
    before = proof.fingerprint(tiny)
    text = (tmp_path / file).read_text(encoding="utf-8")
    (tmp_path / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    assert (proof.fingerprint(tiny) != before) == again


def test_a_proof_stands_until_it_is_asked_for_or_its_inputs_change(tiny, tmp_path, monkeypatch):
    assert not proof.stands(tiny), "never proved"
    known = {"99": {"mini": {"proved": proof.fingerprint(tiny)}}}
    (tmp_path / "notebooks/measured.json").write_text(json.dumps(known), encoding="utf-8")
    assert proof.stands(tiny)
    for asked in ("all", "05 99"):
        monkeypatch.setenv("COURSE_PROVE", asked)
        assert not proof.stands(tiny)
    monkeypatch.setenv("COURSE_PROVE", "05")
    assert proof.stands(tiny)
    (tmp_path / "requirements.txt").write_text("torch==2.14.0\n", encoding="utf-8")
    assert not proof.stands(tiny)


def test_lesson_00_is_executed_by_every_run():
    assert not proof.stands(lessons.lessons(["00"])[0])


def test_an_executed_proof_gives_the_learner_notebook_its_outputs(tiny, tmp_path):
    ran = proof.proof_notebook(tiny)
    build.execute(ran, lessons.NOTEBOOKS, ENVIRONMENT)
    notebook, minutes = proof.learner_part(ran, tiny)
    nbformat.validate(notebook)
    code = [c for c in notebook.cells if c.cell_type == "code"]
    assert [c.execution_count for c in code] == [1, 2, 3, 4]
    assert "raise NotImplementedError" in code[1].source
    said = ["".join(o.get("text", "") for o in c.outputs) for c in code]
    assert said == ["", "", "99.1 Double: not attempted yet\n", "Headline: 6\n"]
    assert 0 < minutes < 30


def test_a_proof_stops_at_a_check_that_accepts_a_wrong_answer(tiny, tmp_path):
    file = tmp_path / "tests/wrong_answers/lesson_99.py"
    file.write_text(WRONG.replace("x / 2", "2 * x"), encoding="utf-8")
    with pytest.raises(build.CellExecutionError, match="twice its input"):
        build.execute(proof.proof_notebook(tiny), lessons.NOTEBOOKS, ENVIRONMENT)


def test_the_student_counts_for_lessons_that_use_it_and_the_large_model_for_all():
    def models(code):
        return {f.parent.name for f in proof.data_files(code) if f.parent.parent.name == "models"}

    assert models("print(1)") == {"mini-distilbert"}
    assert models("name, revision = lab.student") == {"mini-distilbert", "mini-student"}
    assert models('folder = MODELS["mini-student"]') == {"mini-distilbert", "mini-student"}
    assert proof.named("rank-bm25", "import rank_bm25") and not proof.named("mini", "minimal")


def test_what_reads_the_data_counts_by_the_rows_that_a_lesson_gets(tiny, tmp_path, monkeypatch):
    """``tables`` may change where ``load_task`` still gives the same rows, but not where a lesson reads tables itself."""
    (tmp_path / "course_utils/data.py").write_text("from course_utils.tables import x\n")
    given = {"reviews": "some rows"}
    monkeypatch.setattr(proof, "rows", lambda task: given[task])
    source = tiny.source.read_text(encoding="utf-8").replace(
        "from course_utils import metrics", 'from course_utils.data import load_task\n"reviews"'
    )
    tiny.source.write_text(source, encoding="utf-8")
    before = proof.fingerprint(tiny)
    (tmp_path / "course_utils/tables.py").write_text("x = 2\n")
    assert proof.fingerprint(tiny) == before
    given["reviews"] = "other rows"
    assert proof.fingerprint(tiny) != before
    own = source.replace("import load_task", "import load_task\nfrom course_utils.tables import x")
    tiny.source.write_text(own, encoding="utf-8")
    before = proof.fingerprint(tiny)
    (tmp_path / "course_utils/tables.py").write_text("x = 3\n")
    assert proof.fingerprint(tiny) != before


def test_the_rows_of_a_task_have_one_digest_whatever_the_mirror(monkeypatch, tmp_path):
    plain = proof.rows.__wrapped__("messages")
    monkeypatch.setenv("COURSE_MIRROR", str(tmp_path))
    assert proof.rows.__wrapped__("messages") == plain != proof.rows.__wrapped__("reviews")
