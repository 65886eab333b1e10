"""Fine-tune the pair on every benchmark, beside random weights and TF-IDF. One file per run, so a kill loses one run."""

from __future__ import annotations

import hashlib
import json
import math
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

import datasets
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from tqdm.auto import tqdm
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorForTokenClassification,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    set_seed,
)
from transformers.models.auto.modeling_auto import AutoModelForTokenClassification
from transformers.trainer_callback import PrinterCallback
from transformers.utils import logging

from course_utils.lab import EMBEDDED_MODELS
from course_utils.precision import bf16_pays
from tools.pretrain.benchmarks import EMBEDDED, REAL, Benchmark, Splits
from tools.pretrain.models import placed

SEEDS = (0, 1, 2)
FOLDERS = {"student": EMBEDDED_MODELS["distilbert"], "teacher": EMBEDDED_MODELS["bert"]}
MODELS = ("TF-IDF", "random", "student", "teacher")


@dataclass(frozen=True)
class Run:
    """One training: ``model`` is one of MODELS, or the folder of another checkpoint."""

    benchmark: str
    model: str
    seed: int
    rate: float | None = None  # another than the benchmark's, when choosing
    split: str = "test"
    epochs: int | None = None  # likewise


def find(name: str) -> Benchmark:
    return next(b for b in EMBEDDED + REAL if b.name == name)


def weights_mark(model: str) -> str:
    """What a result depends on besides its recipe: the first 12 hex digits of the SHA-256 of the model's file.

    Random weights take the student's configuration; TF-IDF has no weights, but cuts texts with the student's pieces.
    """
    folder = FOLDERS.get(model, FOLDERS["student"] if model in MODELS else Path(model))
    file = folder / {"TF-IDF": "vocab.txt", "random": "config.json"}.get(model, "model.safetensors")
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12]


def run_file(results: Path, run: Run) -> Path:
    """Where a run's result lies; a new recipe or new weights give a new name, so that no old result is taken for it."""
    recipe = replace(find(run.benchmark), load=len, score=len, **({"epochs": run.epochs} if run.epochs else {}))
    key = json.dumps([{k: v for k, v in vars(run).items() if k != "epochs"}, repr(recipe), weights_mark(run.model)])
    return results / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"


def cut(texts: list[str], tokenizer, length: int) -> list[str]:
    """The part of each text that the model reads, for a fair comparison with TF-IDF."""
    offsets = tokenizer(texts, truncation=True, max_length=length, return_offsets_mapping=True)["offset_mapping"]
    return [text[: max(end for _, end in o)] for text, o in zip(texts, offsets, strict=True)]


def tf_idf(benchmark: Benchmark, splits: Splits, tokenizer, split: str) -> float:
    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True),
                          LogisticRegression(C=10, max_iter=1000))
    train, judged = splits["train"], splits[split]
    model.fit(cut(train["text"][:], tokenizer, benchmark.length), train["label"][:])
    return benchmark.score(judged["label"][:], model.predict(cut(judged["text"][:], tokenizer, benchmark.length)))


def word_labels(rows: dict[str, list], tokenizer, length: int) -> dict[str, list]:
    """Tokenise words; only the first piece of a word has its tag, the others -100, which the loss leaves out."""
    out = tokenizer(rows["words"], is_split_into_words=True, truncation=True, max_length=length)
    out["labels"] = []
    for i, tags in enumerate(rows["tags"]):
        words = out.word_ids(i)
        out["labels"].append([-100 if w is None or (j and words[j - 1] == w) else tags[w] for j, w in enumerate(words)])
    return out


def fine_tune(benchmark: Benchmark, splits: Splits, model_name: str, seed: int, split: str) -> float:
    """Train on ``train`` with the benchmark's recipe and score on ``split``."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    datasets.disable_progress_bars()
    folder = FOLDERS.get(model_name, FOLDERS["student"] if model_name == "random" else Path(model_name))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    entities = "tags" in splits["train"].column_names
    feature = splits["train"].features["tags"].feature if entities else splits["train"].features["label"]
    auto = AutoModelForTokenClassification if entities else AutoModelForSequenceClassification
    config = AutoConfig.from_pretrained(folder, num_labels=feature.num_classes)
    set_seed(seed)
    model = (auto.from_config(config) if model_name == "random" else
             auto.from_pretrained(folder, config=config, use_safetensors=True))

    def prepare(rows):
        return (word_labels(rows, tokenizer, benchmark.length) if entities else
                tokenizer(rows["text"], truncation=True, max_length=benchmark.length) | {"labels": rows["label"]})

    data = {s: splits[s].map(prepare, batched=True, remove_columns=splits[s].column_names) for s in ("train", split)}
    cuda = torch.cuda.is_available()
    collate = DataCollatorForTokenClassification if entities else DataCollatorWithPadding
    trainer = Trainer(
        model=placed(model, "cuda" if cuda else "cpu"), train_dataset=data["train"],
        data_collator=collate(tokenizer, pad_to_multiple_of=8),
        args=TrainingArguments(
            output_dir=tempfile.gettempdir(), num_train_epochs=benchmark.epochs, learning_rate=benchmark.rate, warmup_steps=0.1,
            per_device_train_batch_size=benchmark.batch_size, per_device_eval_batch_size=64, seed=seed,
            train_sampling_strategy="group_by_length", weight_decay=0.01, save_strategy="no", logging_strategy="no",
            report_to="none", disable_tqdm=True, use_cpu=not cuda, bf16=cuda or bf16_pays()))
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    out = trainer.predict(data[split])  # grouped by length, so rows come back in another order, labels with them
    if not entities:
        return benchmark.score(out.label_ids, out.predictions.argmax(-1))
    kept = [[(feature.names[t], feature.names[p]) for t, p in zip(tags, row, strict=True) if t != -100]
            for tags, row in zip(out.label_ids, out.predictions.argmax(-1), strict=True)]
    return benchmark.score([[t for t, _ in row] for row in kept], [[p for _, p in row] for row in kept])


def perform(run: Run, mirror: Path, results: Path, threads: int) -> Path:
    """Carry out one run in this process and write its file."""
    torch.set_num_threads(threads)
    benchmark, started = find(run.benchmark), time.monotonic()
    benchmark = replace(benchmark, rate=run.rate or benchmark.rate, epochs=run.epochs or benchmark.epochs)
    splits = benchmark.load(mirror)
    tokenizer = AutoTokenizer.from_pretrained(FOLDERS["student"])
    score = (tf_idf(benchmark, splits, tokenizer, run.split) if run.model == "TF-IDF" else
             fine_tune(benchmark, splits, run.model, run.seed, run.split))
    file = run_file(results, run)
    part = file.with_suffix(f".part{os.getpid()}")
    part.write_text(json.dumps({**vars(run), "score": score, "rows": {s: len(d) for s, d in splits.items()},
                                "seconds": round(time.monotonic() - started, 1)}), encoding="utf-8")
    os.replace(part, file)
    return file


def perform_all(runs: Iterable[Run], mirror: Path, results: Path, stop_after: float = math.inf) -> None:
    """Carry out the runs that have no file yet: one process per core on a CPU, where small models gain little from
    threads; one process on a GPU. After ``stop_after`` seconds no further run is begun."""
    started = time.monotonic()
    results.mkdir(parents=True, exist_ok=True)
    missing = [run for run in runs if not run_file(results, run).exists()]
    workers = 1 if torch.cuda.is_available() else os.cpu_count()
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        jobs = {pool.submit(perform, run, mirror, results, os.cpu_count() // workers): run for run in missing}
        for job in tqdm(as_completed(jobs), total=len(jobs), unit="run"):
            run, score = jobs[job], json.loads(job.result().read_text(encoding="utf-8"))["score"]
            if time.monotonic() - started > stop_after:
                pool.shutdown(wait=True, cancel_futures=True)
                return
            recipe = find(run.benchmark)
            tqdm.write(f"{run.benchmark:32} {run.model:8} seed {run.seed}  {run.epochs or recipe.epochs} epochs  "
                       f"rate {run.rate or recipe.rate:g}  {score:.3f}")


def planned(mirror: Path) -> list[Run]:
    """All runs of the cards' tables, those first that tell most per minute: a first score of everything, then the quick
    tasks' other seeds. Random weights and TF-IDF need one seed: they show a distance, not a ranking."""
    benchmarks = EMBEDDED + (REAL if mirror.is_dir() else ())
    runs = [Run(b.name, m, seed) for b in benchmarks for m in MODELS for seed in SEEDS
            if seed == 0 or m in ("student", "teacher")]
    runs = [run for run in runs if run.model != "TF-IDF" or find(run.benchmark).metric != "entity F1"]  # it tags no words

    def turn(run: Run) -> int:
        if find(run.benchmark).long:
            return 5 if run.seed else {"TF-IDF": 1, "student": 1, "teacher": 3, "random": 4}[run.model]
        return 2 if run.seed or run.model == "random" else 0

    return sorted(runs, key=turn)


def scores(runs: Iterable[Run], results: Path) -> dict[tuple[str, str], list[float]]:
    """What has been measured so far: {(benchmark, model): scores of the seeds}."""
    out: dict[tuple[str, str], list[float]] = {}
    for run in runs:
        if (file := run_file(results, run)).exists():
            out.setdefault((run.benchmark, run.model), []).append(json.loads(file.read_text(encoding="utf-8"))["score"])
    return out


def keep(runs: Iterable[Run], results: Path, file: Path, ablation: dict[str, dict]) -> None:
    """Write all results of ``runs`` to one file that goes into the repository, so that another sitting goes on from them.

    {"runs": {name of the run's file: its content}, "ablation": {mark: variants}}
    """
    files = [run_file(results, run) for run in runs]
    kept = {f.stem: json.loads(f.read_text(encoding="utf-8")) for f in files if f.exists()}
    text = json.dumps({"runs": kept, "ablation": ablation}, indent=1)
    part = file.with_suffix(".part")
    part.write_text(text + "\n", encoding="utf-8")
    os.replace(part, file)


def bring_back(file: Path, results: Path) -> dict[str, dict]:
    """Put the runs that ``keep`` wrote where ``perform_all`` looks for them; returns the ablation's figures."""
    if not file.exists():
        return {}
    kept = json.loads(file.read_text(encoding="utf-8"))
    results.mkdir(parents=True, exist_ok=True)
    for name, content in kept["runs"].items():
        (results / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return kept["ablation"]


@torch.inference_mode()
def speed(batches=(1, 32), lengths=(32, 128, 512), repeats: int = 5) -> list[dict[str, float]]:
    """Forward passes in fp32, student and teacher in turn: {batch, length, student, teacher (median seconds), ratio}."""
    from transformers import AutoModel

    device = "cuda" if torch.cuda.is_available() else "cpu"
    models = {m: AutoModel.from_pretrained(FOLDERS[m], use_safetensors=True).eval().to(device) for m in FOLDERS}
    rows = []
    for batch in batches:
        for length in lengths:
            ids = torch.randint(1000, 8000, (batch, length), generator=torch.Generator().manual_seed(0)).to(device)
            seconds: dict[str, list[float]] = {m: [] for m in models}
            for repeat in range((4 if batch == 1 else 1) * repeats + 1):
                for name, model in models.items():
                    started = time.perf_counter()
                    model(input_ids=ids)
                    if device == "cuda":
                        torch.cuda.synchronize()
                    if repeat:  # the first pass allocates
                        seconds[name].append(time.perf_counter() - started)
            medians = {m: statistics.median(s) for m, s in seconds.items()}
            rows.append({"batch": batch, "length": length, **medians, "ratio": medians["teacher"] / medians["student"]})
    return rows
