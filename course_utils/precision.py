"""Choose a floating-point precision by what the processor can do, and measure how fast it is."""

from __future__ import annotations

import platform
import time
from functools import cache

import torch

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@cache
def product_gflops(precision: str, device: str = "cpu", size: int = 768, repeats: int = 8) -> float:
    """Speed of a ``size`` x ``size`` matrix product in 10**9 operations per second.

    The best of ``repeats`` runs counts, because other programs can only slow a run down. No run
    begins after a quarter of a second: where a CPU emulates a precision, one takes longer.
    """
    a, b = torch.randn(2, size, size, dtype=DTYPES[precision], device=device).unbind()
    best, begun = float("inf"), time.perf_counter()
    for number in range(repeats):
        start = time.perf_counter()
        if number and start - begun > 0.25:
            break
        (a @ b)[0, 0].item()  # .item() waits for a GPU
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best / 1e9


@cache
def training_speed(precision: str, device: str = "cpu") -> float:
    """Tokens per second in training a small encoder; the best of three steps, about a second.

    It has 6 layers of width 256; a batch is 8 texts of 64 tokens. A matrix product alone says too
    little: a CPU with native bf16 multiplies six times faster than one without and trains about
    two and a half times faster, because the rest of a step gains nothing.
    """
    with torch.random.fork_rng():
        layer = torch.nn.TransformerEncoderLayer(
            256, 4, 1024, dropout=0.0, batch_first=True, device=device
        )
        model = torch.nn.TransformerEncoder(layer, 6, enable_nested_tensor=False)
        texts = torch.randn(8, 64, 256, device=device)
    optimizer, best = torch.optim.AdamW(model.parameters(), lr=0.0), float("inf")
    for _ in range(3):
        start = time.perf_counter()
        with torch.autocast(device, DTYPES[precision], enabled=precision != "fp32"):
            loss = model(texts).float().square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        loss.item()
        best = min(best, time.perf_counter() - start)
    return texts.shape[0] * texts.shape[1] / best


@cache
def has_native_bf16() -> bool:
    """Whether this CPU has bfloat16 instructions: AVX512-BF16 or AMX on x86, BF16 on Arm servers.

    The CPU reports it; a measurement would depend on the machine's load. False for Apple's CPUs,
    on which PyTorch multiplies 32-bit numbers as fast.
    """
    if platform.system() == "Darwin":
        return False
    if not hasattr(torch.cpu, "get_capabilities"):  # PyTorch before 2.13
        return torch.cpu._is_avx512_bf16_supported()
    return any(on for name, on in torch.cpu.get_capabilities().items() if name.endswith("bf16"))


def choose_precision(device: str) -> str:
    """``"bf16"``, ``"fp16"`` or ``"fp32"`` for a device ``"cuda"`` or ``"cpu"``.

    GPU: bf16 needs compute capability 8.0, older ones get fp16.
    ``torch.cuda.is_bf16_supported()`` is True on a T4 too, which only emulates it.
    """
    if device == "cuda":
        return "bf16" if torch.cuda.get_device_capability() >= (8, 0) else "fp16"
    return "bf16" if has_native_bf16() else "fp32"
