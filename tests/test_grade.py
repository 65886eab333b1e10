"""Grading: what comes in, what runs where, what comes out; and one whole cycle with hostile students."""

from __future__ import annotations

import csv
import json
import runpy
import socket
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch

from tests.simulated_submissions import RIGHT, STUDENTS, as_bytes, solved, write_archive
from tools import build
from tools.grade import assemble, intake, report, sandbox
from tools.grade.inside import Channel, StudentError, Unsendable
from tools.grade.intake import Submission
from tools.lessons import ROOT, lessons

LIMITS = sandbox.Limits()


@pytest.fixture(scope="session")
def isolation():
    try:
        sandbox.check_isolation()
    except sandbox.IsolationError as error:
        pytest.skip(f"student code can't be isolated here, so grading it was not tested: {error}")


# --- what comes in ---


@pytest.mark.parametrize(("path", "student", "late"), [
    ("Ada Lovelace_12345_assignsubmission_file_/05_training.ipynb", "Ada Lovelace (12345)", False),
    ("lovelaceada_LATE_3141_2718_05_training-1.ipynb", "lovelaceada (3141)", True),
    ("lovelaceada_3141_2718_05_training.ipynb", "lovelaceada (3141)", False),
    ("ada/lesson_05/05_training.ipynb", "ada", False),
    ("Ada Lovelace (2).ipynb", "Ada Lovelace", False),
])
def test_the_student_is_read_from_what_platforms_write(path, student, late):
    assert intake.owner(intake.PurePosixPath(path)) == (student, late)


def test_a_folder_in_the_zip_is_no_student(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("export/week 3/Jörg/05.ipynb", "{}")
        archive.writestr("export/week 3/Ada/05.ipynb", "{}")
    assert [s.student for s in intake.read_submissions(tmp_path / "a.zip")] == ["Ada", "Jörg"]


def test_copies_by_one_student_stay_his_own(tmp_path):
    for name in ("05.ipynb", "05 (1).ipynb"):
        (tmp_path / "all/Ada").mkdir(parents=True, exist_ok=True)
        (tmp_path / "all/Ada" / name).write_text("{}")
    assert {s.student for s in intake.read_submissions(tmp_path / "all")} == {"Ada"}


def test_names_without_the_utf8_mark_are_read_as_utf8(tmp_path):
    file = tmp_path / "a.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("XXrg/05.ipynb", "{}")
        archive.writestr("Ada/05.ipynb", "{}")
    file.write_bytes(file.read_bytes().replace(b"XXrg", "Örg"[:1].encode() + b"rg"))  # as programs without the mark write it
    assert "Örg" in {s.student for s in intake.read_submissions(file)}


@pytest.mark.parametrize("kind", ["traversal", "absolute", "link", "bomb", "text", "locked"])
def test_what_cannot_be_read_is_named_and_written_nowhere(tmp_path, kind):
    file = tmp_path / "in/a.zip"
    file.parent.mkdir()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Ada/05.ipynb", as_bytes(solved(RIGHT)))
        name = {"traversal": "../../Eve/05.ipynb", "absolute": "/Eve/05.ipynb", "text": "Eve/05.pdf"}.get(kind, "Eve/05.ipynb")
        info = zipfile.ZipInfo(name)
        if kind == "link":
            info.external_attr = 0o120777 << 16
        archive.writestr(info, b"0" * (21 * 2**20 if kind == "bomb" else 10), zipfile.ZIP_DEFLATED)
    if kind == "locked":  # an entry that claims to be encrypted
        data = bytearray(file.read_bytes())
        place = data.rindex(b"PK\x01\x02")
        data[place + 8] |= 1
        file.write_bytes(data)
    eve, = [s for s in intake.read_submissions(file) if s.student != "Ada"]
    assert eve.problem and not eve.data
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["a.zip"]


@pytest.mark.parametrize(("data", "message"), [
    (b"", "not readable"), (b"{", "not readable"), (b"[" * 100_000, "not readable"), (b"\xff\xfe\x00", "not readable"),
    (b"[]", "no notebook"), (b'{"cells": 3}', "no notebook"), (b'{"a": 1}', "no notebook")])
def test_a_damaged_notebook_gets_a_reason(data, message):
    submission = Submission("Ada", "05.ipynb", data)
    assert intake.parse(submission) is None and message in submission.problem


@pytest.mark.parametrize("name", ["nothing", "a.zip", "empty"])
def test_an_export_that_is_none_is_a_clear_error(tmp_path, name):
    (tmp_path / "a.zip").write_bytes(b"no")
    (tmp_path / "empty").mkdir()
    with pytest.raises((FileNotFoundError, ValueError), match=r"Give the folder or zip|Export the submissions again"):
        intake.read_submissions(tmp_path / name)


# --- what is run ---


def test_only_what_an_exercise_needs_is_run():
    cells = ["import math\nimport os", "x = 1\ny = 2", "print('far too long')", "box = []\nbox.append(x)\nother = y"]
    needed = assemble.needed_statements(cells, "def f():\n    return box, math.pi")
    assert needed == ["import math", "x = 1", "box = []", "box.append(x)"]


def test_a_student_may_use_what_the_lesson_imports_but_starts_no_training():
    exercise = assemble.read_assignment(lessons(["05"])[0]).exercises[2]
    assert not any("numpy" in s for s in exercise.setup)
    assert any("numpy" in s for s in exercise.setup_for("def better_in_every_seed(a, b):\n    return np.all(a)"))
    assert exercise.setup_for("def (") == exercise.setup
    assert not any(".train(" in s for code in ("trainer.state", "scores", "result") for s in exercise.setup_for(code))


@pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: lesson.number)
def test_grading_a_lesson_trains_nothing_and_shows_no_solution(lesson):
    assignment = assemble.read_assignment(lesson)
    solutions = [m["body"] for c in build.read_source(lesson).cells for m in build.SOLUTION.finditer(c.source)]
    for exercise in assignment.exercises:
        everything = "\n".join([*exercise.setup, exercise.stub])
        assert ".train(" not in everything and "NotImplementedError" in exercise.stub
        assert not [s for s in solutions if len(s.strip()) > 40 and s.strip() in everything]
    assert len(assignment.exercises) >= 3
    assert len(assignment.cell_ids) == 2 * (len(assignment.exercises) + len(assignment.written))


@pytest.fixture
def channels():
    one, two = socket.socketpair()
    yield Channel(one, {}, is_examiner=True), Channel(two, {}, is_examiner=False)
    one.close()
    two.close()


@pytest.mark.parametrize("value", [
    None, True, 3, -0.5, float("inf"), "é", [1, (2, "a")], {"a": [1], 2: None}, {1, 2}, np.float32(0.5),
    np.arange(6).reshape(2, 3), torch.eye(2), torch.ones(2, dtype=torch.bfloat16), torch.ones(2, requires_grad=True)])
def test_plain_values_cross_unchanged(channels, value):
    examiner, student = channels
    back = examiner.unpack(json.loads(json.dumps(student.pack(value))))
    assert type(back) is type(value)
    if isinstance(value, torch.Tensor):
        assert torch.equal(back, value) and back.dtype == value.dtype and back.requires_grad == value.requires_grad
    else:
        assert np.array_equal(back, value) if isinstance(value, np.ndarray) else back == value


def test_objects_with_behaviour_of_their_own_do_not_cross(channels):
    class Any(int):
        def __eq__(self, other):
            return True

    examiner, student = channels
    assert type(examiner.unpack(student.pack(Any(3)))) is int
    for value in (object(), lambda: 1, np.array([object()]), type("Own", (), {})()):
        with pytest.raises(Unsendable):
            student.pack(value)


@pytest.mark.parametrize("packed", [{"name": "x"}, {"function": 0}, {"array": ["O", [1], ""]}, {"nonsense": 1},
                                    {"tensor": ["torch.load", False, {"array": ["<f4", [0], ""]}]}])
def test_a_hostile_message_becomes_no_object(channels, packed):
    with pytest.raises(Unsendable):
        channels[0].unpack(packed)


@pytest.mark.parametrize(("name", "kind"), [
    ("ValueError", ValueError), ("TypeError", TypeError), ("SystemExit", StudentError), ("UnicodeDecodeError", StudentError),
    ("eval", StudentError), ("no name", StudentError)])
def test_an_error_of_the_student_is_an_ordinary_error(channels, name, kind):
    with pytest.raises(kind, match="two words"):
        channels[0].result({"error": [name, "two\nwords"]})


@pytest.mark.slow
@pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: lesson.number)
def test_in_the_sandbox_solutions_pass_and_wrong_answers_fail(lesson, isolation):
    assignment = assemble.read_assignment(lesson)
    solutions = {c.metadata["nbgrader"]["grade_id"]: c.source for c in build.read_source(lesson).cells
                 if "exercise" in c.metadata.get("tags", [])}
    wrong = runpy.run_path(str(ROOT / f"tests/wrong_answers/lesson_{lesson.number}.py"))["WRONG"]
    box = sandbox.Sandbox(sandbox.warm_up_of(assignment), LIMITS)

    def ask(exercise, code):
        nonlocal box
        for _ in range(3):  # as grade_answers does
            if "fault" not in (result := box.ask(exercise, code)):
                return result
            box.close()
            box = sandbox.Sandbox(sandbox.warm_up_of(assignment), LIMITS)
        return result

    try:
        for exercise in assignment.exercises:
            source = solutions[exercise.grade_id]
            result = ask(exercise, source)
            assert result.get("visible") is True and result.get("hidden") is True, (exercise.grade_id, result)
            for what, code, _ in wrong[exercise.grade_id]:
                result = ask(exercise, build.SOLUTION.sub(lambda m, code=code: code, source))
                assert result.get("visible") is False, (exercise.grade_id, what, result)
    finally:
        box.close()


def test_without_isolation_nothing_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(sandbox.IsolationError, match="apt install bubblewrap"):
        sandbox.check_isolation()
    run = subprocess.run([sys.executable, "-m", "tools.grade", str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 1 and "never run without isolation" in run.stderr and sandbox.NO_ISOLATION in run.stderr


def test_the_sandbox_holds_no_solutions_no_tests_no_network_and_no_home():
    words = sandbox.command(LIMITS, isolated=True)
    bound = [words[i + 1] for i, word in enumerate(words) if word in ("--ro-bind", "--bind")]
    assert "--bind" not in words and "--unshare-all" in words and "--share-net" not in words and "--as-pid-1" in words
    for path in ("notebooks/sources", "tests", "tools/grade/assemble.py", "build", ".git"):
        assert not [b for b in bound if (ROOT / path).is_relative_to(b)], path


# --- what comes out ---


def test_points_are_read_back_and_nonsense_is_refused(tmp_path):
    assignments = {"05": assemble.read_assignment(lessons(["05"])[0])}
    header = "key,student,question,title,answer,most,points,comment\n"
    text = header + 'a-1,Ada,w5_4,t,"x, y",2,"1,5",good\na-2,Bob,w5_4,t,x,2,,\n'
    (tmp_path / "written.csv").write_text(text, encoding="utf-8")
    (tmp_path / "adjust.csv").write_text("key,question,points,comment\na-2,e5_1,1,spelling\n", encoding="utf-8")
    marks = report.read_marks(tmp_path, assignments)
    assert marks.points == {("a-1", "w5_4"): 1.5, ("a-2", "e5_1"): 1.0} and marks.comments["a-1", "w5_4"] == "good"
    assert marks.of("a-1", "w5_4", "x, y") == 1.5 and marks.of("a-1", "w5_4", "another answer since") is None
    for bad in ("much", "3", "-1"):
        (tmp_path / "written.csv").write_text(header + f"a-1,Ada,w5_4,t,x,2,{bad},\n", encoding="utf-8")
        with pytest.raises(ValueError, match="line 2"):
            report.read_marks(tmp_path, assignments)


@pytest.mark.parametrize("text", ["=1+1", "@x", "+1", "-1"])
def test_no_cell_of_a_table_is_a_formula(text):
    assert report.safe(text).startswith("'")


def grade(archive, out, *more):
    run = subprocess.run([sys.executable, "-m", "tools.grade", str(archive), "--out", str(out), *more], cwd=ROOT, text=True,
                         capture_output=True, timeout=1500)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-3000:]
    with open(out / "grades.csv", newline="", encoding="utf-8-sig") as table:
        return {line["student"].rsplit(" (", 1)[0]: line for line in csv.DictReader(table)}


@pytest.mark.slow
def test_a_whole_cycle_with_hostile_students(isolation, tmp_path, capsys):
    got = grade(write_archive(tmp_path / "export.zip"), tmp_path / "crowd")
    states = {"full": "2", "half": "1", "none": "0", "open": "open", "missing": "missing"}
    table = []
    for name, (_, wanted) in STUDENTS.items():
        line = got[name]
        table.append(f"{name:34} {line['e5_1']:7} {line['e5_2']:7} {line['e5_3']:7} {line['w5_4']:7} {line['remark'][:90]}")
        if isinstance(wanted, str):
            assert line["points"] == "" and wanted in line["remark"], (name, line)
        else:
            assert [line[e] for e in ("e5_1", "e5_2", "e5_3")] == [states[w] for w in wanted], (name, line)
    for name, reason in (("Sly Link", "symbolic link"), ("Zip Bomb", "larger than"), ("outside", "leads out of the archive")):
        assert reason in got[name]["remark"]
    assert got["Own Zip"]["e5_3"] == "2" and "earlier copy" in got["Ada Lovelace"]["remark"]
    assert [got["Ada Lovelace"][column] for column in ("status", "points", "number")] == ["to read", "", "1000"]
    assert "same text as" in got["Ada Lovelace"]["remark"] and "uses socket" in got["Attack calls home"]["remark"]
    assert "stopped by the grader" in got["Break fork bomb"]["remark"]
    with capsys.disabled():
        print("\n" + "\n".join(table))
    # nobody wrote anything anywhere
    for place in (ROOT, tmp_path, intake.Path("/tmp"), intake.Path.home(), intake.Path("/")):
        assert not list(place.glob("PWNED*")) and not list(place.glob("*/PWNED*"))
    # no page shows a hidden test, or runs what a student wrote
    hidden = [line.strip() for e in assemble.read_assignment(lessons(["05"])[0]).exercises for line in e.hidden.splitlines()]
    pages = list((tmp_path / "crowd/feedback").glob("*.html"))
    assert len(pages) == len(got)  # those without a score get a page that says why
    with zipfile.ZipFile(tmp_path / "crowd/feedback.zip") as archive:
        names = set(archive.namelist())
        assert len(names) == len(pages)
        assert f"Ada Lovelace_1000_assignsubmission_file_/{got['Ada Lovelace']['feedback']}" in names
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert "<script" not in text and not [h for h in hidden if h in text]
    # the same honest ten get the same scores alone; what the crowd's run kept is not used
    honest = [name for name in STUDENTS if not name.startswith(("Attack", "Break", "Damage"))][:10]
    alone = grade(write_archive(tmp_path / "few.zip", honest), tmp_path / "alone")
    same = {n: [got[n][e] for e in ("e5_1", "e5_2", "e5_3", "w5_4")] for n in honest}
    assert {n: [alone[n][e] for e in ("e5_1", "e5_2", "e5_3", "w5_4")] for n in honest} == same and len(honest) == 10
    assert sum(scores == ["2", "2", "2", "unread"] for scores in same.values()) >= 4
    # again: nothing is graded twice, and points for a written answer count
    runs = {f: f.stat().st_mtime_ns for f in (tmp_path / "alone/runs").iterdir()}
    file = tmp_path / "alone/written.csv"
    lines = list(csv.DictReader(open(file, newline="", encoding="utf-8-sig")))
    ada = next(line for line in lines if line["student"].startswith("Ada"))
    ada |= {"points": "1.5", "comment": "say which split"}
    report.write_table(file, list(ada), [list(line.values()) for line in lines])
    report.write_table(tmp_path / "alone/adjust.csv", ["key", "question", "points", "comment"],
                       [[alone["Wrong First"]["key"], "e5_1", "1", "nearly"]])
    again = grade(tmp_path / "few.zip", tmp_path / "alone")
    assert {f: f.stat().st_mtime_ns for f in (tmp_path / "alone/runs").iterdir()} == runs
    assert again["Ada Lovelace"]["points"] == "7.5" and again["Ada Lovelace"]["status"] == "final"
    assert again["Wrong First"]["e5_1"] == "1" and again["Nobody Home"]["points"] == "0"
    assert "say which split" in next((tmp_path / "alone/feedback").glob("ada-*.html")).read_text(encoding="utf-8")


@pytest.mark.slow
def test_what_an_instructor_hands_out_is_complete():
    run = subprocess.run([sys.executable, "-m", "tools.instructor", "05", "06"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]
    out = ROOT / "build/instructor"
    with zipfile.ZipFile(out / "hand-out/05_training.zip") as archive:
        notebook = archive.read("05_training.ipynb").decode()
    assert "BEGIN HIDDEN" not in notebook and "SOLUTION" not in notebook and "<summary>Solution" not in notebook
    assert notebook.count("raise NotImplementedError()") >= 3 and '"grade_id": "w5_4"' in notebook
    assert "BEGIN SOLUTION" in (out / "course/source/lesson_05/05_training.ipynb").read_text(encoding="utf-8")
    deck = (out / "slides/06.html").read_text(encoding="utf-8")
    assert deck.count("<section") > 20 and deck.count("data:image/png") >= 8 and 'src="http' not in deck
    assert "Written answers" in (out / "pages/05.html").read_text(encoding="utf-8")
    assert "raise NotImplementedError" not in (out / "solutions/05_training.ipynb").read_text(encoding="utf-8")
