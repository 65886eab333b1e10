"""What the Trainer leaves to you: a damaged checkpoint, a full disk, too little memory, a loss that is no number."""

from __future__ import annotations

import errno
import json
import math
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from safetensors import SafetensorError, safe_open
from transformers import Trainer, TrainerCallback

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
FULL_IN_WORDS = r"\(os error (27|28|112|122)\)|unexpected pos \d|PytorchStreamWriter"  # safetensors; torch.save names no cause


class TrainingError(RuntimeError):
    """Training can't go on. The message says where it stands and what to do."""


def damage(checkpoint: Path) -> str:
    """What keeps a run from being resumed from a checkpoint to the last bit, or nothing.

    The Trainer itself stops with errors that don't name the cause, or goes on with a fresh optimiser where its file lacks.
    """
    for name in ("model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json"):
        file = checkpoint / name
        try:
            if name.endswith(".json"):
                json.loads(file.read_text(encoding="utf-8"))
            elif name.endswith(".safetensors"):
                safe_open(file, "pt")  # compares its table of contents with its length
            elif not zipfile.is_zipfile(file.resolve(strict=True)):  # torch.save writes a zip; its contents stand at the end
                return f"{name} is cut off"
        except (OSError, ValueError, SafetensorError):
            return f"{name} is cut off" if file.is_file() else f"{name} is missing"
    return ""


def checkpoints(folder: str | Path) -> list[Path]:
    found = [c for c in Path(folder).glob("checkpoint-*") if c.is_dir() and re.fullmatch(r"checkpoint-\d+", c.name)]
    return sorted(found, key=lambda c: int(c.name.split("-")[1]), reverse=True)


def last_whole_checkpoint(folder: str | Path) -> str | None:
    """For ``trainer.train(resume_from_checkpoint=...)``: the newest checkpoint that isn't damaged, or None to start anew.

    A run that is killed while it saves leaves half a checkpoint as the newest, and ``resume_from_checkpoint=True`` takes it.
    """
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
        if getattr(error, "errno", None) not in FULL and not re.search(FULL_IN_WORDS, str(error)):
            raise
        whole = ", ".join(c.name for c in checkpoints(folder) if not damage(c)) or "none"
        raise TrainingError(f"{folder}: the disk is full, or takes no more; the checkpoint being saved is incomplete. Whole: "
                            f"{whole}. Free some space (or set save_total_limit), then go on with trainer.train("
                            "resume_from_checkpoint=last_whole_checkpoint(folder)).") from error


def train_within_memory(make_trainer: Callable[..., Trainer], batch_size: int, accumulation: int = 1) -> Trainer:
    """Train, and where memory runs out start again with half the batch and twice the accumulation: the same steps.

    ``make_trainer(per_device_train_batch_size=..., gradient_accumulation_steps=...)`` returns a Trainer with a new model
    from the same seed. Without dropout the weights come out the same up to rounding (an epoch's last, incomplete step
    weighs its rows a little differently); the model needs ``accepts_loss_kwargs = False``, as in lesson 05. The Trainer's own
    ``auto_find_batch_size`` cuts the batch by a tenth, keeps the accumulation, so that steps, rate and result change, and
    goes on with the weights that it had.
    """
    while True:
        trainer = make_trainer(per_device_train_batch_size=batch_size, gradient_accumulation_steps=accumulation)
        try:
            trainer.train()
            return trainer
        except (RuntimeError, MemoryError) as error:
            known = isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "DefaultCPUAllocator" in str(error)
            if not known and not should_reduce_batch_size(error):
                raise
            if not trainer.model.training:
                raise TrainingError("Out of memory in an evaluation: halve per_device_eval_batch_size. It changes no "
                                    "result.") from error
            if batch_size == 1:
                raise TrainingError("Out of memory even at a batch of 1: cut the texts (max_length), take a smaller model, or "
                                    "close what else uses this memory.") from error
        del trainer  # and with it the model, which a GPU would hold twice
        clear_device_cache(garbage_collection=True)
        smaller = next(n for n in range(batch_size // 2, 0, -1) if batch_size % n == 0)
        batch_size, accumulation = smaller, accumulation * batch_size // smaller
        print(f"Out of memory: starting again with batches of {batch_size}, {accumulation} of them a step; same result")


class StopAtNaN(TrainerCallback):
    """Stop before a step whose gradient isn't finite spoils the weights, or where a logged loss isn't.

    By default the Trainer logs a plausible loss instead (``logging_nan_inf_filter``) and goes on. With fp16 an infinite
    gradient is normal, and its scaler skips the step.
    """

    def on_train_begin(self, args, state, control, **kwargs):
        args.logging_nan_inf_filter = False

    def on_pre_optimizer_step(self, args, state, control, model, optimizer, **kwargs):
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        if not args.fp16 and not torch.nn.utils.get_total_norm(gradients).isfinite():
            self.stop("gradient", state.global_step + 1, optimizer.param_groups[0]["lr"], "The weights are still sound. ")

    def on_log(self, args, state, control, logs, **kwargs):
        if not math.isfinite(logs.get("loss", 0.0)):
            self.stop("loss", state.global_step, logs["learning_rate"])

    def stop(self, what: str, step: int, rate: float, note: str = "") -> None:
        raise TrainingError(f"Step {step}, learning rate {rate:.1e}: the {what} is NaN or infinite. {note}Lower the learning "
                            "rate to a tenth; where that doesn't help, look for batches without a label and for log(0) or "
                            "division by 0 in a loss of your own.")
