"""``python -m service.export FOLDER``: fine-tune on the course's requests as lesson 00 does, and write what the service reads.

Writes ``model.onnx`` (int8), ``tokenizer.json`` and ``labels.json``. Only this program needs PyTorch and ONNX.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainingArguments,
)
from transformers.trainer_callback import PrinterCallback
from transformers.utils import logging as transformers_logging

from course_utils.data import TASKS
from course_utils.lab import Lab


def in_scope_only(requests: Any) -> tuple[Any, list[str]]:
    """``requests`` without what lies out of scope, numbered anew, and the names of the intents."""
    names = requests["train"].features["label"].names
    out_of_scope = TASKS["requests"].out_of_scope(names)
    intents = [name for name in names if name != out_of_scope]
    kept = requests.filter(lambda label: names[label] != out_of_scope, input_columns="label")
    number = [intents.index(name) if name != out_of_scope else -1 for name in names]
    columns = [c for c in requests["train"].column_names if c not in ("text", "label")]
    plain = kept.remove_columns(columns).rename_column("label", "was")
    return plain.map(lambda row: {"label": number[row["was"]]}, remove_columns="was"), intents


def epochs_for(rows: int, classes: int) -> int:
    """Three with 35 rows a class, five with 13: a class that is seen seldom needs to be seen more often."""
    return 3 + 28 * classes // rows


def fine_tune(
    lab: Lab,
    rows: Any,
    labels: list[str],
    epochs: int | None = None,
    rate: float = 3.0,
    limit: int = 64,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """DistilBERT with a head for ``labels``, trained on ``rows`` (columns text, label).

    ``epochs`` by ``epochs_for`` where none are named; ``rate`` times the profile's learning rate; at most ``limit``
    pieces a text.
    """
    transformers_logging.set_verbosity_error()  # no report on the new head, which is meant to be new
    tokenizer = AutoTokenizer.from_pretrained(lab.checkpoint, revision=lab.revision)
    model = AutoModelForSequenceClassification.from_pretrained(
        lab.checkpoint,
        revision=lab.revision,
        use_safetensors=True,
        num_labels=len(labels),
        id2label=dict(enumerate(labels)),
        label2id={name: number for number, name in enumerate(labels)},
    )
    model.accepts_loss_kwargs = False  # or gradient accumulation multiplies the loss
    settings = TrainingArguments(
        str(lab.workdir / "training"),
        num_train_epochs=epochs or epochs_for(len(rows), len(labels)),
        learning_rate=rate * lab.profile.learning_rate,
        per_device_train_batch_size=16,
        warmup_steps=0.1,
        train_sampling_strategy="group_by_length",
        seed=lab.seed,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **lab.precision_arguments,
    )
    encoded = rows.map(
        lambda batch: tokenizer(batch["text"], truncation=True, max_length=limit), batched=True
    )
    trainer = Trainer(
        model,
        settings,
        train_dataset=encoded,
        processing_class=tokenizer,
        data_collator=DataCollatorWithPadding(tokenizer),
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    # The trainer computes in 16 bits where the machine does; the model it gives back must not.
    model = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
    return model.eval(), tokenizer


def network(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> onnx.ModelProto:
    """The model in ONNX, 32 bits: ``input_ids`` and ``attention_mask`` (texts, pieces) to ``logits``."""
    two = tokenizer(["a text", "a slightly longer text"], padding=True, return_tensors="pt")
    inputs = {name: two[name] for name in ("input_ids", "attention_mask")}
    with warnings.catch_warnings(action="ignore"):  # about the exporter's own insides
        program = torch.onnx.export(
            model.to("cpu").float().eval(),
            (),
            kwargs=inputs,
            input_names=list(inputs),
            output_names=["logits"],
            dynamic_shapes={name: {0: "batch", 1: "pieces"} for name in inputs},
            dynamo=True,
            verbose=False,
        )
    graph = program.model_proto
    del graph.graph.value_info[:]  # shapes of the example, which the quantiser would take for all
    return graph


def check_folder(folder: Path, *beside: str) -> Path:
    """The full path of ``folder``, if a model can be written there and nothing else is lost by it.

    ``beside`` names the files that are written next to model.onnx and tokenizer.json.

    Raises
    ------
    OSError : for a folder that is neither new, nor empty, nor an earlier export; for the folder that the program runs in;
    and for one that can't be made.
    """
    folder, written = folder.expanduser().resolve(), {"model.onnx", "tokenizer.json", *beside}
    cure = f"Name a folder that isn't there yet, such as {folder / 'model'}."
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file. Name a folder that isn't there yet.")
    there = {entry.name for entry in folder.iterdir()} if folder.exists() else set()
    if there and there != written:
        found = min(there - written, default="not all that an export writes")
        raise FileExistsError(f"{folder} is no earlier export ({found}); it stays as it is. {cure}")
    if folder == Path.cwd():
        raise FileExistsError(f"{folder} is the folder that you are in. {cure}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent):
        return folder


@contextmanager
def without_warnings() -> Iterator[None]:
    """No warning is logged inside: of packages and preparations that aren't needed here."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def write_model(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    beside: Mapping[str, object],
    bits: int = 8,
) -> Path:
    """Write ``folder``, all of it or nothing: model.onnx, tokenizer.json, and each value of ``beside`` as JSON.

    An earlier export stands until the new one is complete; between the two renames a reader finds no folder. A program
    that is killed just there leaves the earlier one beside it, as ``NAME.PID.old``.

    Weights stay as they are (``bits=32``), or those of products become whole numbers of 7 bits in int8 with one scale a
    row. With one scale a matrix, a few large weights would leave the others a handful of values; with all eight bits, sums
    overflow on CPUs that add in 16 bits (AVX2 without VNNI), and answers would differ from one machine to the next. The
    vocabulary's vectors, which are looked up, take 8 bits with one scale for the table, whatever these options say.

    Raises
    ------
    OSError : as ``check_folder``, and where the disk is full.
    """
    target = check_folder(folder, *beside)
    part, old = (target.with_name(f"{target.name}.{os.getpid()}.{end}") for end in ("part", "old"))
    part.mkdir()
    try:
        with without_warnings():
            graph = network(model, tokenizer)
            if bits == 32:
                onnx.save(graph, part / "model.onnx")
            else:
                int8 = {"weight_type": QuantType.QInt8, "per_channel": True, "reduce_range": True}
                quantize_dynamic(graph, part / "model.onnx", **int8)
        backend = tokenizer.backend_tokenizer
        backend.no_truncation()
        backend.no_padding()  # who reads the file cuts and pads by itself
        backend.save(str(part / "tokenizer.json"))
        for name, value in beside.items():
            text = json.dumps(value, ensure_ascii=False, indent=1)
            (part / name).write_text(text + "\n", encoding="utf-8")
        check_folder(folder, *beside)  # exporting takes a while
        if target.exists():
            target.rename(old)
        try:
            part.rename(target)
        except OSError:
            if old.exists():
                old.rename(target)
            raise
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def export(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, labels: list[str], folder: Path
) -> Path:
    """Write what the service reads. It never meets half a model."""
    return write_model(model, tokenizer, folder, {"labels.json": labels})


def main() -> None:
    from course_utils.data import load_task
    from course_utils.lab import start_lab

    parser = argparse.ArgumentParser(prog="python -m service.export", description=__doc__)
    parser.add_argument(
        "folder", type=Path, help="new, empty, or an earlier export: it is replaced"
    )
    folder = parser.parse_args().folder
    try:
        check_folder(folder, "labels.json")  # before minutes of training
    except OSError as error:
        raise SystemExit(f"service.export: {error}") from None
    lab = start_lab("12")
    requests, intents = in_scope_only(load_task("requests", lab.profile))
    model, tokenizer = fine_tune(lab, requests["train"], intents)
    print(f"wrote {export(model, tokenizer, intents, folder)}")


if __name__ == "__main__":
    main()
