"""The figures, examples and programs in the cards of the embedded data sets are what the files give."""

import io
import re
from contextlib import redirect_stdout
from functools import cache

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, embedded
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from course_utils.metrics import bootstrap_interval

SPLITS = ("train", "validation", "test")
TEXT = {"reviews": "text", "messages": "sms"}
LABELS = {"reviews": ("neg", "pos"), "messages": ("ham", "spam")}
KINDS = {
    "reviews": ["plain", "comparison", "negation", "plot_words", "sarcasm", "mixed"],
    "messages": ["chat", "notice", "advert", "scam"],
}
BOTH = pytest.mark.parametrize("task", ["reviews", "messages"])


@cache
def card(task: str) -> str:
    return (ROOT / f"data/{task}/README.md").read_text(encoding="utf-8")


def prose(task: str) -> str:
    """The card with every run of white space as one space, so that line breaks don't matter."""
    return " ".join(card(task).split())


def table(task: str, header: str) -> list[list[str]]:
    """The cells of the one table whose header row begins with ``header``."""
    lines = card(task).splitlines()
    (start,) = (n for n, line in enumerate(lines) if line.startswith(header))
    end = next(n for n in range(start, len(lines)) if not lines[n].startswith("|"))
    return [
        [cell.replace("`", "").strip() for cell in line.strip("|").split("|")]
        for line in lines[start + 2 : end]
    ]


@cache
def rows(task: str) -> pd.DataFrame:
    data = embedded(task)
    data["words"] = data[TEXT[task]].str.split().str.len()
    if task == "reviews":
        data["wording"] = data.groupby("film").film.transform("size").map({5: "direct", 7: "wry"})
    return data


@cache
def judged(task: str, weight: str | None = None) -> pd.DataFrame:
    """All rows with the label that the lessons' word counter gives them, fitted on the training split."""
    data = rows(task)
    train = data[data.split == "train"]
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True),
        LogisticRegression(C=10, max_iter=1000, class_weight=weight),
    )
    predicted = model.fit(train[TEXT[task]], train.label).predict(data[TEXT[task]])
    return data.assign(predicted=predicted, right=predicted == data.label)


def f1(labels: np.ndarray, predicted: np.ndarray) -> float:
    """F1 of the class True; scikit-learn's function takes ten times as long on 2,000 resamples."""
    return 2 * (labels & predicted).sum() / max(1, labels.sum() + predicted.sum())


def scores(task: str, split: str, weight: str | None = None) -> list[list[float]]:
    """Accuracy and F1 of the rarer or second class, each with the ends of its interval."""
    data = judged(task, weight)[lambda d: d.split == split]
    labels, predicted = (data[c].to_numpy() == LABELS[task][1] for c in ("label", "predicted"))
    return [
        [metric(labels, predicted), *bootstrap_interval(metric, labels, predicted)]
        for metric in (lambda a, b: (a == b).mean(), f1)
    ]


def numbers(cell: str) -> list[str]:
    return re.findall(r"\d\.\d+", cell)


def as_stated(values: list[float]) -> list[str]:
    return [f"{value:.3f}" for value in values]


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def hits(right: pd.Series) -> str:
    return f"{right.sum()} of {len(right)}"


@BOTH
def test_rows_labels_and_kinds_per_split(task):
    expected = []
    for split in SPLITS:
        data = rows(task)[lambda d, s=split: d.split == s]
        cells = [f"{len(data):,}", *(f"{(data.label == label).sum()}" for label in LABELS[task])]
        cells.append(
            f"{data.film.nunique()}"
            if task == "reviews"
            else percent((data.label == "spam").mean())
        )
        expected.append([split, *cells, *(f"{(data.kind == kind).sum()}" for kind in KINDS[task])])
    assert table(task, "| split | rows |") == expected


@BOTH
def test_labels_per_kind(task):
    counts = pd.crosstab(rows(task).kind, rows(task).label)
    assert [[cells[0], *cells[2:]] for cells in table(task, "| kind |")] == [
        [kind, *(f"{counts.loc[kind, label]}" for label in LABELS[task])] for kind in KINDS[task]
    ]


@BOTH
def test_words(task):
    words = rows(task).words
    low, median, high = (f"{value:g}" for value in words.quantile([0.25, 0.5, 0.75]))
    assert (
        f"over all {len(words):,} {'texts' if task == 'reviews' else 'messages'}: median {median}, quartiles {low} and "
        f"{high}, shortest {words.min()}, longest {words.max()}."
    ) in prose(task)


def test_totals():
    label, film = rows("reviews").label, rows("reviews").groupby("film").size()
    assert (
        f"{len(label):,} short reviews of films that do not exist, in English: {(label == 'neg').sum()} negative, "
        f"{(label == 'pos').sum()} positive. They are about {len(film)} invented films; {(film == 5).sum()} films have "
        f"five reviews each and {(film == 7).sum()} have seven,"
    ) in prose("reviews")
    assert set(film) == {5, 7} and set(rows("reviews").groupby("film").label.nunique()) == {2}
    spam = rows("messages").label == "spam"
    assert (
        f"{len(spam):,} short text messages in English: {(~spam).sum():,} wanted ones (ham) and {spam.sum()} unwanted ones "
        f"(spam, {percent(spam.mean())})"
    ) in prose("messages")
    overview = (ROOT / "data/README.md").read_text(encoding="utf-8")
    assert (
        f"{len(label):,} short film reviews" in overview
        and f"{len(spam):,} text messages" in overview
    )


def test_the_two_wordings_of_reviews():
    expected = []
    for wording in ("direct", "wry"):
        data = rows("reviews")[lambda d, w=wording: d.wording == w]
        counts = [
            data.film.nunique(),
            len(data),
            *((data.label == label).sum() for label in LABELS["reviews"]),
            data.words.median(),
            *((data.split == split).sum() for split in SPLITS),
        ]
        expected.append([wording, *(f"{count:g}" for count in counts)])
    assert table("reviews", "| wording |") == expected
    assert rows("reviews").groupby("kind").wording.nunique().min() == 2


@BOTH
def test_examples_stand_in_train_as_quoted(task):
    train = rows(task)[lambda d: d.split == "train"].set_index(TEXT[task])
    quoted = re.findall(r'^- `(\w+)`(?:, (\w+), (\w+))?: "([^"]*)"$', card(task), re.MULTILINE)
    assert {kind for kind, *_ in quoted} == set(KINDS[task])
    for kind, label, wording, text in quoted:
        row = train.loc[" ".join(text.split())]
        assert row.kind == kind
        assert task == "messages" or (row.label, row.wording) == (label, wording)


def test_scores_of_the_word_counter_on_reviews():
    assert [
        [split, numbers(accuracy), numbers(f1_of_pos)]
        for split, accuracy, f1_of_pos in table("reviews", "| split | accuracy |")
    ] == [[split, *map(as_stated, scores("reviews", split))] for split in ("validation", "test")]


def test_scores_of_the_word_counters_on_messages():
    stated = table("messages", "| model |")
    models = ("always ham", "default", "balanced")
    assert [row[:2] for row in stated] == [
        [model, split] for model in models for split in ("validation", "test")
    ]
    for model, split, accuracy, f1_of_spam, found in stated:
        data = judged("messages", "balanced" if model == "balanced" else None)[
            lambda d, s=split: d.split == s
        ]
        spam = data[data.label == "spam"]
        if model == "always ham":
            assert [accuracy, f1_of_spam, found] == [
                f"{1 - len(spam) / len(data):.3f}",
                "0",
                f"0 of {len(spam)}",
            ]
        else:
            expected = scores("messages", split, "balanced" if model == "balanced" else None)
            assert [numbers(accuracy), numbers(f1_of_spam), found] == [
                *map(as_stated, expected),
                hits(spam.right),
            ]


def test_reviews_right_by_kind_and_wording():
    expected = []
    for split in ("validation", "test"):
        data = judged("reviews")[lambda d, s=split: d.split == s]
        expected.append(
            [
                split,
                *(hits(data.right[data.kind == kind]) for kind in KINDS["reviews"]),
                *(hits(data.right[data.wording == wording]) for wording in ("direct", "wry")),
            ]
        )
    assert table("reviews", "| split | plain |") == expected
    rare = judged("reviews")[lambda d: d.kind != "plain"].groupby("split").right
    assert f"{hits(rare.get_group('validation'))} and {hits(rare.get_group('test'))}." in prose(
        "reviews"
    )
    share = judged("reviews").groupby(["split", "wording"]).right.mean().unstack()
    gap = ((share.direct - share.wry) * 100).round().astype(int)
    assert f"by {gap['validation']} points on validation and by {gap['test']} on test" in prose(
        "reviews"
    )


def test_errors_on_messages_as_the_prose_has_them():
    errors = {
        weight: judged("messages", weight)[
            lambda d: (d.split == "test") & ~d.right
        ].label.value_counts()
        for weight in (None, "balanced")
    }
    totals = rows("messages")[lambda d: d.split == "test"].label.value_counts()
    assert (
        f"misses {errors[None]['spam']} of {totals['spam']} spam messages, the other one {errors['balanced']['spam']}."
    ) in prose("messages")
    assert (
        f"wrongly flags {errors[None]['ham']} of {totals['ham']} ham messages of the test split, the balanced one "
        f"{errors['balanced']['ham']}."
    ) in prose("messages")


def test_limits_of_reviews():
    data = rows("reviews")
    sarcasm = data[data.kind == "sarcasm"].label
    assert f"{(sarcasm == 'neg').sum()} of {len(sarcasm)} `sarcasm` rows are negative" in prose(
        "reviews"
    )
    rare = data[(data.split == "test") & (data.kind != "plain")].kind.value_counts()
    assert f"The test split has {rare.min()} to {rare.max()} rows of each rare kind" in prose(
        "reviews"
    )
    assert f"the median is {data.words.median():g} words" in prose("reviews")


def test_limits_of_messages():
    split = dict(tuple(rows("messages").groupby("split")))
    counter = TfidfVectorizer(analyzer="char", ngram_range=(3, 5))
    train = counter.fit_transform(split["train"].sms)
    nearest = (counter.transform(split["test"].sms) @ train.T).max(axis=1).toarray()
    assert (
        f"{(nearest > 0.5).sum()} of the {len(nearest)} test messages have a training message with a cosine similarity "
        f"over 0.5, {(nearest > 0.6).sum()} over 0.6"
    ) in prose("messages")
    spam = (split["test"].label == "spam").sum()
    assert (
        f"The test split has {spam} spam messages: one more or less found moves recall by {100 / spam:.1f} points."
        in (prose("messages"))
    )


@BOTH
def test_the_program_in_the_card_prints_what_the_card_says(task, monkeypatch):
    (program,) = re.findall(r"```python\n(.*?)```", card(task), re.DOTALL)
    (stated,) = re.findall(r"```text\n(.*?)```", card(task), re.DOTALL)
    monkeypatch.chdir(ROOT)
    with redirect_stdout(io.StringIO()) as printed:
        exec(compile(program, f"data/{task}/README.md", "exec"), {})
    assert printed.getvalue() == stated


@BOTH
def test_the_card_names_the_pinned_scikit_learn(task):
    (pin,) = re.findall(
        r"^scikit-learn==(\S+)$",
        (ROOT / "requirements.txt").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert set(re.findall(r"scikit-learn ([\d.]*\d)", prose(task))) == {pin}


def test_lessons_count_words_with_the_settings_that_the_cards_state():
    call = re.compile(
        r"make_pipeline\(\s*(TfidfVectorizer\(.*?LogisticRegression\(.*?\)),?\s*\)", re.DOTALL
    )
    files = [ROOT / "course_utils/common.py", *ROOT.glob("data/*/README.md")]
    found = {
        file.parent.name + "/" + file.name: call.findall(text)
        for file in files
        if "TfidfVectorizer" in (text := file.read_text(encoding="utf-8"))
    }
    assert len(found) == 4 and all(found.values()), found
    assert (
        len(
            {
                re.sub(r"\s|, class_weight=weight", "", one)
                for settings in found.values()
                for one in settings
            }
        )
        == 1
    ), found
