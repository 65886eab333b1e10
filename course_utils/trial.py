"""A trial run: time a few steps of a copied Trainer, to estimate the whole training."""

from __future__ import annotations

import contextlib
import copy
import io
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partialmethod
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Subset
from transformers import DefaultFlowCallback, Trainer, TrainerCallback, TrainerControl

KNOWN_BATCHES = 100  # the sample that stands for all batch sizes


@dataclass(frozen=True)
class Trial:
    """Measured seconds of each part of a training, and the batches of an epoch.

    ``start`` is what comes before the first step: sorting rows into batches, preparing the model.
    """

    start: float
    step: float
    evaluation: float
    checkpoint: float
    batches: int


def clock() -> float:
    """The time in seconds, after a GPU has finished its queue."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


class StepClock(TrainerCallback):
    """Time the steps after the first, which warms up: it allocates memory, creates the optimizer's
    state and compiles kernels. Stops after ``steps`` of them, or after 3 s where that is later."""

    def __init__(self, steps: int):
        self.steps, self.first, self.begun, self.ended, self.timed = steps, 0.0, 0.0, 0.0, 0

    def on_step_begin(self, args, state, control, **kwargs):
        if not state.global_step:
            self.first = clock()

    def on_step_end(self, args, state, control, **kwargs):
        self.timed = state.global_step - 1
        if not self.timed:
            self.begun = self.ended = clock()
            return
        spent = time.perf_counter() - self.begun
        if (spent > 3 and self.timed >= self.steps) or state.global_step >= state.max_steps:
            control.should_training_stop = True
            self.ended = clock()


class StepEventsOnly(TrainerCallback):
    """A copy of a callback that gets the events of steps only, and cannot stop or save anything.

    Its global step is always 1, so that nothing due at a later step happens in the trial.
    """

    def __init__(self, callback: TrainerCallback):
        self.callback = copy.copy(callback)
        for name, value in vars(callback).items():  # a copy's lists must not change the original's
            if isinstance(value, list | dict | set):
                setattr(self.callback, name, copy.copy(value))

    def call(self, args, state, control, event: str, **kwargs) -> None:
        state = copy.copy(state)
        state.global_step = 1
        getattr(self.callback, event)(args, state, TrainerControl(), **kwargs)

    on_train_begin = partialmethod(call, event="on_train_begin")
    on_step_begin = partialmethod(call, event="on_step_begin")
    on_pre_optimizer_step = partialmethod(call, event="on_pre_optimizer_step")
    on_optimizer_step = partialmethod(call, event="on_optimizer_step")
    on_step_end = partialmethod(call, event="on_step_end")


@contextlib.contextmanager
def restored_random_state() -> Iterator[None]:
    """Restore the random states of Python, NumPy and PyTorch at the end."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


def twin_of(trainer: Trainer, max_steps: int, callbacks: list[TrainerCallback]) -> Trainer:
    """The same trainer with copies of the model and of all that a training changes."""
    twin = copy.copy(trainer)
    args = twin.args = copy.copy(trainer.args)
    args.max_steps, args.eval_strategy, args.save_strategy = max_steps, "no", "no"
    args.eval_on_start = args.load_best_model_at_end = args.push_to_hub = False
    twin.model = twin.model_wrapped = copy.deepcopy(trainer.model)
    for name in ("forward", "_original_forward"):  # after a training: a wrapper of the original's
        vars(twin.model).pop(name, None)
    twin.model_init = twin.optimizer = twin.lr_scheduler = None
    twin.control = TrainerControl()
    twin.callback_handler = copy.copy(trainer.callback_handler)
    twin.callback_handler.callbacks = callbacks
    twin.callback_handler.model = twin.model
    twin.create_accelerator_and_postprocess()
    return twin


def typical_batches(loader: DataLoader, batches: list[list[int]], wanted: int) -> list[list[int]]:
    """``wanted`` batches of an epoch, small and large ones in turn.

    They are sorted by their number of elements after padding and then taken in steps of the golden
    ratio, so that the mean size of any first few is close to that of all.
    """

    def size(rows: list[int]) -> int:
        tensors = loader.collate_fn([loader.dataset[row] for row in rows]).values()
        return sum(tensor.numel() for tensor in tensors if torch.is_tensor(tensor))

    drawn = torch.randperm(len(batches))[:KNOWN_BATCHES].tolist()
    known = sorted((batches[number] for number in drawn), key=size)
    golden = (5**0.5 - 1) / 2
    return [known[int(number * golden % 1 * len(known))] for number in range(wanted)]


def some_batches(dataset, batch_size: int, batches: int):
    """Rows of ``batches`` batches, drawn from those of an evaluation, which keeps the order."""
    starts = torch.randperm(-(-len(dataset) // batch_size))[:batches] * batch_size
    rows = [r for s in starts.tolist() for r in range(s, min(s + batch_size, len(dataset)))]
    return dataset.select(rows) if hasattr(dataset, "select") else Subset(dataset, rows)


def evaluation_seconds(twin: Trainer, dataset) -> float:
    """Seconds of one evaluation. The first batch is the warm-up, unless it alone takes a second."""
    twin.compute_metrics = lambda *_, **__: {}  # the learner's own may need more than a few rows
    for batches in (1, 3):
        part = some_batches(dataset, twin.args.eval_batch_size, batches)
        begun = clock()
        twin.evaluate(part)
        seconds = (clock() - begun) * len(dataset) / len(part)
        if clock() - begun > 1:
            break
    return seconds


def checkpoint_seconds(twin: Trainer, folder: Path) -> float:
    """Seconds of writing weights and optimizer to ``folder``; 0 where the disk has no room."""
    size = 16 * sum(p.numel() for p in twin.model.parameters())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(folder).free < size:
            return 0.0
        with tempfile.TemporaryDirectory(dir=folder, prefix="estimate-") as place:
            begun = clock()
            twin.save_model(place)
            if not twin.args.save_only_model:
                torch.save(twin.optimizer.state_dict(), Path(place) / "optimizer.pt")
            return clock() - begun
    except OSError:
        return 0.0


def trial_run(trainer: Trainer, steps: int, evaluates: bool, saves: bool) -> Trial:
    """Train a copy for a few steps on random batches of the trainer's own data, and time it."""
    with restored_random_state(), contextlib.redirect_stdout(io.StringIO()):
        begun = clock()
        loader = trainer.get_train_dataloader()
        batches = list(loader.batch_sampler)
        sorting = clock() - begun
        step_clock = StepClock(steps)
        callbacks = [DefaultFlowCallback(), step_clock]
        for callback in trainer.callback_handler.callbacks:
            if not type(callback).__module__.startswith("transformers."):
                callbacks.insert(-1, StepEventsOnly(callback))
        most = 3 * steps + 1
        twin = twin_of(trainer, most, callbacks)
        wanted = typical_batches(loader, batches, most * twin.args.gradient_accumulation_steps)
        chosen = DataLoader(
            loader.dataset,
            batch_sampler=wanted,
            collate_fn=loader.collate_fn,
            num_workers=twin.args.dataloader_num_workers,
            pin_memory=twin.args.dataloader_pin_memory,
        )
        twin.get_train_dataloader = lambda: twin.accelerator.prepare(chosen)
        called = clock()
        twin.train()
        step = (step_clock.ended - step_clock.begun) / max(1, step_clock.timed)
        validation = trainer.eval_dataset if evaluates else {}
        parts = validation.values() if isinstance(validation, dict) else [validation]
        return Trial(
            sorting + step_clock.first - called,
            step,
            sum(evaluation_seconds(twin, part) for part in parts),
            checkpoint_seconds(twin, Path(trainer.args.output_dir)) if saves else 0.0,
            len(batches),
        )
