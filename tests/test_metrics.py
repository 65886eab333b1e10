"""The metrics agree with figures worked out by hand, without asking the Hub."""

import numpy as np
import pytest

from course_utils.metrics import ClassificationMetrics, bootstrap_interval

# Four true positives, one false positive, two false negatives, three true negatives.
REFERENCES = [1, 1, 1, 1, 1, 1, 0, 0, 0, 0]
PREDICTIONS = [1, 1, 1, 1, 0, 0, 1, 0, 0, 0]


def test_scores_equal_those_worked_out_by_hand():
    scores = ClassificationMetrics().compute(predictions=PREDICTIONS, references=REFERENCES)
    assert scores == pytest.approx(
        {"accuracy": 0.7, "precision": 4 / 5, "recall": 4 / 6, "f1": 8 / 11}
    )


def test_macro_is_the_mean_of_both_classes():
    scores = ClassificationMetrics().compute(
        predictions=PREDICTIONS, references=REFERENCES, average="macro"
    )
    assert scores["recall"] == pytest.approx((4 / 6 + 3 / 4) / 2)
    assert scores["f1"] == pytest.approx((8 / 11 + 6 / 9) / 2)


def test_batches_add_up_to_the_whole():
    metric = ClassificationMetrics()
    for start in (0, 5):
        metric.add_batch(
            predictions=PREDICTIONS[start : start + 5], references=REFERENCES[start : start + 5]
        )
    assert metric.compute()["f1"] == pytest.approx(8 / 11)


def test_a_class_never_predicted_gives_zero_or_what_was_asked_for():
    metric = ClassificationMetrics()
    assert metric.compute(predictions=[0, 0], references=[1, 0])["precision"] == 0.0
    assert (
        metric.compute(predictions=[0, 0], references=[1, 0], zero_division=1)["precision"] == 1.0
    )


def test_predictions_and_references_of_different_length_are_refused():
    with pytest.raises(ValueError, match="match"):
        ClassificationMetrics().compute(predictions=[1, 0, 1], references=[1, 0])


def accuracy(references, predictions) -> float:
    return float((references == predictions).mean())


def test_the_interval_of_an_accuracy_is_as_wide_as_the_binomial_says():
    references = np.ones(1000, dtype=int)
    predictions = (np.arange(1000) < 850).astype(int)
    low, high = bootstrap_interval(accuracy, references, predictions)
    half = 1.96 * np.sqrt(0.85 * 0.15 / 1000)
    assert low == pytest.approx(0.85 - half, abs=0.004) and high == pytest.approx(
        0.85 + half, abs=0.004
    )


def test_the_interval_is_the_same_for_the_same_seed_and_wider_for_a_higher_level():
    rows = np.arange(50) % 3 == 0
    assert bootstrap_interval(np.mean, rows) == bootstrap_interval(np.mean, rows)
    assert bootstrap_interval(np.mean, rows) != bootstrap_interval(np.mean, rows, seed=1)
    narrow, wide = (bootstrap_interval(np.mean, rows, level=level) for level in (0.5, 0.99))
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_rows_are_resampled_together_in_a_paired_comparison():
    truth = np.arange(200) % 2
    first = np.where(np.arange(200) < 20, 1 - truth, truth)
    low, high = bootstrap_interval(
        lambda t, a, b: accuracy(t, a) - accuracy(t, b), truth, first, first.copy()
    )
    assert (low, high) == (0.0, 0.0)


@pytest.mark.parametrize("arrays", [([1, 0], [1]), ([], []), ([1], [1])])
def test_arrays_that_do_not_fit_together_are_refused_with_their_lengths(arrays):
    with pytest.raises(
        ValueError, match=rf"one length above 1, got \[{len(arrays[0])}, {len(arrays[1])}\]"
    ):
        bootstrap_interval(accuracy, *arrays)
