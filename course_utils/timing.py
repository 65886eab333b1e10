"""Say how long something will take before it starts, and how long it took and how much memory it used after."""

from __future__ import annotations

import copy
import statistics
import sys
import time
from dataclasses import dataclass, field

import psutil
import torch


def duration(seconds: float) -> str:
    """A length of time as a person says it: ``"40 s"``, ``"3 min"``, ``"2.5 h"``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def peak_memory_gib() -> float:
    """Highest memory of this process so far in GiB; on a CUDA machine that of the GPU, which is what runs out first."""
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

    @property
    def peak_gib(self) -> float:
        return peak_memory_gib()


def estimate_training(trainer, steps: int = 6) -> float:
    """Seconds that ``trainer.train()`` will take, from ``steps`` timed training steps or, within 3 s, more; prints them.

    The steps run on a copy of the model with an optimiser of the trainer's kind, on random batches of the trainer's own data,
    and the random state is put back afterwards: training gives the same numbers with and without an estimate. Evaluations
    count a third of a training step's time per row, because they have no backward pass."""
    args = trainer.args
    model = copy.deepcopy(trainer.model).to(args.device).train()
    kind, settings = trainer.get_optimizer_cls_and_kwargs(args)
    optimizer, times = kind(model.parameters(), **settings | {"lr": 0.0}), []
    with torch.random.fork_rng():
        loader = trainer.get_train_dataloader()
        batches = list(loader.batch_sampler)
        for number in torch.randperm(len(batches)).tolist()[: 3 * steps + 1]:  # in order the first may be the longest
            if len(times) > steps and sum(times) > 3:
                break
            batch = loader.collate_fn([loader.dataset[row] for row in batches[number]])
            start = time.perf_counter()
            with trainer.accelerator.autocast():
                loss = model(**{k: v.to(args.device) for k, v in batch.items()}).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            loss.item()
            times.append(time.perf_counter() - start)
    step = statistics.mean(times[1:] or times)  # the first one also pays for warming up
    per_epoch = -(-len(trainer.train_dataset) // (args.train_batch_size * args.gradient_accumulation_steps))
    total = args.max_steps if args.max_steps > 0 else per_epoch * args.num_train_epochs
    whole = args.gradient_accumulation_steps * step
    seconds = total * whole
    if trainer.eval_dataset is not None and args.eval_strategy != "no":
        every = args.eval_steps if args.eval_strategy == "steps" else per_epoch
        seconds += (total // every) * len(trainer.eval_dataset) / args.train_batch_size * step / 3
    print(f"Estimate: about {duration(seconds)} ({total:.0f} steps of {whole:.2f} s, and the evaluations)")
    return seconds
