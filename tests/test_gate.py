"""``load_checked`` adds to ``load_own``: another seed where a class is lost, and near-copies."""

import csv

import pytest
from conftest import ROOT

from course_utils.gate import load_checked, near_copies
from course_utils.tables import DataError

PLACES = [
    "kitchen",
    "cellar",
    "attic",
    "garden",
    "office",
    "bridge",
    "tower",
    "museum",
    "harbour",
    "station",
]
with open(ROOT / "data/tickets/tickets.csv", encoding="utf-8", newline="") as tickets:
    TICKETS = [(row["message"], row["queue"], row["sender"]) for row in csv.DictReader(tickets)]
ROWS = [row for row in TICKETS if row[1] in ("access", "hardware")][:120]


def write(file, rows):
    with open(file, "w", encoding="utf-8", newline="") as lines:
        csv.writer(lines).writerows([("text", "label", "writer"), *rows])
    return file


def test_near_copies_are_pairs_of_rows_whose_words_are_nearly_the_same():
    texts = [
        "The printer is jammed again",
        "Rain",
        "the printer is jammed again!",
        "No line",
        "rain",
    ]
    assert near_copies(texts) == [(0, 2), (1, 4)]
    assert near_copies([f"{n} {n}" for n in range(1200)][:3]) == []


def test_a_near_copy_in_a_later_split_drops_the_earlier_row_and_is_printed(tmp_path, capsys):
    (tmp_path / "own").mkdir()
    words = [f"{a} {b}" for a in ("red", "green", "amber", "violet") for b in PLACES]
    rows = [(f"{w}", ("x", "y")[n % 2], "") for n, w in enumerate(words)]
    write(tmp_path / "own/train.csv", [*rows[:30], ("FW: the harbour is closed today", "x", "")])
    write(tmp_path / "own/validation.csv", rows[30:36])
    write(tmp_path / "own/test.csv", [*rows[36:], ("the harbour is closed today.", "x", "")])
    splits = load_checked(tmp_path / "own")
    said = capsys.readouterr().out
    assert "1 near-copies of texts of a later split dropped" in said and "FW: the harbour" in said
    assert len(splits["train"]) == 30 and len(splits["test"]) == 5


def test_rows_without_a_group_are_counted_and_said_to_stay_together(tmp_path, capsys):
    rows = [(text, label, "" if n % 9 == 0 else who) for n, (text, label, who) in enumerate(ROWS)]
    splits = load_checked(write(tmp_path / "own.csv", rows), group="writer")
    assert "rows have no writer: they stay together" in capsys.readouterr().out
    assert sum("" in set(split["group"]) for split in splits.values()) == 1


def test_another_seed_is_taken_where_the_first_loses_a_class_and_said(tmp_path, capsys):
    rare = [row for row in TICKETS if row[1] == "purchase"][:10]
    file = write(tmp_path / "own.csv", [*ROWS, *rare])
    taken = 0
    for seed in range(4):
        try:
            splits = load_checked(file, group="writer", seed=seed)
        except DataError as error:
            assert "2 are needed" in str(error)
            continue
        said = capsys.readouterr().out
        taken += "in place of" in said
        assert all(split["label"][:].count(2) >= 2 for split in splits.values())
        assert said.count("own.csv (comma-separated)") == 1
    assert taken


def test_what_no_seed_can_split_is_refused_with_the_first_message(tmp_path):
    file = write(tmp_path / "own.csv", [(text, label, label) for text, label, _ in ROWS])
    with pytest.raises(DataError, match="Add groups with rows of this class"):
        load_checked(file, group="writer")


def test_a_class_that_near_copies_leave_without_rows_is_named_with_its_file(tmp_path):
    (tmp_path / "own").mkdir()
    closed = [f"The harbour is closed on all {n} days of the winter." for n in range(3, 9)]
    rows = [(f"{a} {b}", "x", "") for a in ("red", "green", "amber") for b in PLACES]
    write(tmp_path / "own/train.csv", [*rows[:20], *((f"FW: {t}", "y", "") for t in closed)])
    for split, part in (("validation", closed[:3]), ("test", closed[3:])):
        more = rows[20:25] if split == "test" else rows[25:]
        write(tmp_path / f"own/{split}.csv", [*more, *((t, "y", "") for t in part)])
    with pytest.raises(DataError) as error:
        load_checked(tmp_path / "own")
    assert str(error.value).startswith(f"{tmp_path / 'own'}, train: 0 rows of the class 'y'")
