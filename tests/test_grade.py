"""Grading: who handed in what, where the work stands, which points it gets; and one whole term with hostile students."""

from __future__ import annotations

import collections
import csv
import io
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
import zipfile
from functools import cache

import numpy as np
import pytest

from tests.simulated_submissions import (
    FOUND_ANYWHERE,
    RIGHT,
    STUDENTS,
    as_bytes,
    damaged,
    handed_out,
    solved,
    write_archive,
)
from tools import build
from tools.grade import __main__ as program
from tools.grade import assemble, find, inside, intake, report, sandbox
from tools.grade.intake import Person, Roster, read_export
from tools.launch import INSTRUCTOR_VENV, install, python_of
from tools.lessons import ROOT, lessons

EXERCISES = ("e5_1", "e5_2", "e5_3")


@cache
def lesson_05() -> assemble.Assignment:
    return assemble.read_assignment(lessons(["05"])[0])


@pytest.fixture(scope="session")
def isolation():
    try:
        sandbox.check_isolation()
    except sandbox.IsolationError as error:
        pytest.skip(f"student code can't be isolated here, so grading it was not tested: {error}")


# --- who handed in what ---


def export(place, *names, content="{}"):
    with zipfile.ZipFile(place / "export.zip", "w") as archive:
        for name in names:
            archive.writestr(name, content)
    return place / "export.zip"


def people(source, roster=None):
    return {
        h.person.label: [f.path.name for f in h.files]
        for h in read_export(source, roster or Roster())
    }


@pytest.mark.parametrize("top", ["", "week 5/", "a/b/"])
@pytest.mark.parametrize(
    ("path", "student"),
    [
        ("Ada Lovelace_12345_assignsubmission_file_/05.ipynb", "Ada Lovelace (12345)"),
        ("Ada Lovelace_12345_assignsubmission_file/05.ipynb", "Ada Lovelace (12345)"),
        ("Ada Lovelace_12345_assignsubmission_file_05.ipynb", "Ada Lovelace (12345)"),
        (
            "Group 1-Ada Lovelace_12345_assignsubmission_file_/deep/er/05.ipynb",
            "Group 1-Ada Lovelace (12345)",
        ),
        ("lovelaceada_LATE_3141_2718_05_training-1.ipynb", "lovelaceada (3141)"),
        ("lovelaceada_3141_2718_work.zip", "lovelaceada (3141)"),
        ("Week 5_ab12cde_attempt_2025-05-01-10-00-00_05_training.ipynb", "ab12cde"),
        ("4711-99 - Ada Lovelace - May 1, 2025 1000 AM/05.ipynb", "Ada Lovelace (4711)"),
        ("ada/lesson_05/05_training.ipynb", "ada"),
        ("ada/lesson_appendix_errors/appendix_errors.ipynb", "ada"),
    ],
)
def test_the_student_is_read_from_what_platforms_write(tmp_path, top, path, student):
    other = "Bob_99999_assignsubmission_file_/05.ipynb"
    assert set(people(export(tmp_path, top + path, top + other))) == {student, "Bob (99999)"}


@pytest.mark.parametrize(
    "names",
    [
        ("05_training-1047.ipynb", "05_training-1093.ipynb", "05_training-2210.ipynb"),
        ("week5/group-01.ipynb", "week5/group-02.ipynb", "week5/group-03.ipynb"),
        ("05.ipynb", "05 (1).ipynb", "05 (2).ipynb"),
        ("section A/05.ipynb", "section A/05 (1).ipynb", "section B/05.ipynb"),
        ("lab_2024_05_training.ipynb", "lab_2025_05_training.ipynb", "lab_2026_05_training.ipynb"),
    ],
)
def test_without_a_pattern_three_files_are_three_people(tmp_path, names):
    assert len(people(export(tmp_path, *names))) == 3


def test_two_attempts_are_one_student_and_the_later_one_comes_last(tmp_path):
    first, second = (f"W_ab12cde_attempt_2025-05-0{day}-10-00-00" for day in (1, 2))
    (hand_in,) = read_export(
        export(tmp_path, f"{second}_05.ipynb", f"{first}_05.ipynb", f"{first}.txt"), Roster()
    )
    assert [f.path.name[:40] for f in hand_in.files if not f.outcome] == [
        f"{first}_05.ipynb"[:40],
        f"{second}_05.ipynb"[:40],
    ]
    assert [f.outcome for f in hand_in.files if f.path.suffix == ".txt"] == [
        "the platform's own note beside the hand-in"
    ]


def test_an_inner_zip_named_like_a_classmates_file_stays_its_owners(tmp_path):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("lovelaceada_3141_2718_05.ipynb", as_bytes(solved({})))
    source = export(tmp_path, "lovelaceada_3141_2718_05.ipynb")
    with zipfile.ZipFile(source, "a") as archive:
        archive.writestr("malloryeve_6666_2719_work.zip", inner.getvalue())
    assert people(source) == {
        "lovelaceada (3141)": ["lovelaceada_3141_2718_05.ipynb"],
        "malloryeve (6666)": ["malloryeve_6666_2719_work.zip"],
    }


ROSTER = (
    "id;name;email\n3141;Ada Lovelace;ada@x.org\nab12cde;Bob Noyce;bob@x.org\n"
    "77;Zoë Absent;zoe@x.org\n78;Ada Byron;b@x.org\n"
)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("Ada Lovelace_1_assignsubmission_file_/05.ipynb", "3141"),
        ("Lovelace Ada_2_assignsubmission_file_/05.ipynb", "3141"),
        ("lovelaceada_555_2718_05.ipynb", "3141"),
        ("xyz_3141_2718_05.ipynb", "3141"),
        ("W_ab12cde_attempt_2025-05-01-10-00-00_05.ipynb", "ab12cde"),
        ("Ada Lovelace - 05_training.ipynb", "3141"),
        ("05_training_lovelace_ada.ipynb", "3141"),
        ("bob@x.org/05.ipynb", "ab12cde"),
        ("Cleo Ng_3141_assignsubmission_file_/05.ipynb", None),  # Moodle's number is no student's
        ("05_training (77).ipynb", None),
        ("Ada_9_assignsubmission_file_/05.ipynb", None),  # two of that name: nobody is guessed
    ],
)
def test_a_roster_decides_and_keeps_one_identity_over_the_term(tmp_path, name, wanted):
    (tmp_path / "roster.csv").write_text(ROSTER, encoding="utf-8")
    (hand_in,) = read_export(export(tmp_path, name), Roster(tmp_path / "roster.csv"))
    assert hand_in.person.on_roster is bool(wanted)
    assert hand_in.person.key == wanted if wanted else hand_in.notes == ["not on the roster"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name,email\nAda,a@x\n", "line 1: no column 'id'; it has 'name', 'email'."),
        ("id,name\n1,\n", r"row 1 \(line 2\): id and name must be filled in"),
        ("id,name\n1,Ada\n1,Bob\n", "an id stands there twice"),
        ("id,name,email\n1,Ada,a@x\n2,Bob\n", r"row 2 \(line 3\): 3 columns expected, 2 found"),
        ("id,name\n", "no rows"),
        (
            "id;name;email\n1;Jörg Müller;j@x\n".encode("cp1252"),
            "byte 0xf6 is not UTF-8.*'CSV UTF-8'",
        ),
        (b"PK\x03\x04\x00", "is not text"),
    ],
)
def test_a_roster_that_cannot_be_used_is_named_with_line_and_cure(tmp_path, text, words):
    file = tmp_path / "roster.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=words) as error:
        Roster(file)
    assert str(error.value).startswith(str(file)) and "load_own" not in str(error.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize(
    "text",
    [
        "ID;Name;Email\r\n1;Jörg Müller;j@x\r\n",
        "sep=;\r\nId;Name;Email\r\n1;Jörg Müller;j@x\r\n",
        'id, name, email, group\n1,Jörg Müller,j@x,"a, b"\n\n',
        '"ID"\t"Name"\t"Email"\n 1\tJörg Müller \tj@x\n',
    ],
)
def test_a_roster_is_read_as_excel_and_people_write_it(tmp_path, text, encoding):
    (tmp_path / "roster.csv").write_bytes(text.encode(encoding))
    (person,) = Roster(tmp_path / "roster.csv").people
    assert (person.number, person.name, person.email) == ("1", "Jörg Müller", "j@x")


@pytest.mark.parametrize("kind", ["traversal", "absolute", "link", "bomb", "locked", "long name"])
def test_what_cannot_be_read_is_named_and_written_nowhere(tmp_path, kind):
    file = tmp_path / "a.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Ada/05.ipynb", "{}")
        names = {
            "traversal": "../../Eve/05.ipynb",
            "absolute": "/Eve/05.ipynb",
            "long name": "Eve/" + " " * 60_000 + ".ipynb",
        }
        info = zipfile.ZipInfo(names.get(kind, "Eve/05.ipynb"))
        info.external_attr = 0o120777 << 16 if kind == "link" else 0
        archive.writestr(info, b"0" * (21 * 2**20 if kind == "bomb" else 10), zipfile.ZIP_DEFLATED)
    if kind == "locked":  # an entry that claims to be encrypted
        data = bytearray(file.read_bytes())
        data[data.rindex(b"PK\x01\x02") + 8] |= 1
        file.write_bytes(data)
    (eve,) = [h for h in read_export(file, Roster()) if "Ada" not in h.person.label]
    assert eve.contents() == [] and all(f.outcome for f in eve.files)
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["a.zip"]


def test_a_pipe_and_a_link_in_a_folder_end_with_a_reason_and_are_not_opened(tmp_path):
    os.mkfifo(tmp_path / "Ada.ipynb")
    (tmp_path / "Bob.ipynb").symlink_to("/etc/passwd")
    (tmp_path / "there").symlink_to("/etc")
    files = [f for h in read_export(tmp_path, Roster()) for f in h.files]
    assert len(files) == 3 and all("pipe" in f.outcome or "link" in f.outcome for f in files)


def test_names_in_any_encoding_reach_no_terminal_as_control_characters(tmp_path):
    source = export(
        tmp_path,
        "\x1b[2JEve\u202e_1_assignsubmission_file_/05.ipynb",
        "Ada_2_assignsubmission_file_/05.ipynb",
    )
    for hand_in in read_export(source, Roster()):
        assert hand_in.person.label.isprintable() and hand_in.person.key.isascii()


@pytest.mark.parametrize("name", ["nothing", "a.zip", "empty"])
def test_an_export_that_is_none_is_a_clear_error(tmp_path, name):
    (tmp_path / "a.zip").write_bytes(b"no")
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        (FileNotFoundError, ValueError),
        match=r"Give the folder or zip|Export the submissions again",
    ):
        read_export(tmp_path / name, Roster())


def test_one_students_many_files_cost_nobody_else_anything(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number in range(60):
            archive.writestr(f"Eve_1_assignsubmission_file_/{number}.ipynb", "{}")
        archive.writestr("Zoe_2_assignsubmission_file_/05.ipynb", "{}")
    eve, zoe = read_export(tmp_path / "a.zip", Roster())
    assert len(eve.contents()) == 50 and sum("more than 50" in f.outcome for f in eve.files) == 10
    assert len(zoe.contents()) == 1


# --- where the work stands ---


def found(notebook):
    return find.read_hand_in([("05.ipynb", as_bytes(notebook))], {"05": lesson_05().job()})


@pytest.mark.parametrize("kind", FOUND_ANYWHERE)
def test_work_is_found_wherever_it_stands_and_a_remark_says_so(kind):
    one = found(damaged(kind))["lessons"]["05"]
    assert [one["states"][e] for e in EXERCISES] == ["done"] * 3
    for exercise in EXERCISES:
        namespace = {}
        exec(one["taken"][exercise], namespace)
        assert callable(
            namespace[
                {"e5_1": "training_steps", "e5_2": "best_step", "e5_3": "better_in_every_seed"}[
                    exercise
                ]
            ]
        )
    if kind not in (
        "deleted the tests",
        "emptied the tests",
        "lost the metadata",
    ):  # found by the cells' ids
        assert any("e5_1" in r for r in one["remarks"])


def test_nothing_written_and_no_cell_look_different():
    assert [found(solved({}))["lessons"]["05"]["states"][e] for e in (*EXERCISES, "w5_4")] == [
        "open"
    ] * 4
    gone = found(damaged("deleted an exercise"))["lessons"]["05"]["states"]
    assert gone["e5_3"] == "missing" and gone["e5_1"] == "done"


@pytest.mark.parametrize("how", ["mark lost", "new cell", "in the question"])
def test_a_written_answer_that_lost_its_place_is_found(how):
    notebook = solved(RIGHT)
    cells = notebook["cells"]
    place = next(i for i, c in enumerate(cells) if c["source"] == RIGHT["w5_4"])
    if how == "mark lost":
        cells[place] |= {"metadata": {}, "id": "other"}
    else:
        cells[place]["source"] = lesson_05().written[0].placeholder
        if how == "new cell":
            cells.insert(
                place + 1, {"cell_type": "markdown", "metadata": {}, "source": RIGHT["w5_4"]}
            )
        else:
            cells[place - 1]["source"] += "\n" + RIGHT["w5_4"]
    one = found(notebook)["lessons"]["05"]
    assert one["states"]["w5_4"] == "done" and one["taken"]["w5_4"] == RIGHT["w5_4"]
    assert any(r.startswith("w5_4: taken from beside") for r in one["remarks"])


def test_an_answer_without_any_cell_waits_for_a_look():
    notebook = damaged("pasted into a new notebook")
    one = found(notebook)["lessons"]["05"]
    assert one["states"]["w5_4"] == "missing" and one["taken"]["w5_4"] == find.GONE


def test_the_last_notebook_counts_unless_nothing_is_written_in_it():
    files = [("a.ipynb", as_bytes(solved(RIGHT))), ("b.ipynb", as_bytes(handed_out()))]
    one = find.read_hand_in(files, {"05": lesson_05().job()})
    assert one["lessons"]["05"]["file"] == "a.ipynb" and one["files"][1][0][1].startswith(
        "not graded"
    )
    assert (
        find.read_hand_in(files[::-1], {"05": lesson_05().job()})["lessons"]["05"]["file"]
        == "a.ipynb"
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not readable"),
        (b"[" * 100_000, "not readable"),
        (b"\xff\xfe\x00", "not readable"),
        (b"[]", "no notebook"),
        (b'{"cells": 3}', "no notebook"),
        (b'{"cells": []}', "no cell of an exercise"),
        (json.dumps({"cells": [{}] * 2001}).encode(), "at most 2000"),
    ],
)
def test_a_damaged_notebook_gets_a_reason(data, message):
    outcome = find.read_hand_in([("05.ipynb", data)], {"05": lesson_05().job()})
    assert message in outcome["files"][0][0][1] and not outcome["lessons"]


def test_a_long_answer_and_a_large_cell_are_cut_and_named():
    large = RIGHT["e5_1"] + "#" + "x" * find.CELL
    one = found(solved(RIGHT | {"w5_4": "word " * 40_000, "e5_1": large}))["lessons"]["05"]
    assert len(one["taken"]["w5_4"]) == find.ANSWER and len(one["taken"]["e5_1"]) < 200
    assert sum("characters" in r for r in one["remarks"]) == 2


def test_only_what_an_exercise_needs_is_run():
    cells = [
        "import math\nimport os",
        "x = 1\ny = 2",
        "print('far too long')",
        "box = []\nbox.append(x)\nother = y",
    ]
    needed = find.needed_statements(cells, "def f():\n    return box, math.pi")
    assert needed == ["import math", "x = 1", "box = []", "box.append(x)"]


# --- which points it gets ---


def test_points_by_property_and_only_as_far_as_other_inputs_are_right():
    whole = {"ticks": 5, "properties": 5, "hidden": True, "agrees": 1.0}
    assert report.points(whole, 2) == 2
    assert report.points(whole | {"hidden": False}, 2) == 1
    assert report.points(whole | {"ticks": 4, "hidden": False}, 2) == 0.8
    assert report.points(whole | {"agrees": 0.0}, 2) == 0


def test_who_fails_the_further_test_alone_is_not_told_that_all_other_inputs_agree():
    result = {"ticks": 5, "properties": 5, "hidden": False, "problem": "", "right": 40, "of": 40}
    assert report.message_of(result).endswith("try small, empty, equal or unsorted ones.")
    some = report.message_of(result | {"right": 30})
    assert some.endswith("On 40 other inputs it agrees with the solution 30 times.")


@pytest.mark.parametrize(
    ("right", "of", "guess", "wanted"),
    [
        (40, 40, 4, 1),
        (19, 40, 21, 0),
        (22, 40, 4, 1),
        (13, 40, 4, 0.5),
        (0, 9, 9, 0),
        (9, 9, 9, 1),
        (37, 40, 38, 1),  # two answers of another kind decide nothing
        (2, 40, 38, 0.1),
    ],
)
def test_agreement_counts_above_what_a_constant_gets(right, of, guess, wanted):
    assert inside.agreement(right, of, guess) == pytest.approx(wanted)


ALONE = {"ticks": 5, "properties": 5, "hidden": True, "agrees": 0.0, "right": 3, "of": 40}
ALONE |= {"problem": "", "lines": [], "remarks": [], "example": "f(2) gave 3, not 4"}


def test_who_loses_points_by_the_other_inputs_alone_is_told_and_so_is_the_instructor():
    said = report.message_of(ALONE)
    assert "agrees with the solution 3 times" in said and "ask your teacher" in said
    assert "f(2)" not in said  # a solution's answer is no student's
    doubt = report.doubt(ALONE)
    assert "3 of 40 other inputs" in doubt and doubt.endswith("f(2) gave 3, not 4")
    whole = ALONE | {"agrees": 1.0, "right": 40}
    assert report.message_of(whole) == report.doubt(whole) == ""
    assert report.doubt(ALONE | {"hidden": False}) == ""
    assert program.verdict({"05": {"results": {"e": ALONE, "f": whole}}}) == "lesson 05 ◐●"
    (row,) = rows_of({"e5_1": ALONE})
    assert any("every test holds, but only 3 of 40" in remark for remark in row.remarks)
    assert row.parts[0].reason == said


def rows_of(results, folder="Ada_1_assignsubmission_file_", only=()):
    """A row of lesson 05: exercises with their results, full points for those without, an unread answer."""
    whole = ALONE | {"agrees": 1.0, "right": 40}
    results = {e: results.get(e, whole) for e in EXERCISES}
    states = dict.fromkeys((*EXERCISES, "w5_4", "w5_5"), "done")
    graded = {
        "file": "05.ipynb",
        "taken": RIGHT,
        "states": states,
        "remarks": [],
        "results": results,
    }
    scores = {e: report.points(one, 2) for e, one in results.items()}
    grades = {e: {"score": s, "typed": False, "to_read": False} for e, s in scores.items()}
    book = {"problem": "", "comments": {}, "grades": grades}
    path = intake.PurePosixPath(folder, "05.ipynb")
    hand_in = intake.HandIn(Person("Ada", "1"), [intake.File(path, outcome="graded")], folder)
    return [report.counting(report.row_of(hand_in, lesson_05(), graded, book), list(only))]


def test_what_is_named_alone_counts_on_every_page_and_in_the_import_files(tmp_path):
    wrong = {"e5_1": ALONE}
    for only, points, most, status in (
        ((), "", "10", "to read"),
        (("e5_1", "e5_2", "e6_1"), "2", "4", "final"),
        (("e5_3",), "2", "2", "final"),
        (("w5_4",), "", "2", "to read"),
        (("e6_1",), "", "10", "to read"),  # nothing of this lesson is named
    ):
        rows = rows_of(wrong, only=only)
        report.write(tmp_path, rows, [row.hand_in for row in rows], [])
        with open(tmp_path / "grades.csv", newline="", encoding="utf-8-sig") as table:
            (line,) = csv.DictReader(table)
        assert (line["points"], line["most"], line["status"]) == (points, most, status)
        assert (line["e5_1"], line["e5_3"]) == ("0", "2")
        for platform, column in (("moodle", "Grade"), ("canvas", "lesson_05")):
            file = tmp_path / f"{platform}-lesson_05.csv"
            with open(file, newline="", encoding="utf-8-sig") as table:
                assert [line[column] for line in csv.DictReader(table)] == [points]
        page = (tmp_path / "feedback" / rows[0].page).read_text(encoding="utf-8")
        assert ("does not count" in page) is bool({*EXERCISES, "w5_4"} & set(only))


@pytest.fixture
def utc(monkeypatch):
    with monkeypatch.context() as here:
        here.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def arguments(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["grade", "grade", "export.zip", *words])
    return program.arguments()


def test_an_exercise_that_is_not_there_cannot_be_named(isolation, tmp_path, monkeypatch):
    words = ("--only", "e5_1", "e5_9", "--lesson", "05", "--out", str(tmp_path / "term"))
    with pytest.raises(SystemExit, match="there is no e5_9 in the lessons"):
        program.grade(arguments(monkeypatch, *words))


@pytest.mark.parametrize(
    ("name", "due", "late"),
    [
        ("Ada_1_assignsubmission_file_/05.ipynb", "2026-05-04 18:00", "late by 3.0 h"),
        ("Ada_1_assignsubmission_file_/05.ipynb", "2026-05-01 21:00", "late by 3.0 days"),
        ("Ada_1_assignsubmission_file_/05.ipynb", "2026-05-04 21:00", ""),
        ("Ada_1_assignsubmission_file_/05.ipynb", "2026-05-04 18:00+02:00", "late by 5.0 h"),
        ("W_ada_attempt_2026-05-04-19-30-00_05.ipynb", "2026-05-04 18:00", "late by 1.5 h"),
    ],
)
def test_what_came_after_the_date_is_late_in_this_computers_zone(
    tmp_path, monkeypatch, utc, name, due, late
):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(zipfile.ZipInfo(name, (2026, 5, 4, 21, 0, 0)), "{}")
    args = arguments(monkeypatch, "--due", due)
    (hand_in,) = read_export(tmp_path / "a.zip", Roster())
    hand_in.compare(args.due)
    assert (hand_in.late, hand_in.notes) == (bool(late), [late] if late else [])


def test_without_a_time_nobody_is_late(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(zipfile.ZipInfo("Ada_1_assignsubmission_file_/05.ipynb"), "{}")
    (hand_in,) = read_export(tmp_path / "a.zip", Roster())
    hand_in.files[0].changed = 0.0
    hand_in.compare(arguments(monkeypatch, "--due", "2026-05-04 18:00").due)
    assert not hand_in.late and not hand_in.notes


def test_what_a_process_sends_is_taken_by_type_and_counts_no_more_than_everything():
    sent = {"ticks": 9, "properties": 1, "agrees": 1.0, "lines": [3], "hidden": 1, "problem": None}
    result = inside.result_of([sent], "")
    assert (result["lines"], result["hidden"], result["problem"]) == (["3"], False, "")
    assert report.points(result, 2) == 1
    assert inside.result_of([sent], "was slow")["problem"] == "stopped by the grader: it was slow"


def test_copies_keep_the_tests_own_values_from_the_student():
    values = [np.ones(3), [1, [2]], {"a": [3]}]
    copy = inside.plain_copy(values)
    copy[0][:] = 0
    copy[1][1].append(9)
    copy[2].clear()
    assert values[0].sum() == 3 and values[1:] == [[1, [2]], {"a": [3]}]


def test_objects_that_claim_to_equal_everything_are_no_answer():
    class Any(int):
        def __eq__(self, other):
            return True

        __hash__ = None

    for value in (Any(3), object(), [Any(3)]):
        with pytest.raises(TypeError):
            inside.plain(value)
    assert inside.same(inside.plain(np.float32(0.5)), 0.5) and not inside.same("0.5", 0.5)


def test_pythons_other_dictionaries_are_answers_like_dict():
    one = {"a": 1, "b": 2}
    for kind in (collections.Counter, collections.OrderedDict):
        assert inside.plain(kind(one)) == inside.plain(one)
    assert inside.plain(collections.defaultdict(int, one)) == inside.plain(one)


def test_inputs_vary_with_the_student_and_stay_of_their_kind():
    one, two, again = (
        inside.varied([0.5, 100, "text"], random.Random(seed)) for seed in ("a", "b", "a")
    )
    assert one == again != two and [type(v) for v in one] == [float, int, str]


def test_probabilities_stay_probabilities():
    for seed in range(20):
        dice = random.Random(seed)
        teacher = inside.varied([0.2, 0.3, 0.5], dice)
        assert sum(teacher) == pytest.approx(1) and teacher != [0.2, 0.3, 0.5]
        rows = inside.varied(np.array([[0.9, 0.1], [0.3, 0.7]]), dice)
        assert rows.sum(-1) == pytest.approx([1, 1])
        assert sum(inside.varied([0.2, 0.3, 0.4], dice)) < 0.9


def test_a_table_with_places_that_are_not_allowed_keeps_them():
    table = np.array([[9, 7.0, -np.inf], [-np.inf, 3, 8], [-np.inf, -np.inf, 6]])
    for seed in range(20):
        other = inside.varied(table, random.Random(seed))
        assert np.array_equal(np.isinf(other), np.isinf(table)) and not np.array_equal(other, table)


def test_a_whole_number_that_may_be_a_code_stays_half_of_the_time():
    same = sum(inside.varied(429, random.Random(seed)) == 429 for seed in range(200))
    assert 80 < same < 120


def test_lists_of_labels_change_their_order_and_arguments_never():
    labels, arguments = [0, 1, 2, 0, 1, 2], (2, 1, 0)
    others = [inside.varied((labels, arguments), random.Random(seed)) for seed in range(20)]
    assert all(sorted(one) == sorted(labels) and same == arguments for one, same in others)
    assert any(one != labels for one, _ in others)


def test_a_patched_library_is_put_back_and_named(monkeypatch):
    import math

    before = math.ceil
    guard = inside.Guard(["math"])
    monkeypatch.setattr(math, "ceil", lambda *a: 42)
    guard.restore()
    assert math.ceil is before and guard.patched == {"math.ceil"}


def test_code_with_other_names_is_found_to_be_the_same():
    one = (
        "def f(a, b):\n    total = 0\n    for x in a:\n        total = total + x * b\n    return total / max(1, len(a))\n"
        * 2
    )
    two = (
        one.replace("total", "s")
        .replace("x", "value")
        .replace("    return", "    # mine\n    return")
    )
    assert report.tokens(one) == report.tokens(two) and len(report.tokens(one)) >= report.TOKENS


@pytest.mark.parametrize("text", ["=1+1", "@x", "+1", "-1"])
def test_no_cell_of_a_table_is_a_formula(text):
    assert report.safe(text).startswith("'")


# --- the sandbox ---


def test_without_an_export_the_question_is_asked_and_nothing_is_graded():
    run = subprocess.run(
        [sys.executable, "-m", "tools.grade", "grade", ""], cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 1 and run.stderr.startswith("Which export?")


@pytest.mark.parametrize(
    ("name", "again"),
    [
        ("course_utils/metrics.py", True),
        ("data/reviews/train.csv", True),
        ("tools/grade/inside.py", True),
        ("tools/grade/find.py", True),
        ("requirements.txt", True),
        ("notebooks/measured.json", False),
        ("data/reviews/README.md", False),
        ("course_utils/__pycache__/metrics.pyc", False),
    ],
)
def test_results_are_kept_until_something_changes_that_they_depend_on(
    tmp_path, monkeypatch, name, again
):
    monkeypatch.setattr(program, "ROOT", tmp_path)
    monkeypatch.setattr(program, "MEASURED", tmp_path / "notebooks/measured.json")
    monkeypatch.setattr("tools.launch.ROOT", tmp_path)
    for file in (*sandbox.OURS[2:], "requirements.txt", "data/a.csv", "course_utils/a.py", name):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("before", encoding="utf-8")
    before = program.state_of({})
    assert program.state_of({}) == before
    (tmp_path / name).write_text("after", encoding="utf-8")
    assert (program.state_of({}) != before) is again


def test_without_isolation_nothing_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(sandbox.IsolationError, match="apt install bubblewrap"):
        sandbox.check_isolation()


def test_the_sandbox_holds_no_solutions_no_tests_no_network_and_no_home():
    words = sandbox.command(isolated=True)
    bound = [words[i + 1] for i, word in enumerate(words) if word in ("--ro-bind", "--bind")]
    assert (
        "--bind" not in words
        and "--unshare-all" in words
        and "--share-net" not in words
        and "--as-pid-1" in words
    )
    for path in ("notebooks/sources", "tests", "tools/grade/assemble.py", "build", ".git"):
        assert not [b for b in bound if (ROOT / path).is_relative_to(b)], path


def test_every_file_ends_as_a_row_or_a_reason():
    lost = intake.HandIn(Person("Ada"), [intake.File(intake.PurePosixPath("05.ipynb"))])
    with pytest.raises(SystemExit, match="neither a grade nor a reason"):
        program.account([], [lost])


def graded(notebook):
    one = sandbox.grade_files([("05.ipynb", as_bytes(notebook))], {"05": lesson_05()}, "ada")
    results = one["lessons"]["05"]["results"]
    return {
        e.grade_id: report.points(results[e.grade_id], e.points) for e in lesson_05().exercises
    }, results


CHEAP = [
    n
    for n in STUDENTS
    if n.startswith(("Attack", "Cheat"))
    or n in ("Break os._exit", "Break stops itself", "Break hidden memory")
]


@pytest.mark.parametrize("name", ["Ada Lovelace", *CHEAP])
def test_one_student_alone_gets_what_the_work_is_worth(isolation, name):
    notebook, wanted = STUDENTS[name]
    points, results = graded(notebook)
    state = {0: "none", 2: "full"}
    assert tuple(state.get(points[e], "some") for e in EXERCISES) == wanted, results


def test_what_one_exercise_leaves_behind_is_gone_for_the_next(isolation):
    leave = "for place in ('/tmp/note', '/dev/shm/note'):\n    open(place, 'w').write('x')\n"
    look = "import os\nassert not os.path.exists('/tmp/note') and not os.path.exists('/dev/shm/note')\n"
    points, _ = graded(
        solved(RIGHT | {"e5_1": leave + RIGHT["e5_1"], "e5_2": look + RIGHT["e5_2"]})
    )
    assert points == dict.fromkeys(EXERCISES, 2)


# --- a term ---


def grading(archive, out, *more, lesson=("05",)):
    words = [sys.executable, "-m", "tools.grade", "grade", str(archive), "--out", str(out), *more]
    return [*words, "--lesson", *lesson]


def grade(*words, lesson=("05",)):
    run = subprocess.run(
        grading(*words, lesson=lesson), cwd=ROOT, text=True, capture_output=True, timeout=3000
    )
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-3000:]
    with open(words[1] / "grades.csv", newline="", encoding="utf-8-sig") as table:
        return {line["student"]: line for line in csv.DictReader(table)}


def killed(archive, out, *more):
    """A run that ends while student 1 is being entered into the gradebook."""
    words, entered = grading(archive, out, *more), out / "entered/lesson_05-1.json"
    run = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True)
    while run.poll() is None and "results" in entered.read_text(encoding="utf-8"):
        time.sleep(0.01)
    assert run.poll() is None
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()


def typed(out):
    """Every typed mark of the term's gradebook."""
    with sqlite3.connect(out / "gradebook.db") as book:
        return sorted(
            book.execute(
                "select manual_score, needs_manual_grade from grade where manual_score is not null"
            ).fetchall()
        )


@pytest.mark.slow
def test_a_whole_term_loses_no_hand_in_and_no_mark(isolation, tmp_path):
    out = tmp_path / "term"
    (tmp_path / "roster.csv").write_text(
        "id,name,email\n1,Ada Lovelace,ada@x.org\n2,Zoe Absent,z@x.org\n", encoding="utf-8"
    )
    few = write_archive(tmp_path / "few.zip", ["Ada Lovelace", "Written Only", "Nearly There"])
    roster = ("--roster", str(tmp_path / "roster.csv"))
    first = grade(few, out, *roster, "--due", "2020-01-01 18:00")
    assert (
        first["Ada Lovelace"]["status"] == "to read"
        and first["Zoe Absent"]["status"] == "nothing handed in"
    )
    assert first["Ada Lovelace"]["late"] == "late"
    assert "late by " in first["Ada Lovelace"]["remark"]
    overrule = [sys.executable, "-m", "tools.grade", "overrule", "--out", str(out), "05"]
    for words in (("1", "w5_4", "1.5", "say which split"), ("1", "e5_1", "1")):
        subprocess.run([*overrule, *words], cwd=ROOT, check=True)
    marks = typed(out)
    assert marks == [(1.0, 0), (1.5, 0)]
    second = grade(few, out, *roster)
    assert (
        typed(out) == marks
        and second["Ada Lovelace"]["points"] == "6.5"
        and second["Ada Lovelace"]["e5_1"] == "1"
    )
    assert "say which split" in (out / "feedback/1-lesson-05.html").read_text(encoding="utf-8")
    killed(few, out, *roster, "--student", "1")
    grade(few, out, *roster)
    assert typed(out) == marks
    # a note of what was entered that is cut off, as by a full disk: entered anew, and a person is asked to look
    (out / "entered/lesson_05-1.json").write_text("", encoding="utf-8")
    torn = grade(few, out, *roster)["Ada Lovelace"]
    assert torn["status"] == "to read" and [points for points, _ in typed(out)] == [1.0, 1.5]
    for words in (("1", "w5_4", "1.5"), ("1", "e5_1", "1")):
        subprocess.run([*overrule, *words], cwd=ROOT, check=True)
    assert typed(out) == marks
    # a new answer after the mark: the points stay, and a person is asked to look again
    changed = RIGHT | {"w5_4": "Something else."}
    with zipfile.ZipFile(few, "w") as archive:
        archive.writestr(
            "Ada Lovelace_1000_assignsubmission_file_/05.ipynb", as_bytes(solved(changed))
        )
    again = grade(few, out, *roster)
    assert again["Ada Lovelace"]["status"] == "to read" and sorted(p for p, _ in typed(out)) == [
        1.0,
        1.5,
    ]
    # a second assignment, handed in together with the first
    with zipfile.ZipFile(few, "a") as archive:
        second = build.assignment_notebook(lessons(["06"])[0])
        archive.writestr("Bob_1001_assignsubmission_file_/06.ipynb", as_bytes(dict(second)))
    before = typed(out)
    both = grade(few, out, *roster, lesson=("05", "06"))
    assert (both["Ada Lovelace"]["lesson"], both["Bob"]["lesson"]) == ("05", "06")
    assert typed(out) == before and both["Ada Lovelace"]["e5_1"] == "1"
    for name, student in (("lesson_05", "Ada Lovelace"), ("lesson_06", "Bob")):
        for platform in ("moodle", "canvas"):
            lines = (out / f"{platform}-{name}.csv").read_text(encoding="utf-8-sig").splitlines()
            assert len(lines) == 2 and student in lines[1]
    assert len(list((out / "backups").glob("*.db"))) >= 4


SERVED = """
import sys
from pathlib import Path
sys.path.insert(0, "tools/grade")
import record
from jupyterlab.labapp import LabApp
LabApp.launch_instance = lambda words: print(words, record.NbGraderAPI.autograde(None, "lesson_05", "ada"))
record.serve(Path(sys.argv[1]))
"""


@pytest.mark.slow
def test_the_formgraders_own_button_runs_no_student_code(tmp_path):
    install(INSTRUCTOR_VENV, "requirements-instructor.txt")
    words = [python_of(INSTRUCTOR_VENV), "-c", SERVED, str(tmp_path)]
    run = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert "--ip=127.0.0.1" in run.stdout and "Nothing was run" in run.stdout, run.stderr[-2000:]


def test_a_student_who_is_not_in_the_export_is_named_and_nothing_is_graded(isolation, tmp_path):
    archive = export(tmp_path, "Ada Lovelace_1000_assignsubmission_file_/05.ipynb")
    run = subprocess.run(
        grading(archive, tmp_path / "term", "--student", "nobody"),
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1 and "nobody: nobody in this export has that key" in run.stderr
    assert not (tmp_path / "term").exists()


@pytest.mark.slow
def test_hostile_students_cost_nobody_else_a_point(isolation, tmp_path, capsys):
    got = grade(write_archive(tmp_path / "export.zip"), tmp_path / "crowd")
    table = []
    for name, (_, wanted) in STUDENTS.items():
        line = got[name]
        table.append(
            f"{name:34} {line['e5_1']:7} {line['e5_2']:7} {line['e5_3']:7} {line['w5_4']:7} {line['remark'][:90]}"
        )
        if isinstance(wanted, str):
            assert line["points"] == "" and wanted in line["remark"], (name, line)
        else:
            states = {"2": "full", "0": "none", "open": "open", "missing": "missing"}
            assert tuple(states.get(line[e], "some") for e in EXERCISES) == wanted, (name, line)
    with capsys.disabled():
        print("\n" + "\n".join(table))
    for place in (ROOT, tmp_path, intake.Path("/tmp"), intake.Path.home(), intake.Path("/")):
        assert not list(place.glob("PWNED*")) and not list(place.glob("*/PWNED*"))
    pages = list((tmp_path / "crowd/feedback").glob("*.html"))
    assert len(pages) == len(got) and not [
        p for p in pages if "<script" in p.read_text(encoding="utf-8")
    ]
    with zipfile.ZipFile(tmp_path / "crowd/feedback.zip") as archive:
        assert (
            f"Ada Lovelace_1000_assignsubmission_file_/{got['Ada Lovelace']['feedback']}"
            in archive.namelist()
        )


@pytest.mark.slow
def test_what_an_instructor_hands_out_is_complete():
    run = subprocess.run(
        [sys.executable, "-m", "tools.instructor", "05", "06"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    out = ROOT / "build/instructor"
    with zipfile.ZipFile(out / "hand-out/05_training.zip") as archive:
        notebook = archive.read("05_training.ipynb").decode()
        assert {i.external_attr >> 16 & 0o777 for i in archive.infolist()} == {0o644}
    assert (
        "BEGIN HIDDEN" not in notebook
        and "SOLUTION" not in notebook
        and "<summary>Solution" not in notebook
    )
    assert notebook.count("raise NotImplementedError()") >= 3 and '"grade_id": "w5_4"' in notebook
    assert "BEGIN SOLUTION" in (out / "course/source/lesson_05/05_training.ipynb").read_text(
        encoding="utf-8"
    )
    deck = (out / "slides/06.html").read_text(encoding="utf-8")
    cells = json.loads((ROOT / "notebooks/06_evaluation.ipynb").read_bytes())["cells"]
    figures = [o for c in cells for o in c.get("outputs", []) if "image/png" in o.get("data", {})]
    assert (
        deck.count("<section") > 20
        and deck.count("data:image/png") == len(figures) > 2
        and deck.count("data:image/svg+xml") >= 2
        and 'src="http' not in deck
    )
    assert 'id="5"' in deck and "def f_beta" in deck
    assert "Written answers" in (out / "pages/05.html").read_text(encoding="utf-8")
    assert "raise NotImplementedError" not in (out / "solutions/05_training.ipynb").read_text(
        encoding="utf-8"
    )


@pytest.mark.slow
@pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: lesson.number)
def test_grading_a_lesson_trains_nothing_and_shows_no_solution(lesson):
    assignment = assemble.read_assignment(lesson)
    solutions = [
        m["body"]
        for c in build.read_source(lesson).cells
        for m in build.SOLUTION.finditer(c.source)
    ]
    for exercise in assignment.job()["exercises"]:
        everything = "\n".join([*find.setup_for(exercise, exercise["solution"]), exercise["stub"]])
        assert ".train(" not in everything and "NotImplementedError" in exercise["stub"]
        assert not [s for s in solutions if len(s.strip()) > 40 and s.strip() in everything]
    assert len(assignment.exercises) >= (1 if lesson.is_appendix else 3)


def test_a_function_of_a_module_changes_its_argument_and_not_the_module():
    cells = ["import numpy as np\nx = slow()\nnp.fill_diagonal(x, 0)\nnp.random.seed(3)", "y = x"]
    assert find.needed_statements(cells, "np.ones(2)") == [
        "import numpy as np",
        "np.random.seed(3)",
    ]
    assert "np.fill_diagonal(x, 0)" in find.needed_statements(cells, "print(y)")


@pytest.mark.parametrize(
    ("stub", "visible", "hidden", "answer"),
    [
        ("", "import math\ncheck('f', f(math.pi))", "", "def f(x):\n    return math.ceil(x)"),
        (
            "import math\n\n",
            "check('f', f(2))",
            "assert f(4) == math.sqrt(4)",
            "import math\n\ndef f(x):\n    return x",
        ),
    ],
    ids=["the check's for the answer", "the exercise's for the tests"],
)
def test_what_one_cell_imports_is_there_for_the_others(stub, visible, hidden, answer):
    stub += "def f(x):\n    raise NotImplementedError()"
    exercise = {"before": ["import math"], "stub": stub, "visible": visible, "hidden": hidden}
    assert "import math" in find.setup_for(exercise, answer)


def test_sets_are_varied_too():
    given = [{(3, 9, "a"), (20, 30, "b")}, {(40, 50, "c")}]
    others = [inside.varied(given, random.Random(n)) for n in range(5)]
    assert sum(other != given for other in others) >= 4
    assert all(type(other[0]) is set for other in others)
    assert others[0] == inside.varied(given, random.Random(0))
