"""Estimates are close, cost nothing that training would notice, and are worded as a person would say them."""

import random
import re
import subprocess
import sys
import time
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from datasets import Dataset
from transformers import (
    DistilBertConfig,
    DistilBertForSequenceClassification,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from course_utils import trial
from course_utils.timing import Stopwatch, duration, estimate_training, occasions, peak_memory_gib

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 s"),
        (40, "40 s"),
        (89, "89 s"),
        (91, "2 min"),
        (180, "3 min"),
        (5390, "90 min"),
        (5400, "1.5 h"),
        (9000, "2.5 h"),
    ],
)
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


FREED = """
import resource
from course_utils.timing import keep_freed_memory
import torch

def faults_of_ten_blocks():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(2**24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults_of_ten_blocks()
freed = faults_of_ten_blocks()
keep_freed_memory()
faults_of_ten_blocks()
print(freed, faults_of_ten_blocks())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a setting of glibc")
def test_freed_memory_is_kept_and_not_filled_with_zeros_anew():
    found = subprocess.run(
        [sys.executable, "-c", FREED], capture_output=True, text=True, check=True
    )
    freed, kept = map(int, found.stdout.split())
    assert kept < freed / 10, found.stdout


def small_trainer(folder, rows=48, **arguments) -> Trainer:
    set_seed(0)
    rng = np.random.default_rng(0)
    ids, labels = rng.integers(5, 50, (rows, 8)).tolist(), [i % 2 for i in range(rows)]
    data = Dataset.from_dict({"input_ids": ids, "label": labels})
    model = DistilBertForSequenceClassification(
        DistilBertConfig(
            vocab_size=50, dim=16, n_layers=1, n_heads=2, hidden_dim=32, max_position_embeddings=16
        )
    )
    keywords = {
        "num_train_epochs": 2,
        "per_device_train_batch_size": 8,
        "learning_rate": 1e-2,
        "report_to": "none",
        "save_strategy": "no",
        "disable_tqdm": True,
        "use_cpu": True,
        "logging_strategy": "no",
    }
    return Trainer(
        model=model,
        train_dataset=data,
        eval_dataset=data,
        args=TrainingArguments(output_dir=str(folder), **(keywords | arguments)),
    )


def test_an_estimate_leaves_weights_mode_and_every_random_state_untouched(tmp_path):
    trainer = small_trainer(tmp_path)
    trainer.model.eval()
    weights = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    estimate_training(trainer)
    after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    assert before[:2] == after[:2] and torch.equal(before[2], after[2])
    assert all(
        torch.equal(weights[name], value) for name, value in trainer.model.state_dict().items()
    )
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


class Work:
    """A clock that only work moves: seconds that each part of a training takes.

    The very first training step takes longer, as a machine's does that has to warm up.
    """

    def __init__(self, monkeypatch):
        self.now, self.cold, self.calls = 0.0, True, Counter()
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)
        self.monkeypatch = monkeypatch
        self.costs("clip", Accelerator, "clip_grad_norm_", 0.3)
        self.costs("optimizer", torch.optim.AdamW, "step", 0.5)
        self.costs("list", Trainer, "get_train_dataloader", 4.0)
        self.costs(
            "evaluation",
            Trainer,
            "prediction_step",
            lambda _, model, inputs, *more, **__: 0.01 * inputs["input_ids"].numel(),
        )
        self.costs("checkpoint", Trainer, "save_model", 7.0)
        self.costs("training", Trainer, "training_step", self.training_seconds)

    def training_seconds(self, trainer, model, inputs, *_) -> float:
        warm_up, self.cold = 50.0 * self.cold, False
        return warm_up + 0.03 * inputs["input_ids"].numel()

    def costs(self, name, owner, method, seconds) -> None:
        plain = getattr(owner, method)

        def working(*args, **kwargs):
            self.calls[name] += 1
            self.now += seconds(*args, **kwargs) if callable(seconds) else seconds
            return plain(*args, **kwargs)

        self.monkeypatch.setattr(owner, method, working)


class Looks(TrainerCallback):
    """A callback that takes 0.4 s before each optimizer step, and counts its calls."""

    def __init__(self, work):
        self.work, self.seen = work, []

    def on_pre_optimizer_step(self, args, state, control, **kwargs):
        self.seen.append(state.global_step)
        self.work.now += 0.4


def varied_trainer(folder, work, rows=160, **arguments) -> Trainer:
    """Texts of 2 to 16 tokens: batches differ in what they cost."""
    trainer = small_trainer(folder, rows=rows, **arguments)
    rng = np.random.default_rng(1)
    ids = [rng.integers(5, 50, n).tolist() for n in rng.integers(2, 17, rows)]
    data = Dataset.from_dict({"input_ids": ids, "label": [i % 2 for i in range(rows)]})
    trainer.train_dataset, trainer.eval_dataset = data, data.select(range(min(rows, 48)))
    trainer.data_collator = pad
    trainer.add_callback(Looks(work))
    return trainer


def pad(rows):
    longest = max(len(row["input_ids"]) for row in rows)
    ids = [row["input_ids"] + [0] * (longest - len(row["input_ids"])) for row in rows]
    return {
        "input_ids": torch.tensor(ids),
        "attention_mask": (torch.tensor(ids) > 0).long(),
        "labels": torch.tensor([row["label"] for row in rows]),
    }


TRAININGS = [
    {},
    {"max_steps": 33},
    {"num_train_epochs": 1.5, "max_grad_norm": 0.0},
    {"gradient_accumulation_steps": 3, "num_train_epochs": 3},
    {"train_sampling_strategy": "group_by_length"},
    {"per_device_train_batch_size": 16, "save_strategy": "epoch"},
    {"eval_strategy": "epoch", "save_strategy": "epoch", "per_device_eval_batch_size": 32},
    {"eval_strategy": "steps", "eval_steps": 9, "save_strategy": "steps", "save_steps": 7},
    {"eval_strategy": "steps", "eval_steps": 0.25, "per_device_eval_batch_size": 2},
    {
        "eval_strategy": "epoch",
        "save_strategy": "epoch",
        "load_best_model_at_end": True,
        "train_sampling_strategy": "group_by_length",
        "eval_on_start": True,
    },
]


def signed_error(folder, monkeypatch, arguments) -> float:
    """How far an estimate lies above what the same training then takes, as a share of that."""
    with monkeypatch.context() as patch:
        work = Work(patch)
        trainer = varied_trainer(folder, work, **arguments)
        expected = estimate_training(trainer)
        begun = work.now
        trainer.train()
        return expected / (work.now - begun) - 1


def test_estimates_are_close_and_neither_short_nor_long_on_average(tmp_path, monkeypatch):
    errors = [
        signed_error(tmp_path / str(n), monkeypatch, arguments)
        for n, arguments in enumerate(TRAININGS)
    ]
    shown = " ".join(f"{error:+.1%}" for error in errors)
    assert max(map(abs, errors)) < 0.12, shown
    assert abs(np.mean(errors)) < 0.03, shown
    assert min(errors) < 0 < max(errors), shown


@pytest.mark.parametrize(
    "part", ["clip", "optimizer", "list", "evaluation", "checkpoint", "callback"]
)
def test_each_part_of_a_training_is_in_its_estimate(part, tmp_path, monkeypatch):
    """Where one part takes a hundred times as long, the estimate says so as exactly as before."""
    arguments = {"eval_strategy": "epoch", "save_strategy": "epoch", "num_train_epochs": 3}
    work = Work(monkeypatch)
    where = {
        "clip": (Accelerator, "clip_grad_norm_"),
        "optimizer": (torch.optim.AdamW, "step"),
        "list": (Trainer, "get_train_dataloader"),
        "evaluation": (Trainer, "prediction_step"),
        "checkpoint": (Trainer, "save_model"),
        "callback": (Looks, "on_pre_optimizer_step"),
    }
    work.costs("slow", *where[part], 300.0)
    trainer = varied_trainer(tmp_path, work, **arguments)
    expected = estimate_training(trainer)
    begun = work.now
    trainer.train()
    assert expected == pytest.approx(work.now - begun, rel=0.05)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, r"\(40 steps of \d\.\d\d s\)"),  # 160 rows / 8 x 2 epochs
        ({"max_steps": 600}, r"\(600 steps of"),
        (
            {"gradient_accumulation_steps": 3},
            r"\(14 steps of",
        ),  # an epoch's last one has two batches
        ({"eval_strategy": "epoch"}, r"\(40 steps of .* s, 2 evaluations of \d+\.\d s\)"),
        (
            {
                "eval_strategy": "steps",
                "eval_steps": 12,
                "save_strategy": "steps",
                "save_steps": 20,
            },
            r"\(40 steps of .* s, 4 evaluations of .* s, 2 checkpoints of \d\.\d s\)",
        ),
        (
            {
                "eval_strategy": "epoch",
                "save_strategy": "best",
                "metric_for_best_model": "eval_accuracy",
            },
            r"2 evaluations of .* s, 2 checkpoints of",
        ),
    ],
)
def test_an_estimate_says_what_it_counts(arguments, words, tmp_path, monkeypatch, capsys):
    trainer = varied_trainer(tmp_path, Work(monkeypatch), **arguments)
    estimate_training(trainer)
    assert re.search(f"^Estimate: about .* {words}", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("strategy", "every", "times"),
    [
        ("no", 5, 0),
        ("epoch", None, 3),
        ("steps", 10, 3),
        ("steps", 9, 4),
        ("steps", 0.5, 2),
        ("steps", 40, 1),
    ],
)
def test_evaluations_and_checkpoints_are_counted_as_the_trainer_makes_them(strategy, every, times):
    assert occasions(strategy, every, total=30, epoch=12) == times


def test_the_trainer_makes_as_many_evaluations_and_checkpoints_as_are_counted(
    tmp_path, monkeypatch
):
    work = Work(monkeypatch)
    trainer = varied_trainer(
        tmp_path,
        work,
        rows=80,
        eval_strategy="steps",
        eval_steps=6,
        save_strategy="steps",
        save_steps=0.3,
    )
    trainer.train()
    batches = 6  # of an evaluation of 48 rows
    assert work.calls["evaluation"] == batches * occasions("steps", 6, 20, 10) == batches * 4
    assert work.calls["checkpoint"] == occasions("steps", 0.3, 20, 10) == 4


def test_callbacks_are_left_as_they_were_and_none_is_called_out_of_turn(
    tmp_path, monkeypatch, capsys
):
    class Talks(TrainerCallback):
        def on_log(self, args, state, control, **kwargs):
            raise AssertionError("a trial logs nothing")

        on_evaluate = on_save = on_train_end = on_log

        def on_step_end(self, args, state, control, **kwargs):
            print("a step")
            if state.global_step == 3:
                raise KeyboardInterrupt
            control.should_training_stop = True

    trainer = varied_trainer(
        tmp_path, Work(monkeypatch), eval_strategy="epoch", save_strategy="epoch"
    )
    trainer.add_callback(Talks())
    estimate_training(trainer)
    looks = next(c for c in trainer.callback_handler.callbacks if isinstance(c, Looks))
    assert looks.seen == [] and "a step" not in capsys.readouterr().out


def test_an_estimate_leaves_nothing_on_the_disk(tmp_path, monkeypatch):
    estimate_training(varied_trainer(tmp_path, Work(monkeypatch), save_strategy="epoch"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_a_disk_that_takes_no_checkpoint_does_not_stop_an_estimate(fault, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(30, "Read-only file system")

    if fault == "full":
        monkeypatch.setattr(trial.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
        monkeypatch.setattr(Trainer, "save_model", refuse)
    else:
        monkeypatch.setattr(trial.tempfile, "TemporaryDirectory", refuse)
    assert estimate_training(varied_trainer(tmp_path, Work(monkeypatch), save_strategy="epoch")) > 0


def test_a_trainer_that_has_trained_is_estimated_with_a_copy_of_its_weights(tmp_path, monkeypatch):
    """After a training in bf16 the model's forward is a wrapper that a deep copy shares."""
    trainer = varied_trainer(tmp_path, Work(monkeypatch), bf16=True)
    trainer.train()
    weights = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    estimate_training(trainer)
    assert all(
        torch.equal(weights[name], value) for name, value in trainer.model.state_dict().items()
    )
    assert all(p.grad is None or not p.grad.any() for p in trainer.model.parameters())


def test_a_loss_of_the_trainers_own_is_timed_too(tmp_path, monkeypatch):
    class Distils(Trainer):
        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
            work.now += 20.0
            return super().compute_loss(model, inputs, return_outputs)

    work = Work(monkeypatch)
    trainer = varied_trainer(tmp_path, work)
    trainer.__class__ = Distils
    assert 40 * 20 < estimate_training(trainer) < 40 * 27
