"""Lesson 08's scorer counts whole entities as its definition says: hand cases, and another way to count."""

import ast
import random
import re

import numpy as np
import pytest

from tools.lessons import lessons

SCORER = {"spans", "counts", "f1"}


@pytest.fixture(scope="module")
def lesson() -> dict:
    """The functions as they stand in the lesson's source."""
    source = lessons(["08"])[0].source.read_text(encoding="utf-8")
    code = [
        ast.unparse(node)
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef) and node.name in SCORER
    ]
    found = {"np": np}
    exec("\n".join(code), found)
    assert set(found) >= SCORER
    return found


@pytest.mark.parametrize(
    ("tags", "entities"),
    [
        ("", set()),
        ("O O", set()),
        ("B-a", {(0, 1, "a")}),
        ("B-a I-a I-a O", {(0, 3, "a")}),
        ("B-a B-a", {(0, 1, "a"), (1, 2, "a")}),
        ("O I-a I-a", {(1, 3, "a")}),
        ("B-a I-b", {(0, 1, "a"), (1, 2, "b")}),
        ("B-a O I-a", {(0, 1, "a"), (2, 3, "a")}),
        ("I-a B-a I-a", {(0, 1, "a"), (1, 3, "a")}),
        ("O B-creative-work I-creative-work", {(1, 3, "creative-work")}),
    ],
)
def test_entities_are_read_off_the_tags(lesson, tags, entities):
    assert lesson["spans"](tags.split()) == entities


def test_a_text_of_tags_matched_by_a_pattern_gives_the_same_entities(lesson):
    """A name is a B or an I, and all I of its kind that follow: found here by a regular expression."""
    draw = random.Random(0)
    for _ in range(2000):
        tags = draw.choices(["O", "B-a", "I-a", "B-b", "I-b"], k=draw.randint(0, 9))
        text = "".join("O." if tag == "O" else tag[0] + tag[2] for tag in tags)
        pattern = re.compile(r"(?:..)*?([BI]([ab])(?:I\2)*)")
        found, place = set(), 0
        while match := pattern.match(text, place):
            found.add((match.start(1) // 2, match.end(1) // 2, match[2]))
            place = match.end()
        assert lesson["spans"](tags) == found, tags


@pytest.mark.parametrize(
    ("truth", "claimed", "expected", "score"),
    [
        ([{(0, 2, "a")}], [{(0, 2, "a")}], [[1, 1, 1]], 1.0),
        ([{(0, 2, "a")}], [{(0, 1, "a")}], [[0, 1, 1]], 0.0),  # border
        ([{(0, 2, "a")}], [{(0, 2, "b")}], [[0, 1, 1]], 0.0),  # kind
        ([{(0, 2, "a")}], [set()], [[0, 1, 0]], 0.0),  # missed
        ([set()], [{(0, 2, "a")}], [[0, 0, 1]], 0.0),  # invented
        ([set()], [set()], [[0, 0, 0]], 0.0),
        ([{(0, 1, "a"), (3, 4, "b")}, set()], [{(0, 1, "a")}, {(0, 1, "a")}],
         [[1, 2, 1], [0, 0, 1]], 0.5),
    ],
)  # fmt: skip
def test_f1_is_twice_the_found_over_those_there_and_those_claimed(
    lesson, truth, claimed, expected, score
):
    counted = lesson["counts"](truth, claimed)
    assert counted.tolist() == expected and lesson["f1"](counted) == score


def test_lists_of_different_lengths_are_an_error(lesson):
    with pytest.raises(ValueError, match="zip"):
        lesson["counts"]([set()], [])
