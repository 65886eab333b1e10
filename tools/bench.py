"""Measure what the course's settings are worth on this machine: ``make bench``, or ``python -m tools.bench --quick``.

Popular recipes against ours as ratios within one run, with the accuracy of each; the share of the machine's own
speed that training reaches; how time grows; how far estimates are off. Each finished measurement is a JSON file in
``--out``, and a killed run goes on behind the last one. To measure again, delete the file.
"""

from __future__ import annotations

import argparse
import datetime as dates
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from itertools import chain, product
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import datasets
import numpy as np
import psutil
import torch
import transformers
from transformers import (
    AutoModelForSequenceClassification,
    DataCollatorWithPadding,
    DistilBertForSequenceClassification,
)
from transformers.trainer_callback import PrinterCallback

from course_utils import hub
from course_utils.data import TASKS, load_task
from course_utils.lab import EMBEDDED_MODELS, PROFILES, ROOT
from course_utils.metrics import bootstrap_interval
from course_utils.precision import DTYPES, choose_precision, product_gflops, training_speed
from course_utils.timing import duration, estimate_training, keep_freed_memory
from course_utils.trial import clock
from tools.bench_report import COMPARISONS, draw, publish, table
from tools.pretrain.benchmarks import imdb, sst2

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
LAYERS, WIDTH = 6, 768  # of the published DistilBERT


@dataclass(frozen=True)
class Sizes:
    """How much is measured. ``batches`` timed steps stand for an epoch, in each of ``rounds`` rounds."""

    model: str = "mini"  # or "full": DistilBERT's size, random weights, and so without accuracies
    rows: int | None = None
    test_rows: int | None = None
    epochs: int = 2
    batches: int = 4
    rounds: int = 3
    repeats: int = 5
    texts: int = 2000
    longest: int = 512
    runs: int = 10
    compile: bool = True


QUICK = Sizes(
    rows=96,
    test_rows=64,
    epochs=1,
    batches=1,
    rounds=1,
    repeats=1,
    texts=64,
    longest=128,
    runs=2,
    compile=False,
)


@dataclass(frozen=True)
class Recipe:
    """What a training does with its texts. The defaults are those of the articles; ``limit`` cuts texts, in tokens."""

    limit: int = 512
    padded: bool = True  # every text to the limit; else each batch to its longest text
    grouped: bool = False
    optim: str = "adamw_torch"  # the library's default when the articles were written
    eval_batch: int = 16
    precision: str = "fp32"
    compiled: bool = False


@cache
def tokenizer():
    return transformers.AutoTokenizer.from_pretrained(EMBEDDED_MODELS["mini-distilbert"])


def first(split: datasets.Dataset, rows: int | None) -> datasets.Dataset:
    return split.select(range(min(len(split), rows or len(split))))


@cache
def load(task: str, sizes: Sizes) -> dict[str, datasets.Dataset]:
    """Splits with columns text and label: the embedded reviews and messages, or 2,000 labels each of IMDb and SST-2 where a
    mirror is named."""
    caps = {"train": sizes.rows, "validation": sizes.test_rows, "test": sizes.test_rows}
    if folder := hub.mirror():
        splits = sst2(2000)(folder) if task == "short" else imdb(folder)
        splits["test"] = first(splits["test"], 2000)
    else:
        name = "messages" if task == "short" else task
        splits = {
            s: d.select_columns([TASKS[name].text, "label"])
            for s, d in load_task(name, PROFILES["mini"]).items()
        }
        splits = {
            s: d if name == "reviews" else d.rename_column(TASKS[name].text, "text")
            for s, d in splits.items()
        }
    return {s: first(d.shuffle(seed=0), caps[s]) for s, d in splits.items()}


@cache
def tokenized(task: str, limit: int, sizes: Sizes) -> dict[str, datasets.Dataset]:
    return {
        s: d.map(
            lambda rows: tokenizer()(rows["text"], truncation=True, max_length=limit),
            batched=True,
            remove_columns="text",
        )
        for s, d in load(task, sizes).items()
    }


def new_model(size: str, seed: int = 0):
    transformers.set_seed(seed)
    model = (
        DistilBertForSequenceClassification(transformers.DistilBertConfig())
        if size == "full"
        else AutoModelForSequenceClassification.from_pretrained(
            EMBEDDED_MODELS["mini-distilbert"], use_safetensors=True, dtype=torch.float32
        )
    )
    model.accepts_loss_kwargs = False  # lesson 05, "Common mistakes"
    return model.to(DEVICE)


def autocast(precision: str):
    return torch.autocast(DEVICE, DTYPES[precision], enabled=precision != "fp32")


def seconds_of(call: Callable[[], object]) -> float:
    start = clock()
    call()
    return clock() - start


def train_step(model, optimizer, ids: torch.Tensor, precision: str) -> None:
    with autocast(precision):
        loss = model(
            input_ids=ids, labels=torch.zeros(len(ids), dtype=torch.long, device=DEVICE)
        ).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()


class Sampled(transformers.Trainer):
    """A Trainer that notes when each step begins, and meets only the ``chosen`` rows, in their order, where that is set."""

    chosen: list[int] | None = None

    def _get_train_sampler(self, *args):
        return self.chosen or super()._get_train_sampler(*args)

    def _get_eval_sampler(self, *args):
        return self.chosen or super()._get_eval_sampler(*args)

    def training_step(self, *args, **kwargs):
        self.marks = [*getattr(self, "marks", []), clock()]
        return super().training_step(*args, **kwargs)


def make_trainer(recipe: Recipe, data: dict, sizes: Sizes, model=None, **changes) -> Sampled:
    model = model or new_model(sizes.model)
    if recipe.compiled:
        model.compile(dynamic=True)
    keywords = {"use_cpu": True} if DEVICE == "cpu" else {}
    keywords |= {} if recipe.precision == "fp32" else {recipe.precision: True}
    settings = dict(
        output_dir=tempfile.gettempdir(),
        num_train_epochs=1,
        per_device_train_batch_size=16,
        seed=0,
        learning_rate=PROFILES["mini"].learning_rate,
        weight_decay=0.01,
        warmup_steps=0.1,
        optim=recipe.optim,
        per_device_eval_batch_size=recipe.eval_batch,
        train_sampling_strategy="group_by_length" if recipe.grouped else "random",
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **keywords,
    )
    padding = (
        {"padding": "max_length", "max_length": recipe.limit}
        if recipe.padded
        else {"pad_to_multiple_of": 16}
    )
    trainer = Sampled(
        model=model,
        args=transformers.TrainingArguments(**settings | changes),
        train_dataset=data["train"],
        eval_dataset=data["validation"],
        processing_class=tokenizer(),
        data_collator=DataCollatorWithPadding(tokenizer(), **padding),
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def choose(loader, count: int, rng: np.random.Generator) -> tuple[list[list[int]], float]:
    """Full batches that stand for an epoch, one from each of ``count`` equal parts of the batches sorted by length, in
    random order behind the widest, which warms up; and the number of batches in the epoch."""
    lengths, size = (
        [len(ids) for ids in loader.dataset["input_ids"]],
        loader.batch_sampler.batch_size,
    )
    batches = list(loader.batch_sampler)
    full = (
        sorted((b for b in batches if len(b) == size), key=lambda b: max(lengths[i] for i in b))
        or batches
    )
    places = (np.arange(count) + rng.random(count)) / count * len(full)
    return [full[-1], *(full[int(p)] for p in rng.permutation(places))], len(lengths) / min(
        size, len(lengths)
    )


def time_epoch(recipe: Recipe, task: str, sizes: Sizes, seed: int) -> dict[str, float]:
    """Seconds for one epoch and one evaluation of the validation split, from sampled batches of each."""
    rng = np.random.default_rng(seed)
    trainer = make_trainer(recipe, tokenized(task, recipe.limit, sizes), sizes)
    train, steps = choose(trainer.get_train_dataloader(), sizes.batches, rng)
    judged, evaluations = choose(trainer.get_eval_dataloader(), max(1, sizes.batches // 2), rng)
    trainer.chosen = list(chain.from_iterable(train))
    trainer.train()
    first, *times = np.diff([*trainer.marks, clock()]).tolist()
    trainer.chosen = list(chain.from_iterable(judged[1:]))
    first += (
        seconds_of(trainer.evaluate) if recipe.compiled else 0
    )  # evaluation is compiled by itself
    evaluation = seconds_of(trainer.evaluate) * evaluations / len(judged[1:])
    step = statistics.mean(times)
    return {
        "seconds": steps * step + evaluation,
        "step": step,
        "evaluation": evaluation,
        "warming": max(0.0, first - step),
    }


def measure_steps(name: str, sizes: Sizes, done: dict) -> dict:
    """From the article's recipe to ours, one change after the other, timed in turn, round after round; ratios are taken
    within a round. Options that may not pay are tried last, each on top of the best so far, and kept if they do. All read
    the same text, but for the last step, the cut."""
    c = COMPARISONS[name]
    recipes = {
        "the article's": Recipe(c.limit),
        "dynamic padding": Recipe(c.limit, False),
        "grouped by length": Recipe(c.limit, False, True),
    }
    recipes["fused AdamW"] = best = Recipe(c.limit, False, True, "adamw_torch_fused")
    times = [
        {n: time_epoch(r, c.task, sizes, k)["seconds"] for n, r in recipes.items()}
        for k in range(sizes.rounds)
    ]

    def ratio(slow: str, fast: str) -> float:
        return statistics.median(t[slow] / t[fast] for t in times)

    names = list(recipes)
    steps = [
        {
            "name": n,
            "seconds": statistics.median(t[n] for t in times),
            "gain": ratio(before, n),
            "kept": True,
        }
        for before, n in zip([names[0], *names], names, strict=False)
    ]
    factor, fast = (
        ratio(names[0], names[-1]),
        choose_precision(DEVICE) if DEVICE == "cuda" else "bf16",
    )
    candidates = {"evaluation in batches of 64": {"eval_batch": 64}, fast: {"precision": fast}}
    if sizes.compile and c.task == "reviews":
        candidates["torch.compile"] = {"compiled": True}
    if c.cut:
        candidates[f"cut at {c.cut}"] = {"limit": c.cut}
    for label, change in candidates.items():
        steps.append(try_on_top(label, best, replace(best, **change), c.task, sizes))
        if steps[-1]["kept"]:
            best, factor = replace(best, **change), factor * steps[-1]["gain"]
    return {
        "steps": steps,
        "factor": factor,
        "ours": asdict(best),
        "rows": len(load(c.task, sizes)["train"]),
        "rounds": times,
    }


def try_on_top(label: str, best: Recipe, candidate: Recipe, task: str, sizes: Sizes) -> dict:
    """Time ``best`` and ``candidate`` in turn. The candidate is kept where a whole training gains 2 %, warming up included.

    An emulated precision is some twenty times slower: there the course's small ``training_speed`` is proof enough.
    """
    speed = {p: training_speed(p, DEVICE) for p in (best.precision, candidate.precision)}
    if (gain := speed[candidate.precision] / speed[best.precision]) < 0.7:
        return {
            "name": label,
            "seconds": None,
            "gain": gain,
            "kept": False,
            "why": "by training_speed alone",
        }
    try:
        pairs = [
            [time_epoch(r, task, sizes, k) for r in (best, candidate)] for k in range(sizes.rounds)
        ]
    except (
        Exception
    ) as error:  # compiling needs a C++ compiler and fails in many ways: print it and continue
        return {
            "name": label,
            "seconds": None,
            "gain": None,
            "kept": False,
            "why": type(error).__name__,
        }
    gain = statistics.median(a["seconds"] / b["seconds"] for a, b in pairs)
    old, new = (statistics.median(p[i]["seconds"] for p in pairs) for i in (0, 1))
    warming = max(0.0, pairs[0][1]["warming"] - pairs[0][0]["warming"])
    return {
        "name": label,
        "seconds": new,
        "gain": gain,
        "kept": gain > 1.02 and sizes.epochs * (old - new) > warming,
        "why": f"warming up takes {warming:.0f} s more" if candidate.compiled else "",
    }


def measure_accuracy(name: str, sizes: Sizes, done: dict) -> dict:
    """Train both ends on the same rows to the end, and compare the same test rows. The article's end is padded per batch
    here, which changes no logit (asserted), only time."""
    c = COMPARISONS[name]
    if sizes.model == "full":
        return {"skipped": "random weights"}
    best = (
        done[name]["ours"]
        if name in done
        else asdict(Recipe(c.limit, False, True, "adamw_torch_fused", 64, choose_precision(DEVICE)))
    )
    ends = {
        "article": Recipe(c.limit, padded=False),
        "ours": replace(Recipe(**best), compiled=False),
    }
    hits: dict[str, list[np.ndarray]] = {end: [] for end in ends}
    for seed, (end, recipe) in product(range(c.seeds), ends.items()):
        data = tokenized(c.task, recipe.limit, sizes)
        data |= {"train": first(data["train"], c.labels), "test": first(data["test"], 1000)}
        trainer = make_trainer(
            recipe,
            data,
            sizes,
            new_model(sizes.model, seed),
            num_train_epochs=sizes.epochs,
            seed=seed,
        )
        trainer.train()
        model = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
        judge = make_trainer(
            replace(recipe, grouped=False), data, sizes, model
        )  # the rows in their own order
        out = judge.predict(data["test"])
        hits[end].append((out.predictions.argmax(-1) == out.label_ids).astype(float))
        if end == "article" and seed == 0:
            few = first(data["test"], 4)
            wide = (
                make_trainer(replace(recipe, padded=True), data, sizes, model)
                .predict(few)
                .predictions
            )
            moved = float(np.abs(wide - out.predictions[:4]).max())
            assert moved < 1e-3, f"padding must not change a logit, and changed one by {moved:.1e}"
    means = {end: np.mean(h, 0) for end, h in hits.items()}
    low, high = bootstrap_interval(
        lambda a, b: a.mean() - b.mean(), means["ours"], means["article"]
    )
    return {
        **{end: float(h.mean()) for end, h in means.items()},
        "difference": [low, high],
        "labels": len(data["train"]),
        "seeds": c.seeds,
        "each": {end: [float(h.mean()) for h in of] for end, of in hits.items()},
        "test_rows": len(means["ours"]),
        "padding_moved_logits_by": moved,
    }


def operations(batch: int, length: int, training: bool) -> float:
    """Operations of a pass through the six layers: 2 per weight and token, and 4 x width x length per token and layer for
    the two products of attention; training takes three times that. The tables of embeddings multiply nothing, and the
    head reads one token of a text: neither is counted."""
    weights = LAYERS * 12 * WIDTH**2
    return (3 if training else 1) * batch * length * (2 * weights + 4 * LAYERS * WIDTH * length)


def best_product(precision: str) -> float:
    """Operations per second of the matrix product in the size that suits this machine."""
    sizes = (512, 768, 1024, 2048) if DEVICE == "cpu" else (2048, 4096, 8192)
    return 1e9 * max(product_gflops.__wrapped__(precision, DEVICE, size, 4) for size in sizes)


def measure_share(sizes: Sizes, done: dict) -> dict:
    precision = choose_precision(DEVICE)
    model = new_model("full")
    assert sum(p.numel() for p in model.parameters()) == 66_955_010
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)

    @torch.inference_mode()
    def answer(ids: torch.Tensor) -> None:
        with autocast(precision):
            model(input_ids=ids)

    out = {"precision": precision}
    for kind, batch in (("training", 8), ("inference", 32)):
        model.train(kind == "training")
        ids = torch.randint(1000, 30_000, (batch, 128), device=DEVICE)
        call = (
            partial(train_step, model, optimizer, ids, precision)
            if kind == "training"
            else partial(answer, ids)
        )
        call()  # warms up
        work = operations(batch, 128, kind == "training")
        pairs = [
            (best_product(precision), work / seconds_of(call)) for _ in range(max(2, sizes.repeats))
        ]
        out[kind] = {
            "share": statistics.median(speed / product for product, speed in pairs),
            "gflops": statistics.median(s for _, s in pairs) / 1e9,
            "product_gflops": statistics.median(p for p, _ in pairs) / 1e9,
        }
    return out


def measure_classify(sizes: Sizes, done: dict) -> dict:
    """The same reviews through the articles' call, through ``pipeline()`` and our way; all must give the same labels."""
    data = load("reviews", replace(sizes, rows=None, test_rows=None))
    pool = [text for split in data.values() for text in split["text"]]
    texts = (pool * (sizes.texts // len(pool) + 1))[: sizes.texts]
    few = replace(sizes, rows=min(320, sizes.rows or 320))
    trainer = make_trainer(Recipe(128, False, True), tokenized("reviews", 128, few), few)
    if sizes.model == "mini":
        trainer.train()  # so that labels can differ: untrained weights give probabilities near 0.5
    model, precision, part = trainer.model.eval(), choose_precision(DEVICE), texts[::4]

    def one(text: str, padding: str | bool) -> int:
        inputs = tokenizer()(
            text, return_tensors="pt", truncation=True, padding=padding, max_length=512
        )
        return model(**inputs.to(DEVICE)).logits.argmax(-1).item()

    @torch.inference_mode()
    def ours() -> np.ndarray:
        encoded = tokenizer()(texts, truncation=True, max_length=512)["input_ids"]
        order, answers = np.argsort([len(ids) for ids in encoded]), np.empty(len(texts), int)
        for start in range(0, len(texts), 32):
            rows = order[start : start + 32]
            batch = tokenizer().pad(
                {"input_ids": [encoded[i] for i in rows]}, pad_to_multiple_of=8, return_tensors="pt"
            )
            with autocast(precision):
                answers[rows] = model(**batch.to(DEVICE)).logits.argmax(-1).cpu().numpy()
        return answers

    classify = transformers.pipeline(
        "text-classification", model=model, tokenizer=tokenizer(), device=DEVICE
    )
    ways = {  # name: (call, every which text, since all of them would take long and each costs about the same)
        "call, padded to 512": (lambda: [one(t, "max_length") for t in part], 4),
        "call as written": (lambda: [one(t, True) for t in part], 4),
        "pipeline()": (
            lambda: [model.config.label2id[a["label"]] for a in classify(texts, truncation=True)],
            1,
        ),
        "ours": (ours, 1),
    }
    one(texts[0], "max_length"), classify(texts[0], truncation=True)  # warms up
    seconds, labels = {}, {}
    for way, (call, every) in ways.items():
        start = clock()
        labels[way] = np.array(call())
        seconds[way] = (clock() - start) * len(texts) / len(texts[::every])
    equal = {
        way: float((labels["ours"][::every] == labels[way]).mean())
        for way, (_, every) in ways.items()
    }
    assert min(equal.values()) >= 0.995, f"the ways must give the same labels: {equal}"
    return {"texts": len(texts), "precision": precision, "seconds": seconds, "equal_labels": equal}


def exponent(x, y) -> float:
    """The p in y = c x**p, fitted to the logarithms."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def measure_growth(sizes: Sizes, done: dict) -> dict:
    """Seconds of training steps against length (8 texts), batch (64 tokens) and rows (an epoch of batches of 16, 32 tokens)."""
    model, precision, out = new_model(sizes.model).train(), choose_precision(DEVICE), {}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)

    def step(batch: int, length: int, times: int = 1) -> None:
        ids = torch.randint(1000, 8000, (batch, length), device=DEVICE)
        for _ in range(times):
            train_step(model, optimizer, ids, precision)

    plans = {
        "length": [(n, (8, n)) for n in (32, 64, 128, 256, 512) if n <= sizes.longest],
        "batch": [(n, (n, 64)) for n in (1, 2, 4, 8, 16, 32, 64) if n <= sizes.longest // 8],
        "rows": [(n, (16, 32, n // 16)) for n in (64, 128, 256, 512) if n <= 2 * sizes.longest],
    }
    for name, plan in plans.items():
        step(*plan[-1][1][:2])  # warms up
        rounds = [
            [seconds_of(partial(step, *shape)) for _, shape in plan]
            for _ in range(max(2, sizes.repeats // 2 + 1))
        ]
        x, y = [n for n, _ in plan], np.median(rounds, 0).tolist()
        out[name] = {
            "x": x,
            "seconds": y,
            "exponent": exponent(x, y),
            "last_doubling": exponent(x[-2:], y[-2:]),
        }
    return out


RUNS = [  # limit, batch, rows; every other one padded to the limit, every third with an evaluation
    (64, 8, 96),
    (128, 16, 160),
    (32, 32, 320),
    (512, 4, 24),
    (64, 16, 192),
    (256, 8, 48),
    (128, 4, 60),
    (512, 8, 40),
    (32, 8, 160),
    (256, 16, 96),
]


def measure_estimate(sizes: Sizes, done: dict) -> dict:
    """``estimate_training`` against the clock, for short trainings of many shapes."""
    runs = []
    for number, (limit, batch, rows) in enumerate(RUNS[: sizes.runs]):
        padded, judged = bool(number % 2), number % 3 == 2
        splits = tokenized("reviews", limit, sizes)
        data = {
            "train": first(splits["train"], rows),
            "validation": first(splits["validation"], 48),
        }
        recipe = Recipe(
            limit, padded, not padded, "adamw_torch_fused", 16, choose_precision(DEVICE)
        )
        trainer = make_trainer(
            recipe,
            data,
            sizes,
            per_device_train_batch_size=batch,
            eval_strategy="epoch" if judged else "no",
        )
        expected = estimate_training(trainer)
        took = seconds_of(trainer.train)
        runs.append(
            {
                "limit": limit,
                "batch": batch,
                "rows": len(data["train"]),
                "padded": padded,
                "evaluated": judged,
                "expected": expected,
                "took": took,
                "error": expected / took - 1,
            }
        )
    errors = [abs(r["error"]) for r in runs]
    return {
        "runs": runs,
        "median": statistics.median(errors),
        "worst": max(errors),
        "bias": statistics.median(r["error"] for r in runs),
    }


START = """
import json, time
marks = [time.perf_counter()]
for line in ("import torch", "import transformers, transformers.trainer_utils, datasets", "import course_utils.lab",
             "course_utils.lab.start_lab('05', 'mini')"):
    exec(line)
    marks.append(time.perf_counter())
print(json.dumps([b - a for a, b in zip(marks, marks[1:])]))
"""


def measure_start(sizes: Sizes, done: dict) -> dict:
    """Seconds until a lesson can begin, in fresh processes (the disk's cache may be warm)."""
    parts = []
    with tempfile.TemporaryDirectory() as work:
        for _ in range(min(3, sizes.repeats)):
            out = subprocess.run(
                [sys.executable, "-c", START],
                cwd=ROOT,
                env=os.environ | {"COURSE_WORK": work},
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            parts.append(json.loads(out.splitlines()[-1]))
    medians = np.median(parts, 0).tolist()
    return {
        "total": statistics.median(map(sum, parts)),
        **dict(
            zip(
                ("torch", "transformers and datasets", "course_utils", "start_lab"),
                medians,
                strict=True,
            )
        ),
    }


def step_seconds(model: str, kept: bool) -> float:
    """Median seconds of a training step, 16 texts of 128 tokens; ``kept``: with freed memory kept (in a fresh process)."""
    if kept:
        keep_freed_memory()
    transformers.utils.logging.set_verbosity_error()
    network, precision = new_model(model).train(), choose_precision(DEVICE)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-5, fused=True)
    ids = torch.randint(1000, 8000, (16, 128), device=DEVICE)
    step = partial(train_step, network, optimizer, ids, precision)
    return statistics.median([seconds_of(step) for _ in range(12)][2:])


def measure_memory(sizes: Sizes, done: dict) -> dict:
    """What ``keep_freed_memory`` is worth, in fresh processes in turn, since a process can't take it back."""

    def seconds(kept: bool) -> float:
        code = f"from tools.bench import step_seconds; print(step_seconds({sizes.model!r}, {kept}))"
        command = [sys.executable, "-c", code]
        out = subprocess.run(
            command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
        ).stdout
        return float(out)

    rounds = [
        {"freed": seconds(False), "kept": seconds(True)} for _ in range(min(3, sizes.repeats))
    ]
    return {"rounds": rounds, "gain": statistics.median(r["freed"] / r["kept"] for r in rounds)}


MEASUREMENTS: dict[str, Callable[[Sizes, dict], dict]] = {
    "start": measure_start,
    "memory": measure_memory,
    "share": measure_share,
    "growth": measure_growth,
    "estimate": measure_estimate,
    **{n: lambda sizes, done, n=n: measure_steps(n, sizes, done) for n in COMPARISONS},
    **{
        f"accuracy, {n}": lambda sizes, done, n=n: measure_accuracy(n, sizes, done)
        for n in COMPARISONS
    },
    "classify": measure_classify,
}


def machine() -> str:
    where = torch.cuda.get_device_name() if DEVICE == "cuda" else f"{os.cpu_count()} cores"
    return (
        f"{where}, {platform.machine()} ({torch.backends.cpu.get_cpu_capability()}), {choose_precision(DEVICE)}, "
        f"torch {torch.__version__}"
    )


def perform(names: list[str], sizes: Sizes, out: Path) -> tuple[dict, list[str]]:
    """Carry out what has no file yet, or one of another machine, size or data. Returns all results that are there, and the
    names of those timed while other programs used more than a fifth of the machine (accuracies aren't timed)."""
    out.mkdir(parents=True, exist_ok=True)
    situation = {"machine": machine(), "sizes": asdict(sizes), "mirror": hub.mirror() is not None}
    found = {}
    for name, measure in MEASUREMENTS.items():
        file = out / f"{name.replace(', ', '-').replace(' ', '-')}.json"
        kept = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        if kept.get("situation") != situation:
            if name not in names:
                continue
            print(f"{name} …", flush=True)
            others, start = psutil.cpu_percent(1), time.perf_counter()
            result = measure(sizes, {n: f["result"] for n, f in found.items()})
            kept = {
                "situation": situation,
                "others_percent": others,
                "minutes": (time.perf_counter() - start) / 60,
                "result": result,
            }
            part = file.with_suffix(".part")
            part.write_text(json.dumps(kept, indent=1), encoding="utf-8")
            os.replace(part, file)
            print(f"{name}: {duration(60 * kept['minutes'])}", flush=True)
        found[name] = kept
    return {n: f["result"] for n, f in found.items()}, [
        n for n, f in found.items() if f["others_percent"] > 20 and not n.startswith("accuracy")
    ]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a few minutes: shows that everything works, not how fast",
    )
    parser.add_argument(
        "--only", nargs="+", choices=MEASUREMENTS, metavar="NAME", help="; ".join(MEASUREMENTS)
    )
    parser.add_argument(
        "--model",
        choices=("mini", "full"),
        default="mini",
        help="full: DistilBERT's size, random weights",
    )
    parser.add_argument("--out", type=Path, default=ROOT / "build/bench")
    parser.add_argument(
        "--publish", action="store_true", help="put the results of a full run into assets/"
    )
    options = parser.parse_args(arguments)
    if options.publish and (options.quick or options.only or options.model == "full"):
        parser.error("--publish takes a full run: leave out --quick, --only and --model")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    sizes = replace(QUICK if options.quick else Sizes(), model=options.model)
    keep_freed_memory()  # as in every lesson, for both sides of each comparison
    done, busy = perform(options.only or list(MEASUREMENTS), sizes, options.out)
    data = (
        "IMDb and SST-2, 2,000 labels each" if hub.mirror() else "the embedded reviews and messages"
    )
    name = "mini-distilbert" if sizes.model == "mini" else "of DistilBERT's size, random weights"
    where = f"{machine()}, {dates.date.today().isoformat()}{', --quick' if options.quick else ''}, model {name}, {data}"
    everything = {"machine": where, "busy": busy, "results": done}
    (options.out / "bench.json").write_text(json.dumps(everything, indent=1), encoding="utf-8")
    text = table(done, where, busy)
    (options.out / "bench.md").write_text(text, encoding="utf-8")
    draw(done, options.out)
    if options.publish:
        publish(everything, ROOT)
    print(text)


if __name__ == "__main__":
    main()
