"""Command line: ``python -m tools.pretrain corpus|vocab|teacher|student|evaluate``."""

from __future__ import annotations

import argparse
import json
import math
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from transformers import BertForMaskedLM, BertTokenizerFast, DistilBertForMaskedLM, DistilBertTokenizerFast

from course_utils.lab import EMBEDDED_MODELS
from tools.lessons import put_between
from tools.pretrain import corpus, models
from tools.pretrain.batches import TokenStream
from tools.pretrain.benchmarks import EMBEDDED, REAL
from tools.pretrain.card import README_MARKS, Measured, read_log, readme_part, section, share_of_teacher, write_cards
from tools.pretrain.evaluate import SEEDS, Run, bring_back, find, keep, perform_all, planned, scores, speed, weights_mark
from tools.pretrain.losses import WEIGHTS, Distillation, masked_lm
from tools.pretrain.picture import draw_losses, draw_scores
from tools.pretrain.plans import PLANS, Plan
from tools.pretrain.train import Progress, Stage, load_checkpoint, read_progress, run_stage, validation_loss
from tools.pretrain.vectors import word_vectors

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {"teacher": EMBEDDED_MODELS["bert"], "student": EMBEDDED_MODELS["distilbert"]}
VOCAB = FOLDERS["student"] / "vocab.txt"
PICTURE, KEPT = ROOT / "assets/pair.png", ROOT / "assets/pair.json"
README = ROOT / "README.md"
VECTOR_TOKENS = 20_000_000
WITHOUT = {"all three losses": None, "no soft targets": "soft", "no cosine": "cosine", "no masked LM": "mlm",
           "random start": None}
RATES = (5e-5, 1e-4, 2e-4, 5e-4)
ABLATION_TASKS = {True: "SST-2, 2,000 labels", False: "course reviews"}  # with a mirror, without


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


def from_start(folder: Path, work: Path) -> BertForMaskedLM:
    """The student of an earlier run as the first model of this one; how that was trained is kept for the new cards."""
    if not (folder / "model.safetensors").is_file():
        raise SystemExit(f"--start {folder}: no model.safetensors there. Name the folder of an earlier student.")
    before = section(folder / "README.md", "## Training").removeprefix("## Training").strip()
    (work / "before.md").write_text((before or "No card says how that student was trained.") + "\n", encoding="utf-8")
    return models.bert_from(DistilBertForMaskedLM.from_pretrained(folder, use_safetensors=True))


def held_out_loss(model, loss_of, streams: dict[str, TokenStream], stage: Stage, device: str) -> float:
    """Masked-LM loss on held-out text, its tokens masked alike; the model that goes on training stays as it is."""
    bias = models.output_bias(model)
    kept = bias.detach().clone()
    models.change_smoothing(model, log_frequency(streams["train"]), stage.smoothing, 0.0)
    loss = validation_loss(model, loss_of, streams["validation"], stage, device=device)
    with torch.no_grad():
        bias.copy_(kept)
    return loss


def log_frequency(stream: TokenStream) -> torch.Tensor:
    return torch.from_numpy(stream.log_frequency(len(VOCAB.read_text(encoding="utf-8").splitlines())))


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
        model = models.placed(model, args.device)
        finished = progress.step >= stage.steps or run_stage(
            model, loss_of, stage, streams["train"], folder, progress, device=args.device, stop_after=args.stop_after,
            compile_model=args.compile)
        if not finished:
            raise SystemExit(f"stopped by --stop-after at stage {number}, step {progress.step}: run the same command to go on.")
        if any(line["stage"] == number and "validation_mlm" in line for line in read_log(folder / "log.jsonl")):
            continue  # a resumed run comes here again
        loss = held_out_loss(model, loss_of, streams, stage, args.device)
        line = json.dumps({"validation_mlm": round(loss, 4), **vars(progress)})
        print(line)
        with open(folder / "log.jsonl", "a", encoding="utf-8") as log:
            log.write(line + "\n")
    draw_losses(args.work / args.plan)
    return model.cpu()


def teacher(args, plan: Plan) -> BertForMaskedLM:
    """Train the teacher, or load it where that is done."""
    def model_of(number: int, previous: BertForMaskedLM | None) -> BertForMaskedLM:
        stage, smoothed = plan.teacher[number], 0.0
        if previous is None:
            if number or (args.work / args.plan / "teacher/checkpoint.safetensors").exists():  # weights follow from there
                return models.bert(len(VOCAB.read_text(encoding="utf-8").splitlines()), stage.layers)
            model = from_start(args.start, args.work / args.plan) if args.start else first_model(args.work, stage.layers)
        else:
            before = plan.teacher[number - 1]
            smoothed = before.smoothing
            if stage.length > before.length and not (args.work / args.plan / "before.md").exists():  # a start has them all
                models.extend_positions(previous, before.length, stage.length)
            model = models.deepen(previous, stage.layers) if stage.layers > before.layers else previous
        if stage.smoothing != smoothed:
            frequency = log_frequency(TokenStream(args.work / "train.bin", special_ids()))
            models.change_smoothing(model, frequency, smoothed, stage.smoothing)
        return model

    model = train("teacher", plan.teacher, model_of, masked_lm, args)
    if args.compile:
        model.base_model.compile()  # for the passes that the student's loss needs
    return model


def teacher_layers(source: BertForMaskedLM) -> tuple[int, ...]:
    depth = len(source.bert.encoder.layer)
    return models.TEACHER_LAYERS if depth == 12 else tuple(range(depth))


def student(args, plan: Plan) -> DistilBertForMaskedLM:
    """Distil the student (or cut it out, where the plan has no stage for it) and put the pair in its place."""
    source = teacher(args, plan)  # finished: only loads the checkpoint
    model = models.student_from(source, teacher_layers(source))
    if plan.student:
        loss = Distillation(models.placed(source, args.device))
        model = train("student", plan.student, lambda number, previous: previous or model, loss, args)
    export(source.cpu(), FOLDERS["teacher"], BertTokenizerFast)
    export(model, FOLDERS["student"], DistilBertTokenizerFast)
    write_cards(FOLDERS, args.work, args.plan, plan, teacher_layers(source), args.note)
    return model


def export(model: torch.nn.Module, folder: Path, tokenizer_class: type) -> None:
    """Write a copy of the model as fp16 safetensors with its tokenizer.

    The config says float32, so that ``from_pretrained`` loads float32.
    """
    folder.mkdir(parents=True, exist_ok=True)
    half = type(model)(model.config)
    half.load_state_dict(model.state_dict())
    half.half().save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["dtype"] = "float32"
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    tokenizer_class(vocab=str(VOCAB), do_lower_case=True, model_max_length=models.POSITIONS).save_pretrained(folder)
    if folder != VOCAB.parent:
        shutil.copyfile(VOCAB, folder / VOCAB.name)


def ablation(args, plan: Plan) -> dict[str, dict]:
    """Short distillations from the shipped teacher, each with one thing left out, and what they score.

    {variant: validation_mlm, tokens, task, scores}, where a variant is one of ``WITHOUT``.
    """
    source = models.placed(BertForMaskedLM.from_pretrained(FOLDERS["teacher"], use_safetensors=True), args.device)
    out, folders = {}, {}
    if args.compile:
        source.base_model.compile()
    for variant, left_out in WITHOUT.items():
        weights = {name: 0.0 if name == left_out else weight for name, weight in WEIGHTS.items()}
        torch.manual_seed(0)
        start = (models.distilbert(source.config.vocab_size) if variant == "random start" else
                 models.student_from(source, teacher_layers(source)))
        name = f"ablation-{weights_mark('teacher')}/{variant.replace(' ', '-')}"
        folder = args.work / args.plan / name
        model = train(name, (plan.ablation,), lambda number, previous, start=start: previous or start,
                      Distillation(source, weights), args)
        export(model, folder, DistilBertTokenizerFast)
        last = read_log(folder / "log.jsonl")[-1]
        out[variant] = {"validation_mlm": last["validation_mlm"], "tokens": last["tokens"]}
        folders[variant] = str(folder)
    mirror, results = args.shared / "mirror", args.work / args.plan / "results"
    task = ABLATION_TASKS[mirror.is_dir()]
    short = {v: [Run(task, model, seed) for seed in SEEDS] for v, model in folders.items()}
    perform_all([run for group in short.values() for run in group], mirror, results, args.stop_after)
    for variant, group in short.items():
        out[variant] |= {"task": task, "scores": scores(group, results).get((task, group[0].model), [])}
    return out


def choose(args) -> None:
    """Print validation scores of the student for several rates and lengths: what the benchmarks' recipes are chosen by."""
    mirror, results = args.shared / "mirror", args.work / args.plan / "results"
    firsts = [run for run in planned(mirror) if run.model == "student" and run.seed == 0 and args.task in run.benchmark]
    if not firsts:
        raise SystemExit(f"--task {args.task}: no task's name has it. There are: {'; '.join(b.name for b in EMBEDDED + REAL)}.")
    perform_all([replace(run, rate=rate, epochs=times * find(run.benchmark).epochs, split="validation")
                 for times in (1, 2) for rate in RATES for run in firsts], mirror, results, args.stop_after)


def evaluate(args, plan: Plan) -> Measured:
    """Measure what is missing, then write both cards. A kill loses the run in progress; ``--stop-after`` leaves early.

    All results are kept in ``KEPT``, with the weights they belong to: a later call, on another machine too, goes on from
    there, and needs no work folder but for the ablation's text.
    """
    mirror, results = args.shared / "mirror", args.work / args.plan / "results"
    runs, started = planned(mirror), time.monotonic()
    mark = f"{weights_mark('teacher')} {plan.ablation}"
    variants = bring_back(KEPT, results).get(mark, {})
    perform_all(runs, mirror, results, args.stop_after)
    if plan.ablation and not variants and time.monotonic() - started < args.stop_after:
        variants = ablation(args, plan)
        if any(len(figures["scores"]) < len(SEEDS) for figures in variants.values()):
            variants = {}  # half an ablation compares nothing
    keep(runs, results, KEPT, {mark: variants} if variants else {})
    measured = Measured(scores(runs, results), speed(), variants)
    depth = json.loads((FOLDERS["teacher"] / "config.json").read_text(encoding="utf-8"))["num_hidden_layers"]
    layers = models.TEACHER_LAYERS if depth == 12 else tuple(range(depth))
    write_cards(FOLDERS, args.work, args.plan, plan, layers, args.note, measured)
    if share_of_teacher(measured.scores):
        draw_scores(measured, PICTURE)
    if measured.scores:
        put_between(README, README_MARKS, readme_part(measured, FOLDERS, PICTURE))
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.pretrain", description=__doc__)
    parser.add_argument("step", choices=["corpus", "vocab", "teacher", "student", "evaluate"])
    parser.add_argument("--plan", choices=sorted(PLANS), default="cpu")
    parser.add_argument("--work", type=Path, default=ROOT / "build/pretrain", help="folder for token ids and checkpoints")
    parser.add_argument("--text", type=Path, nargs="*", help="folders of .parquet or .txt files instead of the defaults")
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="where corpus/ and mirror/ lie")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=torch.cuda.is_available(),
                        help="torch.compile; on a CPU it needs a C++ compiler and gains 0 to 7 percent")
    parser.add_argument("--start", type=Path, help="teacher: the folder of an earlier student to go on from (plan `more`)")
    parser.add_argument("--note", default="", help="a sentence about this run for the model cards")
    parser.add_argument("--choose", action="store_true",
                        help="evaluate: compare learning rates and epochs on validation rows instead")
    parser.add_argument("--task", default="", help="evaluate --choose: only the tasks with this in their name")
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
    elif args.step == "student":
        student(args, PLANS[args.plan])
    elif args.choose:
        choose(args)
    else:
        evaluate(args, PLANS[args.plan])


if __name__ == "__main__":
    main()
