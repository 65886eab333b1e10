"""Train ``data/models/mini-reader``: a LoRA adapter that finds answers in a text, for lesson 09.

``python -m tools.reader --squad FOLDER [--work FOLDER]``. ``FOLDER`` has SQuAD's rows as a mirror
keeps them. A killed run resumes from its last whole checkpoint; another base, other rows or settings
begin anew, in a folder of their own. The base model is ``mini-distilbert``; the adapter fits those
weights alone, so ``base.json`` beside it holds their SHA-256.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
from pathlib import Path

import datasets
import numpy as np
import peft
import torch
import transformers
from transformers import (
    AutoModelForQuestionAnswering,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)

from course_utils.training import last_whole_checkpoint

ROOT = Path(__file__).resolve().parents[1]
BASE = ROOT / "data/models/mini-distilbert"
OUT = ROOT / "data/models/mini-reader"
LENGTH, STRIDE = 256, 64
UNANSWERED = 0.25  # share of the questions asked again about another passage of their article
LINEAR = ["q_lin", "k_lin", "v_lin", "out_lin", "lin1", "lin2"]


def base_mark() -> str:
    """SHA-256 of the weights that the adapter is trained on."""
    return hashlib.sha256((BASE / "model.safetensors").read_bytes()).hexdigest()


def unanswered(rows: list[dict], share: float, seed: int) -> list[dict]:
    """Questions with a passage of the same article that doesn't hold their answer's text."""
    choose = random.Random(seed)
    passages: dict[str, set[str]] = {}
    for row in rows:
        passages.setdefault(row["title"], set()).add(row["context"])
    made = []
    for row in choose.sample(rows, int(share * len(rows))):
        answers = [a.lower() for a in row["answers"]["text"]]
        others = [
            c for c in sorted(passages[row["title"]]) if not any(a in c.lower() for a in answers)
        ]
        if others:
            made.append(
                row
                | {"context": choose.choice(others), "answers": {"text": [], "answer_start": []}}
            )
    return made


def windows(rows: dict[str, list], tokenizer) -> dict[str, list]:
    """Token ids of every window of up to 256 pieces, and the positions of the answer's first and last piece.

    Both are 0, the position of [CLS], where the window doesn't hold the whole answer.
    """
    encoded = tokenizer(
        [q.strip() for q in rows["question"]],
        rows["context"],
        max_length=LENGTH,
        truncation="only_second",
        stride=STRIDE,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    begins, ends = [], []
    for number, row in enumerate(encoded["overflow_to_sample_mapping"]):
        answer, offsets = rows["answers"][row], encoded["offset_mapping"][number]
        inside = [i for i, part in enumerate(encoded.sequence_ids(number)) if part == 1]
        begin = end = 0
        if answer["text"]:
            first = answer["answer_start"][0]
            last = first + len(answer["text"][0])
            if offsets[inside[0]][0] <= first and last <= offsets[inside[-1]][1]:
                begin = max(i for i in inside if offsets[i][0] <= first)
                end = min(i for i in inside if offsets[i][1] >= last)
        begins.append(begin)
        ends.append(end)
    return {
        "input_ids": encoded["input_ids"],
        "attention_mask": encoded["attention_mask"],
        "start_positions": begins,
        "end_positions": ends,
        "length": [len(ids) for ids in encoded["input_ids"]],
    }


def prepared(rows: list[dict], tokenizer) -> datasets.Dataset:
    table = datasets.Dataset.from_list(
        [{k: r[k] for k in ("question", "context", "answers")} for r in rows]
    )
    return table.map(
        windows, batched=True, remove_columns=table.column_names, fn_kwargs={"tokenizer": tokenizer}
    )


def both_ends_right(prediction) -> dict[str, float]:
    """Share of windows whose largest start and end logits stand at the right positions."""
    starts, ends = (p.argmax(1) for p in prediction.predictions[:2])
    right = (starts == prediction.label_ids[0]) & (ends == prediction.label_ids[1])
    return {"both_ends": float(np.mean(right))}


def save(model: peft.PeftModel, folder: Path, mark: str) -> None:
    """Write the adapter, without the path of this machine and peft's empty card, and ``mark``, its base's hash."""
    card = folder / "README.md"
    text = card.read_bytes() if card.is_file() else None
    model.save_pretrained(folder, safe_serialization=True)
    card.write_bytes(text) if text is not None else card.unlink(missing_ok=True)
    file = folder / "adapter_config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = BASE.name
    config["modules_to_save"] = sorted(set(config["modules_to_save"]))
    config["target_modules"].sort()
    file.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    (folder / "adapter_model.safetensors").chmod(0o644)
    (folder / "base.json").write_text(json.dumps({"model.safetensors": mark}) + "\n")


def rows_file(folder: Path, names: tuple[str, ...]) -> Path:
    """The first of ``names`` that is a parquet file in ``folder``.

    Raises
    ------
    FileNotFoundError : where there is none.
    """
    for name in names:
        if (file := folder / f"{name}.parquet").is_file():
            return file
    wanted = " or ".join(f"{name}.parquet" for name in names)
    raise FileNotFoundError(
        f"{folder}: no {wanted}. --squad names the folder of rajpurkar/squad in a mirror, such as "
        "mirror/datasets/rajpurkar/squad."
    )


def folder_of(args: argparse.Namespace, mark: str, files: list[Path]) -> Path:
    """Where the run of this base, these rows and these settings keeps its checkpoints, and no other run."""
    rows = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    settings = {k: v for k, v in vars(args).items() if k not in ("squad", "work")}
    key = json.dumps([mark, rows, settings], sort_keys=True)
    return args.work / hashlib.sha256(key.encode()).hexdigest()[:12]


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--squad", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=ROOT / "build/reader")
    parser.add_argument("--rows", type=int, default=None)
    parser.add_argument("--epochs", type=float, default=1)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--longest", type=int, help="leave out windows of more pieces: quicker")
    parser.add_argument("--rank", type=int, default=16)
    args = parser.parse_args(words)

    names = {"train": ("train", "train_subset"), "validation": ("validation",)}
    try:
        files = {split: rows_file(args.squad, found) for split, found in names.items()}
    except FileNotFoundError as error:
        parser.error(str(error))

    mark = base_mark()
    work = folder_of(args, mark, list(files.values()))
    transformers.set_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(BASE)
    parts = {}
    for split, file in files.items():
        rows = datasets.Dataset.from_parquet(str(file), cache_dir=str(args.work / "cache"))
        rows = (
            rows.shuffle(seed=0)
            .select(range(min(len(rows), args.rows or len(rows)) if split == "train" else 500))
            .to_list()
        )
        parts[split] = prepared(rows + unanswered(rows, UNANSWERED, 0), tokenizer)
        if args.longest:
            kept = [i for i, n in enumerate(parts[split]["length"]) if n <= args.longest]
            parts[split] = parts[split].select(kept)
        print(split, len(rows), "questions", len(parts[split]), "windows", flush=True)

    model = AutoModelForQuestionAnswering.from_pretrained(
        BASE, use_safetensors=True, dtype=torch.float32, attn_implementation="eager"
    )
    model = peft.get_peft_model(
        model,
        peft.LoraConfig(
            task_type="QUESTION_ANS",
            r=args.rank,
            lora_alpha=2 * args.rank,
            lora_dropout=0.05,
            target_modules=LINEAR,
            modules_to_save=["qa_outputs"],
        ),
    )
    model.print_trainable_parameters()
    trainer = Trainer(
        model,
        TrainingArguments(
            output_dir=str(work),
            per_device_train_batch_size=32,
            per_device_eval_batch_size=64,
            num_train_epochs=args.epochs,
            learning_rate=args.rate,
            warmup_steps=50,
            lr_scheduler_type="linear",
            weight_decay=0.0,
            train_sampling_strategy="group_by_length",
            length_column_name="length",
            eval_strategy="steps",
            eval_steps=200,
            save_steps=50,
            save_total_limit=1,
            logging_steps=20,
            report_to="none",
            use_cpu=not torch.cuda.is_available(),
            disable_tqdm=True,
            seed=0,
        ),
        train_dataset=parts["train"],
        eval_dataset=parts["validation"],
        data_collator=DataCollatorWithPadding(tokenizer, pad_to_multiple_of=8),
        compute_metrics=both_ends_right,
    )
    trainer.train(resume_from_checkpoint=last_whole_checkpoint(work))
    print(trainer.evaluate())
    save(trainer.model, OUT, mark)


if __name__ == "__main__":
    main()
