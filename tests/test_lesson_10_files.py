"""Lesson 10 runs from its first cell to its last on files that are not the lesson's own.

The model is tiny and knows nothing: what is tested is that nothing in the lesson is bound to its tickets.
"""

from __future__ import annotations

import csv
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import MINI, ROOT

from course_utils import lab
from course_utils.tables import DataError
from tools import build
from tools.lessons import lessons

pytestmark = pytest.mark.slow
QUEUES = ("access", "hardware", "network", "purchase", "software")
with open(ROOT / "data/tickets/tickets.csv", encoding="utf-8", newline="") as tickets:
    TICKETS = [(r["message"], r["queue"], r["sender"]) for r in csv.DictReader(tickets)]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A model of one narrow layer, with random weights and the course's tokenizer."""
    import torch
    from transformers import AutoTokenizer, DistilBertConfig, DistilBertForMaskedLM

    folder = tmp_path_factory.mktemp("models") / "tiny"
    tokenizer = AutoTokenizer.from_pretrained(MINI)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = DistilBertConfig(
        vocab_size=len(tokenizer), dim=32, hidden_dim=64, n_layers=1, n_heads=2
    )
    DistilBertForMaskedLM(config).save_pretrained(folder)
    return folder


@pytest.fixture
def run(tiny, monkeypatch, one_thread):
    """Run the lesson's cells with the parameters given; returns their names."""
    monkeypatch.setitem(lab.EMBEDDED_MODELS, "mini-distilbert", tiny)
    monkeypatch.setenv("COURSE_PROFILE", "mini")
    monkeypatch.chdir(ROOT / "notebooks")

    def run(
        file,
        text="text",
        label="label",
        group=None,
        encoding=None,
        new_file=None,
        keep=None,
        **more,
    ):
        given = {"file": str(file), "text": text, "label": label, "group": group}
        given |= {"encoding": encoding, "new_file": new_file, "known_wrong": None, "reads": 40}
        given |= more
        space: dict = {"__name__": "lesson"}
        for number, cell in enumerate(build.read_source(lessons(["10"])[0]).cells):
            tags = set(cell.metadata.get("tags", []))
            if cell.cell_type != "code" or tags & {"setup", "assert"}:
                continue
            source = build.HIDDEN.sub("", cell.source)
            exec(compile(source, f"cell {number}", "exec"), space)
            if keep and "\nkeep = " in source:  # as the comment there invites the reader to do
                space["keep"] = keep
            if "parameters" in tags:
                assert given.keys() <= space.keys()
                space |= given
        return space

    return run


def several(count, names, start=0):
    """Texts, each with the name of its queue among ``names``; queues beyond those are left out."""
    which = dict(zip(QUEUES, names, strict=False))
    rows = [(text, which[queue], who) for text, queue, who in TICKETS if queue in which]
    return rows[start : start + count]


def write(file, rows, delimiter=",", encoding="utf-8", header=("text", "label", "who")):
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "w", encoding=encoding, newline="") as lines:
        csv.writer(lines, delimiter=delimiter).writerows([header, *rows])
    return file


def check(space, names, rows, capsys, file=None):
    """The lesson ended with a model, its card and a labelled file, and speaks of these labels alone."""
    said = capsys.readouterr().out
    assert space["names"] == names and "Headline:" in said
    lost = sum(
        int(line.split()[0 if "near-copies" in line else 1].replace(",", ""))
        for line in said.splitlines()
        if line.startswith("  ") and " dropped" in line
    )
    assert sum(map(len, space["splits"].values())) == rows - lost
    assert set(space["new"]["label"]) <= set(names)
    assert len(space["new"]) == len(space["splits"]["test"])
    card = (space["folder"] / "README.md").read_text(encoding="utf-8")
    assert all(name in card for name in names)
    others = set(QUEUES) - set(names)
    shown = "\n".join(line for line in said.splitlines() if line.startswith("**Found:**"))
    assert not [word for word in (*others, "ticket", "planted", "queue") if f"“{word}" in shown]


def test_semicolons_and_windows_1252(run, tmp_path, capsys):
    rows = [(f"Größe: {text}", name, who) for text, name, who in several(150, ("gut", "übel"))]
    file = write(tmp_path / "meine.csv", rows, ";", "cp1252", ("Satz", "Urteil", "wer"))
    with pytest.raises(DataError, match='encoding="cp1252"'):
        run(file, "Satz", "Urteil")
    space = run(file, "Satz", "Urteil", encoding="cp1252")
    check(space, ["gut", "übel"], 150, capsys)
    assert all(text.startswith("Größe: ") for text in space["texts"])


def test_tabs_and_utf_16(run, tmp_path, capsys):
    file = write(tmp_path / "own.tsv", several(150, ("ja", "nein", "weiß nicht")), "\t", "utf-16")
    check(run(file, group="who"), ["ja", "nein", "weiß nicht"], 150, capsys)


def test_json_lines_with_numbers_as_labels(run, tmp_path, capsys):
    rows = [json.dumps({"text": t, "label": y, "n": 1}) for t, y, _ in several(150, (1, 2, 10))]
    file = tmp_path / "own.jsonl"
    file.write_text("\n".join(rows), encoding="utf-8")
    check(run(file), ["1", "2", "10"], 150, capsys)


@pytest.mark.parametrize("values", [(0.0, 0.5, 1.0), (False, True)], ids=["floats", "bools"])
def test_labels_that_are_floats_or_truth_values(run, tmp_path, capsys, values):
    texts, labels, _ = zip(*several(90, values), strict=True)
    pq.write_table(pa.table({"text": texts, "label": labels}), tmp_path / "own.parquet")
    names = ["0.0", "0.5", "1.0"] if len(values) == 3 else ["false", "true"]
    check(run(tmp_path / "own.parquet"), names, 90, capsys)


def test_three_classes_of_which_one_has_seven_rows(run, tmp_path, capsys):
    rare = [(text, "rare", who) for text, queue, who in TICKETS if queue == "purchase"][:7]
    file = write(tmp_path / "own.csv", several(110, ("one", "two")) + rare)
    check(run(file), ["one", "rare", "two"], 117, capsys)


def test_labels_with_spaces_and_one_in_two_spellings(run, tmp_path, capsys):
    rows = several(100, ("very bad", "so so", "very good"))
    file = write(tmp_path / "own.csv", [*rows[:9], ("Another one", "Very  bad", "x"), *rows[9:]])
    with pytest.raises(DataError, match=r"row 10 \(line 11\): the label 'Very  bad' \(1\) looks"):
        run(file)
    capsys.readouterr()
    file.write_text(file.read_text(encoding="utf-8").replace("Very  bad", "very bad"))  # the cure
    check(run(file), ["so so", "very bad", "very good"], 101, capsys)


def test_near_copies_and_groups(run, tmp_path, capsys):
    rows = several(150, ("in", "out", "off"))
    copies = [(f"FW: {text}!", name, "night desk") for text, name, _ in rows[:12]]
    file = write(tmp_path / "own.csv", rows + copies)
    space = run(file, group="who")
    check(space, ["in", "off", "out"], 162, capsys)
    places = [set(split["group"]) for split in space["splits"].values()]
    assert not places[0] & places[1] and not (places[0] | places[1]) & places[2]
    kept = {name: {t.removeprefix("FW: ").rstrip("!.") for t in split["text"]}
            for name, split in space["splits"].items()}  # fmt: skip
    assert not (kept["train"] | kept["validation"]) & kept["test"]


def test_brackets_and_umlauts_in_the_path(run, tmp_path, capsys):
    file = write(tmp_path / "Übung [2026] (neu)/meine Sätze.csv", several(90, ("a", "b")))
    check(run(file), ["a", "b"], 90, capsys)


@pytest.mark.parametrize("keep", ["fine-tuned", "frozen vectors", "counting words"])
def test_a_new_file_is_labelled_by_the_way_that_is_kept(run, tmp_path, capsys, keep):
    file = write(tmp_path / "own.csv", several(90, ("a", "b")))
    new = [("1", "The printer is silent", "x"), ("2", "", "y"), ("3", "Größe falsch", "z")]
    more = write(tmp_path / "new.csv", new, ";", "utf-8-sig", ("number", "text", "who"))
    space = run(file, new_file=str(more), keep=keep, read_first=False)
    said = capsys.readouterr().out
    assert space["keep"] == keep and not space["pays"] and not space["use_adapted"]
    assert space["target"].name == "own-labelled.csv" and space["folder"].name == "own-classifier"
    with open(space["target"], encoding="utf-8-sig", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter=";" if keep == "fine-tuned" else ","))
    assert [(row["number"], row["text"], row["who"]) for row in rows] == new  # all rows and columns
    assert [row["text"] for row in rows if row["label"]] == [new[0][1], new[2][1]]
    assert [row["label"] for row in rows if row["label"]] == space["new"]["label"].tolist()
    assert rows[1]["label"] == ""
    if keep == "fine-tuned":
        assert "1 without a text have no label" in said


def test_corrected_splits_are_the_file_of_the_second_run_and_stay(run, tmp_path, capsys):
    file = write(tmp_path / "mails.csv", several(120, ("a", "b", "other")))
    first = run(file, read_first=False)
    with open(first["suspects"], encoding="utf-8-sig", newline="") as lines:
        doubted = list(csv.DictReader(lines))
    where = first["written"] / f"{doubted[0]['split']}.csv"
    rows = where.read_text(encoding="utf-8-sig").splitlines()
    assert rows[int(doubted[0]["row"]) - 1].endswith(f",{doubted[0]['label']}")
    rows[int(doubted[0]["row"]) - 1] = rows[int(doubted[0]["row"]) - 1].replace(
        f",{doubted[0]['label']}", f",{doubted[0]['looks like']}"
    )
    where.write_text("\n".join(rows) + "\n", encoding="utf-8-sig")
    second = run(first["written"], read_first=False)
    assert second["stem"] == "mails" and second["folder"] == first["folder"]
    assert where.read_text(encoding="utf-8-sig").splitlines() == rows
    assert all(list(second["splits"][s]["text"]) == list(first["splits"][s]["text"])
               for s in ("train", "validation", "test"))  # fmt: skip
    assert "none of these" not in (second["folder"] / "README.md").read_text(encoding="utf-8")
    assert (second["work"] / "mails-labelled-before.csv").is_file()
