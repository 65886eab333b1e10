"""What the Trainer leaves to you: a damaged checkpoint, a full disk, too little memory, a loss that is no number."""

from __future__ import annotations

import json
import math
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from accelerate.utils.memory import clear_device_cache
from safetensors import SafetensorError, safe_open
from transformers import Trainer, TrainerCallback

FULL = r"(os error|Errno) (27|28|69|112|122)\b|unexpected pos \d|PytorchStreamWriter"  # torch.save says no more


class TrainingError(RuntimeError):
    """Training can't go on. The message says where it stands and what to do."""


def damage(checkpoint: Path) -> str:
    """What keeps a run from being resumed to the last bit, or "". (Where optimizer.pt is missing, the Trainer just goes on.)"""
    for name in ("model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json"):
        file = checkpoint / name
        try:  # each of the three looks at the end of the file: safetensors compares lengths, and torch.save writes a zip
            whole = (safe_open(file, "pt") if name.endswith("safetensors") else
                     isinstance(json.loads(file.read_bytes()), dict) if name.endswith("json") else zipfile.is_zipfile(file))
        except (OSError, ValueError, RecursionError, SafetensorError):
            whole = False
        if not whole:
            return f"{name} is {'cut off' if file.is_file() else 'missing'}"
    return ""


def checkpoints(folder: str | Path) -> list[Path]:
    found = [c for c in Path(folder).glob("checkpoint-*") if c.is_dir() and c.name[11:].isdecimal()]
    return sorted(found, key=lambda c: int(c.name[11:]), reverse=True)


def last_whole_checkpoint(folder: str | Path) -> str | None:
    """For ``trainer.train(resume_from_checkpoint=...)``: the newest checkpoint that isn't damaged, or None to start anew.

    ``True`` would take the newest, which is half a checkpoint where the run was killed while it saved."""
    for checkpoint in checkpoints(folder):
        if not (problem := damage(checkpoint)):
            return str(checkpoint)
        print(f"{checkpoint.name} skipped: {problem}")
    return None


@contextmanager
def full_disk_named(folder: str | Path) -> Iterator[None]:
    """Around ``trainer.train()``: a checkpoint in ``folder`` that can't be written ends in a TrainingError that says so."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        if not re.search(FULL, str(error)):
            raise
        whole = ", ".join(c.name for c in checkpoints(folder) if not damage(c)) or "none"
        raise TrainingError(f"{folder}: the disk is full; the checkpoint being saved is incomplete. Whole: {whole}. Free some "
                            "space, then trainer.train(resume_from_checkpoint=last_whole_checkpoint(folder)).") from error


def train_within_memory(make_trainer: Callable[..., Trainer], batch_size: int, accumulation: int = 1) -> Trainer:
    """Train; where memory runs out, start again with half the batch and twice the accumulation: the same steps.

    ``make_trainer(per_device_train_batch_size=..., gradient_accumulation_steps=...)`` returns a Trainer with a new model from
    the same seed and ``accepts_loss_kwargs = False`` (lesson 05). Without dropout the weights agree up to rounding, where the
    steps divide an epoch's rows. The Trainer's own ``auto_find_batch_size`` keeps accumulation and weights: results change."""
    while True:
        trainer = make_trainer(per_device_train_batch_size=batch_size, gradient_accumulation_steps=accumulation)
        try:
            trainer.train()
            return trainer
        except (RuntimeError, MemoryError) as error:
            if not isinstance(error, MemoryError) and not re.search("out of memory|DefaultCPUAllocator", str(error)):
                raise
            if not trainer.model.training:
                raise TrainingError("Out of memory in an evaluation: halve per_device_eval_batch_size.") from error
            if batch_size == 1:
                raise TrainingError("Out of memory even at a batch of 1: cut the texts or take a smaller model.") from error
        del trainer  # and with it the model, which a GPU would hold twice
        clear_device_cache(garbage_collection=True)
        smaller = next(n for n in range(batch_size // 2, 0, -1) if batch_size % n == 0)
        batch_size, accumulation = smaller, accumulation * batch_size // smaller
        print(f"Out of memory: starting again with batches of {batch_size}, {accumulation} of them a step; the same steps")


class StopAtNaN(TrainerCallback):
    """Stop before a step whose gradient isn't finite spoils the weights, or where a logged loss isn't finite.

    By default the Trainer logs a plausible loss and goes on. With fp16 its scaler skips such steps, which are normal there."""

    message = ("Step {}, learning rate {:.1e}: the {} is NaN or infinite. Lower the learning rate to a tenth; where that does "
               "not help, look for batches without a label, and for log(0) or division by 0 in a loss of your own.")

    def on_train_begin(self, args, state, control, **kwargs):
        args.logging_nan_inf_filter = False

    def on_pre_optimizer_step(self, args, state, control, model, optimizer, **kwargs):
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        if not args.fp16 and not torch.nn.utils.get_total_norm(gradients).isfinite():
            raise TrainingError(self.message.format(state.global_step + 1, optimizer.param_groups[0]["lr"], "gradient"))

    def on_log(self, args, state, control, logs, **kwargs):
        if not math.isfinite(logs.get("loss", 0.0)):
            raise TrainingError(self.message.format(state.global_step, logs["learning_rate"], "loss"))
