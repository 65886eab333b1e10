"""What several lessons use."""

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from transformers import AutoTokenizer, DistilBertConfig, DistilBertForSequenceClassification

from course_utils.common import GLUE, activation_bytes, balanced_rows, shortened, word_counter
from course_utils.lab import EMBEDDED_MODELS


def test_glue_has_the_averages_that_the_paper_prints():
    bert, distilbert = (sum(scores) / 9 for scores in zip(*GLUE.values(), strict=True))
    assert (round(bert, 1), round(distilbert, 1)) == (79.5, 77.0)


def test_balanced_rows_are_the_first_of_each_class_or_those_after_them():
    labels = [2, 0, 0, 2, 1, 0, 1, 2]
    assert balanced_rows(labels, 1).tolist() == [1, 4, 0]
    assert balanced_rows(labels, 1, skip=1).tolist() == [2, 6, 3]


def test_shortened_texts_have_the_limit_with_the_two_marks():
    tokenizer = AutoTokenizer.from_pretrained(EMBEDDED_MODELS["mini-distilbert"])
    one, two = shortened(tokenizer, ["a film that I saw", "a film"], 5)
    assert (one, two) == ("a film that", "a film")


def test_the_word_counter_counts_pairs_of_words():
    texts = ["not good", "good"] * 4
    model = word_counter().fit(texts, [0, 1] * 4)
    assert model.predict(["not good", "good"]).tolist() == [0, 1]
    assert "not good" in model[0].vocabulary_ and isinstance(model[1], LogisticRegression)


@pytest.fixture
def model():
    config = DistilBertConfig(dim=32, n_heads=2, n_layers=1, hidden_dim=64, vocab_size=50)
    return DistilBertForSequenceClassification(config).train()


def test_activations_grow_with_the_batch_and_leave_the_weights_out(model):
    def inputs(rows):
        return {
            "input_ids": torch.zeros(rows, 8, dtype=torch.long),
            "labels": torch.zeros(rows, dtype=torch.long),
        }

    small, large = activation_bytes(model, inputs(64)), activation_bytes(model, inputs(128))
    assert 1.9 < large / small < 2.1
    assert activation_bytes(model, inputs(1)) < 4 * sum(p.numel() for p in model.parameters())


def test_a_model_that_keeps_nothing_is_refused(model):
    model.requires_grad_(False)
    with pytest.raises(AssertionError):
        activation_bytes(
            model, {"input_ids": torch.zeros(1, 8, dtype=torch.long), "labels": torch.tensor([0])}
        )
