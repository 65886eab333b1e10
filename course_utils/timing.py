"""Estimate how long a training takes; measure time and peak memory."""

from __future__ import annotations

import ctypes
import math
import sys
import time
from dataclasses import dataclass, field

import psutil
import torch


def keep_freed_memory() -> None:
    """Have glibc keep what PyTorch frees (``mallopt(3)``): each training step needs it again.

    Else the kernel maps and clears large blocks anew: up to a quarter of the time, in masked LM.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt:
        mallopt(-4, 0)  # M_MMAP_MAX
        mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD


def duration(seconds: float) -> str:
    """Rounded seconds with a unit: ``"40 s"``, ``"3 min"``, ``"2.5 h"``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def peak_memory_gib() -> float:
    """Peak memory of this process so far in GiB; with CUDA that of the GPU, which is scarcer."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset / 2**30
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


@dataclass
class Stopwatch:
    """Runs from its creation. ``with Stopwatch() as watch:`` stops it at the end of the block."""

    started: float = field(default_factory=time.perf_counter)
    stopped: float | None = None

    def __enter__(self) -> Stopwatch:
        self.started = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped = time.perf_counter()

    @property
    def seconds(self) -> float:
        return (self.stopped or time.perf_counter()) - self.started


def occasions(strategy: str, every: float | None, total: int, epoch: int) -> int:
    """How often a training of ``total`` steps, ``epoch`` of them per epoch, evaluates or saves.

    Both also happen at the end (transformers' ``DefaultFlowCallback``).
    """
    if strategy == "no":
        return 0
    if strategy == "epoch" or not every:
        return math.ceil(total / epoch)
    return math.ceil(total / (every if every >= 1 else math.ceil(total * every)))


def estimate_training(trainer, steps: int = 6) -> float:
    """Seconds that ``trainer.train()`` will take; prints them.

    A copy of the trainer makes ``steps`` real steps or, within 3 s, more, on random batches of its
    own data, with clipping, optimizer and callbacks; it evaluates a few batches of the size that
    evaluations have, and writes one checkpoint. Random states are restored: training gives the
    same numbers with and without an estimate. Early stopping is not taken into account.
    """
    from course_utils.trial import trial_run  # here: importing transformers takes seconds

    args = trainer.args
    evaluates = trainer.eval_dataset is not None and args.eval_strategy != "no"
    trial = trial_run(trainer, steps, evaluates, args.save_strategy != "no")
    epoch = math.ceil(trial.batches / args.gradient_accumulation_steps)
    total = args.max_steps if args.max_steps > 0 else math.ceil(epoch * args.num_train_epochs)
    # An epoch's last step may have fewer batches to accumulate.
    step = trial.step * trial.batches / (epoch * args.gradient_accumulation_steps)
    evaluations = occasions(args.eval_strategy, args.eval_steps, total, epoch) if evaluates else 0
    evaluations += evaluates and args.eval_on_start
    best = args.save_strategy == "best"  # at most at each evaluation
    saves = evaluations if best else occasions(args.save_strategy, args.save_steps, total, epoch)
    parts = [f"{total} steps of {step:.2f} s"]
    parts += [f"{evaluations} evaluations of {trial.evaluation:.1f} s"] if evaluations else []
    parts += [f"{saves} checkpoints of {trial.checkpoint:.1f} s"] if saves else []
    seconds = trial.start + total * step + evaluations * trial.evaluation
    seconds += saves * trial.checkpoint
    print(f"Estimate: about {duration(seconds)} ({', '.join(parts)})")
    return seconds
