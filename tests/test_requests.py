"""The embedded requests are what their card says: split by writer, every intent many times, no template."""

import io
import re
from contextlib import redirect_stdout

import pandas as pd
import pytest
from conftest import ROOT, embedded
from test_data import most_alike

from course_utils.data import TASKS


@pytest.fixture(scope="module")
def requests() -> pd.DataFrame:
    return embedded("requests")


@pytest.fixture(scope="module")
def card() -> str:
    return (ROOT / "data/requests/README.md").read_text(encoding="utf-8")


def test_every_intent_has_many_requests_and_there_are_hundreds_out_of_scope(requests):
    counts = requests.label.value_counts()
    assert set(counts.index) == set(TASKS["requests"].labels)
    inside = counts.drop("out_of_scope")
    assert len(inside) >= 24 and inside.min() >= 50 and counts["out_of_scope"] >= 300
    for _, split in requests.groupby("split"):
        assert split.label.value_counts().min() >= 5 and split.label.nunique() == len(counts)


def test_no_writer_stands_in_two_splits(requests):
    assert requests.groupby("writer").split.nunique().max() == 1
    writers = requests.groupby("split").writer.nunique()
    assert writers["train"] >= 5 and writers["test"] >= 1 and writers["validation"] >= 1
    for _, rows in requests.groupby("writer"):
        assert rows.label.value_counts().drop("out_of_scope").between(5, 9).all()


def test_requests_are_short_and_none_is_a_copy_of_another(requests):
    words = requests.text.str.split().str.len()
    assert words.between(4, 25).all() and 8 <= words.median() <= 16
    assert (
        not requests.text.str.lower().duplicated().any() and most_alike(list(requests.text)) <= 0.5
    )


def test_no_opening_is_a_template(requests):
    openings = requests.text.str.lower().str.split().str[:3].str.join(" ")
    by_label = requests.groupby("label").text.size()
    assert (
        openings.groupby(requests.label).agg(lambda o: o.value_counts().iloc[0]).div(by_label).max()
        <= 0.12
    )


def test_files_are_clean_and_nothing_leads_to_real_people(requests):
    everything = "\n".join(requests.text)
    assert everything.isprintable() or not re.search(r"[^\S\n ]|  ", everything)
    hosts = re.findall(r"@([\w.-]+\w)", everything)
    assert [h for h in hosts if not h.endswith(".example")] == []
    assert not re.search(r"https?://|www\.", everything)
    numbers = [
        re.sub(r"\D", "", n) for n in re.findall(r"(?<!\d)(?:\+|0)\d(?:[ ()-]?\d){8,}", everything)
    ]
    assert [n for n in numbers if not re.fullmatch(r"01632960\d{3}", n)] == []


def test_the_cards_tables_count_what_the_files_hold(requests, card):
    for name, rows in requests.groupby("split"):
        outside = (rows.label == "out_of_scope").sum()
        writers = sorted(rows.writer.unique())
        line = f"| {name} | {len(rows):,} | {len(rows) - outside:,} | {outside} | {len(writers)}: {', '.join(writers)} |"
        assert line in card
    words = requests.text.str.split().str.len()
    low, high = words.quantile([0.25, 0.75])
    assert (
        f"median {words.median():.0f}, quartiles {low:.0f} and {high:.0f}, shortest {words.min()}, longest {words.max()}"
        in card
    )
    train = requests[requests.split == "train"]
    shown = re.findall(r"^\| `(\w+)` \| .+? \| (.+) \|$", card, re.M)
    examples = {(r.label, r.text.replace("|", "/")) for r in train.itertuples()}
    assert len([pair for pair in shown if pair in examples]) == requests.label.nunique() - 1


def test_the_cards_program_prints_what_the_card_says(card, monkeypatch):
    program = re.search(r"```python\n(.*?)```", card, re.S)[1]
    monkeypatch.chdir(ROOT)
    said = io.StringIO()
    with redirect_stdout(said):
        exec(compile(program, "data/requests/README.md", "exec"), {})
    shown = re.search(r"```text\n(.*?)```", card, re.S)[1]
    numbers, expected = (
        list(map(float, re.findall(r"0\.\d+", text))) for text in (said.getvalue(), shown)
    )
    assert numbers == pytest.approx(expected, abs=0.006) and len(numbers) == 4


def test_counting_words_finds_some_of_the_intents_of_a_new_writer_and_far_from_all(card):
    test = re.search(r"^test: (0\.\d+)", card, re.M)[1]
    assert 0.5 < float(test) < 0.8
