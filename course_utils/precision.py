"""Choose a floating-point precision by what the machine does, not by what it claims."""

from __future__ import annotations

import time
from functools import cache

import torch

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@cache
def product_gflops(precision: str, device: str = "cpu", size: int = 768, repeats: int = 8) -> float:
    """Speed of a ``size`` x ``size`` matrix product in 10**9 operations per second; takes a few milliseconds.

    The best of ``repeats`` runs counts, because other programs can only slow a run down.
    """
    a, b = torch.randn(2, size, size, dtype=DTYPES[precision], device=device).unbind()
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        (a @ b)[0, 0].item()  # .item() waits for a GPU
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best / 1e9


def bf16_pays(factor: float = 1.5) -> bool:
    """Whether a bfloat16 product on this CPU is at least ``factor`` times faster than a float32 one.

    Many CPUs accept bfloat16 but compute it more slowly than float32, so a short timed product decides.
    """
    return product_gflops("bf16") > factor * product_gflops("fp32")


def choose_precision(device: str) -> str:
    """``"bf16"``, ``"fp16"`` or ``"fp32"`` for a device ``"cuda"`` or ``"cpu"``.

    GPU: bf16 needs compute capability 8.0; ``torch.cuda.is_bf16_supported()`` also says yes to a T4, which only
    emulates it. Older GPUs get fp16.
    """
    if device == "cuda":
        return "bf16" if torch.cuda.get_device_capability() >= (8, 0) else "fp16"
    return "bf16" if bf16_pays() else "fp32"
