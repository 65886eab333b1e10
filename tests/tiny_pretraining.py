"""The pretraining with models of width 16: test_pretrain_processes.py has ``torchrun`` start this file.

Command line: the work folder, the number of steps after which the second process is killed once (0: never), and then
the command line of ``tools.pretrain``.
"""

import os
import signal
import sys
from functools import partial
from pathlib import Path

import torch
from transformers import DistilBertConfig, DistilBertForMaskedLM

from tools.pretrain import __main__ as program
from tools.pretrain import losses, models, source, train
from tools.pretrain.plans import PLANS, Plan
from tools.pretrain.train import Stage

VOCABULARY = 1060
# Five rows, which two processes cannot share evenly.
PLAN = Plan(
    teacher=(Stage(8, 5, 40 * 4, 1e-3, 2, head_only=True), Stage(8, 5, 40 * 16, 1e-3, 2)),
    student=(Stage(8, 5, 40 * 50, 1e-3, 2), Stage(16, 3, 48 * 2, 1e-3, 2)),
    ablation=Stage(8, 5, 40, 1e-3),
)


def small(layers: int = 6) -> DistilBertForMaskedLM:
    torch.manual_seed(0)
    return DistilBertForMaskedLM(
        DistilBertConfig(
            vocab_size=VOCABULARY, dim=16, hidden_dim=32, n_heads=2, n_layers=layers,
            max_position_embeddings=32, dropout=0.0, attention_dropout=0.0,
        )
    )  # fmt: skip


def shrink(work: Path, patch=setattr) -> None:
    """Put small models, a short plan and folders below ``work`` in the program's place; every step is saved."""
    for module in (source, models):
        patch(module, "distilbert", small)
    patch(source, "fetch", lambda folder, hub: None)
    patch(source, "first_model", lambda folder: small())
    patch(train, "has_native_bf16", lambda: False)
    patch(program, "TEACHER", work / "mini-distilbert")
    patch(program, "STUDENT", work / "mini-student")
    patch(program, "FOLDERS", {n: work / n for n in ("mini-distilbert", "mini-student")})
    patch(program, "run_stage", partial(train.run_stage, save_every=0))
    patch(program, "validation_loss", partial(train.validation_loss, tokens=320))
    patch(program, "PLANS", PLANS | {"cpu": PLAN})


def killed_after(steps: int):
    calls = iter(range(steps))

    def loss_of(model, batch):
        if next(calls, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return losses.masked_lm(model, batch)

    return loss_of


if __name__ == "__main__":
    folder, steps = Path(sys.argv[1]), int(sys.argv[2])
    del sys.argv[1:3]
    shrink(folder)
    checkpoint = folder / "cpu/teacher/checkpoint.safetensors"
    if os.environ["RANK"] == "0" and checkpoint.exists():
        print("begins at", train.read_progress(checkpoint), flush=True)
    if steps and os.environ["RANK"] == "1" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        program.masked_lm = killed_after(steps)
    program.main()
