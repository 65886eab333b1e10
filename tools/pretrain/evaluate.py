"""Fine-tune the embedded models and their baselines on every benchmark.

Each run has a result file of its own, so a killed evaluation loses one run.
"""

from __future__ import annotations

import hashlib
import json
import math
import multiprocessing
import os
import re
import statistics
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

import datasets
import nbformat
import numpy as np
import torch
from tqdm.auto import tqdm
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForTokenClassification,
    DataCollatorWithPadding,
    DistilBertForMaskedLM,
    Trainer,
    TrainingArguments,
    set_seed,
)
from transformers.trainer_callback import PrinterCallback
from transformers.utils import logging

from course_utils.common import word_counter
from course_utils.lab import EMBEDDED_MODELS
from course_utils.precision import has_native_bf16
from course_utils.timing import keep_freed_memory
from tools.pretrain.benchmarks import EMBEDDED, METRICS, REAL, Benchmark, Judged, Splits
from tools.pretrain.models import cut_out, placed
from tools.run_lessons import printed

SEEDS = (0, 1, 2)
TEACHER, STUDENT = EMBEDDED_MODELS["mini-distilbert"], EMBEDDED_MODELS["mini-student"]
# TF-IDF counts words; "random" and "cut out" have the student's three layers, untrained and without distillation.
MODELS = ("TF-IDF", "mini-distilbert", "mini-student", "cut out", "random")


@dataclass(frozen=True)
class Run:
    """One training: ``model`` is one of MODELS, or the folder of another checkpoint."""

    benchmark: str
    model: str
    seed: int
    rate: float | None = None  # another than the benchmark's, when choosing
    epochs: int | None = None  # likewise
    split: str = "test"


def find(name: str) -> Benchmark:
    return next(b for b in EMBEDDED + REAL if b.name == name)


def folder_of(model: str) -> Path:
    """Where a model of ``MODELS`` or another checkpoint has its configuration."""
    student = dict.fromkeys(("mini-student", "random", "cut out"), STUDENT)
    return ({"mini-distilbert": TEACHER} | student).get(model, Path(model))


def source_of(model: str) -> Path:
    """The file that a result depends on besides its recipe: the weights, or what stands in their place."""
    if model == "TF-IDF":
        return TEACHER / "vocab.txt"  # it reads the same pieces of a text
    if model == "random":
        return STUDENT / "config.json"
    return (TEACHER if model == "cut out" else folder_of(model)) / "model.safetensors"


def weights_mark(folder: Path) -> str:
    """The first 12 hex digits of the SHA-256 of a model's weights."""
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()[:12]


def run_file(results: Path, run: Run) -> Path:
    """Where a run's result lies; a new recipe or new weights give a new name."""
    recipe = repr(replace(find(run.benchmark), load=len, aim=None))
    weights = hashlib.sha256(source_of(run.model).read_bytes()).hexdigest()
    key = json.dumps([vars(run), recipe, weights])
    return results / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"


def cut(texts: list[str], tokenizer, length: int) -> list[str]:
    """The part of each text that the model reads, for a fair comparison with TF-IDF."""
    offsets = tokenizer(texts, truncation=True, max_length=length, return_offsets_mapping=True)[
        "offset_mapping"
    ]
    return [text[: max(end for _, end in o)] for text, o in zip(texts, offsets, strict=True)]


def tf_idf(benchmark: Benchmark, splits: Splits) -> dict[str, Judged]:
    model = word_counter()
    tokenizer = AutoTokenizer.from_pretrained(TEACHER)
    texts = {s: cut(rows["text"][:], tokenizer, benchmark.length) for s, rows in splits.items()}
    model.fit(texts["train"], splits["train"]["label"][:])
    return {
        s: (np.array(splits[s]["label"]), model.predict_proba(texts[s]))
        for s in ("validation", "test")
    }


def word_labels(rows: dict[str, list], tokenizer, length: int) -> dict[str, list]:
    """Tokenise words; only the first piece of a word has its tag, the others -100, which the loss leaves out."""
    out = tokenizer(rows["words"], is_split_into_words=True, truncation=True, max_length=length)
    out["labels"] = []
    for i, tags in enumerate(rows["tags"]):
        words = out.word_ids(i)
        out["labels"].append(
            [
                -100 if w is None or (j and words[j - 1] == w) else tags[w]
                for j, w in enumerate(words)
            ]
        )
    return out


def model_for(name: str, auto: type, classes: int):
    """A model with a new head: from a folder, with random weights, or with layers cut out of the teacher."""
    folder = folder_of(name)
    config = AutoConfig.from_pretrained(folder, num_labels=classes)
    if name == "random":
        return auto.from_config(config)
    model = auto.from_pretrained(folder, config=config, use_safetensors=True)
    if name == "cut out":
        teacher = DistilBertForMaskedLM.from_pretrained(TEACHER, use_safetensors=True)
        model.distilbert.load_state_dict(cut_out(teacher).distilbert.state_dict())
    return model


def fine_tune(
    benchmark: Benchmark, splits: Splits, model_name: str, seed: int
) -> dict[str, Judged | tuple]:
    """Train on ``train`` with the benchmark's recipe; labels and probabilities of ``validation`` and ``test``."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    datasets.disable_progress_bars()
    tokenizer = AutoTokenizer.from_pretrained(TEACHER)
    entities = "tags" in splits["train"].column_names
    feature = (
        splits["train"].features["tags"].feature if entities else splits["train"].features["label"]
    )
    set_seed(seed)
    auto = AutoModelForTokenClassification if entities else AutoModelForSequenceClassification
    model = model_for(model_name, auto, feature.num_classes)

    def prepare(rows):
        if entities:
            return word_labels(rows, tokenizer, benchmark.length)
        return tokenizer(rows["text"], truncation=True, max_length=benchmark.length) | {
            "labels": rows["label"]
        }

    data = {
        s: rows.map(prepare, batched=True, remove_columns=rows.column_names)
        for s, rows in splits.items()
    }
    cuda = torch.cuda.is_available()
    trainer = Trainer(
        model=placed(model, "cuda" if cuda else "cpu"),
        train_dataset=data["train"],
        data_collator=(DataCollatorForTokenClassification if entities else DataCollatorWithPadding)(
            tokenizer, pad_to_multiple_of=8
        ),
        args=TrainingArguments(
            output_dir=tempfile.gettempdir(), num_train_epochs=benchmark.epochs, learning_rate=benchmark.rate,
            warmup_steps=0.1, per_device_train_batch_size=benchmark.batch_size, per_device_eval_batch_size=64, seed=seed,
            train_sampling_strategy="group_by_length", weight_decay=0.01, save_strategy="no", logging_strategy="no",
            report_to="none", disable_tqdm=True, use_cpu=not cuda, bf16=cuda or has_native_bf16(),
        ),
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    out = {}
    for s in ("validation", "test"):
        # Grouped by length, so rows come back in another order, labels with them.
        found = trainer.predict(data[s])
        if entities:
            labels, tags = found.label_ids, found.predictions.argmax(-1)
            out[s] = tuple(
                [
                    [feature.names[tag] for tag in row[kept]]
                    for row, kept in zip(rows, labels != -100, strict=True)
                ]
                for rows in (labels, tags)
            )
        else:
            shares = torch.from_numpy(found.predictions).float().softmax(-1)
            out[s] = (found.label_ids, shares.numpy())
    return out


def perform(run: Run, mirror: Path, results: Path, threads: int) -> Path:
    """Carry out one run in this process and write its file."""
    torch.set_num_threads(threads)
    keep_freed_memory()
    benchmark, started = find(run.benchmark), time.monotonic()
    benchmark = replace(
        benchmark, rate=run.rate or benchmark.rate, epochs=run.epochs or benchmark.epochs
    )
    splits = benchmark.load(mirror)
    judged = (
        tf_idf(benchmark, splits)
        if run.model == "TF-IDF"
        else fine_tune(benchmark, splits, run.model, run.seed)
    )
    score, *beside = (
        METRICS[metric](judged["validation"], judged[run.split])
        for metric in (benchmark.metric, benchmark.beside)
        if metric
    )
    file = run_file(results, run)
    part = file.with_suffix(f".part{os.getpid()}")
    rows = {s: len(d) for s, d in splits.items()}
    seconds = round(time.monotonic() - started, 1)
    part.write_text(
        json.dumps(
            {**vars(run), "score": score, "beside": beside, "rows": rows, "seconds": seconds}
        ),
        encoding="utf-8",
    )
    os.replace(part, file)
    return file


def perform_all(
    runs: Iterable[Run], mirror: Path, results: Path, stop_after: float = math.inf
) -> None:
    """Carry out the runs that have no file yet: one process per core on a CPU, where small models gain little from
    threads; one process on a GPU. After ``stop_after`` seconds no further run is begun."""
    started = time.monotonic()
    results.mkdir(parents=True, exist_ok=True)
    missing = [run for run in runs if not run_file(results, run).exists()]
    workers = 1 if torch.cuda.is_available() else os.cpu_count()
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        jobs = {
            pool.submit(perform, run, mirror, results, os.cpu_count() // workers): run
            for run in missing
        }
        for job in tqdm(as_completed(jobs), total=len(jobs), unit="run"):
            run, result = jobs[job], json.loads(job.result().read_text(encoding="utf-8"))
            if time.monotonic() - started > stop_after:
                pool.shutdown(wait=True, cancel_futures=True)
                return
            recipe = find(run.benchmark)
            tqdm.write(
                f"{run.benchmark:32} {run.model:16} seed {run.seed}  {run.epochs or recipe.epochs} epochs  "
                f"rate {run.rate or recipe.rate:g}  {run.split} {result['score']:.3f}  {result['seconds']:.0f} s"
            )


def planned(mirror: Path) -> list[Run]:
    """All runs of the cards' tables: short ones first, these by seed; of the long ones, all seeds of a model together.

    TF-IDF needs no second seed and tags no words.
    """
    benchmarks = EMBEDDED + (REAL if mirror.is_dir() else ())
    runs = [
        Run(b.name, m, seed)
        for b in benchmarks
        for m in MODELS
        for seed in SEEDS
        if m != "TF-IDF" or (seed == 0 and b.metric != "entity F1")
    ]

    def place(run: Run) -> tuple[int, ...]:
        model, long = MODELS.index(run.model), find(run.benchmark).long
        return (1, model, run.seed) if long else (0, run.seed, model)

    return sorted(runs, key=place)


def scores(runs: Iterable[Run], results: Path) -> dict[tuple[str, str], list[float]]:
    """What has been measured so far: {(benchmark, model): scores of the seeds}; the scores told beside them stand at
    (benchmark and metric, model), as "a, F1"."""
    out: dict[tuple[str, str], list[float]] = {}
    for run in runs:
        if (file := run_file(results, run)).exists():
            found = json.loads(file.read_text(encoding="utf-8"))
            out.setdefault((run.benchmark, run.model), []).append(found["score"])
            for score in found.get("beside", ()):
                name = f"{run.benchmark}, {find(run.benchmark).beside}"
                out.setdefault((name, run.model), []).append(score)
    return out


def headlines(folder: Path) -> dict[str, str]:
    """{lesson: data and headline} of the executed lessons in ``folder`` that ran on ``mini`` with a mirror's data."""
    out = {}
    for file in sorted(folder.glob("[01]*.ipynb")):
        notebook = nbformat.read(file, as_version=4)
        outputs = [o for cell in notebook.cells for o in cell.get("outputs", ())]
        text = "\n".join(o.text for o in outputs if o.output_type == "stream")
        data = list(dict.fromkeys(re.findall(r"\(mirror, ([\w./-]+)\)", text)))
        headline = printed(notebook, "Headline")
        if "profile mini" in text and data and headline != "–":
            out[file.name[:2]] = f"{headline} ({', '.join(data)})"
    return out


def save_results(
    runs: Iterable[Run], results: Path, file: Path, mark: str, ablation: dict, lessons: dict
) -> None:
    """Write all results of ``runs`` to one file in the repository, from which a later evaluation goes on.

    {"runs": {name of the run's file: its content}, "ablation": {mark of the teacher's weights: {variant: figures}},
    "lessons": {the same mark: {lesson: headline}}}
    """
    files = [run_file(results, run) for run in runs]
    kept = {f.stem: json.loads(f.read_text(encoding="utf-8")) for f in files if f.exists()}
    part = file.with_suffix(".part")
    of_weights = {"ablation": ablation, "lessons": lessons}
    content = {"runs": kept} | {name: {mark: v} if v else {} for name, v in of_weights.items()}
    part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    os.replace(part, file)


def bring_back(file: Path, results: Path, mark: str) -> tuple[dict[str, dict], dict[str, str]]:
    """Put the runs that ``save_results`` wrote where ``perform_all`` looks for them; returns the ablation's figures and the
    lessons' headlines for the weights with this ``mark``."""
    if not file.exists():
        return {}, {}
    kept = json.loads(file.read_text(encoding="utf-8"))
    results.mkdir(parents=True, exist_ok=True)
    for name, content in kept["runs"].items():
        (results / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return tuple(kept.get(name, {}).get(mark, {}) for name in ("ablation", "lessons"))


@torch.inference_mode()
def speed(batches=(1, 32), lengths=(32, 128), repeats: int = 5) -> list[dict[str, float]]:
    """Forward passes in fp32, the two in turn: {batch, length, student, teacher (median seconds), ratio}."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    folders = {"student": STUDENT, "teacher": TEACHER}
    models = {
        m: AutoModel.from_pretrained(f, use_safetensors=True).eval().to(device)
        for m, f in folders.items()
    }
    rows = []
    for batch in batches:
        for length in lengths:
            ids = torch.randint(
                1000, 8000, (batch, length), generator=torch.Generator().manual_seed(0)
            ).to(device)
            seconds: dict[str, list[float]] = {m: [] for m in models}
            for repeat in range((4 if batch == 1 else 1) * repeats + 1):
                for name, model in models.items():
                    started = time.perf_counter()
                    model(input_ids=ids)[0].sum().item()  # .item() waits for a GPU
                    if repeat:  # the first pass allocates
                        seconds[name].append(time.perf_counter() - started)
            medians = {m: statistics.median(s) for m, s in seconds.items()}
            ratio = medians["teacher"] / medians["student"]
            rows.append({"batch": batch, "length": length, **medians, "ratio": ratio})
    return rows
