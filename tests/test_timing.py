"""Estimates are close, cost nothing that training would notice, and are worded as a person would say them."""

import random
import time

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import DistilBertConfig, DistilBertForSequenceClassification, Trainer, TrainingArguments, set_seed

from course_utils import timing
from course_utils.timing import Stopwatch, duration, estimate_training, peak_memory_gib

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(("seconds", "words"), [
    (0.4, "0 s"), (40, "40 s"), (89, "89 s"), (91, "2 min"), (180, "3 min"), (5390, "90 min"), (5400, "1.5 h"),
    (9000, "2.5 h"),
])
def test_a_duration_is_said_as_a_person_says_it(seconds, words):
    assert duration(seconds) == words


def test_a_stopwatch_runs_until_its_block_ends():
    with Stopwatch() as watch:
        time.sleep(0.02)
    measured = watch.seconds
    time.sleep(0.01)
    assert watch.seconds == measured and 0.015 <= measured < 1
    running = Stopwatch()
    earlier = running.seconds
    time.sleep(0.01)
    assert earlier < running.seconds


def test_peak_memory_is_in_gib_and_never_falls():
    before = peak_memory_gib()
    block = np.ones(2**27 // 8)  # 128 MiB
    assert 0.1 < before <= peak_memory_gib() < 64
    del block
    assert peak_memory_gib() >= before


def small_trainer(folder, rows=48, **arguments) -> Trainer:
    set_seed(0)
    rng = np.random.default_rng(0)
    ids, labels = rng.integers(5, 50, (rows, 8)).tolist(), [i % 2 for i in range(rows)]
    data = Dataset.from_dict({"input_ids": ids, "label": labels})
    model = DistilBertForSequenceClassification(
        DistilBertConfig(vocab_size=50, dim=16, n_layers=1, n_heads=2, hidden_dim=32, max_position_embeddings=16))
    keywords = {"num_train_epochs": 2, "per_device_train_batch_size": 8, "learning_rate": 1e-2, "report_to": "none",
                "save_strategy": "no", "disable_tqdm": True, "use_cpu": True, "logging_strategy": "no"}
    return Trainer(model=model, train_dataset=data, eval_dataset=data,
                   args=TrainingArguments(output_dir=str(folder), **(keywords | arguments)))


def test_an_estimate_leaves_weights_mode_and_every_random_state_untouched(tmp_path):
    trainer = small_trainer(tmp_path)
    trainer.model.eval()
    weights = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    estimate_training(trainer)
    after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    assert before[:2] == after[:2] and torch.equal(before[2], after[2])
    assert all(torch.equal(weights[name], value) for name, value in trainer.model.state_dict().items())
    assert all(p.grad is None for p in trainer.model.parameters()) and not trainer.model.training


def test_training_gives_the_same_numbers_with_and_without_an_estimate(tmp_path):
    losses, scores, weights = [], [], []
    for estimate in (False, True):
        trainer = small_trainer(tmp_path, rows=44, eval_strategy="epoch")
        if estimate:
            estimate_training(trainer)
        losses.append(trainer.train().training_loss)
        scores.append(trainer.evaluate()["eval_loss"])
        weights.append(trainer.model.classifier.weight)
        assert trainer.predict(trainer.eval_dataset).predictions.shape == (44, 2)
    assert losses[0] == losses[1] and scores[0] == scores[1] and torch.equal(*weights)


def steady_clock(monkeypatch, tick: float) -> None:
    """A clock on which every training step takes ``tick`` seconds: it is read once before and once after each."""
    reads = iter(np.arange(1000) * tick)
    monkeypatch.setattr(timing.time, "perf_counter", lambda: float(next(reads)))


@pytest.mark.parametrize(("arguments", "seconds", "words"), [
    ({}, 12 * 2.0, "about 24 s (12 steps of 2.00 s"),  # 48 rows / 8 x 2 epochs
    ({"max_steps": 600}, 600 * 2.0, "about 20 min (600 steps of 2.00 s"),
    ({"gradient_accumulation_steps": 2}, 6 * 2 * 2.0, "about 24 s (6 steps of 4.00 s"),
    # Two evaluations of 48 rows are twelve batches, each a third of a training step.
    ({"eval_strategy": "epoch"}, 12 * 2.0 + 12 * 2.0 / 3, "about 32 s (12 steps"),
    ({"eval_strategy": "steps", "eval_steps": 4}, 12 * 2.0 + 18 * 2.0 / 3, "about 36 s (12 steps"),
])
def test_an_estimate_counts_steps_and_evaluations(tmp_path, monkeypatch, capsys, arguments, seconds, words):
    trainer = small_trainer(tmp_path, **arguments)
    steady_clock(monkeypatch, tick=2.0)
    assert estimate_training(trainer) == pytest.approx(seconds)
    assert words in capsys.readouterr().out
