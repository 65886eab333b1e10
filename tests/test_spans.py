"""``load_spans``: names in notes and answers in passages, each at the characters where it says."""

from __future__ import annotations

import json
from pathlib import Path

import datasets
import pytest

from course_utils import lab, spans
from course_utils.lab import PROFILES
from course_utils.splits import SPLITS
from course_utils.tables import DataError

MIRROR = lab.ROOT.parent / "shared/mirror"
NOTE = {
    "text": "Ask Ada Park's sister about Leeds.",
    "writer": "w",
    "entities": [
        {"start": 4, "end": 12, "label": "person"},
        {"start": 28, "end": 33, "label": "location"},
    ],
}
PASSAGE = {
    "id": "a1",
    "title": "Bridge",
    "context": "The bridge was built in 1911. It fell in 1934.",
    "questions": [
        {"question": "When was it built?", "answer": "1911", "answer_start": 24},
        {"question": "Who built it?", "answer": None},
    ],
}


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Write rows as the splits of an embedded task, and load it."""
    monkeypatch.setattr(spans, "ROOT", tmp_path)
    monkeypatch.delenv("COURSE_MIRROR", raising=False)

    def load(name: str, **splits: list[dict] | str) -> datasets.DatasetDict:
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True, exist_ok=True)
        for split, rows in splits.items():
            text = rows if isinstance(rows, str) else "\n".join(map(json.dumps, rows)) + "\n"
            (folder / f"{split}.jsonl").write_text(text, encoding="utf-8")
        return spans.load_spans(name, PROFILES["mini"])

    return load


def note(text: str, *entities: tuple[int, int, str]) -> dict:
    found = [{"start": a, "end": b, "label": label} for a, b, label in entities]
    return {"text": text, "writer": "w", "entities": found}


def test_a_note_becomes_words_with_one_tag_each(written):
    rows = written("notes", train=[NOTE], validation=[note("none")], test=[note("nothing")])
    first = rows["train"][0]
    assert first["tokens"] == ["Ask", "Ada", "Park", "'s", "sister", "about", "Leeds", "."]
    names = rows["train"].features["ner_tags"].feature.names
    assert [names[tag] for tag in first["ner_tags"]] == [
        "O", "B-person", "I-person", "O", "O", "O", "B-location", "O",
    ]  # fmt: skip


def test_two_names_side_by_side_each_begin_anew():
    text = "Ada Bob"
    entities = note(text, (0, 3, "person"), (4, 7, "person"))["entities"]
    assert spans.tags_of(text, entities) == ["B-person", "B-person"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (note("Leeds", (0, 4, "location")), "borders"),
        (note("Leeds", (0, 9, "location")), "borders"),
        (note("Leeds", (0, 5, "town")), "unknown label 'town'"),
        (note("Leeds", (0, 5, "location"), (0, 5, "person")), "overlaps"),
        (note("  "), "an empty text"),
        ({"text": "no entities", "writer": "w"}, "expected an object with entities, text, writer"),
        (note("Leeds") | {"entities": [{"start": 0}]}, "label|end"),
    ],
)
def test_a_damaged_note_is_named_with_its_line(written, row, message):
    with pytest.raises(DataError, match=rf"train\.jsonl, line 2: .*({message})"):
        written("notes", train=[NOTE, row], validation=[note("a")], test=[note("b")])


def test_a_line_that_is_no_json_an_empty_file_and_a_missing_one_are_named(written, tmp_path):
    good = {"validation": [note("a")], "test": [note("b")]}
    with pytest.raises(DataError, match=r"train\.jsonl, line 1: not JSON"):
        written("notes", train="{cut", **good)
    with pytest.raises(DataError, match=r"train\.jsonl: no rows"):
        written("notes", train="", **good)
    (tmp_path / "data/notes/train.jsonl").unlink()
    with pytest.raises(DataError, match=r"train\.jsonl: can't be read"):
        written("notes")


def test_passages_become_one_row_a_question_in_squads_columns(written):
    other = PASSAGE | {"id": "a2", "context": PASSAGE["context"] + " "}
    third = PASSAGE | {"id": "a3", "context": PASSAGE["context"] + "  "}
    rows = written("passages", train=[PASSAGE], validation=[other], test=[third])["train"]
    assert rows[0]["answers"] == {"text": ["1911"], "answer_start": [24]}
    assert rows[1]["answers"] == {"text": [], "answer_start": []}
    assert rows["id"][:] == ["a1-0", "a1-1"]


def test_an_answer_that_stands_elsewhere_is_named(written):
    wrong = json.loads(json.dumps(PASSAGE))
    wrong["questions"][0]["answer_start"] = 23
    with pytest.raises(DataError, match=r"'1911' does not stand at character 23"):
        written("passages", train=[wrong], validation=[PASSAGE], test=[PASSAGE])


def test_a_passage_without_questions_is_named(written):
    with pytest.raises(DataError, match=r"test\.jsonl, line 1: a passage without questions"):
        written(
            "passages", train=[PASSAGE], validation=[PASSAGE], test=[PASSAGE | {"questions": []}]
        )


def test_a_passage_of_a_later_split_leaves_train(written):
    copy = PASSAGE | {"id": "a2"}
    other = PASSAGE | {"id": "a3", "context": PASSAGE["context"] + " It was green."}
    third = PASSAGE | {"id": "a4", "context": PASSAGE["context"] + " It was grey."}
    rows = written("passages", train=[PASSAGE, other, third], validation=[other], test=[copy])
    assert rows["train"]["id"][:] == ["a4-0", "a4-1"] and len(rows["test"]) == 2
    with pytest.raises(DataError, match=r"train\.jsonl: no rows are left to train on"):
        written("passages", train=[PASSAGE, other], validation=[other], test=[copy])


def test_an_unknown_task_is_refused_with_those_that_exist():
    with pytest.raises(KeyError, match="notes, passages"):
        spans.load_spans("names")


@pytest.mark.mirror
@pytest.mark.skipif(not MIRROR.is_dir(), reason="no mirror with real data")
def test_real_data_have_the_same_columns(monkeypatch, capsys):
    monkeypatch.setenv("COURSE_MIRROR", str(MIRROR))
    notes = spans.load_spans("notes", PROFILES["mini"])
    assert notes["train"].features["ner_tags"].feature.names[:3] == [
        "O",
        "B-corporation",
        "I-corporation",
    ]
    assert {s: len(notes[s]) for s in notes} == {"train": 2000, "validation": 500, "test": 1000}
    passages = spans.load_spans("passages", PROFILES["gpu"])
    assert len(passages["test"]) == 10_570 and len(passages["validation"]) <= 2500
    assert not set(passages["train"]["title"]) & set(passages["validation"]["title"])
    row = passages["test"][0]
    start, text = row["answers"]["answer_start"][0], row["answers"]["text"][0]
    assert row["context"][start : start + len(text)] == text
    assert "train_subset" in capsys.readouterr().out


def mirror_error(folder, monkeypatch, name: str, **columns: dict[str, list]) -> str:
    """The error where a mirror's splits have these columns, a split's rows by its name."""
    for split, values in columns.items():
        file = folder / spans.SOURCES[name].folder / f"{split}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        tags = datasets.List(datasets.ClassLabel(names=["O", "B-person"]))
        rows = datasets.Dataset.from_dict(values)
        if values.get("ner_tags"):
            rows = rows.cast_column("ner_tags", tags)
        rows.to_parquet(file)
    monkeypatch.setenv("COURSE_MIRROR", str(folder))
    with pytest.raises(DataError) as error:
        spans.load_spans(name, PROFILES["mini"])
    return str(error.value)


def test_a_mirror_whose_train_is_a_copy_of_another_split_is_refused(tmp_path, monkeypatch):
    notes = {"tokens": [["Anna", str(n)] for n in range(9)], "ner_tags": [[1, 0]] * 9}
    message = mirror_error(tmp_path, monkeypatch, "notes", **dict.fromkeys(SPLITS, notes))
    assert "train.parquet: no rows are left to train on: all of them stand in another" in message
    passages = {name: [f"{name} {n}" for n in range(20)] for name in ("id", "title", "context")}
    passages |= {"question": ["Who?"] * 20, "answers": [{"text": [], "answer_start": []}] * 20}
    message = mirror_error(tmp_path, monkeypatch, "passages", train=passages, validation=passages)
    assert "train.parquet: no rows are left to train on: all of them stand in another" in message


@pytest.mark.parametrize(
    ("tokens", "tags", "reason"),
    [
        ([["Anna", "1"], ["Anna", "2"]], [[1, 0], [1]], "row 2: 2 words and 1 tags. Expected one"),
        ([["Anna", "1"], []], [[1, 0], []], "row 2: 0 words and 0 tags"),
        ([], [], "no rows. Fetch the file again"),
    ],
)
def test_a_mirrors_notes_without_a_tag_for_each_word_are_named(
    tmp_path, monkeypatch, tokens, tags, reason
):
    notes = {"tokens": tokens, "ner_tags": tags}
    message = mirror_error(tmp_path, monkeypatch, "notes", **dict.fromkeys(SPLITS, notes))
    assert f"train.parquet{', ' if 'row ' in reason else ': '}{reason}" in message


def test_a_mirrors_tags_without_names_are_refused(tmp_path, monkeypatch):
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = tmp_path / spans.SOURCES["notes"].folder / "train.parquet"
    file.parent.mkdir(parents=True)
    for split in SPLITS:
        pq.write_table(pa.table({"tokens": [["Anna"]], "ner_tags": [[1]]}), file.with_stem(split))
    monkeypatch.setenv("COURSE_MIRROR", str(tmp_path))
    with pytest.raises(DataError, match=r"column 'ner_tags' has no names of tags\. Fetch"):
        spans.load_spans("notes", PROFILES["mini"])


def test_a_mirror_with_another_files_columns_is_named(tmp_path, monkeypatch):
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = tmp_path / spans.SOURCES["notes"].folder
    folder.mkdir(parents=True)
    for split in ("train", "validation", "test"):
        pq.write_table(pa.table({"text": ["a"]}), folder / f"{split}.parquet")
    monkeypatch.setenv("COURSE_MIRROR", str(tmp_path))
    with pytest.raises(DataError, match=r"no column ner_tags, tokens; it has text"):
        spans.load_spans("notes", PROFILES["mini"])
    Path(folder / "train.parquet").write_bytes(b"cut")
    with pytest.raises(DataError, match="not readable as parquet"):
        spans.load_spans("notes", PROFILES["mini"])
