"""``python -m tests.tiny_model FOLDER``: a tiny untrained model, exported for the service's tests."""

import sys
from pathlib import Path

import torch
from transformers import (
    AutoTokenizer,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    PreTrainedTokenizerBase,
)

from course_utils.lab import EMBEDDED_MODELS
from service.export import export

LABELS = ["cancel", "return", "track", "talk"]


def tiny_model() -> tuple[DistilBertForSequenceClassification, PreTrainedTokenizerBase]:
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(str(EMBEDDED_MODELS["mini-distilbert"]))
    config = DistilBertConfig(
        vocab_size=len(tokenizer), dim=32, hidden_dim=64, n_heads=2, n_layers=2, num_labels=4
    )
    return DistilBertForSequenceClassification(config).eval(), tokenizer


if __name__ == "__main__":
    print("wrote", export(*tiny_model(), LABELS, Path(sys.argv[1])))
