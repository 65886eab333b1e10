"""``python -m service.export FOLDER``: fine-tune on the course's requests as lesson 00 does, and write what the service reads.

Writes ``model.onnx`` (int8), ``tokenizer.json`` and ``labels.json``. Only this program needs PyTorch and ONNX.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import warnings
from pathlib import Path
from typing import Any

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


def wishes_only(requests: Any) -> tuple[Any, list[str]]:
    """``requests`` without what lies out of scope, numbered anew, and the wishes' names."""
    names = requests["train"].features["label"].names
    outside = TASKS["requests"].out_of_scope(names)
    wishes = [name for name in names if name != outside]
    kept = requests.filter(lambda label: names[label] != outside, input_columns="label")
    number = [wishes.index(name) if name != outside else -1 for name in names]
    columns = [c for c in requests["train"].column_names if c not in ("text", "label")]
    plain = kept.remove_columns(columns).rename_column("label", "was")
    return plain.map(lambda row: {"label": number[row["was"]]}, remove_columns="was"), wishes


def fine_tune(
    lab: Lab, rows: Any, wishes: list[str], epochs: int = 3
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """DistilBERT with a head for ``wishes``, trained on ``rows`` (columns text, label)."""
    transformers_logging.set_verbosity_error()  # no report on the new head, which is meant to be new
    tokenizer = AutoTokenizer.from_pretrained(lab.checkpoint, revision=lab.revision)
    model = AutoModelForSequenceClassification.from_pretrained(
        lab.checkpoint,
        revision=lab.revision,
        use_safetensors=True,
        num_labels=len(wishes),
        id2label=dict(enumerate(wishes)),
        label2id={name: number for number, name in enumerate(wishes)},
    )
    model.accepts_loss_kwargs = False  # or gradient accumulation multiplies the loss
    settings = TrainingArguments(
        str(lab.workdir / "training"),
        num_train_epochs=epochs,
        learning_rate=3 * lab.profile.learning_rate,
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
        lambda batch: tokenizer(batch["text"], truncation=True, max_length=64), batched=True
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
    return model.eval(), tokenizer


def export(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, labels: list[str], folder: Path
) -> Path:
    """Write ``folder``, all of it or nothing: a service never meets half a model."""
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    example = tokenizer(["a text", "a slightly longer text"], padding=True, return_tensors="pt")
    inputs = {name: example[name] for name in ("input_ids", "attention_mask")}
    logging.disable(logging.WARNING)  # of parts that are missing and not needed here
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the exporter's own insides
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
    del graph.graph.value_info[:]  # shapes of the example, which the quantiser would take for true
    quantize_dynamic(graph, part / "model.onnx", weight_type=QuantType.QInt8)
    logging.disable(logging.NOTSET)
    tokenizer.backend_tokenizer.save(str(part / "tokenizer.json"))
    (part / "labels.json").write_text(json.dumps(labels), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
    return folder


def main() -> None:
    from course_utils.data import load_task
    from course_utils.lab import start_lab

    parser = argparse.ArgumentParser(prog="python -m service.export", description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    lab = start_lab("12")
    requests, wishes = wishes_only(load_task("requests", lab.profile))
    model, tokenizer = fine_tune(lab, requests["train"], wishes)
    print(f"wrote {export(model, tokenizer, wishes, folder)}")


if __name__ == "__main__":
    main()
