"""Faults that the Trainer doesn't handle: foreign or damaged checkpoints, full disk, NaN."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import re
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from transformers import Trainer, TrainerCallback
from transformers.trainer_callback import ExportableState

# Error messages for a full disk, an exceeded quota and a file size limit: those of the operating
# system, and those of torch.save.
FULL_DISK = r"(os error|Errno) (27|28|69|112|122)\b|unexpected pos \d|PytorchStreamWriter"
# The arguments that change the weights. Precision is left out: it depends on the machine, and a
# run may be resumed on another one.
SETTINGS = """
    per_device_train_batch_size gradient_accumulation_steps train_sampling_strategy
    learning_rate lr_scheduler_type lr_scheduler_kwargs warmup_steps weight_decay max_grad_norm
    optim optim_args adam_beta1 adam_beta2 adam_epsilon
    label_smoothing_factor neftune_noise_alpha seed data_seed
"""


class TrainingError(RuntimeError):
    """Training can't continue. The message names the step or folder, and the remedy."""


def data_fingerprint(dataset) -> str:
    """Number of rows and a hash of them all: the same rows in the same order give the same text."""
    if not hasattr(dataset, "__len__"):
        return "a stream"
    digest = hashlib.sha256()
    for rows in dataset.iter(1000) if hasattr(dataset, "iter") else dataset:
        text = json.dumps(
            rows, sort_keys=True, default=lambda v: v.tolist() if hasattr(v, "tolist") else str(v)
        )
        digest.update(text.encode())
    return f"{len(dataset):,} rows, SHA-256 {digest.hexdigest()[:12]}"


def describe_run(trainer: Trainer) -> dict[str, object]:
    """What determines the weights at a run's end: data, labels, model, loss, settings.

    A loss function is identified by its name alone, not by the values that it uses.
    """
    args, model = trainer.args, trainer.model
    config = getattr(model, "config", None)
    labels = getattr(config, "id2label", None) or {}
    dropout = {k: v for k, v in vars(config).items() if "dropout" in k} if config else {}
    loss = trainer.compute_loss_func or type(trainer).compute_loss
    run = {
        "training data": data_fingerprint(trainer.train_dataset),
        "labels": ", ".join(str(labels[number]) for number in sorted(labels)),
        "model": f"{type(model).__name__}, {sum(p.numel() for p in model.parameters()):,} weights",
        "trained weights": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "dropout": dropout,
        "loss": getattr(loss, "__qualname__", type(loss).__name__),
        "processes": args.world_size,
    }
    length = "max_steps" if args.max_steps > 0 else "num_train_epochs"
    settings = args.to_dict()
    run |= {name: settings.get(name) for name in (length, *SETTINGS.split())}
    return json.loads(json.dumps(run, default=str))  # as a file gives it back: no tuples


def recorded_run(trainer_state: object) -> dict[str, object]:
    """The run recorded in a checkpoint's ``trainer_state.json``; empty where there is none."""
    try:
        return trainer_state["stateful_callbacks"][RunRecord.__name__]["args"]["run"]
    except (KeyError, TypeError):
        return {}


def differences(there: dict[str, object], here: dict[str, object]) -> str:
    """Why a checkpoint (``there``) does not belong to this run (``here``), or ""."""
    if not there:
        return "it does not say which run it belongs to"
    names = [name for name in there | here if there.get(name) != here.get(name)]
    found = [f"{name}: {there.get(name)} there, {here.get(name)} here" for name in names]
    return f"it belongs to another run ({'; '.join(found)})" if found else ""


class RunRecord(TrainerCallback, ExportableState):
    """Write ``run`` into each checkpoint's ``trainer_state.json``; refuse one of another run."""

    def __init__(self, run: dict[str, object]):
        self.run = run

    def state(self) -> dict[str, dict]:
        return {"args": {"run": self.run}, "attributes": {}}

    def on_train_begin(self, args, state, control, **kwargs):
        if not state.global_step:
            return
        found = recorded_run({"stateful_callbacks": state.stateful_callbacks})
        if problem := differences(found, self.run):
            raise TrainingError(
                f"The checkpoint of step {state.global_step} can't be resumed: {problem}. Resume "
                "with the same data, labels and settings, or call trainer.train() to start anew."
            )


def checkpoint_files(checkpoint: Path, processes: int = 0) -> list[str]:
    """What it must have: the model or its adapter (PEFT), and each process's random state."""
    adapter = ["adapter_config.json", "adapter_model.safetensors"]
    model = adapter if any(checkpoint.glob("adapter_*")) else ["model.safetensors"]
    several = len(list(checkpoint.glob("rng_state_*.pth")))
    states = [f"rng_state_{n}.pth" for n in range(max(several, processes))]
    states = states if several else ["rng_state.pth"]
    return [*model, "optimizer.pt", "scheduler.pt", *states, "trainer_state.json"]


def checkpoint_problem(checkpoint: Path, processes: int = 0) -> str:
    """Which file of a checkpoint is missing or incomplete, so that it can't be resumed, or "".

    Without optimizer.pt the Trainer would silently continue with a new optimizer.
    """
    for name in checkpoint_files(checkpoint, processes):
        file = checkpoint / name
        try:
            if name.endswith("safetensors"):
                safe_open(file, "pt")  # compares the file's length with its table of contents
                whole = True
            elif name.endswith("json"):
                whole = isinstance(json.loads(file.read_bytes()), dict)
            else:
                whole = zipfile.is_zipfile(file)  # the format of torch.save; its index comes last
        except (OSError, ValueError, RecursionError, SafetensorError):
            whole = False
        if not whole:
            return f"{name} is {'cut off' if file.is_file() else 'missing'}"
    return ""


def checkpoints(folder: str | Path) -> list[Path]:
    """All checkpoints in ``folder``, newest first."""
    found = [c for c in Path(folder).glob("checkpoint-*") if c.is_dir() and c.name[11:].isdecimal()]
    return sorted(found, key=lambda c: int(c.name[11:]), reverse=True)


def last_whole_checkpoint(run: Trainer | str | Path) -> str | None:
    """For ``trainer.train(resume_from_checkpoint=...)``: the newest checkpoint that can be resumed.

    ``True`` would take the newest one, which is incomplete where the run was killed while it
    saved, and another run's where one trained in this folder before.

    Parameters
    ----------
    run : the Trainer that is to resume, or a folder. With a folder, checkpoints are checked for
        damage, but not whether they belong to the same run.

    Returns
    -------
    The checkpoint's folder, or None: start anew. Prints why newer checkpoints were skipped.
    """
    trainer = run if isinstance(run, Trainer) else None
    found = checkpoints(trainer.args.output_dir if trainer else run)
    here = describe_run(trainer) if trainer and found else {}
    for checkpoint in found:
        problem = checkpoint_problem(checkpoint, trainer.args.world_size if trainer else 0)
        if trainer and not problem:
            state = json.loads((checkpoint / "trainer_state.json").read_bytes())
            problem = differences(recorded_run(state), here)
        if not problem:
            return str(checkpoint)
        print(f"{checkpoint.name} skipped: {problem}")
    return None


@contextmanager
def run_folder(trainer: Trainer) -> Iterator[None]:
    """Around ``trainer.train()``: lock the output folder for this run until it ends.

    Each checkpoint records the run it belongs to, and another run can't resume it. The folder's
    ``run.json`` names the process that trains in it. A full disk gives a clear error.

    Raises
    ------
    TrainingError : where another process trains in this folder, or the disk is full, or the
        checkpoint to resume belongs to another run.
    """
    folder = Path(trainer.args.output_dir)
    if not trainer.is_world_process_zero():  # of several processes of one run, the first saves
        yield
        return
    record = RunRecord(describe_run(trainer))
    with full_disk_error(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with folder_lock(folder):
            who = {"process": os.getpid(), "host": platform.node(), "started": time.ctime()}
            (folder / "run.json").write_text(json.dumps(who | record.run, indent=1), "utf-8")
            trainer.add_callback(record)
            try:
                yield
            finally:
                trainer.remove_callback(RunRecord)  # by class: resuming may put a copy in its place


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Lock ``folder``; the operating system releases the lock when the process ends."""
    try:
        lock = FileLock(folder / "run.lock", timeout=0).acquire()
    except NotImplementedError:  # a file system without locks, such as a mounted cloud drive
        yield
        return
    except Timeout:
        try:
            who = json.loads((folder / "run.json").read_bytes())
            holder = f"process {who['process']} on {who['host']}, since {who['started']}"
        except (OSError, ValueError, KeyError, TypeError):
            holder = "it has only just begun"
        raise TrainingError(
            f"{folder}: another run is training in this folder ({holder}). Wait until it ends, or "
            "give this run a folder of its own: TrainingArguments(output_dir=...)."
        ) from None
    with lock:
        yield


@contextmanager
def full_disk_error(folder: str | Path) -> Iterator[None]:
    """Raise TrainingError where the disk is full and a checkpoint can't be written.

    ``run_folder`` includes this.
    """
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        if not re.search(FULL_DISK, str(error)):
            raise
        found = [c.name for c in checkpoints(folder) if not checkpoint_problem(c)]
        raise TrainingError(
            f"{folder}: the disk is full; the checkpoint being saved is incomplete. "
            f"Whole: {', '.join(found) or 'none'}. Free some space, then "
            "trainer.train(resume_from_checkpoint=last_whole_checkpoint(trainer))."
        ) from error


class StopAtNaN(TrainerCallback):
    """Stop before a NaN or infinite gradient changes the weights, and at such a logged loss.

    By default the Trainer logs a plausible loss and continues. With fp16 such steps are normal,
    and the gradient scaler skips them.
    """

    message = (
        "Step {}, learning rate {:.1e}: the {} is NaN or infinite. Lower the learning rate to a "
        "tenth; where that does not help, look for batches without a label, and for log(0) or "
        "division by 0 in a loss of your own."
    )

    def on_train_begin(self, args, state, control, **kwargs):
        args.logging_nan_inf_filter = False

    def on_pre_optimizer_step(self, args, state, control, model, optimizer, **kwargs):
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        if not args.fp16 and not torch.nn.utils.get_total_norm(gradients).isfinite():
            rate = optimizer.param_groups[0]["lr"]
            raise TrainingError(self.message.format(state.global_step + 1, rate, "gradient"))

    def on_log(self, args, state, control, logs, **kwargs):
        if not math.isfinite(logs.get("loss", 0.0)):
            raise TrainingError(
                self.message.format(state.global_step, logs["learning_rate"], "loss")
            )
