"""Command line: ``python -m tools.pretrain corpus|vocab|teacher|student``."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np
import torch
from transformers import BertForMaskedLM, DistilBertForMaskedLM, DistilBertTokenizerFast

from tools.pretrain import corpus, models
from tools.pretrain.batches import TokenStream
from tools.pretrain.card import write_card
from tools.pretrain.losses import Distillation, masked_lm
from tools.pretrain.plans import PLANS, Plan
from tools.pretrain.train import Progress, Stage, load_checkpoint, read_progress, run_stage, validation_loss
from tools.pretrain.vectors import word_vectors

ROOT = Path(__file__).resolve().parents[2]
VOCAB = ROOT / "data/models/mini-distilbert/vocab.txt"
VECTOR_TOKENS = 20_000_000


def special_ids() -> dict[str, int]:
    words = VOCAB.read_text(encoding="utf-8").splitlines()
    return {word: i for i, word in enumerate(words) if word.startswith("[") and word.endswith("]") and len(word) > 2}


def first_model(work: Path, layers: int) -> BertForMaskedLM:
    """A shallow BERT whose embeddings start from word vectors of the corpus."""
    torch.manual_seed(0)
    ids = np.fromfile(work / "train.bin", dtype=np.uint16, count=VECTOR_TOKENS)
    vocab_size = len(VOCAB.read_text(encoding="utf-8").splitlines())
    model = models.bert(vocab_size, layers)
    frequency = np.bincount(ids, minlength=vocab_size) + 1.0
    models.set_embeddings(model, torch.from_numpy(word_vectors(ids, vocab_size, models.WIDTH)),
                          torch.from_numpy(np.log(frequency / frequency.sum())).float())
    return model


def train(name: str, stages: tuple[Stage, ...], model_of, loss_of, args) -> torch.nn.Module:
    """Run all stages of one model; ``model_of(stage_number, previous_model)`` builds the model a stage starts from."""
    folder = args.work / args.plan / name
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "checkpoint.safetensors"
    progress = read_progress(checkpoint) if checkpoint.exists() else Progress()
    streams = {s: TokenStream(args.work / f"{s}.bin", special_ids()) for s in ("train", "validation")}
    model = None
    for number, stage in enumerate(stages):
        if number < progress.stage:
            continue
        if model is None and (progress.step or number):
            model = model_of(number, None)
            load_checkpoint(checkpoint, model)
        if number > progress.stage or model is None:
            model = model_of(number, model)
            progress.stage, progress.step = number, 0
        model = model.to(args.device)
        finished = progress.step >= stage.steps or run_stage(
            model, loss_of, stage, streams["train"], folder, progress, device=args.device, stop_after=args.stop_after,
            compile_model=args.compile)
        if not finished:
            raise SystemExit(f"stopped by --stop-after at stage {number}, step {progress.step}: run the same command to go on.")
        loss = validation_loss(model, loss_of, streams["validation"], stage, device=args.device)
        line = {"validation_mlm": round(loss, 4), **vars(progress)}
        print(line)
        with open(folder / "log.jsonl", "a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")
    return model.cpu()


def teacher(args, plan: Plan) -> BertForMaskedLM:
    def model_of(number: int, previous: BertForMaskedLM | None) -> BertForMaskedLM:
        stage = plan.teacher[number]
        if previous is None:
            if number == 0 and not (args.work / args.plan / "teacher/checkpoint.safetensors").exists():
                return first_model(args.work, stage.layers)
            return models.bert(len(VOCAB.read_text(encoding="utf-8").splitlines()), stage.layers)
        before = plan.teacher[number - 1]
        if stage.length > before.length:
            models.extend_positions(previous, before.length, stage.length)
        return models.stack(previous, stage.layers) if stage.layers > before.layers else previous

    return train("teacher", plan.teacher, model_of, masked_lm, args)


def student(args, plan: Plan) -> DistilBertForMaskedLM:
    source = teacher(args, plan)  # finished: only loads the checkpoint
    depth = len(source.bert.encoder.layer)
    model = models.student_from(source, models.TEACHER_LAYERS if depth == 12 else tuple(range(depth)))
    if plan.student:
        model = train("student", plan.student, lambda number, previous: previous or model,
                      Distillation(source.to(args.device)), args)
    write_card(VOCAB.parent, args.work, args.plan, plan, export(model, VOCAB.parent), args.note)
    return model


def export(model: torch.nn.Module, folder: Path) -> int:
    """Write the model as fp16 safetensors with its tokenizer; returns the number of parameters without the head.

    The config says float32, so that ``from_pretrained`` loads float32.
    """
    base = model.base_model
    model.half().save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["dtype"] = "float32"
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    tokenizer = DistilBertTokenizerFast(vocab=str(VOCAB), do_lower_case=True, model_max_length=models.POSITIONS)
    tokenizer.save_pretrained(folder)
    return sum(p.numel() for p in base.parameters())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.pretrain", description=__doc__)
    parser.add_argument("step", choices=["corpus", "vocab", "teacher", "student"])
    parser.add_argument("--plan", choices=sorted(PLANS), default="cpu")
    parser.add_argument("--work", type=Path, default=ROOT / "build/pretrain", help="folder for token ids and checkpoints")
    parser.add_argument("--text", type=Path, nargs="*", help="folders of .parquet or .txt files instead of the defaults")
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="where corpus/ and mirror/ lie")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=torch.cuda.is_available(),
                        help="torch.compile; on a CPU it needs a C++ compiler and gains 5 to 30 percent")
    parser.add_argument("--note", default="", help="a sentence about this run for the model card")
    parser.add_argument("--stop-after", type=float, default=math.inf, help="seconds; writes a checkpoint and leaves")
    args = parser.parse_args()
    if args.step == "corpus":
        sources = ([(corpus.read_texts(p), 1) for p in args.text] if args.text else
                   [(corpus.read_texts(args.shared / "corpus"), 1),
                    (corpus.imdb_texts(args.shared / "mirror"), corpus.REVIEW_REPEATS)])
        print(corpus.collect(sources, args.work / "texts.parquet"))
    elif args.step == "vocab":
        if not VOCAB.exists():
            corpus.train_vocabulary(args.work / "texts.parquet", VOCAB)
        print(corpus.encode(args.work / "texts.parquet", VOCAB, args.work))
    elif args.step == "teacher":
        teacher(args, PLANS[args.plan])
    else:
        student(args, PLANS[args.plan])


if __name__ == "__main__":
    main()
