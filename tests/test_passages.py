"""data/passages: every answer stands where it says, once, and no passage is in two splits."""

from __future__ import annotations

import re

import pytest

from course_utils import spans
from course_utils.lab import ROOT
from course_utils.splits import SPLITS

FOLDER = ROOT / "data/passages"


@pytest.fixture(scope="module")
def passages() -> dict[str, list[dict]]:
    needed = {"id", "title", "context", "questions"}
    return {s: [r for _, r in spans.json_rows(FOLDER / f"{s}.jsonl", needed)] for s in SPLITS}


def questions(rows: list[dict]) -> list[dict]:
    return [question for row in rows for question in row["questions"]]


def test_there_are_eighty_or_more_with_six_questions_or_more_each(passages):
    everything = [row for rows in passages.values() for row in rows]
    assert len(everything) >= 80
    assert min(len(row["questions"]) for row in everything) >= 6
    assert {s: len(rows) for s, rows in passages.items()}.keys() == set(SPLITS)
    assert min(len(rows) for rows in passages.values()) >= 12


def test_every_answer_stands_in_its_passage_once_at_whole_words(passages):
    for row in (row for rows in passages.values() for row in rows):
        for asked in row["questions"]:
            if asked["answer"] is None:
                continue
            answer, start, text = asked["answer"], asked["answer_start"], row["context"]
            assert text[start : start + len(answer)] == answer and text.count(answer) == 1
            around = text[max(0, start - 1) : start] + text[start + len(answer) :][:1]
            assert not re.search(r"\w", around), (row["title"], answer)
            assert 1 <= len(answer.split()) <= 12


def test_a_fifth_of_the_questions_has_no_answer_in_every_split(passages):
    for split, rows in passages.items():
        asked = questions(rows)
        share = sum(q["answer"] is None for q in asked) / len(asked)
        assert 0.15 < share < 0.25, (split, share)


def test_no_passage_and_no_question_stands_twice(passages):
    contexts = [row["context"] for rows in passages.values() for row in rows]
    titles = [row["title"].lower() for rows in passages.values() for row in rows]
    asked = [
        q["question"].lower().strip(" ?") for rows in passages.values() for q in questions(rows)
    ]
    assert len(set(contexts)) == len(contexts) and len(set(titles)) == len(titles)
    assert len(set(asked)) > 0.99 * len(asked)


def test_every_split_has_long_passages(passages):
    for split, rows in passages.items():
        assert sum(len(row["context"].split()) > 400 for row in rows) >= 2, split


def test_the_card_states_what_is_there(passages):
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    for split, rows in passages.items():
        asked = questions(rows)
        none = sum(q["answer"] is None for q in asked)
        assert f"| {split} | {len(rows)} | {len(asked)} | {none} |" in card
