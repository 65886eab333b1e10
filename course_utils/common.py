"""Used by several lessons: a TF-IDF baseline, truncation, balanced rows, memory, GLUE scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

# Sanh et al. 2019, table 1: development sets, medians of five seeds, (BERT-base, DistilBERT). The
# table prints 86.7 for BERT on MNLI; only 84.7, as in the authors' README, gives its mean of 79.5.
GLUE = {
    "CoLA": (56.3, 51.3),
    "MNLI": (84.7, 82.2),
    "MRPC": (88.6, 87.5),
    "QNLI": (91.8, 89.2),
    "QQP": (89.6, 88.5),
    "RTE": (69.3, 59.9),
    "SST-2": (92.7, 91.3),
    "STS-B": (89.0, 86.9),
    "WNLI": (53.5, 56.3),
}


def word_counter() -> Pipeline:
    """TF-IDF of words and pairs of words, with logistic regression; explained in lesson 05."""
    return make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True),
        LogisticRegression(C=10, max_iter=1000),
    )


def shortened(tokenizer, texts: Sequence[str], limit: int) -> list[str]:
    """The texts truncated to ``limit`` tokens, ``[CLS]`` and ``[SEP]`` included, and decoded."""
    ids = tokenizer(texts, truncation=True, max_length=limit)["input_ids"]
    return tokenizer.batch_decode(ids, skip_special_tokens=True)


def balanced_rows(labels: Sequence[int], per_class: int, skip: int = 0) -> np.ndarray:
    """Row numbers of ``per_class`` rows of each class, after the first ``skip`` of each."""
    labels = np.asarray(labels)
    last = skip + per_class
    return np.concatenate([np.flatnonzero(labels == c)[skip:last] for c in np.unique(labels)])


def activation_bytes(model: torch.nn.Module, inputs: Mapping[str, torch.Tensor]) -> int:
    """Bytes that ``model(**inputs).loss`` stores for the backward pass, weights not counted."""
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    stored = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            stored[storage.data_ptr()] = storage.nbytes()  # once, however often it is used
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss = model(**inputs).loss
    assert loss.requires_grad  # the graph, and with it every stored tensor, exists until here
    return sum(stored.values())
