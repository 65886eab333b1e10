"""The embedded notes are what their card says: marks that fit words, new names and new writers in each split to judge on."""

import io
import json
import re
from collections import Counter, defaultdict
from contextlib import redirect_stdout

import pytest
from conftest import ROOT
from test_data import most_alike

from course_utils.spans import KINDS, load_spans, tags_of

SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def notes() -> dict[str, list[dict]]:
    """The rows of each split as they stand in the files."""
    return {
        split: [
            json.loads(line)
            for line in (ROOT / f"data/notes/{split}.jsonl")
            .read_text(encoding="utf-8")
            .splitlines()
        ]
        for split in SPLITS
    }


@pytest.fixture(scope="module")
def everything(notes) -> list[dict]:
    return [row for rows in notes.values() for row in rows]


@pytest.fixture(scope="module")
def card() -> str:
    return (ROOT / "data/notes/README.md").read_text(encoding="utf-8")


def names_of(rows: list[dict]) -> list[str]:
    return [row["text"][e["start"] : e["end"]] for row in rows for e in row["entities"]]


def test_there_are_at_least_1200_notes_and_enough_to_judge_on(notes, everything):
    assert len(everything) >= 1200
    assert len(notes["train"]) >= 600 and min(map(len, notes.values())) >= 200


def test_every_mark_fits_whole_words_and_none_overlaps(everything):
    for row in everything:
        tags_of(row["text"], row["entities"])  # raises where one doesn't
        for name in names_of([row]):
            assert name == name.strip() and not name.startswith("the "), row["text"]


def test_every_kind_is_frequent_in_every_split(notes):
    for rows in notes.values():
        kinds = Counter(entity["label"] for row in rows for entity in row["entities"])
        assert set(kinds) == set(KINDS) and min(kinds.values()) >= 40, kinds


def test_about_a_quarter_of_the_notes_has_no_name(notes):
    for rows in notes.values():
        assert 0.2 <= sum(not row["entities"] for row in rows) / len(rows) <= 0.35
        assert sum(len(row["entities"]) >= 3 for row in rows) / len(rows) >= 0.15


def test_no_text_stands_twice_or_nearly_so(everything):
    texts = [row["text"] for row in everything]
    assert len({" ".join(text.lower().split()) for text in texts}) == len(texts)
    assert most_alike(texts) <= 0.5


def test_some_writers_are_in_one_split_alone_and_the_others_in_all(notes):
    splits = defaultdict(set)
    for split, rows in notes.items():
        for row in rows:
            splits[row["writer"]].add(split)
    alone = [writer for writer, where in splits.items() if len(where) == 1]
    assert len(splits) == 12 and len(alone) == 3
    assert all(len(where) == 3 for writer, where in splits.items() if writer not in alone)
    assert sorted(next(iter(splits[writer])) for writer in alone) == ["test", "test", "validation"]


def test_known_and_new_names_are_both_many_enough_to_compare(notes):
    known = {name.lower() for name in names_of(notes["train"])}
    for split in ("validation", "test"):
        seen = [name.lower() in known for name in names_of(notes[split])]
        assert sum(seen) >= 60 and len(seen) - sum(seen) >= 200


def test_a_string_alone_does_not_give_its_kind_away(everything):
    kinds = defaultdict(set)
    for row in everything:
        for name, entity in zip(names_of([row]), row["entities"], strict=True):
            kinds[name.lower()].add(entity["label"])
    assert sum(len(found) > 1 for found in kinds.values()) >= 10


def test_notes_are_short_and_clean(everything):
    for row in everything:
        text = row["text"]
        assert 3 <= len(text.split()) <= 40 and text == " ".join(text.split())
        assert not re.search(r"[\[\]|]|https?://|www\.|@", text), text
        assert not re.search(r"\d[\d -]{8,}\d", text), text


def test_a_note_is_seldom_like_the_pattern_of_another(everything):
    """With every name replaced by its kind, no opening of three words is common."""
    openings = Counter()
    for row in everything:
        text = row["text"]
        for entity in reversed(row["entities"]):
            text = text[: entity["start"]] + entity["label"].upper() + text[entity["end"] :]
        openings[tuple(text.lower().split()[:3])] += 1
    assert openings.most_common(1)[0][1] <= len(everything) / 100, openings.most_common(3)


def test_the_loader_gives_all_rows_in_the_columns_of_the_lesson(notes, monkeypatch):
    from course_utils.lab import PROFILES

    loaded = load_spans("notes", PROFILES["mini"])
    assert {split: len(loaded[split]) for split in SPLITS} == {s: len(notes[s]) for s in SPLITS}
    row = loaded["train"][0]
    assert len(row["tokens"]) == len(row["ner_tags"])
    assert "".join(row["tokens"]) == row["text"].replace(" ", "")


def test_the_cards_table_counts_what_the_files_hold(notes, everything, card):
    for split, rows in notes.items():
        kinds = Counter(entity["label"] for row in rows for entity in row["entities"])
        elsewhere = {row["writer"] for s in SPLITS if s != split for row in notes[s]}
        writers = {row["writer"] for row in rows}
        cells = [
            split,
            f"{len(rows):,}",
            sum(not row["entities"] for row in rows),
            f"{sum(kinds.values()):,}",
            *(kinds[kind] for kind in KINDS),
            len(writers),
            ", ".join(sorted(writers - elsewhere)) or "–",
        ]
        assert f"| {' | '.join(map(str, cells))} |" in card
    words = sorted(len(row["text"].split()) for row in everything)
    assert f"median {words[len(words) // 2]}" in card
    assert f"shortest {words[0]}, longest {words[-1]}" in card
    named = sum(len(row["entities"]) for row in everything)
    assert f"{len(everything):,} short notes" in card and f"{named:,} names in them" in card
    small = sum(row["text"] == row["text"].lower() for row in everything)
    assert f"{small} notes have no capital" in " ".join(card.split())


def test_the_cards_program_prints_what_the_card_says(card, monkeypatch):
    program = re.search(r"```python\n(.*?)```", card, re.S)[1]
    stated = re.search(r"```text\n(.*?)```", card, re.S)[1]
    monkeypatch.chdir(ROOT)
    with redirect_stdout(io.StringIO()) as printed:
        exec(compile(program, "data/notes/README.md", "exec"), {})
    assert printed.getvalue() == stated
