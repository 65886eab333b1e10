"""Time training steps and all-reduces: ``torchrun … -m scale.steps MODEL``. Alone, the notebook calls ``step_seconds``."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.distributed as dist
from transformers import AutoModelForSequenceClassification
from transformers.utils import logging

from scale.train import meet

SIZES = (2, 4, 8, 16)  # texts of a step, in each process
MEGABYTES = (1, 4, 16, 64)


def median_seconds(work: Callable[[], object], repeats: int, device: str = "cpu") -> float:
    """Median time of ``work`` after one run to warm up; processes start each run together."""
    times = []
    for _ in range(repeats + 1):
        if dist.is_initialized():
            dist.barrier()
        began = time.perf_counter()
        work()
        if device != "cpu":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return float(np.median(times[1:]))


def step_seconds(
    model_folder: str,
    sizes: tuple[int, ...] = SIZES,
    pieces: int = 32,
    repeats: int = 5,
    bf16: bool = False,
    device: str = "cpu",
) -> dict[int, float]:
    """Texts in a step -> seconds: forward, backward (with the exchange, among processes), AdamW."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    model = AutoModelForSequenceClassification.from_pretrained(
        model_folder, use_safetensors=True
    ).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6)
    called = torch.nn.parallel.DistributedDataParallel(model) if dist.is_initialized() else model
    found = {}
    for size in sizes:
        ids = torch.randint(1000, 20_000, (size, pieces), device=device)
        labels = torch.zeros(size, dtype=torch.long, device=device)

        def step(ids=ids, labels=labels) -> None:
            with torch.autocast(device, torch.bfloat16, enabled=bf16):
                loss = called(input_ids=ids, labels=labels).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()

        found[size] = median_seconds(step, repeats, device)
    return found


def allreduce_seconds(megabytes: tuple[int, ...] = MEGABYTES, repeats: int = 7) -> dict[int, float]:
    """Megabytes -> seconds until every process has the sum of all processes' tensors."""
    tensors = {mb: torch.ones(mb * 250_000) for mb in megabytes}
    return {
        mb: median_seconds(lambda t=t: dist.all_reduce(t), repeats) for mb, t in tensors.items()
    }


def main() -> None:
    meet()
    found = {"allreduce": allreduce_seconds(), "steps": step_seconds(sys.argv[1])}
    if dist.get_rank() == 0:
        print(json.dumps(found), flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
