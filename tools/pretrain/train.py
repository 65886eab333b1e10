"""The training loop of both models: one stage after the other, resumable after a kill at any moment.

Processes that ``torchrun`` starts share each batch's rows and add up their gradients; the first one alone writes files.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors import safe_open
from safetensors.torch import save_file
from tqdm.auto import tqdm

from course_utils.precision import has_native_bf16
from tools.pretrain.batches import MaskedBatch, TokenStream


@dataclass(frozen=True)
class Stage:
    """A stretch of training with one sequence length and batch size.

    The rate rises for ``warmup`` steps, stays at ``rate`` and falls linearly over the last ``decay`` share of the steps.
    ``head_only`` freezes everything but the masked-LM head.
    """

    length: int
    batch_size: int
    tokens: int
    rate: float
    warmup: int = 50
    decay: float = 1.0
    mask_share: float = 0.2
    head_only: bool = False

    @property
    def steps(self) -> int:
        return self.tokens // (self.length * self.batch_size)

    def rate_at(self, step: int) -> float:
        rising = (step + 1) / self.warmup
        falling = (self.steps - step) / max(1, self.decay * self.steps)
        return self.rate * min(1.0, rising, falling)


@dataclass
class Progress:
    """Where a run stands: everything a checkpoint needs besides weights and optimiser moments."""

    stage: int = 0
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0


def save_checkpoint(
    path: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer, progress: Progress
) -> None:
    """Write weights, AdamW moments and progress to one safetensors file; the old file stays until the new is whole."""
    tensors = {f"model/{n}": p.detach().cpu().contiguous() for n, p in model.named_parameters()}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"{key}/{name}"] = value.detach().cpu().contiguous()
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    save_file(tensors, part, metadata={"progress": json.dumps(vars(progress))})
    os.replace(part, path)


def read_progress(path: Path) -> Progress:
    with safe_open(path, "pt") as file:
        return Progress(**json.loads(file.metadata()["progress"]))


def load_checkpoint(
    path: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer | None = None
) -> None:
    """Put the tensors of ``save_checkpoint`` back in place."""
    with safe_open(path, "pt") as file:
        keys = set(file.keys())
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(file.get_tensor(f"model/{name}"))
                if optimizer is not None and f"exp_avg/{name}" in keys:
                    optimizer.state[parameter] = {
                        key: file.get_tensor(f"{key}/{name}").to(
                            "cpu" if key == "step" else parameter.device
                        )
                        for key in ("step", "exp_avg", "exp_avg_sq")
                    }


def make_optimizer(model: torch.nn.Module) -> torch.optim.AdamW:
    trained = [p for p in model.parameters() if p.requires_grad]
    decayed = [p for p in trained if p.ndim > 1]
    plain = [p for p in trained if p.ndim <= 1]
    return torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}],
        lr=1e-3,
        betas=(0.9, 0.98),
        eps=1e-6,
        fused=True,
    )


def rank_and_size() -> tuple[int, int]:
    """The number of this process and how many train together; (0, 1) without ``torchrun``."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def add_up(tensors: Iterable[torch.Tensor]) -> None:
    """Replace each tensor by its sum over all processes."""
    if dist.is_initialized():
        for work in [dist.all_reduce(tensor, async_op=True) for tensor in tensors]:
            work.wait()


def autocast(device: str) -> torch.autocast:
    return torch.autocast(
        device, dtype=torch.bfloat16, enabled=device == "cuda" or has_native_bf16()
    )


def read_log(file: Path) -> list[dict]:
    """The lines of a log, oldest first; empty where there is none."""
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


Loss = Callable[[torch.nn.Module, MaskedBatch], tuple[torch.Tensor, dict[str, float]]]


def run_stage(
    model: torch.nn.Module,
    loss_of: Loss,
    stage: Stage,
    stream: TokenStream,
    folder: Path,
    progress: Progress,
    *,
    device: str,
    save_every: float = 120.0,
    stop_after: float = math.inf,
) -> bool:
    """Train one stage from wherever ``folder/checkpoint.safetensors`` says it stands, with any number of processes.

    ``loss_of(model, batch)`` returns the loss and the figures to log. Writes a checkpoint every ``save_every`` seconds
    and a line of ``log.jsonl`` every 50 steps. Returns False when ``stop_after`` seconds ran out before the stage did.
    """
    checkpoint = folder / "checkpoint.safetensors"
    model.distilbert.requires_grad_(not stage.head_only)
    optimizer = make_optimizer(model)
    if progress.step:
        load_checkpoint(checkpoint, model, optimizer)
    rank, size = rank_and_size()
    model.train()
    started = saved = last = time.monotonic()
    running: list[list[float]] = []
    bar = tqdm(
        total=stage.steps,
        initial=progress.step,
        unit=" steps",
        mininterval=10,
        desc=f"stage {progress.stage}: length {stage.length}",
        disable=rank > 0,
    )
    while progress.step < stage.steps:
        batch = stream.masked(
            progress.stage * 10_000_000 + progress.step,
            stage.batch_size,
            stage.length,
            stage.mask_share,
            model.config.vocab_size,
        ).part(rank, size, device)
        for group in optimizer.param_groups:
            group["lr"] = stage.rate_at(progress.step)
        with autocast(device):
            loss, figures = loss_of(model, batch)
        figures = {"loss": loss.item(), **figures}
        # With the figures, so that all processes stop after the same step.
        sums = torch.tensor([*figures.values(), time.monotonic() - started > stop_after]).to(device)
        add_up([sums])
        *values, out_of_time = sums.tolist()
        if not math.isfinite(values[0]):
            raise FloatingPointError(
                f"loss is {values[0]} at stage {progress.stage}, step {progress.step}: resume from "
                f"{checkpoint} with a lower rate."
            )
        loss.backward()
        add_up(p.grad for p in model.parameters() if p.grad is not None)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        now = time.monotonic()
        progress.step += 1
        progress.seconds += now - last
        last = now
        progress.tokens += stage.batch_size * stage.length
        running.append(values)
        if progress.step % 50 == 0 and rank == 0:
            means = (round(statistics.fmean(column), 4) for column in zip(*running, strict=True))
            line = {**vars(progress), **dict(zip(figures, means, strict=True))}
            with open(folder / "log.jsonl", "a", encoding="utf-8") as log:
                log.write(json.dumps(line) + "\n")
            bar.set_postfix(loss=f"{line['loss']:.3f}", refresh=False)
            running.clear()
        bar.update()
        if (now - saved > save_every or out_of_time) and rank == 0:
            save_checkpoint(checkpoint, model, optimizer, progress)
            saved = now
        if out_of_time:
            return False
    bar.close()
    if rank == 0:
        save_checkpoint(checkpoint, model, optimizer, progress)
    return True


@torch.no_grad()
def validation_loss(
    model: torch.nn.Module,
    loss_of: Loss,
    stream: TokenStream,
    stage: Stage,
    *,
    device: str,
    tokens: int = 102_400,
) -> float:
    """Mean masked-LM loss over a fixed set of held-out batches, ``tokens`` in all."""
    model.eval()
    total, batches = 0.0, max(1, tokens // (16 * stage.length))
    for step in range(batches):
        batch = stream.masked(step, 16, stage.length, 0.15, model.config.vocab_size)
        with autocast(device):
            total += loss_of(model, batch.part(0, 1, device))[1]["mlm"]
    model.train()
    return total / batches
