"""The embedded data sets are what their cards say, and no shortcut solves them."""

import csv
import re
from collections import Counter, defaultdict
from functools import cache
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, embedded
from scipy.sparse.csgraph import connected_components
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, f1_score, precision_recall_curve
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier

from course_utils.metrics import bootstrap_interval

TEXT = {"reviews": "text", "messages": "sms"}
POSITIVE = {"reviews": "pos", "messages": "spam"}
BOTH = pytest.mark.parametrize("task", ["reviews", "messages"])


@pytest.fixture(scope="module")
def reviews() -> pd.DataFrame:
    return embedded("reviews")


@pytest.fixture(scope="module")
def messages() -> pd.DataFrame:
    return embedded("messages")


def words(text: str) -> list[str]:
    return re.findall(r"[\w']+", text.lower())


def word_counts(task: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """For each word in how many (negative, positive) texts it stands; and how many texts of each class there are."""
    data = embedded(task)
    counts: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(2, dtype=int))
    positive = data.label == POSITIVE[task]
    for text, side in zip(data[TEXT[task]], positive.astype(int), strict=True):
        for word in set(words(text)):
            counts[word][side] += 1
    return counts, np.array([(~positive).sum(), positive.sum()])


def most_alike(texts: list[str]) -> float:
    """The highest Jaccard similarity of word 3-grams between any two texts."""
    grams = [set(zip(w, w[1:], w[2:], strict=False)) or {tuple(w)} for w in map(words, texts)]
    where = defaultdict(list)
    for number, found in enumerate(grams):
        for gram in found:
            where[gram].append(number)
    shared = Counter(pair for numbers in where.values() for pair in combinations(numbers, 2))
    return max(
        (n / (len(grams[a]) + len(grams[b]) - n) for (a, b), n in shared.items()), default=0.0
    )


def stump_accuracy(task: str) -> float:
    """Accuracy on all texts of the best rule "this one word stands in it" (or does not)."""
    counts, totals = word_counts(task)
    hits = (max(n[1] + totals[0] - n[0], n[0] + totals[1] - n[1]) for n in counts.values())
    return max(hits) / totals.sum()


def alike_groups(texts) -> np.ndarray:
    """For each text the number of its group: texts linked by a cosine of character 3- to 5-grams over 0.3, also by way of
    others."""
    grams = TfidfVectorizer(analyzer="char", ngram_range=(3, 5)).fit_transform(texts)
    return connected_components(grams @ grams.T > 0.3, directed=False)[1]


def average_precision(positive: np.ndarray, score: np.ndarray) -> float:
    """As scikit-learn's, which is too slow for thousands of resamples."""
    order = np.argsort(-score)
    positive, score = positive[order], score[order]
    last = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)
    found = np.cumsum(positive)[last]
    return (np.diff(found, prepend=0) * found / (last + 1)).sum() / found[-1]


def f1(positive: np.ndarray, predicted: np.ndarray) -> float:
    return 2 * (positive & predicted).sum() / max(1, positive.sum() + predicted.sum())


@cache
def spam_scores(
    weight: str | None = None,
) -> tuple[float, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """The threshold with the best F1 on validation, and each split's (is spam, score) by the word counter of the lessons."""
    data = embedded("messages")
    train = data[data.split == "train"]
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True),
        LogisticRegression(C=10, max_iter=1000, class_weight=weight),
    ).fit(train.sms, train.label)
    scores = {
        split: ((rows.label == "spam").to_numpy(), model.predict_proba(rows.sms)[:, 1])
        for split, rows in data.groupby("split")
    }
    precision, recall, thresholds = precision_recall_curve(*scores["validation"])
    return thresholds[
        np.argmax((2 * precision * recall / np.maximum(precision + recall, 1e-9))[:-1])
    ], scores


def messages_card() -> str:
    return (ROOT / "data/messages/README.md").read_text(encoding="utf-8")


def test_reviews_are_many_enough_and_balanced_in_every_split(reviews):
    sizes = reviews.split.value_counts()
    assert sizes["train"] >= 1990 and sizes["validation"] >= 490 and sizes["test"] >= 990
    assert (reviews.label == "pos").groupby(reviews.split).mean().between(0.49, 0.51).all()


def test_messages_are_many_enough_and_about_one_in_seven_is_spam_in_every_split(messages):
    sizes = messages.split.value_counts()
    assert set(sizes.index) == {"train", "validation", "test"}
    assert sizes["train"] >= 950 and sizes["validation"] >= 340 and sizes["test"] == 600
    assert (messages.label == "spam").groupby(messages.split).mean().between(0.13, 0.14).all()


def test_every_kind_of_message_is_as_frequent_in_every_split(messages):
    shares = messages.groupby("split").kind.value_counts(normalize=True).unstack()
    assert shares.shape == (3, 4)
    assert (shares.max() - shares.min()).max() < 0.005


def test_no_group_of_alike_messages_stands_in_two_splits(messages):
    groups = alike_groups(messages.sms)
    assert messages.split.groupby(groups).nunique().max() == 1
    sizes = np.bincount(groups)
    assert (
        f"{len(sizes):,} groups: {(sizes == 1).sum():,} messages stand alone, {sizes[sizes > 1].sum()} share "
        f"{(sizes > 1).sum()} groups of 2 to {sizes.max()}."
    ) in " ".join(messages_card().split())


def test_alike_messages_are_grouped_also_by_way_of_a_third():
    texts = [
        "see you at the harbour at nine tonight",
        "see you at the harbour at nine, bring bread",
        "harbour at nine, bring bread, butter and eggs",
        "quite another message",
    ]
    groups = alike_groups(texts)
    assert len(set(groups[:3])) == 1 and groups[3] != groups[0]


def test_the_fast_scores_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    positive, score = rng.random(200) < 0.2, rng.integers(30, size=200) / 30  # with ties
    assert average_precision(positive, score) == pytest.approx(
        average_precision_score(positive, score)
    )
    assert f1(positive, score > 0.5) == pytest.approx(f1_score(positive, score > 0.5))


def test_validation_and_test_of_messages_are_drawn_alike():
    """By chance alone a word counter's average precision could lie this far apart on the two."""
    _, scores = spam_scores()
    rng = np.random.default_rng(0)
    pairs = [scores["validation"], scores["test"]]
    validation, test = (average_precision(*pair) for pair in pairs)
    draws = [
        [
            average_precision(positive[rows], score[rows])
            for rows in rng.integers(len(score), size=(2000, len(score)))
        ]
        for positive, score in pairs
    ]
    low, high = np.quantile(np.subtract(*draws), [0.025, 0.975])
    assert low < 0 < high
    assert (
        f"validation minus test is {validation - test:.3f} (95 % interval {low:.3f} to {high:.3f}, both splits resampled)"
    ) in " ".join(messages_card().split())


def test_the_word_counters_on_messages_by_the_fair_rule():
    stated = {
        tuple(row[:2]): row[2:]
        for row in (
            [cell.strip(" `") for cell in line.strip("|").split("|")]
            for line in messages_card()
            .split("| word counter |")[1]
            .split("\n\n")[0]
            .splitlines()[2:]
        )
    }
    expected = {}
    for name, weight in (("default", None), ("balanced", "balanced")):
        threshold, scores = spam_scores(weight)
        for split in ("validation", "test"):
            positive, score = scores[split]
            predicted = score >= threshold
            cells = [
                f"{metric(positive, given):.3f} ({low:.3f} to {high:.3f})"
                for metric, given in ((average_precision, score), (f1, predicted))
                for low, high in [bootstrap_interval(metric, positive, given)]
            ]
            expected[name, split] = [
                cells[0],
                f"{threshold:.2f}",
                cells[1],
                *(f"{(side & predicted).sum()} of {side.sum()}" for side in (positive, ~positive)),
            ]
    assert stated == expected


def test_reviews_are_as_long_as_reviews_are(reviews):
    length = reviews.text.str.split().str.len()
    assert length.median() >= 30
    assert (length >= 150).groupby(reviews.split).sum().min() >= 20


def test_at_least_a_fifth_of_every_reviews_split_is_not_plain(reviews):
    assert set(reviews.kind) == {
        "plain",
        "plot_words",
        "mixed",
        "negation",
        "sarcasm",
        "comparison",
    }
    assert (reviews.kind != "plain").groupby(reviews.split).mean().min() >= 0.2
    assert reviews[reviews.split == "test"].kind.value_counts().min() >= 10


def test_no_film_stands_in_two_splits_and_each_has_both_sides(reviews):
    assert reviews.groupby("film").split.nunique().max() == 1
    assert reviews.groupby("film").label.nunique().min() == 2


@BOTH
def test_no_text_is_there_twice_or_nearly_so(task):
    texts = embedded(task)[TEXT[task]]
    assert not texts.str.lower().str.split().str.join(" ").duplicated().any()
    assert most_alike(list(texts)) <= 0.5


def test_the_near_duplicate_measure_finds_one_changed_word():
    sentence = "the second half of this film is a long walk through rain that nobody in the story asked for"
    assert most_alike([sentence, "quite another text", sentence.replace("rain", "snow")]) > 0.5
    assert most_alike([sentence, "quite another text"]) == 0


def test_no_common_word_gives_a_reviews_side_away():
    counts, totals = word_counts("reviews")
    common = 0.016 * totals.sum()  # words of every sixtieth review
    share = {word: n.max() / n.sum() for word, n in counts.items() if n.sum() >= common}
    assert len(share) > 300
    assert max(share.values()) <= 0.9, max(share, key=share.get)
    assert stump_accuracy("reviews") < 0.58


def test_no_common_word_gives_spam_away():
    counts, totals = word_counts("messages")
    share = {word: n[1] / n.sum() for word, n in counts.items() if n.sum() >= 15}
    assert len(share) > 200
    assert max(share.values()) <= 0.85, max(share, key=share.get)
    assert stump_accuracy("messages") < totals.max() / totals.sum() + 0.02


def test_length_alone_does_not_tell_the_sides_apart(reviews):
    length = reviews.text.str.len().to_numpy()[:, None]
    for model in (DecisionTreeClassifier(max_depth=3, random_state=0), LogisticRegression()):
        assert (
            cross_val_score(
                model, length, reviews.label, groups=reviews.film, cv=GroupKFold(5)
            ).mean()
            < 0.6
        )


def test_counting_words_solves_some_reviews_but_far_from_all(reviews):
    model = make_pipeline(TfidfVectorizer(), LogisticRegression(max_iter=1000))
    accuracy = cross_val_score(
        model, reviews.text, reviews.label, groups=reviews.film, cv=GroupKFold(5)
    ).mean()
    assert 0.70 <= accuracy <= 0.92


def test_ham_has_messages_that_look_like_spam(messages):
    ham = messages[messages.label == "ham"]
    assert (ham.kind == "notice").groupby(ham.split).mean().min() >= 0.15
    assert ham.sms.str.contains(".example", regex=False).sum() >= 50
    assert set(messages[messages.label == "spam"].kind) == {"scam", "advert"}


@BOTH
def test_links_and_addresses_lead_to_reserved_domains_only(task):
    everything = "\n".join(embedded(task)[TEXT[task]])
    hosts = re.findall(r"(?:https?://|www\.|@)([\w.-]+\w)", everything)
    hosts += re.findall(r"\b[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}\b(?=/)", everything)
    hosts += re.findall(
        r"\b[a-z][\w-]*(?:\.[a-z][\w-]*)*\.(?:com|net|org|info|biz|app|io|co|uk|de|me|ly|example)\b",
        everything.lower(),
    )
    assert len(hosts) >= (100 if task == "messages" else 0)
    assert [h for h in hosts if not h.endswith(".example")] == []


@BOTH
def test_telephone_numbers_come_from_ranges_kept_for_fiction(task):
    everything = "\n".join(embedded(task)[TEXT[task]])
    numbers = [
        re.sub(r"\D", "", n)
        for n in re.findall(r"(?<!\d)(?:\+|0)\d(?:[ ()-]?\d){7,}|555[ -]\d{4}", everything)
    ]
    # Ofcom's numbers for drama, and the North American 555-0100 to 555-0199.
    fiction = re.compile(
        r"07700900\d{3}|01632960\d{3}|02079460\d{3}|08081570\d{3}|09098790\d{3}|(1?\d{3})?55501\d\d"
    )
    assert len(numbers) >= (50 if task == "messages" else 0)
    assert [n for n in numbers if not fiction.fullmatch(n)] == []


@BOTH
def test_files_are_utf8_with_one_row_a_line_and_no_stray_white_space(task):
    for split in ("train", "validation", "test"):
        content = (ROOT / f"data/{task}/{split}.csv").read_bytes().decode("utf-8")
        rows = list(csv.reader(content.splitlines(), strict=True))
        assert len(rows) == content.count("\n") and "\r" not in content and "\ufeff" not in content
        assert {len(row) for row in rows} == {len(rows[0])}
        assert [
            cell for row in rows for cell in row if cell != " ".join(cell.split()) or not cell
        ] == []
