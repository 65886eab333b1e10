"""The embedded letters are what their card says: known intents, places balanced, each longer than the model can read."""

import re

import pandas as pd
import pytest
from conftest import ROOT, embedded
from test_data import most_alike
from transformers import AutoTokenizer

from course_utils.data import TASKS


@pytest.fixture(scope="module")
def letters() -> pd.DataFrame:
    return pd.read_csv(
        ROOT / "data/long_requests/test.csv", keep_default_na=False, encoding="utf-8"
    )


@pytest.fixture(scope="module")
def card() -> str:
    return (ROOT / "data/long_requests/README.md").read_text(encoding="utf-8")


def test_every_label_is_an_intent_of_the_requests_and_has_three_letters(letters):
    assert list(letters.columns) == ["text", "label", "writer", "place"]
    assert set(letters.label) < set(TASKS["requests"].labels) - {"out_of_scope"}
    counts = letters.label.value_counts()
    assert len(counts) == 24 and set(counts) == {3}


def test_the_request_stands_as_often_at_the_start_in_the_middle_and_at_the_end(letters):
    assert letters.place.value_counts().to_dict() == {"start": 24, "middle": 24, "end": 24}
    assert (letters.groupby("label").place.nunique() == 3).all()


def test_every_letter_has_more_pieces_than_the_model_has_positions(letters, mini_model):
    tokenizer = AutoTokenizer.from_pretrained(mini_model)
    lengths = [len(ids) for ids in tokenizer(letters.text.tolist(), verbose=False)["input_ids"]]
    assert min(lengths) > 512 and max(lengths) < 1100


def test_no_letter_is_nearly_another_and_none_holds_a_request_of_the_short_ones(letters):
    assert most_alike(list(letters.text)) <= 0.1
    short = embedded("requests").text.str.lower()
    whole = "\n".join(letters.text).lower()
    assert [text for text in short if len(text.split()) > 5 and text in whole] == []


def test_files_are_clean_and_nothing_leads_to_real_people(letters):
    everything = "\n".join(letters.text)
    assert not re.search(r"[^\S\n ]|  ", everything) and everything.replace("\n", " ").isprintable()
    assert [h for h in re.findall(r"@([\w.-]+\w)", everything) if not h.endswith(".example")] == []
    assert not re.search(r"https?://|www\.", everything)
    numbers = re.findall(r"(?<!\d)(?:\+|0)\d(?:[ ()-]?\d){8,}", everything)
    assert [n for n in numbers if not re.fullmatch(r"0?1632960\d{3}", re.sub(r"\D", "", n))] == []


def test_the_cards_numbers_count_what_the_file_holds(letters, card):
    words = letters.text.str.split().str.len()
    assert f"median {words.median():.0f}, shortest {words.min()}, longest {words.max()}" in card
    for place, count in letters.place.value_counts().items():
        assert f"| {place} | {count} |" in card
    assert all(f"`{label}`" in card for label in letters.label.unique())
    assert f"{letters.writer.nunique()} writers" in card
