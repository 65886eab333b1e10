"""Fine-tune a classifier: alone, or in several processes under torchrun. Nothing in the program knows which.

``python -m scale.train '{"data": …, "model": …, "labels": 26, "out": …}' …``: each argument is a run, the fields of ``Run``
as JSON; each prints what it did as a line of JSON. With ``save_every`` a run that was interrupted goes on from its last
checkpoint in ``out``, which all processes must be able to read; one that was finished is not trained again.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from datasets import Dataset, load_from_disk
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)
from transformers.trainer_callback import PrinterCallback, TrainerState
from transformers.utils import logging


@dataclass(frozen=True)
class Run:
    data: str  # folder of a tokenised data set: input_ids, attention_mask, labels, id
    model: str  # folder of a model and its tokenizer
    labels: int
    out: str
    per_device: int = 8  # rows of a batch in each process
    accumulation: int = 1
    steps: int = 12
    rate: float = 3e-4
    # False: the Trainer takes the model's loss for one that is summed over the batch.
    fixed: bool = True
    save_every: int = 0
    die_at: int = 0  # the last process kills itself after this step, in its first life
    judge: str = ""  # folder of tokenised rows to compute the loss on at the end
    seed: int = 0


class Notebook(TrainerCallback):
    """What this process holds at its first step, and its death where one was asked for."""

    def __init__(self, run: Run) -> None:
        self.run, self.held = run, {}

    def on_optimizer_step(self, args, state, control, model=None, optimizer=None, **kwargs) -> None:
        if not self.held:
            states = [
                t
                for s in optimizer.state.values()
                for t in s.values()
                if isinstance(t, torch.Tensor)
            ]
            parts = {
                "weights": list(model.parameters()),
                "gradients": [p.grad for p in model.parameters() if p.grad is not None],
                "optimiser": states,
            }
            self.held = {n: sum(t.numel() * t.element_size() for t in p) for n, p in parts.items()}

    def on_step_end(self, args, state, control, **kwargs) -> None:
        first_life = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0"
        last = args.process_index == args.world_size - 1
        if self.run.die_at == state.global_step and first_life and last:
            os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))


class Collator:
    """Pads a batch to its longest row, and remembers which rows it had."""

    def __init__(self, tokenizer: Any) -> None:
        self.pad, self.ids = DataCollatorWithPadding(tokenizer), []

    def __call__(self, rows: list[dict]) -> dict[str, torch.Tensor]:
        self.ids.append([row["id"] for row in rows])
        return self.pad([{k: v for k, v in row.items() if k != "id"} for row in rows])


def meet() -> None:
    """Join the other processes, where there are any.

    By default torchrun keeps one store of addresses over all restarts, and a worker that was started anew would wait for the
    address of a dead one. Restarts are counted by each machine for itself, so no number tells all workers apart from the dead.

    Raises
    ------
    RuntimeError : under a torchrun that keeps its store.
    """
    if "RANK" not in os.environ:
        return
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        raise RuntimeError(
            "torchrun would keep the addresses of dead workers. On each machine, start it with "
            "TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 in the environment."
        )
    torch.distributed.init_process_group("gloo", timeout=timedelta(minutes=5))


def gathered(value: Any) -> list[Any]:
    """``value`` of every process, in the order of their ranks."""
    if not torch.distributed.is_initialized():
        return [value]
    values = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(values, value)
    return values


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.rsplit("-", 1)[1])


def last_whole(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end: the Trainer writes its state last."""
    whole = [state.parent for state in folder.glob("checkpoint-*/trainer_state.json")]
    return max(whole, key=step_of, default=None)


def train(run: Run) -> dict[str, Any]:
    """Losses step by step, bytes that a process holds, rows of each process' first batch, seconds.

    Of a run that was finished before, losses and ``judged`` come from its last checkpoint; nothing was held, no row read.
    """
    logging.set_verbosity_error()  # no report on the new head, which is meant to be new
    logging.disable_progress_bar()
    set_seed(run.seed)
    last = last_whole(Path(run.out)) if run.save_every else None
    resumed_from = step_of(last) if last else 0
    finished = resumed_from >= run.steps  # the Trainer would do a step too many, or none
    tokenizer = AutoTokenizer.from_pretrained(run.model)
    model = AutoModelForSequenceClassification.from_pretrained(
        last if finished else run.model,
        use_safetensors=True,
        num_labels=run.labels,
        dropout=0.0,  # each process would draw its own
        attention_dropout=0.0,
        seq_classif_dropout=0.0,
    )
    if run.fixed:
        model.accepts_loss_kwargs = False
    settings = TrainingArguments(
        run.out,
        use_cpu=True,
        per_device_train_batch_size=run.per_device,
        per_device_eval_batch_size=32,
        gradient_accumulation_steps=run.accumulation,
        max_steps=run.steps,
        learning_rate=run.rate,
        logging_steps=1,
        save_strategy="steps" if run.save_every else "no",
        save_steps=run.save_every or 500,
        save_total_limit=2,
        remove_unused_columns=False,
        ddp_find_unused_parameters=False,
        ddp_timeout=300,  # a worker that never comes is an error, not a wait
        seed=run.seed,
        data_seed=run.seed,
        report_to="none",
        disable_tqdm=True,
    )
    collator, notebook = Collator(tokenizer), Notebook(run)
    rows: Dataset = load_from_disk(run.data)
    trainer = Trainer(
        model, settings, train_dataset=rows, data_collator=collator, callbacks=[notebook]
    )
    trainer.remove_callback(PrinterCallback)
    began = time.perf_counter()
    if finished:
        trainer.state = TrainerState.load_from_json(str(last / "trainer_state.json"))
    else:
        trainer.train(resume_from_checkpoint=last and str(last))
    result = {
        "processes": settings.world_size,
        "effective": run.per_device * run.accumulation * settings.world_size,
        "losses": [line["loss"] for line in trainer.state.log_history if "loss" in line],
        "held": notebook.held,
        "first_rows": gathered(collator.ids[0] if collator.ids else []),
        "seconds": time.perf_counter() - began,
        "lives": 1 + int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")),
        "resumed_from": resumed_from,
    }
    if run.judge:
        result["judged"] = trainer.evaluate(load_from_disk(run.judge))["eval_loss"]
    return result


def main() -> None:
    meet()
    for text in sys.argv[1:]:
        result = train(Run(**json.loads(text)))
        if int(os.environ.get("RANK", "0")) == 0:
            print(json.dumps(result), flush=True)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
